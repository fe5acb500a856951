//! Gets, and the questions that applying a command asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::cursor::{RunCursor, Via};
use super::entry::{Entry, EntryKey, Kind};
use super::error::StateError;
use super::filter::EntityHash;
use super::key::{Key, Place, RunSet};
use super::manifest::Mark;
use super::memtable::{Memtable, hidden_below};
use super::meta;
use super::part::Part;
use super::record::{Attribute, Outcome, Record, TokenKey, Version};
use super::run::{Age, RunList};
use super::search;
use super::tokens;
use crate::hot::{Bucket, Slot};

/// The answer to a get.
pub enum Lookup {
    /// There is one.
    Found(Record),
    /// There is none.
    Absent,
    /// A file must be read first.
    Deferred(GetJob),
}

/// A get that must read a file. Answers as of the moment it was made.
pub struct GetJob {
    runs: Arc<RunList>,
    wiped_below: Age,
    bucket: Bucket,
    entity: Box<[u8]>,
    place: Place,
    set: RunSet,
    /// Trim marks in memory hide what is older than this version.
    hidden: Version,
}

impl GetJob {
    /// Reads. Blocks.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Io`].
    pub fn run(self) -> Result<Option<Record>, StateError> {
        let key = EntryKey { bucket: self.bucket, entity: &self.entity, place: self.place };
        in_runs(&self.runs, self.set, self.wiped_below, &key, self.hidden, record).map(Option::flatten)
    }
}

/// What the memtables know of a record.
enum Memory<'a> {
    /// Its newest entry, which may be a tombstone.
    Entry(Entry<'a>),
    /// All there can be is gone.
    Trimmed,
    /// It must be in runs, and newer than this.
    Older(Version),
}

/// Looks a live record up in the runs.
fn in_runs<T>(
    runs: &RunList,
    set: RunSet,
    wiped_below: Age,
    key: &EntryKey<'_>,
    hidden: Version,
    answer: impl FnOnce(&Entry<'_>) -> T,
) -> Result<Option<T>, StateError> {
    let live = |entry: Entry<'_>| {
        (entry.kind == Kind::Put && entry.version >= hidden).then(|| (entry.version, answer(&entry)))
    };
    let Some((version, answer)) = search::find(runs, set, wiped_below, key, live)?.flatten() else {
        return Ok(None);
    };
    if key.place.is_dated() {
        let mut trims = Vec::new();
        search::trims(runs, wiped_below, key.bucket, key.entity, &mut trims)?;
        let (_, timestamp_ms, _) = key.place.parts();
        if version < hidden_below(&trims, timestamp_ms) {
            return Ok(None);
        }
    }
    Ok(Some(answer))
}

fn record(entry: &Entry<'_>) -> Option<Record> {
    Some(Record {
        position: entry.key.place.position()?,
        value: Bytes::copy_from_slice(entry.value),
        version: entry.version,
        expires_ms: entry.expires_ms,
    })
}

impl Part {
    /// Looks a record up. Never reads the disk.
    pub fn get(&self, bucket: Bucket, key: &Key<'_>) -> Lookup {
        let wiped_below = self.mark(bucket).wiped_below;
        let key = EntryKey { bucket, entity: key.entity(), place: key.position().into() };
        let hidden = match self.memory(&key, wiped_below) {
            Memory::Entry(entry) if entry.kind == Kind::Put => {
                return record(&entry).map_or(Lookup::Absent, Lookup::Found);
            }
            Memory::Entry(_) | Memory::Trimmed => return Lookup::Absent,
            Memory::Older(hidden) => hidden,
        };
        let set = key.place.run_set(self.store.config.window_span_ms);
        if self.runs.of(set).is_empty() {
            return Lookup::Absent;
        }
        let hash = EntityHash::new(bucket, key.entity).place(key.place);
        if search::is_surely_absent(&self.runs, set, wiped_below, bucket, hash) {
            return Lookup::Absent;
        }
        Lookup::Deferred(GetJob {
            runs: Arc::clone(&self.runs),
            wiped_below,
            bucket,
            entity: key.entity.into(),
            place: key.place,
            set,
            hidden,
        })
    }

