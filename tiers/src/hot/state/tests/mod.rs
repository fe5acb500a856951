//! Tests of a part as a whole, on a disk in memory.

mod crash;
mod damage;
mod memory;
mod model;
mod random;
mod smoke;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::disk::MemoryDisk;

pub(super) const DIR: &str = "state/0";
pub(super) const IDENTITY: Identity = Identity { store: 0x0123_4567_89ab_cdef_0011_2233_4455_6677, part: 3 };

pub(super) fn config() -> StateConfig {
    StateConfig {
        window_span_ms: 100,
        outcome_slots: 8,
        memtable_bytes: 1 << 20,
        block_bytes: 512,
        index_cache_bytes: 16 << 10,
        ..StateConfig::default()
    }
}

pub(super) fn open(disk: &MemoryDisk, config: StateConfig) -> Result<Part, StateError> {
    Part::open(Arc::new(disk.clone()), Path::new(DIR), config, IDENTITY)
}

pub(super) fn dated(timestamp_ms: u64, sequence: u64) -> Position {
    Position::Dated { timestamp_ms, sequence }
}

pub(super) fn flush(part: &mut Part) -> Result<(), StateError> {
    match part.freeze() {
        Some(job) => part.install(job.run()),
        None => Ok(()),
    }
}

pub(super) fn merge(part: &mut Part) -> Result<bool, StateError> {
    match part.choose_merge() {
        Some(job) => part.install(job.run()).map(|()| true),
        None => Ok(false),
    }
}

pub(super) fn get(
    part: &Part,
    bucket: u32,
    entity: &[u8],
    position: Position,
) -> Result<Option<Record>, StateError> {
    match part.get(crate::hot::Bucket(bucket), &Key::new(entity, position)?) {
        Lookup::Found(record) => Ok(Some(record)),
        Lookup::Absent => Ok(None),
        Lookup::Deferred(job) => job.run(),
    }
}

pub(super) fn scan(part: &Part, bucket: u32, entity: &[u8], range: &ScanRange) -> Result<Page, StateError> {
    match part.scan(crate::hot::Bucket(bucket), entity, range) {
        Scan::Done(page) => Ok(page),
        Scan::Deferred(job) => job.run(),
    }
}
