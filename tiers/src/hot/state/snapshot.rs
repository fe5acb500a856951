//! A pinned view of a part, for transfers and for sinking.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;

use super::entry::{Entry, EntryKey, Kind};
use super::error::StateError;
use super::fold::Fold;
use super::key::{Place, Position, RunSet, Window};
use super::manifest::{Mark, Marks};
use super::memtable::{Half, Memtable};
use super::merge::{Merge, Source};
use super::meta;
use super::record::{Attribute, Digest, Outcome, TokenKey, Version};
use super::run::{RunList, RunStore};
use crate::hot::{Bucket, Slot};

/// The state of a part as it was at one moment; keeps its files from being removed. Can be read on any thread, in pieces.
#[derive(Clone)]
pub struct Snapshot {
    store: Arc<RunStore>,
    runs: Arc<RunList>,
    marks: Arc<Marks>,
    memtables: Vec<Arc<Memtable>>,
}

impl Snapshot {
    pub(super) fn new(
        store: Arc<RunStore>,
        runs: Arc<RunList>,
        marks: Arc<Marks>,
        memtables: Vec<Arc<Memtable>>,
    ) -> Snapshot {
        Snapshot { store, runs, marks, memtables }
    }

    /// The bucket's applied slot at that moment.
    pub fn applied(&self, bucket: Bucket) -> Slot {
        self.mark(bucket).applied
    }

    /// The bucket's digest at that moment.
    pub fn digest(&self, bucket: Bucket) -> Digest {
        self.mark(bucket).digest
    }

    pub(super) fn window_span_ms(&self) -> u64 {
        self.store.config.window_span_ms
    }

    fn mark(&self, bucket: Bucket) -> Mark {
        self.marks.get(&bucket).copied().unwrap_or_default()
    }

    /// Every entry of a bucket from an entity on (empty: from the first), tombstones and trim marks too, less what trim marks hide: by
    /// entity, trim marks first, then by position.
    pub fn bucket(&self, bucket: Bucket, from_entity: &[u8]) -> SnapshotIter {
        SnapshotIter { items: self.iter(bucket..=bucket, from_entity, self.data_sets(), None) }
    }

    /// As [`Snapshot::bucket`] of each of several buckets, one after the other.
    pub(super) fn range(&self, buckets: RangeInclusive<Bucket>) -> Items {
        self.iter(buckets, &[], self.data_sets(), None)
    }

    fn data_sets(&self) -> Vec<RunSet> {
        self.runs.sets.keys().copied().filter(|set| *set != RunSet::Meta).collect()
    }

    /// The records and tombstones of one window of a bucket, less what trim marks hide, by entity, then position. For sinking.
    pub fn window(&self, bucket: Bucket, window: Window) -> SnapshotIter {
        let set = RunSet::Window(window);
        SnapshotIter { items: self.iter(bucket..=bucket, &[], vec![set], Some(set)) }
    }

    fn iter(
        &self,
        buckets: RangeInclusive<Bucket>,
        from: &[u8],
        sets: Vec<RunSet>,
        only: Option<RunSet>,
    ) -> Items {
        let config = &self.store.config;
        // Every tombstone stays: what it hides may lie where this part does not see it.
        let fold = Fold::new(self.trimming_runs(), Arc::clone(&self.marks), config.outcome_slots, true);
        Items {
            merge: self.merge(Half::Data, buckets, from, &sets).map_err(Some),
            fold,
            window_span_ms: config.window_span_ms,
            only,
        }
    }

    fn trimming_runs(&self) -> Arc<RunList> {
        Arc::clone(&self.runs)
    }

    /// Some buckets, the first of them from an entity on.
    fn merge(
        &self,
        half: Half,
        buckets: RangeInclusive<Bucket>,
        from: &[u8],
        sets: &[RunSet],
    ) -> Result<Merge, StateError> {
        let (first, last) = buckets.into_inner();
        let end = last.0.checked_add(1).map(Bucket);
        let key = EntryKey { bucket: first, entity: from, place: Place::FIRST };
        let in_memory = self.memtables.iter().flat_map(|memtable| Source::memtable(memtable, half, &key));
        let mut sources: Vec<Source> = in_memory.map(|source| source.until(end)).collect();
        for run in sets.iter().flat_map(|set| self.runs.of(*set)) {
            // The merge passes over what single buckets were wiped of.
            let is_wiped = first == last && run.is_before(self.mark(first).wiped_below);
            if run.covers(&(first..=last)) && !is_wiped {
                let source = Source::run(run, &key)?.until(end);
                // A run that has nothing of them is closed before the next is opened: there may be thousands.
                if !source.is_at_end() {
                    sources.push(source);
                }
            }
        }
        Merge::new(sources, Arc::clone(&self.marks))
    }