    /// The version of the live record under a key; if a moment is given, in milliseconds since 1970, only if it had not expired then. May read
    /// the disk.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Io`].
    pub fn version_of(
        &self,
        bucket: Bucket,
        key: &Key<'_>,
        at_ms: Option<u64>,
    ) -> Result<Option<Version>, StateError> {
        let unexpired = |entry: &Entry<'_>| {
            let has_expired = entry.expires_ms.zip(at_ms).is_some_and(|(expires, at)| expires <= at);
            (!has_expired).then_some(entry.version)
        };
        let wiped_below = self.mark(bucket).wiped_below;
        let key = EntryKey { bucket, entity: key.entity(), place: key.position().into() };
        match self.memory(&key, wiped_below) {
            Memory::Entry(entry) => Ok(unexpired(&entry).filter(|_| entry.kind == Kind::Put)),
            Memory::Trimmed => Ok(None),
            Memory::Older(hidden) => {
                let set = key.place.run_set(self.store.config.window_span_ms);
                Ok(in_runs(&self.runs, set, wiped_below, &key, hidden, unexpired)?.flatten())
            }
        }
    }

    /// The outcome of a token, while it is kept. May read the disk.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Io`].
    pub fn outcome(&self, bucket: Bucket, token: &TokenKey) -> Result<Option<Outcome>, StateError> {
        self.outcome_after(bucket, token, Slot(0))
    }

    /// The outcome of a token, while it is kept, if it was decided after a slot. What is durable is looked through only if it
    /// reaches that far: a token that is new needs no reading.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Io`].
    pub fn outcome_after(
        &self,
        bucket: Bucket,
        token: &TokenKey,
        after: Slot,
    ) -> Result<Option<Outcome>, StateError> {
        let Some(standing) = self.standing(bucket) else { return Ok(None) };
        let Mark { applied, wiped_below, .. } = standing.mark;
        let restored = self.restored(bucket);
        if after >= applied.max(restored) {
            return Ok(None);
        }
        // What is older is not kept.
        let after = after.max(Slot(applied.0.saturating_sub(self.store.config.outcome_slots)));
        let memtable = |age: Age| self.memtables(wiped_below).find(|memtable| memtable.age == age);
        if let Some(outcome) = tokens::find(standing.outcomes, token, after, memtable) {
            return Ok(Some(outcome));
        }
        if standing.durable.max(restored) <= after {
            return Ok(None);
        }
        let name = meta::outcome_name(token);
        let key = EntryKey { bucket, entity: &name, place: Place::UNDATED };
        let found = search::find(&self.runs, RunSet::Meta, wiped_below, &key, |entry| {
            meta::decode_outcome(Slot(entry.version.0), entry.value)
        })?;
        Ok(found.flatten().filter(|outcome| outcome.slot > after))
    }

    /// An attribute. May read the disk.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Io`].
    pub fn attribute(&self, bucket: Bucket, name: Attribute) -> Result<Option<Bytes>, StateError> {
        let name = meta::attribute_name(name);
        self.meta(bucket, &name, |entry| Bytes::copy_from_slice(entry.value))
    }

    /// The attributes of one kind, in order. May read the disk; walks the memtables.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Io`].
    pub fn attributes(&self, bucket: Bucket, kind: u8) -> Result<Vec<(Attribute, Bytes)>, StateError> {
        let mark = self.mark(bucket);
        let prefix = meta::attributes_of(kind);
        let mut found = BTreeMap::new();
        let mut note = |entry: &Entry<'_>| {
            if let Some(name) = meta::attribute_of(entry.key.entity) {
                let value = (entry.kind == Kind::Put).then(|| Bytes::copy_from_slice(entry.value));
                found.insert(name, value);
            }
        };
        let key = EntryKey { bucket, entity: &prefix, place: Place::FIRST };
        let runs: Vec<_> = search::visible(self.runs.of(RunSet::Meta), mark.wiped_below, bucket).collect();
        for run in runs.into_iter().rev() {
            let mut cursor = RunCursor::at_or_after(run, &key, Via::Cache)?;
            while let Some(entry) = cursor.entry()
                && entry.key.bucket == bucket
                && entry.key.entity.starts_with(&prefix)
            {
                note(&entry);
                cursor.next()?;
            }
        }
        let memtables: Vec<_> = self.memtables(mark.wiped_below).collect();
        for memtable in memtables.into_iter().rev() {
            memtable.meta.undated_of(bucket, &prefix).for_each(|entry| note(&entry));
        }
        Ok(found.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }

    fn meta<T>(
        &self,
        bucket: Bucket,
        name: &[u8],
        answer: impl Fn(&Entry<'_>) -> T,
    ) -> Result<Option<T>, StateError> {
        let wiped_below = self.mark(bucket).wiped_below;
        let key = EntryKey { bucket, entity: name, place: Place::UNDATED };
        let live = |entry: &Entry<'_>| (entry.kind == Kind::Put).then(|| answer(entry));
        for memtable in self.memtables(wiped_below) {
            if let Some(entry) = memtable.meta.get(key) {
                return Ok(live(&entry));
            }
        }
        let found = search::find(&self.runs, RunSet::Meta, wiped_below, &key, |entry| live(&entry))?;
        Ok(found.flatten())
    }

    /// The memtables that count for a bucket, from the newest to the oldest.
    pub(super) fn memtables(&self, wiped_below: Age) -> impl Iterator<Item = &Memtable> {
        let frozen = self.frozen.iter().rev().map(|memtable| &**memtable);
        std::iter::once(&self.active).chain(frozen).filter(move |memtable| memtable.age >= wiped_below)
    }

    fn memory<'a>(&'a self, key: &EntryKey<'a>, wiped_below: Age) -> Memory<'a> {
        let mut newest = None;
        let mut hidden = Version(0);
        for memtable in self.memtables(wiped_below) {
            let Some(entity) = memtable.data.find(key.bucket, key.entity) else { continue };
            let location = match key.place.parts() {
                (2, timestamp_ms, sequence) => {
                    hidden = hidden.max(hidden_below(&entity.trims, timestamp_ms));
                    entity.dated.get((timestamp_ms, sequence))
                }
                _ => entity.undated,
            };
            if newest.is_none() {
                newest = location.map(|location| memtable.data.entry(*key, location));
            }
        }
        match newest {
            Some(entry) if entry.version < hidden => Memory::Trimmed,
            // Marks in runs cannot hide it: they are older, or came with it from a snapshot that holds nothing hidden.
            Some(entry) => Memory::Entry(entry),
            None => Memory::Older(hidden),
        }
    }
}
