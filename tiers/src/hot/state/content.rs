//! What a bucket holds, in a few bytes: for comparing replicas with one another.

use std::collections::BTreeMap;

use twox_hash::XxHash3_64;

use super::error::StateError;
use super::key::{Place, RunSet};
use super::record::Digest;
use super::snapshot::{Change, Meta, Snapshot, SnapshotItem};
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
    /// Reads all of some buckets, in order of their numbers: in one pass over each run, however many buckets share its blocks. Blocks.
    ///
    /// What cannot be read fails its bucket alone: [`StateError::Corrupt`], [`StateError::Io`].
    pub fn contents(&self, buckets: &[Bucket]) -> Vec<Result<Content, StateError>> {
        debug_assert!(buckets.is_sorted(), "buckets are given in order");
        match self.in_one_pass(buckets) {
            Ok(contents) => contents.into_iter().map(Ok).collect(),
            Err(error) if buckets.len() == 1 => vec![Err(error)],
            Err(_) => {
                // A pass ends at what it cannot read: whose that is shows in ever smaller ones.
                let (left, right) = buckets.split_at(buckets.len() / 2);
                let mut contents = self.contents(left);
                contents.append(&mut self.contents(right));
                contents
            }
        }
    }

    /// Reads all of a bucket. Blocks.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Io`].
    pub fn content(&self, bucket: Bucket) -> Result<Content, StateError> {
        let mut contents = self.in_one_pass(&[bucket])?;
        Ok(contents.pop().unwrap_or_default())
    }

    fn in_one_pass(&self, buckets: &[Bucket]) -> Result<Vec<Content>, StateError> {
        let empty = |bucket: &Bucket| Content {
            applied: self.applied(*bucket),
            digest: self.digest(*bucket),
            ..Content::default()
        };
        let mut contents: Vec<Content> = buckets.iter().map(empty).collect();
        let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return Ok(contents) };
        let mut bytes = Vec::new();
        for item in self.range(*first..=*last) {
            let (bucket, item) = item?;
            if let Ok(at) = buckets.binary_search(&bucket) {
                contents[at].add(&item, self.window_span_ms(), &mut bytes);
            }
        }
        self.meta_of(*first..=*last, |bucket, meta| {
            let Ok(at) = buckets.binary_search(&bucket) else { return };
            bytes.clear();
            match meta {
                Meta::Outcome(token, outcome) => {
                    for number in [token.client, token.counter, outcome.slot.0, outcome.detail, outcome.born]
                    {
                        bytes.extend_from_slice(&number.to_le_bytes());
                    }
                    bytes.push(outcome.status);
                }
                Meta::Attribute(attribute, value) => {
                    bytes.push(attribute.kind);
                    bytes.extend_from_slice(&attribute.index.to_le_bytes());
                    bytes.extend_from_slice(value);
                }
            }
            contents[at].rest = contents[at].rest.wrapping_add(XxHash3_64::oneshot(&bytes));
        })?;
        Ok(contents)
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
