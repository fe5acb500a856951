//! A part: the state of a fixed share of a node's buckets.
#![expect(unused_variables, clippy::todo, reason = "signatures first")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::config::{Identity, StateConfig};
use super::error::StateError;
use super::job::{Finished, Job};
use super::key::{Key, Window};
use super::read::{Lookup, Scan};
use super::record::{Attribute, Digest, Outcome, ScanRange, TokenKey, Version};
use super::snapshot::Snapshot;
use super::write::{Apply, Restore};
use crate::disk::Disk;
use crate::hot::{Bucket, Slot};

/// The state of a fixed share of a node's buckets. `Send`, owned by one worker.
pub struct Part {}

impl Part {
    /// Opens a part, or makes it where nothing is.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        config: StateConfig,
        identity: Identity,
    ) -> Result<Part, StateError> {
        todo!()
    }
    /// Removes every file of a part, so that it can be made anew.
    pub fn destroy(disk: &dyn Disk, dir: &Path) -> Result<(), StateError> {
        todo!()
    }
    /// The newest applied slot of a bucket; 0 when there is none.
    pub fn applied(&self, bucket: Bucket) -> Slot {
        todo!()
    }
    /// The applied slot that a crash now would leave.
    pub fn durable(&self, bucket: Bucket) -> Slot {
        todo!()
    }
    /// The bucket's digest at its applied slot.
    pub fn digest(&self, bucket: Bucket) -> Digest {
        todo!()
    }
    /// The buckets that have an applied slot, in order.
    pub fn buckets(&self) -> Vec<Bucket> {
        todo!()
    }
    /// Begins to apply the command of `slot`, which must be the one after the applied one (asserted).
    pub fn apply(&mut self, bucket: Bucket, slot: Slot) -> Apply<'_> {
        todo!()
    }
    /// Makes a bucket empty, at applied slot 0: everything it had goes, without a tombstone. The first step of installing a
    /// snapshot, and how a bucket that moved away is dropped.
    pub fn wipe(&mut self, bucket: Bucket) -> Result<(), StateError> {
        todo!()
    }
    /// Puts entries of a snapshot into a wiped bucket (asserted: its applied slot is 0).
    pub fn restore(&mut self, bucket: Bucket) -> Restore<'_> {
        todo!()
    }
    /// Sets an attribute outside of any command; empty bytes remove it. Durable with the next flush.
    pub fn set_attribute(&mut self, bucket: Bucket, name: Attribute, value: &[u8]) {
        todo!()
    }
    /// An attribute. May read the disk.
    pub fn attribute(&self, bucket: Bucket, name: Attribute) -> Result<Option<Bytes>, StateError> {
        todo!()
    }
    /// All attributes of one kind. May read the disk.
    pub fn attributes(&self, bucket: Bucket, kind: u8) -> Result<Vec<(Attribute, Bytes)>, StateError> {
        todo!()
    }
    /// The version of the live record under a key. May read the disk.
    pub fn version_of(&self, bucket: Bucket, key: &Key<'_>) -> Result<Option<Version>, StateError> {
        todo!()
    }
    /// The outcome of a token, while it is kept. May read the disk.
    pub fn outcome(&self, bucket: Bucket, token: &TokenKey) -> Result<Option<Outcome>, StateError> {
        todo!()
    }
    /// Looks a record up. Never reads the disk.
    pub fn get(&self, bucket: Bucket, key: &Key<'_>) -> Lookup {
        todo!()
    }
    /// Scans an entity. Never reads the disk. The entity must be 1 to 1,024 bytes, the limits at least 1 (asserted).
    pub fn scan(&self, bucket: Bucket, entity: &[u8], range: &ScanRange) -> Scan {
        todo!()
    }
    /// Pins the state as it is now. [`StateError::Full`] while too many frozen memtables wait for a flush.
    pub fn snapshot(&mut self) -> Result<Snapshot, StateError> {
        todo!()
    }
    /// Whether the memtable is over its bytes.
    pub fn wants_flush(&self) -> bool {
        todo!()
    }
    /// Freezes the memtable and returns the job that writes all frozen ones. `None` while another job is under way, or when nothing is to
    /// be written.
    pub fn freeze(&mut self) -> Option<Job> {
        todo!()
    }
    /// The most useful merge, if any. `None` while another job is under way.
    pub fn choose_merge(&mut self) -> Option<Job> {
        todo!()
    }
    /// Drops from a sunk window all that has a version up to the one named for its bucket; buckets not named keep all.
    /// Runs that hold nothing else go whole, others are rewritten. `None` while another job is under way, or when there is nothing to drop.
    pub fn drop_window(&mut self, window: Window, through: BTreeMap<Bucket, Slot>) -> Option<Job> {
        todo!()
    }
    /// The removal of files that nothing reads any more. `None` while another job is under way, or when there are none.
    pub fn sweep(&mut self) -> Option<Job> {
        todo!()
    }
    /// Takes in what a job has done; in memory only. A failed job's error comes back here; unless [`StateError::Poisoned`] it can be tried again.
    pub fn install(&mut self, finished: Finished) -> Result<(), StateError> {
        todo!()
    }
    /// The windows that have runs, in order.
    pub fn windows(&self) -> Vec<Window> {
        todo!()
    }
    /// Bytes held by the memtables.
    pub fn memory_bytes(&self) -> usize {
        todo!()
    }
    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        todo!()
    }
}

/// Counters and sizes of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes held by the memtables.
    pub memory_bytes: u64,
    /// Frozen memtables that wait for a flush.
    pub frozen: u64,
    /// Live runs.
    pub runs: u64,
    /// Bytes of live runs.
    pub run_bytes: u64,
    /// Files no longer named by the manifest, but not removed yet.
    pub dead_files: u64,
    /// Bytes written by flushes since the part was opened.
    pub flushed_bytes: u64,
    /// Bytes written by merges and window drops since the part was opened.
    pub merged_bytes: u64,
    /// Damaged pieces met since the part was opened.
    pub corruptions: u64,
}
