//! What a bucket holds, in a few bytes: for comparing replicas with one another.

use std::collections::BTreeMap;

use twox_hash::XxHash3_64;

use super::error::StateError;
use super::key::{Place, RunSet};
use super::record::Digest;
use super::snapshot::{Change, Snapshot, SnapshotItem};
use crate::hot::{Bucket, Slot};

/// What a bucket holds at its applied slot. Unlike its digest, which tells what the log did, this is read back from where it lies.
///
/// Replicas at equal slots have equal contents: tombstones do not count, because merges drop them at each replica when they like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The slot it was read at.
    pub applied: Slot,
    /// The bucket's running digest there.
    pub digest: Digest,
    /// A sum over outcomes, attributes and trim marks.
    pub rest: u64,
    /// For each set of records, a sum over them.
    pub sets: BTreeMap<RunSet, u64>,
    /// How many records there are.
    pub records: u64,
}

impl Snapshot {
    /// Reads all of a bucket. Blocks.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Io`].
    pub fn content(&self, bucket: Bucket) -> Result<Content, StateError> {
        let mut content =
            Content { applied: self.applied(bucket), digest: self.digest(bucket), ..Content::default() };
        let mut bytes = Vec::new();
        for item in self.bucket(bucket, &[]) {
            content.add(&item?, self.window_span_ms(), &mut bytes);
        }
        for (token, outcome) in self.outcomes(bucket)? {
            bytes.clear();
            for number in [token.client, token.counter, outcome.slot.0, outcome.detail, outcome.born] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            bytes.push(outcome.status);
            content.rest = content.rest.wrapping_add(XxHash3_64::oneshot(&bytes));
        }
        for (attribute, value) in self.attributes(bucket)? {
            bytes.clear();
            bytes.push(attribute.kind);
            bytes.extend_from_slice(&attribute.index.to_le_bytes());
            bytes.extend_from_slice(&value);
            content.rest = content.rest.wrapping_add(XxHash3_64::oneshot(&bytes));
        }
        Ok(content)
    }
}

impl Content {
    fn add(&mut self, item: &SnapshotItem, window_span_ms: u64, bytes: &mut Vec<u8>) {
        let place: Place = match &item.change {
            Change::Put { position, .. } => (*position).into(),
            Change::Trim { through_ms } => Place::trim(*through_ms),
            Change::Delete { .. } => return,
        };
        let (tag, major, minor) = place.parts();
        bytes.clear();
        bytes.push(tag);
        for number in [major, minor, item.version.0, item.entity.len() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&item.entity);
        match &item.change {
            Change::Put { value, expires_ms, .. } => {
                bytes.push(u8::from(expires_ms.is_some()));
                bytes.extend_from_slice(&expires_ms.unwrap_or(0).to_le_bytes());
                bytes.extend_from_slice(value);
                let sum = self.sets.entry(place.run_set(window_span_ms)).or_default();
                *sum = sum.wrapping_add(XxHash3_64::oneshot(bytes));
                self.records += 1;
            }
            _ => self.rest = self.rest.wrapping_add(XxHash3_64::oneshot(bytes)),
        }
    }
}