    /// The outcomes of a bucket that are still kept.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Io`].
    pub fn outcomes(&self, bucket: Bucket) -> Result<Vec<(TokenKey, Outcome)>, StateError> {
        self.meta(bucket, meta::OUTCOMES, |entry| self.kept_outcome(entry))
    }

    /// The attributes of a bucket, in order.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Io`].
    pub fn attributes(&self, bucket: Bucket) -> Result<Vec<(Attribute, Bytes)>, StateError> {
        self.meta(bucket, meta::ATTRIBUTES, |entry| {
            Some((meta::attribute_of(entry.key.entity)?, Bytes::copy_from_slice(entry.value)))
        })
    }

    /// What is live of the names that begin with the byte `from`.
    fn meta<T>(
        &self,
        bucket: Bucket,
        from: &[u8],
        decode: impl Fn(&Entry<'_>) -> Option<T>,
    ) -> Result<Vec<T>, StateError> {
        let mut merge = self.merge(Half::Meta, bucket..=bucket, from, &[RunSet::Meta])?;
        let mut found = Vec::new();
        while let Some(entry) = merge.entry() {
            if !entry.key.entity.starts_with(from) {
                break;
            }
            if entry.kind == Kind::Put {
                found.extend(decode(&entry));
            }
            merge.next()?;
        }
        Ok(found)
    }

    /// The outcomes that are still kept, and the attributes, of some buckets.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Io`].
    pub(super) fn meta_of(
        &self,
        buckets: RangeInclusive<Bucket>,
        mut found: impl FnMut(Bucket, Meta<'_>),
    ) -> Result<(), StateError> {
        let mut merge = self.merge(Half::Meta, buckets, &[], &[RunSet::Meta])?;
        while let Some(entry) = merge.entry() {
            if entry.kind == Kind::Put {
                let bucket = entry.key.bucket;
                if let Some((token, outcome)) = self.kept_outcome(&entry) {
                    found(bucket, Meta::Outcome(token, outcome));
                } else if let Some(attribute) = meta::attribute_of(entry.key.entity) {
                    found(bucket, Meta::Attribute(attribute, entry.value));
                }
            }
            merge.next()?;
        }
        Ok(())
    }

    fn kept_outcome(&self, entry: &Entry<'_>) -> Option<(TokenKey, Outcome)> {
        let token = meta::token_of(entry.key.entity)?;
        let outcome = meta::decode_outcome(Slot(entry.version.0), entry.value)?;
        let applied = self.applied(entry.key.bucket).0;
        (outcome.slot.0 + self.store.config.outcome_slots > applied).then_some((token, outcome))
    }
}

/// What a bucket has beside its records.
pub(super) enum Meta<'a> {
    Outcome(TokenKey, Outcome),
    Attribute(Attribute, &'a [u8]),
}

/// Entries of a bucket of a snapshot, read as they are asked for. Ends after an error.
pub struct SnapshotIter {
    items: Items,
}

impl Iterator for SnapshotIter {
    type Item = Result<SnapshotItem, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.items.next().map(|found| found.map(|(_, item)| item))
    }
}

/// Entries of some buckets, each with its bucket.
pub(super) struct Items {
    merge: Result<Merge, Option<StateError>>,
    fold: Fold,
    window_span_ms: u64,
    /// Only entries of this set are wanted.
    only: Option<RunSet>,
}

impl Iterator for Items {
    type Item = Result<(Bucket, SnapshotItem), StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let merge = match &mut self.merge {
            Ok(merge) => merge,
            Err(error) => return error.take().map(Err),
        };
        match step(merge, &mut self.fold, self.window_span_ms, self.only) {
            Ok(item) => item.map(Ok),
            Err(error) => {
                self.merge = Err(None);
                Some(Err(error))
            }
        }
    }
}

fn step(
    merge: &mut Merge,
    fold: &mut Fold,
    window_span_ms: u64,
    only: Option<RunSet>,
) -> Result<Option<(Bucket, SnapshotItem)>, StateError> {
    while let Some(entry) = merge.entry() {
        let set = entry.key.place.run_set(window_span_ms);
        let keeps = fold.keeps(set, &entry, false)?;
        let wanted = keeps && only.is_none_or(|only| only == set);
        let item = wanted.then(|| (entry.key.bucket, item(&entry)));
        merge.next()?;
        if item.is_some() {
            return Ok(item);
        }
    }
    Ok(None)
}

fn item(entry: &Entry<'_>) -> SnapshotItem {
    let change = match (entry.key.place.position(), entry.kind) {
        (Some(position), Kind::Put) => {
            let value = Bytes::copy_from_slice(entry.value);
            Change::Put { position, value, expires_ms: entry.expires_ms }
        }
        (Some(position), _) => Change::Delete { position },
        (None, _) => Change::Trim { through_ms: entry.key.place.trim_through().unwrap_or_default() },
    };
    SnapshotItem { entity: Bytes::copy_from_slice(entry.key.entity), version: entry.version, change }
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
