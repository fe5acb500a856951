//! A journal on a disk in memory, and records whose bytes say what they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::super::{Bucket, Slot};
use super::super::*;
use crate::disk::{Disk, MemoryDisk, OpenMode};

pub(super) const SEGMENT: u32 = 32 << 10;

pub(super) fn directory() -> &'static Path {
    Path::new("node/journal")
}

pub(super) fn config() -> JournalConfig {
    JournalConfig { segments_max: 8, ..JournalConfig::with_segment_bytes(SEGMENT) }
}

pub(super) fn identity() -> JournalIdentity {
    JournalIdentity { cluster: 0x1234_5678_9abc_def0, node: 3, disk: 0xfeed_f00d_dead_beef }
}

/// A record as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) head: RecordHead,
    pub(super) payload: Vec<u8>,
    pub(super) position: Position,
}

pub(super) struct Opened {
    pub(super) journal: Journal,
    pub(super) recovered: Recovered,
    pub(super) seen: Vec<Seen>,
}

impl Opened {
    /// (bucket, slot) of each record.
    pub(super) fn slots(&self) -> Vec<(u32, u64)> {
        self.seen.iter().map(|seen| (seen.head.bucket.0, seen.head.slot.0)).collect()
    }

    pub(super) fn damages(&self) -> Vec<(DamageScope, DamageReason)> {
        self.recovered.damage.iter().map(|damage| (damage.scope, damage.reason)).collect()
    }
}

pub(super) fn try_open(disk: &MemoryDisk) -> Result<Opened, JournalError> {
    try_open_with(disk, config(), identity())
}

pub(super) fn try_open_with(
    disk: &MemoryDisk,
    config: JournalConfig,
    identity: JournalIdentity,
) -> Result<Opened, JournalError> {
    let mut seen = Vec::new();
    let (journal, recovered) =
        Journal::open(Arc::new(disk.clone()), directory(), config, identity, |record, position| {
            seen.push(Seen { head: record.head, payload: record.payload.to_vec(), position });
        })?;
    Ok(Opened { journal, recovered, seen })
}

pub(super) fn open(disk: &MemoryDisk) -> Opened {
    try_open(disk).unwrap()
}

pub(super) fn head(bucket: u32, slot: u64) -> RecordHead {
    RecordHead { bucket: Bucket(bucket), slot: Slot(slot), kind: RecordKind((slot % 5) as u8) }
}

/// The payload that a record of this bucket and slot has in all tests.
pub(super) fn payload(bucket: u32, slot: u64, length: usize) -> Vec<u8> {
    let mut state = u64::from(bucket) << 32 ^ slot ^ 0x5bd1_e995;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

pub(super) fn batch(config: &JournalConfig, records: &[(u32, u64, usize)]) -> JournalBatch {
    let mut batch = JournalBatch::new(config);
    for (bucket, slot, length) in records {
        batch.push(head(*bucket, *slot), |into| into.put(&payload(*bucket, *slot, *length))).unwrap();
    }
    batch
}

/// One commit with these records; returns where they lie.
pub(super) fn commit(journal: &mut Journal, records: &[(u32, u64, usize)]) -> Vec<Position> {
    let mut batch = batch(&journal.config().clone(), records);
    let committed = journal.commit(&mut [&mut batch]).unwrap();
    assert_eq!(committed.records, records.len() as u64);
    batch.positions().collect()
}

pub(super) fn segment_path(generation: u64) -> PathBuf {
    directory().join(format!("segment-{generation:016x}"))
}

pub(super) fn catalog_path() -> PathBuf {
    directory().join("catalog")
}

/// Overwrites bytes of a file, durably.
pub(super) fn overwrite(disk: &MemoryDisk, path: &Path, offset: u64, bytes: &[u8]) {
    let file = disk.open(path, OpenMode::ReadWrite).unwrap();
    file.write_all_at(bytes, offset).unwrap();
    file.sync().unwrap();
}

pub(super) fn read_bytes(disk: &MemoryDisk, path: &Path, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    disk.open(path, OpenMode::Read).unwrap().read_exact_at(&mut bytes, offset).unwrap();
    bytes
}
