//! Reads that have their verdict wait until the slot is applied here.

use thermocline_paxos::{Bucket, NodeId, Slot};

use crate::node::calls::CallKey;
use crate::node::worker::{COPIES_MS, Worker};
use crate::plant::{self, Plant};

/// A read waits so long for an undecided slot before this node finishes it, in milliseconds: longer than its proposer lets the decision wait.
const FINISH_MS: u64 = COPIES_MS + 3;

impl Worker {
    /// Serves reads as of a slot: now if it is applied, else when it is.
    pub(super) fn serve_at(
        &mut self,
        now: u64,
        bucket: Bucket,
        slot: Slot,
        undecided: bool,
        informant: Option<NodeId>,
        reads: &[CallKey],
    ) {
        if self.applied(bucket) >= slot || plant::on(Plant::ServesBeforeApplied) {
            for key in reads {
                self.serve(now, *key);
            }
            return;
        }
        self.counters.reads_waited += reads.len() as u64;
        let active = self.active.enter(bucket);
        if active.waiting.len() + reads.len() > active.waiting.capacity() {
            // Those past their deadline wait no more; what is kept is bounded by the calls.
            let calls = &self.calls;
            active.waiting.retain(|(_, key)| calls.get(*key).is_some());
        }
        active.waiting.extend(reads.iter().map(|key| (slot, *key)));
        if undecided {
            self.finish_at(now + FINISH_MS, bucket, slot);
        }
        let reached = self.applied(bucket);
        // Through the slot before an undecided one, or through the slot itself, somebody has commands that are missing here.
        let through = if undecided { Slot(slot.0 - 1) } else { slot };
        if reached < through
            && let Some(informant) = informant
        {
            self.behind(now, bucket, informant, through);
        }
    }

    /// Whether a read waits for a slot.
    pub(in crate::node) fn is_waited_for(&mut self, bucket: Bucket, slot: Slot) -> bool {
        let Some(active) = self.active.get_mut(bucket) else { return false };
        active.waiting.iter().any(|(wanted, key)| *wanted >= slot && self.calls.get(*key).is_some())
    }

    /// A slot was applied: reads that waited for it can be served.
    pub(in crate::node) fn slot_applied(&mut self, now: u64, bucket: Bucket, slot: Slot) {
        let Some(active) = self.active.get_mut(bucket) else { return };
        if active.waiting.is_empty() {
            return;
        }
        let mut ready = Vec::new();
        active.waiting.retain(|(wanted, key)| {
            let served = *wanted <= slot;
            if served {
                ready.push(*key);
            }
            !served
        });
        for key in ready {
            self.serve(now, key);
        }
    }
}
