//! Tests of a part as a whole, on a disk in memory.

mod content;
mod crash;
mod damage;
mod memory;
mod merging;
mod random;
mod smoke;
mod trims;

use super::model::{DIR, IDENTITY, config, dated, get, merge, open, scan};
use super::*;
use crate::disk::MemoryDisk;

pub(super) fn flush(part: &mut Part) -> Result<(), StateError> {
    match part.freeze() {
        Some(job) => part.install(job.run()),
        None => Ok(()),
    }
}
