//! What was synced is there after a restart (I3, I6): no promise, vote or decision is forgotten, unless the node says so
//! itself and stops voting.

use thermocline::machine::Machine;
use thermocline_paxos::{Ballot, Command, Record, Restored, Vote};

use super::{Checked, Invariants, of_bucket};

impl Invariants {
    /// A node's process has ended: what it had not synced is gone, or not.
    pub(crate) fn note_crash(&mut self, node: usize) {
        self.written.retain(|(of, _), _| *of != node);
    }

    /// A node's disk is gone.
    pub(crate) fn note_lost_disk(&mut self, node: usize) {
        self.commands.retain(|(of, _), _| *of != node);
    }

    /// A node's disk was put back to an earlier copy. What it did since then it has forgotten, and is not heard until it knows.
    pub(crate) fn note_put_back(&mut self, node: usize) {
        self.note_lost_disk(node);
        self.unaware |= 1 << node;
        for group in self.groups.values_mut() {
            group.replicas[node].lost();
            group.unaware |= 1 << node;
        }
    }

    /// Whether a node was put back, and does not know it yet.
    pub(crate) fn is_unaware(&self, node: usize) -> bool {
        self.unaware & 1 << node != 0
    }

    /// A replica that was put back and was told so, or begins as a learner, knows it, once that is on its disk.
    pub(super) fn look_for_awareness(&mut self, node: usize, machine: &Machine) {
        if self.unaware & 1 << node == 0 {
            return;
        }
        let mut left = false;
        for (bucket, group) in &mut self.groups {
            if !group.is_aware(node) && machine.knows_its_amnesia(*bucket) {
                group.unaware &= !(1 << node);
                group.replicas[node].lost();
            }
            left |= !group.is_aware(node);
        }
        if !left {
            self.unaware &= !(1 << node);
        }
    }

    /// A node has started from its disk.
    pub(crate) fn check_restart(&mut self, node: usize, machine: &Machine) -> Checked {
        for (bucket, group) in &mut self.groups {
            let status = machine.status(*bucket);
            let slot = status.chosen.next();
            let restored = Restored {
                chosen: status.chosen,
                promised: status.promised,
                accepted: (status.accepted != Ballot::ZERO).then(|| (status.accepted, Command::no_op())),
                vote: status.vote,
                ..Restored::default()
            };
            if group.is_aware(node) {
                group.replicas[node].restarted(node, &restored).map_err(of_bucket(*bucket))?;
            }
            if status.chosen > group.history.highest() {
                return Err(format!(
                    "bucket {}: node {} starts with slot {}, which nobody has seen chosen",
                    bucket.0,
                    node + 1,
                    status.chosen.0
                ));
            }
            // What it starts with comes from its disk, synced before or by a write that a crash interrupted.
            let last = self.commands.entry((node, *bucket)).or_default();
            *last = (*last).max(status.chosen);
            if status.accepted != Ballot::ZERO {
                *last = (*last).max(slot);
            }
            if restored.vote == Vote::LearnerOnly {
                continue;
            }
            // What a crash interrupted may have reached the disk all the same.
            if status.promised != Ballot::ZERO {
                let promise = Record::Promise { slot, ballot: status.promised };
                group.synced(node, &promise).map_err(of_bucket(*bucket))?;
            }
            if status.accepted != Ballot::ZERO {
                let vote = Record::Accept { slot, ballot: status.accepted, command: Command::no_op() };
                group.synced(node, &vote).map_err(of_bucket(*bucket))?;
            }
        }
        self.look_for_awareness(node, machine);
        self.check_index(node, machine)
    }
}
