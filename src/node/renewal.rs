//! What counts of undecided slots is recorded again, so that the journal can be given back before it.
//!
//! The journal goes from its oldest end only, and a record of a slot that nobody decides is needed as long as that lasts. When the journal
//! becomes too long and such a slot is why, all of the worker's undecided slots are recorded again at its end: once that is synced, and the
//! state flushed, nothing before is needed. A bounded number of bytes is under way at a time. What has been recorded again is a slot for
//! each undecided bucket at most, whose commands are in memory, too; and it is done again only if an undecided slot is in the way once more.

use std::collections::HashMap;

use thermocline_paxos::{Bucket, Slot, Ticket};

use super::worker::Worker;
use crate::plant::{self, Plant};

/// No more is recorded again while so many bytes wait for the journal.
const UNSYNCED_BYTES_MAX: usize = 4 << 20;

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
        if self.renewal.is_some() {
            return;
        }
        let core = &self.core;
        let chosen = |bucket| core.status(bucket).chosen;
        if !self.index.is_kept_by_undecided(&self.parts, self.settings.dealing, chosen) {
            return;
        }
        let left: Vec<Bucket> = self.core.undecided().collect();
        // All that is synced by now lies in this segment or before. What is not lies there or behind: it stays.
        let before = self.index.newest();
        self.renewal = Some(Renewal { left, undecided: HashMap::new(), before, through: self.last_ticket });
        self.go_on_with_renewal(self.last_tick);
    }

    /// Records the next slots again, as many as may be under way; once all of them are synced, what they stand for need not stay.
    pub(super) fn go_on_with_renewal(&mut self, now: u64) {
        let Some(mut renewal) = self.renewal.take() else { return };
        while self.effects.unsynced().1 < UNSYNCED_BYTES_MAX
            && let Some(bucket) = renewal.left.pop()
        {
            self.renew(now, bucket);
            renewal.undecided.insert(bucket.0, self.core.status(bucket).chosen.next());
            renewal.through = self.last_ticket;
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
