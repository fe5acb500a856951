//! A pinned view.
#![expect(unused_variables, clippy::todo, reason = "signatures first")]

use bytes::Bytes;

use super::error::StateError;
use super::key::{Position, Window};
use super::record::{Attribute, Digest, Outcome, TokenKey, Version};
use crate::hot::{Bucket, Slot};

/// The state of a part as it was at one moment; keeps its files from being removed. `Send`.
pub struct Snapshot {}

impl Snapshot {
    /// The bucket's applied slot at that moment.
    pub fn applied(&self, bucket: Bucket) -> Slot {
        todo!()
    }
    /// The bucket's digest at that moment.
    pub fn digest(&self, bucket: Bucket) -> Digest {
        todo!()
    }
    /// Every entry of a bucket, tombstones and trim marks too, by entity, then position, trim marks first; from an entity on.
    pub fn bucket(&self, bucket: Bucket, from_entity: &[u8]) -> SnapshotIter {
        todo!()
    }
    /// The records and tombstones of one window of a bucket, less what trim marks hide, by entity, then position. For sinking.
    pub fn window(&self, bucket: Bucket, window: Window) -> SnapshotIter {
        todo!()
    }
    /// The outcomes of a bucket that are still kept.
    pub fn outcomes(&self, bucket: Bucket) -> Result<Vec<(TokenKey, Outcome)>, StateError> {
        todo!()
    }
    /// The attributes of a bucket.
    pub fn attributes(&self, bucket: Bucket) -> Result<Vec<(Attribute, Bytes)>, StateError> {
        todo!()
    }
}

/// Entries of a snapshot, read as they are asked for. Ends after an error.
pub struct SnapshotIter {}

impl Iterator for SnapshotIter {
    type Item = Result<SnapshotItem, StateError>;
    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotItem {
    /// Whose.
    pub entity: Bytes,
    /// The slot that wrote it.
    pub version: Version,
    /// What it says.
    pub change: Change,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A record.
    Put {
        /// Where.
        position: Position,
        /// What.
        value: Bytes,
        /// Absolute milliseconds.
        expires_ms: Option<u64>,
    },
    /// A tombstone.
    Delete {
        /// Where.
        position: Position,
    },
    /// All older dated records up to here are gone.
    Trim {
        /// Inclusive, in milliseconds.
        through_ms: u64,
    },
}
