//! What a worker takes on, and what it refuses while it has too much: the bounds of its queues (I16).
//!
//! Callers are told [`Error::Overloaded`] at once. Peers are told nothing: what they ask for is dropped as if it had been lost, and they
//! ask again. Both end by themselves when the disk has caught up.

use bytes::Bytes;
use thermocline_paxos::{Bucket, Message};

use super::worker::Worker;
use crate::error::{CALLS, Error, JOURNAL_DISK, PART_MEMORY, WRITES_UNDER_WAY};
use crate::request::{Ask, Mutation};

/// So many bytes of records may wait for the journal, at each worker. Past it the worker votes for nothing and proposes nothing.
pub(crate) const UNSYNCED_BYTES_MAX: usize = 64 << 20;

/// So many records may wait for the journal, at each worker; in the consensus core as many wait to count.
pub(crate) const UNSYNCED_RECORDS_MAX: usize = 1 << 18;

/// So many bytes of writes may be under way at each worker, beside the limit on their number.
pub(crate) const WRITES_BYTES_MAX: usize = 256 << 20;

/// While the journal is full, a worker sets out to have a slot decided so often at most, in milliseconds: what keeps old segments, or a read
/// waiting, goes on, and the headroom lasts.
const DECISION_WHEN_FULL_MS: u64 = 100;

/// Of so many buckets decisions are let in at a time while the journal is full: those that keep old segments, or a read waiting.
const LET_IN_MAX: usize = 64;

/// While the journal is full, what keeps its oldest segment is looked for so often, in milliseconds.
pub(super) const STRAGGLERS_WHEN_FULL_MS: u64 = DECISION_WHEN_FULL_MS;

/// Room that a call needs beside the bytes of its write, in bytes: about what its places in queues and maps take.
const CALL_BYTES: usize = 256;

impl Worker {
    /// Why a write of so many bytes cannot be taken now, if it cannot.
    pub(super) fn refuses_write(&mut self, bucket: Bucket, bytes: usize) -> Option<Error> {
        let refusal = if self.journal_full {
            Some(Error::Overloaded { what: JOURNAL_DISK, limit: "no room is left".into() })
        } else if self.calls.write_bytes() + bytes > WRITES_BYTES_MAX {
            let limit = format!("{WRITES_BYTES_MAX} bytes");
            Some(Error::Overloaded { what: WRITES_UNDER_WAY, limit })
        } else if self.owns(bucket) && self.part(bucket).is_full() {
            let limit = format!("twice memtable_bytes, {} bytes", self.part(bucket).config().memtable_bytes);
            Some(Error::Overloaded { what: PART_MEMORY, limit })
        } else {
            None
        };
        self.counters.refused += u64::from(refusal.is_some());
        refusal
    }

    /// Why no further call can be taken now, if none can.
    pub(super) fn refuses_call(&mut self) -> Option<Error> {
        if self.calls.len() < self.settings.calls_max {
            return None;
        }
        self.counters.refused += 1;
        let limit = format!("{} calls (calls_max)", self.settings.calls_max);
        Some(Error::Overloaded { what: CALLS, limit })
    }

    /// Whether nothing more may be recorded in a bucket until the journal has synced, or the state flushed, what there is.
    pub(super) fn is_saturated(&self, bucket: Bucket) -> bool {
        self.journal_is_behind() || self.part(bucket).is_full()
    }

    pub(super) fn journal_is_behind(&self) -> bool {
        self.journal_full || self.has_much_unsynced()
    }

    fn has_much_unsynced(&self) -> bool {
        let (records, bytes) = self.effects.unsynced();
        records >= UNSYNCED_RECORDS_MAX || bytes >= UNSYNCED_BYTES_MAX
    }

    /// Whether this node may set out to have the open slot of a bucket decided, which it will if it may. While the journal is full it may now and then,
    /// when nothing waits for the disk.
    pub(super) fn may_decide(&mut self, now: u64, bucket: Bucket) -> bool {
        if !self.is_saturated(bucket) {
            return true;
        }
        let is_idle = self.effects.unsynced().0 == 0 && !self.part(bucket).is_full();
        let may = self.journal_full && is_idle && now >= self.next_decision_when_full;
        if may {
            self.next_decision_when_full = now + DECISION_WHEN_FULL_MS;
            self.let_in(bucket);
        }
        may
    }

    /// What is decided in this bucket is let in although the journal is full.
    pub(super) fn let_in(&mut self, bucket: Bucket) {
        if self.let_in.len() >= LET_IN_MAX {
            self.let_in.clear();
        }
        self.let_in.insert(bucket.0);
    }

    /// Whether nothing that peers tell of a bucket may be recorded.
    pub(super) fn is_shut(&self, bucket: Bucket) -> bool {
        let is_let_in = self.journal_full && self.let_in.contains(&bucket.0);
        self.is_saturated(bucket) && (!is_let_in || self.has_much_unsynced() || self.part(bucket).is_full())
    }

    /// Whether a peer's message must be dropped, because it could make this node record something. A decision is told once, and nobody asks
    /// again: of that only the value is dropped, so that it is fetched later.
    pub(super) fn has_no_room_for(&mut self, message: &mut Message) -> bool {
        let brings_command = message.accepted.as_ref().is_some_and(|accepted| accepted.command.is_some());
        let asks_for_promise = message.accepted.is_none() && message.promised.is_some() && !message.missing;
        if !(brings_command || asks_for_promise) || !self.is_shut(message.bucket) {
            return false;
        }
        let is_answer = message.promised.proposer() == self.core.me();
        if is_answer && self.journal_full && !self.has_much_unsynced() && !self.part(message.bucket).is_full()
        {
            // To a proposal that is under way.
            return false;
        }
        self.counters.dropped_full += 1;
        if message.chosen
            && let Some(accepted) = &mut message.accepted
        {
            accepted.command = None;
            return false;
        }
        true
    }
}

/// About how many bytes a question keeps in memory until it is answered.
pub(crate) fn question_bytes(ask: &Ask) -> usize {
    let value = |mutation: &Mutation| match mutation {
        Mutation::Put { value, .. } => value.len(),
        Mutation::Delete { .. } | Mutation::Trim { .. } => 0,
    };
    let bytes = match ask {
        Ask::Write { mutations, .. } => mutations.iter().map(|mutation| 64 + value(mutation)).sum(),
        _ => 0,
    };
    CALL_BYTES + bytes
}

/// About how many bytes a frame keeps in memory until it is handled.
pub(crate) fn frame_bytes(body: &Bytes) -> usize {
    CALL_BYTES + body.len()
}
