//! A journal's records, into the state and into what the replicas start from.

use std::collections::BTreeSet;

use bytes::Bytes;
use hashbrown::HashMap;
use thermocline_paxos::{Bucket, Replay, Slot};
use thermocline_tiers::hot::journal::{DamageScope, Position, Record, Sequence};
use thermocline_tiers::hot::state::{Part, StateError};

use super::Report;
use crate::error::Error;
use crate::node::effects::Placed;
use crate::node::holes::Holes;
use crate::node::identity::Identity;
use crate::node::journal_index::JournalIndex;
use crate::node::lives::Reach;
use crate::node::route::{Dealing, Route};
use crate::node::{apply, record_codec, state_error};

/// Replays the journal.
pub(super) struct Replayer<'a> {
    /// Each with how many losses it knows of.
    replicas: HashMap<u32, (Replay, u64)>,
    /// How often records of all buckets were lost so far.
    losses: u64,
    /// Where the last vote floor of each bucket stands.
    floors: HashMap<u32, Position>,
    /// Floors up to here are older than a loss, and do not count.
    behind: Reach,
    /// What earlier starts have found out of place, and this one.
    holes: Holes,
    /// Buckets whose state could not be read.
    failed: BTreeSet<u32>,
    indexes: Vec<JournalIndex>,
    dealing: Dealing,
    route: &'a Route,
    parts: &'a mut Vec<Part>,
    /// The commit whose records come, and the parts that are to be written once it is certain to be durable.
    commit: Sequence,
    full: BTreeSet<u32>,
    /// Whether what the disk has synced is durable.
    is_durable: bool,
    report: Report,
    failure: Option<Error>,
}

/// What came of it.
pub(super) struct Replayed {
    pub(super) replicas: HashMap<u32, Replay>,
    pub(super) floors: HashMap<u32, Position>,
    pub(super) holes: Holes,
    pub(super) indexes: Vec<JournalIndex>,
    pub(super) report: Report,
    pub(super) failed: BTreeSet<u32>,
}

impl<'a> Replayer<'a> {
    /// Begins with the state as it is. Buckets that have `failed` are not applied to.
    pub(super) fn new(
        parts: &'a mut Vec<Part>,
        dealing: Dealing,
        route: &'a Route,
        identity: &Identity,
        holes: Holes,
        failed: BTreeSet<u32>,
        is_durable: bool,
    ) -> Self {
        Self {
            replicas: HashMap::new(),
            losses: 0,
            floors: HashMap::new(),
            behind: identity.amnesia.behind,
            holes,
            failed,
            indexes: (0..dealing.workers).map(|_| JournalIndex::new(identity.buckets)).collect(),
            dealing,
            route,
            parts,
            commit: Sequence(0),
            full: BTreeSet::new(),
            is_durable,
            report: Report::default(),
            failure: None,
        }
    }

    /// The next commit begins, and those before it are durable. Only now what they brought may be: else the power could go, and leave a state that is
    /// ahead of the journal.
    pub(super) fn commit(&mut self, commit: Sequence) {
        for part in std::mem::take(&mut self.full) {
            if self.failure.is_none() {
                self.failure = self.flush(part).err();
            }
        }
        self.commit = commit;
    }

    fn flush(&mut self, part: u32) -> Result<(), Error> {
        let part = &mut self.parts[part as usize];
        let Some(mut job) = part.freeze() else { return Ok(()) };
        if self.is_durable {
            job.rest_on(self.commit.0);
        }
        part.install(job.run()).map_err(|error| state_error(&error))
    }

    /// Takes the next record.
    pub(super) fn take(&mut self, record: Record<'_>, position: Position) {
        if self.failure.is_none() {
            self.failure = self.replay(record, position).err();
        }
    }

    /// Records may be missing here.
    pub(super) fn lost(&mut self, scope: DamageScope) {
        match scope {
            DamageScope::AllBuckets => self.losses += 1,
            DamageScope::Bucket(bucket) => self.lost_in(Bucket(bucket.0)),
        }
    }

