//! Votes of undecided slots are recorded again, so that the journal can be given back before them.
//!
//! The journal goes from its oldest end only, and a record of a slot that nobody decides is needed as long as that lasts. When the journal
//! is to be shortened and such slots are why it cannot be, the votes of all the worker's undecided slots are recorded again at its end: once that
//! is synced, and the state flushed, nothing before is needed. All workers share a journal: what they record again is together no more than half of what
//! has been written since the last time, so that none of them goes on because of the others.
//!
//! Records of replicas that only learn are not renewed: they tell that votes may be forgotten, and go when the slots have been decided.

use std::collections::HashMap;

use thermocline_paxos::{Bucket, Slot, Ticket};

use super::worker::Worker;
use crate::plant::{self, Plant};

/// Not much more is recorded again while so many bytes wait for the journal: a command with each sync.
const UNSYNCED_BYTES_MAX: usize = 4 << 20;

/// About how many bytes a vote takes in the journal beside the payload of what it is for.
const VOTE_BYTES: u64 = 128;

/// Slots that are being recorded again.
pub(super) struct Renewal {
    /// Buckets that have not come yet.
    left: Vec<Bucket>,
    /// From which slot on a bucket was undecided when it came.
    undecided: HashMap<u32, Slot>,
    /// What was recorded in segments before this one, and of these slots, need not stay.
    before: u64,
    /// The last record of it.
    through: Ticket,
}

impl Worker {
    /// The journal is longer than it is to be: what keeps its oldest records is written to the state, or recorded again.
    pub(crate) fn shorten_journal(&mut self) {
        self.flush_parts();
        self.begin_renewal();
    }

    /// The journal is written to in this segment, or behind.
    pub(crate) fn journal_is_at(&mut self, active: u64) {
        self.active_segment = self.active_segment.max(active);
    }

    /// The segment that is written to, or one that was a while ago.
    pub(super) fn active_segment(&self) -> u64 {
        self.active_segment.max(self.index.newest())
    }

    /// What is not synced yet, and what is recorded from now on, lies in this segment or behind.
    pub(super) fn goes_on_in(&self) -> u64 {
        if self.effects.unsynced().0 == 0 { self.active_segment() } else { self.index.newest() }
    }

    /// Begins it, or goes on with it, if undecided slots are all that keeps the oldest segment and it pays.
    pub(super) fn begin_renewal(&mut self) {
        if self.renewal.is_none() && !self.journal_full {
            self.renewal = self.choose_renewal();
        }
        self.go_on_with_renewal(self.last_tick);
    }

    fn choose_renewal(&mut self) -> Option<Renewal> {
        let (dealing, before) = (self.settings.dealing, self.goes_on_in());
        self.index.settle(&self.parts, dealing);
        let mut kept_by = self.index.stragglers(usize::MAX, &self.parts, dealing, before);
        kept_by.retain(|(bucket, slot)| self.core.status(*bucket).chosen < *slot);
        // What cannot be renewed would keep the segment all the same.
        if kept_by.is_empty() || !kept_by.iter().all(|(bucket, _)| self.core.is_undecided(*bucket)) {
            return None;
        }
        let bytes: u64 = self.core.undecided().map(|(_, payload)| payload as u64 + VOTE_BYTES).sum();
        let freed = (before - self.index.oldest_needed()?) * u64::from(self.effects.segment_bytes());
        if bytes > freed / (2 * u64::from(dealing.workers)) {
            return None;
        }
        let left = self.core.undecided().map(|(bucket, _)| bucket).collect();
        Some(Renewal { left, undecided: HashMap::new(), before, through: self.last_ticket })
    }

    /// Records the next slots again, as many as may be under way; once all of them are synced, what they stand for need not stay.
    pub(super) fn go_on_with_renewal(&mut self, now: u64) {
        let Some(mut renewal) = self.renewal.take() else { return };
        while !self.journal_full
            && let Some(bucket) = renewal.left.pop()
        {
            if self.core.is_undecided(bucket) {
                self.renew(now, bucket);
                renewal.undecided.insert(bucket.0, self.core.status(bucket).chosen.next());
                renewal.through = self.last_ticket;
            }
            if self.effects.unsynced().1 >= UNSYNCED_BYTES_MAX {
                break;
            }
        }
        let is_synced = renewal.through <= self.synced || plant::on(Plant::RenewalNotAwaited);
        if !renewal.left.is_empty() || !is_synced {
            self.renewal = Some(renewal);
            return;
        }
        self.counters.renewed_slots += renewal.undecided.len() as u64;
        self.index.renewed(renewal.before, renewal.undecided);
        self.index.settle(&self.parts, self.settings.dealing);
    }

    fn renew(&mut self, now: u64, bucket: Bucket) {
        self.pump(now);
        let open = self.active.get(bucket).and_then(|active| active.open);
        self.core.renew(bucket, &mut self.out);
        self.pump(now);
        if let Some(open) = open {
            // It is not finished any later because it was recorded again.
            *self.active.open(bucket, open.slot) = open;
        }
    }
}
