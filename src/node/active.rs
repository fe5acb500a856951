//! The buckets in which something is under way at this worker. A bucket at rest takes four bytes.

use std::collections::VecDeque;

use thermocline_paxos::{Bucket, CommandId, NodeId, Slot};

use super::calls::CallKey;

const AT_REST: u32 = u32::MAX;

/// What is under way in one bucket.
#[derive(Debug, Default)]
pub(crate) struct Active {
    bucket: Bucket,
    /// Writes that wait for a slot, oldest first.
    pub(crate) pending: VecDeque<CallKey>,
    /// The own command in the core, if `proposed` is set, and the writes that ride in it, in its order.
    pub(crate) proposed: Option<CommandId>,
    pub(crate) riding: Vec<CallKey>,
    /// Reads that wait until a slot is applied.
    pub(crate) waiting: Vec<(Slot, CallKey)>,
    /// Missing slots asked from a node, and when.
    pub(crate) fetching: Option<(NodeId, u64)>,
    /// The slot that is open here, if something was accepted or proposed in it.
    pub(crate) open: Option<OpenSlot>,
    /// Whether the bucket is in the worker's list of buckets to drive.
    pub(crate) driven: bool,
}

/// A slot in which something is accepted or proposed, and which is not known to be decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenSlot {
    pub(crate) slot: Slot,
    /// When the own proposal in it was made; `u64::MAX` when there is none.
    pub(crate) proposed_at: u64,
    /// When the own proposal in it is sent again; `u64::MAX` when there is none.
    pub(crate) resend_at: u64,
    /// When it may have lost its proposer and is finished from here; `u64::MAX` while nothing is accepted in it.
    pub(crate) finish_at: u64,
}

impl Active {
    /// Whether somebody who called this node waits for slots of the bucket: to read what is in them, or to write behind them.
    pub(crate) fn has_callers(&self) -> bool {
        !self.waiting.is_empty() || !self.pending.is_empty() || self.proposed.is_some()
    }

    fn is_at_rest(&self) -> bool {
        self.pending.is_empty()
            && self.proposed.is_none()
            && self.waiting.is_empty()
            && self.fetching.is_none()
            && self.open.is_none()
            && !self.driven
    }
}

/// All of a worker's active buckets. Places are reused, so that a busy bucket costs no allocation.
#[derive(Debug)]
pub(crate) struct ActiveBuckets {
    by_bucket: Vec<u32>,
    places: Vec<Active>,
    free: Vec<u32>,
    /// Own proposals that are widened when it is time and they are still open, in the order in which they were made: when, and which.
    to_widen: VecDeque<(u64, Bucket, Slot)>,
}

impl ActiveBuckets {
    pub(crate) fn new(buckets: u32) -> Self {
        Self {
            by_bucket: vec![AT_REST; buckets as usize],
            places: Vec::new(),
            free: Vec::new(),
            to_widen: VecDeque::new(),
        }
    }

    /// The bucket's place, made active if it was at rest.
    pub(crate) fn enter(&mut self, bucket: Bucket) -> &mut Active {
        let place = &mut self.by_bucket[bucket.0 as usize];
        if *place == AT_REST {
            *place = self.free.pop().unwrap_or_else(|| {
                self.places.push(Active::default());
                self.places.len() as u32 - 1
            });
            self.places[*place as usize].bucket = bucket;
        }
        &mut self.places[*place as usize]
    }

    pub(crate) fn get(&self, bucket: Bucket) -> Option<&Active> {
        match self.by_bucket[bucket.0 as usize] {
            AT_REST => None,
            place => Some(&self.places[place as usize]),
        }
    }

    pub(crate) fn get_mut(&mut self, bucket: Bucket) -> Option<&mut Active> {
        match self.by_bucket[bucket.0 as usize] {
            AT_REST => None,
            place => Some(&mut self.places[place as usize]),
        }
    }

    /// The bucket's open slot, made anew when an earlier one was.
    pub(crate) fn open(&mut self, bucket: Bucket, slot: Slot) -> &mut OpenSlot {
        let open = &mut self.enter(bucket).open;
        if open.is_some_and(|open| open.slot != slot) {
            *open = None;
        }
        const NEVER: u64 = u64::MAX;
        open.get_or_insert(OpenSlot { slot, proposed_at: NEVER, resend_at: NEVER, finish_at: NEVER })
    }

    /// An own proposal was made in the bucket's open slot.
    pub(crate) fn proposed(&mut self, bucket: Bucket, slot: Slot, now: u64, widen_at: u64, resend_at: u64) {
        let open = self.open(bucket, slot);
        (open.proposed_at, open.resend_at) = (now, resend_at);
        self.to_widen.push_back((widen_at, bucket, slot));
    }

    /// When [`late_proposals`](Self::late_proposals) may have something, about.
    pub(crate) fn widen_from(&self) -> u64 {
        self.to_widen.front().map_or(u64::MAX, |(due, _, _)| *due)
    }

    /// Takes the buckets whose own proposal is still open and to be widened by that time.
    pub(crate) fn late_proposals(&mut self, by: u64) -> Vec<Bucket> {
        let mut buckets = Vec::new();
        while let Some(&(due, bucket, slot)) = self.to_widen.front()
            && due <= by
        {
            self.to_widen.pop_front();
            let open = self.get_mut(bucket).and_then(|active| active.open);
            if open.is_some_and(|open| open.slot == slot && open.proposed_at != u64::MAX) {
                buckets.push(bucket);
            }
        }
        buckets
    }

    /// The open slots for which it is time, at `now`, with their buckets.
    pub(crate) fn overdue(&self, now: u64) -> Vec<(Bucket, OpenSlot)> {
        let open = self.places.iter().filter_map(|active| Some((active.bucket, active.open?)));
        open.filter(|(_, open)| open.resend_at.min(open.finish_at) <= now).collect()
    }

    /// Puts the bucket to rest if nothing is under way in it any more.
    pub(crate) fn leave(&mut self, bucket: Bucket) {
        let place = self.by_bucket[bucket.0 as usize];
        if place != AT_REST && self.places[place as usize].is_at_rest() {
            self.places[place as usize].riding.clear();
            self.free.push(place);
            self.by_bucket[bucket.0 as usize] = AT_REST;
        }
    }
}