    /// All records have come.
    ///
    /// # Errors
    /// What stood in the way of the first that could not be replayed.
    pub(super) fn finish(mut self) -> Result<Replayed, Error> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        for bucket in self.replicas.keys().copied().collect::<Vec<_>>() {
            self.note_losses(Bucket(bucket));
        }
        let Self { replicas, floors, holes, indexes, report, failed, .. } = self;
        let replicas = replicas.into_iter().map(|(bucket, (replay, _))| (bucket, replay)).collect();
        Ok(Replayed { replicas, floors, holes, indexes, report, failed })
    }

    fn replay(&mut self, record: Record<'_>, position: Position) -> Result<(), Error> {
        let (bucket, slot, kind) =
            (Bucket(record.head.bucket.0), Slot(record.head.slot.0), record.head.kind.0);
        if bucket.0 >= self.route.buckets() {
            let (bucket, slot, buckets) = (bucket.0, slot.0, self.route.buckets());
            let what = format!("journal record of bucket {bucket} slot {slot}: there are {buckets} buckets");
            return Err(Error::Corrupt { what });
        }
        self.note_losses(bucket);
        let part = &mut self.parts[self.dealing.part(bucket) as usize];
        if record_codec::is_floor(kind) {
            if Reach::to(position) <= self.behind {
                return Ok(());
            }
            self.floors.insert(bucket.0, position);
        }
        let begun = || (begun(part, bucket, self.route), self.losses);
        let (replay, _) = self.replicas.entry(bucket.0).or_insert_with(begun);
        let is_of_slot = record_codec::is_of_slot(kind);
        let placed = Placed { position: Some(position), ..Placed::new(bucket, slot, kind) };
        let index = &mut self.indexes[self.dealing.worker(bucket) as usize];
        let mut chosen = Vec::new();
        if is_of_slot && self.holes.cover(bucket, slot, position) {
            replay.void(slot, &mut chosen);
        } else if is_of_slot && replay.is_past(slot) {
            // Most of a journal may be kept for peers.
            index.insert(&placed);
            return Ok(());
        } else {
            let payload = Bytes::copy_from_slice(record.payload);
            let decoded = record_codec::decode(kind, slot, payload).map_err(|error| Error::Corrupt {
                what: format!("journal record of bucket {} slot {}: {error}", bucket.0, slot.0),
            })?;
            if replay.record(decoded, &mut chosen) {
                index.insert(&placed);
            } else if !self.route.has_one_replica(bucket) {
                self.holes.note(bucket, replay.chosen(), Reach::to(position));
            }
        }
        let mut decisions = Vec::new();
        for (slot, command) in chosen {
            if applied(part, bucket).next() == slot && !self.failed.contains(&bucket.0) {
                match apply::apply(part, bucket, slot, &command.payload, &mut decisions) {
                    Ok(()) => self.report.replayed += 1,
                    Err(StateError::Corrupt { .. }) => {
                        self.failed.insert(bucket.0);
                    }
                    Err(error) => return Err(state_error(&error)),
                }
            }
        }
        if part.wants_flush() {
            self.full.insert(self.dealing.part(bucket));
        }
        Ok(())
    }

    /// Records of a bucket may be missing here. In a group of one no vote has ever lost.
    fn lost_in(&mut self, bucket: Bucket) {
        if bucket.0 >= self.route.buckets() || self.route.has_one_replica(bucket) {
            return;
        }
        if let Some((replay, _)) = self.replicas.get_mut(&bucket.0) {
            replay.lost();
            self.indexes[self.dealing.worker(bucket) as usize].lost(bucket);
        }
    }

    /// Catches up with what was lost of all buckets.
    fn note_losses(&mut self, bucket: Bucket) {
        let losses = self.losses;
        if losses == 0 {
            return;
        }
        let known = self.replicas.get_mut(&bucket.0).map(|(_, known)| std::mem::replace(known, losses));
        if known.is_some_and(|known| known < losses) {
            self.lost_in(bucket);
        }
    }
}

/// A replay that begins above the state.
pub(super) fn begun(part: &Part, bucket: Bucket, route: &Route) -> Replay {
    let replay = Replay::new(applied(part, bucket));
    if route.has_one_replica(bucket) { replay.of_only_replica() } else { replay }
}

/// The slot through which the state has a bucket.
pub(super) fn applied(part: &Part, bucket: Bucket) -> Slot {
    Slot(part.applied(thermocline_tiers::hot::Bucket(bucket.0)).0)
}
