//! Which entries go on living when memtables are flushed and runs are merged.

use std::sync::Arc;

use super::entry::{Entry, Kind};
use super::error::StateError;
use super::key::RunSet;
use super::manifest::Marks;
use super::memtable::{add_trim, hidden_below};
use super::record::Version;
use super::run::RunList;
use super::search;
use crate::hot::Bucket;

/// Judges entries in order of their keys, the newest of each key alone. Only what is durable, or becomes so with the very same manifest, may
/// make an entry superfluous: else a crash would bring back a state that lacks it.
pub(super) struct Fold {
    runs: Arc<RunList>,
    marks: Arc<Marks>,
    outcome_slots: u64,
    sinks: bool,
    /// Of the entity at hand.
    entity: Option<(Bucket, Vec<u8>)>,
    trims: Vec<(u64, Version)>,
    /// Whether `trims` has those of the runs too.
    looked_up: bool,
    newest_trim: Version,
}

impl Fold {
    /// `runs` are those whose trim marks count.
    pub(super) fn new(runs: Arc<RunList>, marks: Arc<Marks>, outcome_slots: u64, sinks: bool) -> Fold {
        Fold {
            runs,
            marks,
            outcome_slots,
            sinks,
            entity: None,
            trims: Vec::new(),
            looked_up: false,
            newest_trim: Version(0),
        }
    }

    /// Whether an entry of this set must be kept. `bottom`: no older runs of the set lie below what is being written.
    pub(super) fn keeps(&mut self, set: RunSet, entry: &Entry<'_>, bottom: bool) -> Result<bool, StateError> {
        if let RunSet::Meta = set {
            return Ok(match entry.kind {
                Kind::Delete => !bottom,
                _ => !self.is_forgotten(entry),
            });
        }
        self.enter(entry);
        if let Some(through_ms) = entry.key.place.trim_through() {
            // The marks of an entity come with the furthest reaching first.
            let counts = entry.version > self.newest_trim;
            self.newest_trim = self.newest_trim.max(entry.version);
            add_trim(&mut self.trims, through_ms, entry.version);
            return Ok(counts);
        }
        if entry.key.place.is_dated() {
            let (_, timestamp_ms, _) = entry.key.place.parts();
            self.look_up(entry)?;
            if entry.version < hidden_below(&self.trims, timestamp_ms) {
                return Ok(false);
            }
        }
        Ok(match entry.kind {
            Kind::Delete => !bottom || (self.sinks && entry.key.place.is_dated()),
            _ => true,
        })
    }

    /// Whether an entry is the outcome of a token that is not kept any more.
    fn is_forgotten(&self, entry: &Entry<'_>) -> bool {
        let applied = self.marks.get(&entry.key.bucket).map_or(0, |mark| mark.applied.0);
        super::meta::is_outcome(entry.key.entity) && entry.version.0 + self.outcome_slots <= applied
    }

    fn enter(&mut self, entry: &Entry<'_>) {
        let key = &entry.key;
        match &mut self.entity {
            Some((bucket, entity)) if *bucket == key.bucket && entity == key.entity => return,
            Some((bucket, entity)) => {
                *bucket = key.bucket;
                entity.clear();
                entity.extend_from_slice(key.entity);
            }
            none => *none = Some((key.bucket, key.entity.to_vec())),
        }
        self.trims.clear();
        self.looked_up = false;
        self.newest_trim = Version(0);
    }

    fn look_up(&mut self, entry: &Entry<'_>) -> Result<(), StateError> {
        if !self.looked_up {
            self.looked_up = true;
            let bucket = entry.key.bucket;
            let wiped_below = self.marks.get(&bucket).map_or_else(Default::default, |mark| mark.wiped_below);
            search::trims(&self.runs, wiped_below, bucket, entry.key.entity, &mut self.trims)?;
        }
        Ok(())
    }
}
