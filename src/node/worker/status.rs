//! What can be asked of a worker, by its other files and by whoever drives it.

use thermocline_paxos::{Bucket, NodeId, Slot};
use thermocline_tiers::hot::state::Part;

use super::Worker;
use crate::node::counters::Counters;

impl Worker {
    /// Whether the bucket is one of this worker's.
    pub(in crate::node) fn owns(&self, bucket: Bucket) -> bool {
        self.owned.contains(bucket)
    }

    /// This worker's buckets, in order.
    pub(in crate::node) fn own_buckets(&self) -> impl Iterator<Item = Bucket> {
        (0..self.route.buckets()).map(Bucket).filter(|bucket| self.owns(*bucket))
    }

    pub(in crate::node) fn is_up(&self, node: NodeId) -> bool {
        self.peers.iter().any(|peer| peer.node == node && peer.up)
    }

    pub(in crate::node) fn part(&self, bucket: Bucket) -> &Part {
        &self.parts[self.settings.dealing.place(bucket)]
    }

    /// The slot that the state has of a bucket.
    pub(in crate::node) fn applied(&self, bucket: Bucket) -> Slot {
        Slot(self.part(bucket).applied(thermocline_tiers::hot::Bucket(bucket.0)).0)
    }

    /// The last slot that the bucket's state has durably.
    pub(in crate::node) fn durable(&self, bucket: Bucket) -> Slot {
        Slot(self.part(bucket).durable(thermocline_tiers::hot::Bucket(bucket.0)).0)
    }

    /// A number below `bound`, from the seed (xorshift64*, Vigna 2016). Zero when `bound` is zero.
    pub(in crate::node) fn draw(&mut self, bound: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let number = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d);
        if bound == 0 { 0 } else { (number >> 16) % bound }
    }

    /// The oldest journal segment that recovery still needs for this worker's records; `outstanding` says whether some of
    /// them are not indexed yet. Those lie at or behind the newest that is.
    pub(crate) fn needed_segment(&self, outstanding: bool) -> u64 {
        let unindexed = if outstanding { self.index.newest() } else { u64::MAX };
        self.index.oldest_needed().unwrap_or(u64::MAX).min(unindexed)
    }

    /// The oldest journal segment that the next start should replay. As long as buckets are listed whose votes were lost, that includes their
    /// floors, for which others would have to be asked again.
    pub(crate) fn replayed_segment(&self, outstanding: bool) -> u64 {
        let floors = self.index.oldest_floor().filter(|_| self.to_lift);
        self.needed_segment(outstanding).min(floors.unwrap_or(u64::MAX))
    }

    /// How many calls are not answered yet.
    pub(crate) fn calls_under_way(&self) -> usize {
        self.calls.len()
    }

    /// Whether own writes are decided when this node's disk has synced them, and not when peers have voted.
    pub(crate) fn is_decided_by_syncs(&self) -> bool {
        self.decided_by_sync
    }

    pub(in crate::node) fn note_own_decision(&mut self) {
        self.decided_by_sync = self.syncing;
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many buckets are yet to be caught up, copied or mended.
    pub(crate) fn buckets_behind(&self) -> u32 {
        (self.transfers.left() + self.streams.left() + self.fetches + self.catch_up.len()) as u32
    }

    /// How long the buckets that only `learn` still take to vote again, in milliseconds; `None` when none does, or none got there lately.
    pub(crate) fn learning_ms_left(&self, now: u64, learn: u32) -> Option<u64> {
        self.learning.ms_left(now, learn)
    }

    /// Buckets that vote and buckets that only learn.
    pub(crate) fn votes(&self) -> (u32, u32) {
        let mut votes = (0, 0);
        for bucket in self.own_buckets() {
            if self.founded && self.core.fresh(bucket).voting { votes.0 += 1 } else { votes.1 += 1 }
        }
        votes
    }
}
