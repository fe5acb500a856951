//! When a majority of a bucket's replicas has lost what it promised: noticing it, saying so, and going on only when an operator says
//! so, knowing what may be gone.
//!
//! A learner votes again from a floor that a majority of the group's others, all voting, has told, and once they have decided the slots below it.
//! If too many of the others learn themselves, there will never be such a floor, or nobody to decide them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use thermocline_paxos::{Bucket, Freshness, NodeId, Slot, Status};

use super::worker::Worker;
use crate::plant::{self, Plant};

/// What the others have told of the buckets in which this node does not vote.
#[derive(Default)]
pub(super) struct Losses {
    told: HashMap<u32, BTreeMap<NodeId, Told>>,
    /// What the operator has given up, and is still to be gone on with. What is lost later he knows nothing of.
    giving_up: BTreeSet<u32>,
    /// What was given up in this start, and in which slot each goes on, until that is decided.
    anew: HashMap<u32, Slot>,
    /// Whether the log has it.
    logged: bool,
}

#[derive(Clone, Copy)]
struct Told {
    learns: bool,
    chosen: Slot,
}

impl Worker {
    /// Another replica says whether it learns a bucket, and how far it is.
    pub(super) fn told_of_learning(&mut self, from: NodeId, bucket: Bucket, learns: bool, chosen: Slot) {
        if self.core.is_silent(bucket) {
            self.losses.told.entry(bucket.0).or_default().insert(from, Told { learns, chosen });
        } else {
            self.losses.told.remove(&bucket.0);
        }
    }

    /// A bucket that does not vote, and has no other replica, is lost: there is nobody to tell a floor, or to decide what is below it.
    pub(super) fn note_what_has_no_other_replica(&mut self, silent: &[Bucket]) {
        for bucket in silent.iter().filter(|bucket| self.route.has_one_replica(**bucket)) {
            self.losses.told.entry(bucket.0).or_default();
        }
    }

    /// Nothing is known any more of what the others have.
    pub(super) fn forget_what_was_told_of_losses(&mut self) {
        self.losses.told.clear();
    }

    /// Whether so many of the others learn that this replica will never vote again.
    pub(super) fn has_lost_majority(&self, bucket: Bucket) -> bool {
        let others = self.route.replicas(bucket).len() - 1;
        let majority = self.route.replicas(bucket).len() / 2 + 1;
        let Some(told) = self.losses.told.get(&bucket.0) else { return false };
        let learning = told.values().filter(|told| told.learns).count();
        self.core.is_silent(bucket) && others - learning < majority
    }

    /// The buckets of which a majority of the replicas has lost what it promised.
    pub(crate) fn lost_buckets(&self) -> Vec<Bucket> {
        let mut lost: Vec<Bucket> = self.losses.told.keys().map(|bucket| Bucket(*bucket)).collect();
        lost.retain(|bucket| self.has_lost_majority(*bucket));
        lost.sort_unstable();
        lost
    }

    /// The operator gives up what a majority of the replicas has lost, here. Returns how many buckets that concerns.
    pub(crate) fn give_up_lost_votes(&mut self, now: u64) -> u32 {
        let lost = self.lost_buckets();
        if !lost.is_empty() {
            tracing::error!(
                buckets = lost.len(),
                "THE OPERATOR GIVES UP WHAT A MAJORITY HAS LOST: each bucket goes on after the last slot that the replicas that are \
                 left know; what was acknowledged later is gone"
            );
            self.losses.giving_up.extend(lost.iter().map(|bucket| bucket.0));
            self.next_floor_question = now;
        }
        lost.len() as u32
    }

    /// Whether that bucket goes on in that slot, because what was behind it is given up.
    pub(super) fn is_anew(&self, bucket: Bucket, slot: Slot) -> bool {
        self.losses.anew.get(&bucket.0) == Some(&slot) && !plant::on(Plant::ServedBeforeGoingOn)
    }

    /// What this replica knows of a bucket, for reads. In the slot in which a bucket goes on, one that has lost nothing may have accepted what
    /// the lost ones had chosen. A read without it must not be served and then one with it: so none is before that slot is decided, one
    /// way or the other.
    pub(super) fn freshness(&self, bucket: Bucket) -> Freshness {
        let fresh = self.core.fresh(bucket);
        if self.losses.anew.is_empty() {
            return fresh;
        }
        let may_be_decided = self.is_anew(bucket, fresh.chosen.next());
        Freshness { accepted_next: fresh.accepted_next || may_be_decided, ..fresh }
    }

    /// Looks at what was told: warns, and does what the operator wants where all that can be known is known.
    pub(super) fn look_at_losses(&mut self, now: u64) {
        // Another replica may have brought a floor.
        let core = &self.core;
        self.losses.anew.retain(|bucket, slot| core.status(Bucket(*bucket)).chosen < *slot);
        self.losses.giving_up.retain(|bucket| core.is_silent(Bucket(*bucket)));
        // What votes on while an amnesia is being written down would do so in a life that is accounted for whatever it does.
        if self.losses.told.is_empty() || self.is_admitting() && !plant::on(Plant::GivenUpWhileAdmitting) {
            return;
        }
        let lost = self.lost_buckets();
        if lost.is_empty() {
            self.losses.logged = false;
            return;
        }
        if !std::mem::replace(&mut self.losses.logged, true) {
            tracing::error!(
                buckets = lost.len(),
                "more than a minority of the replicas, or the only one, has lost what it promised: these buckets cannot be written or \
                 read. Bring back a disk that was not lost; or, if there is none, see `thermocline lose-acknowledged-writes --help`"
            );
        }
        let mut known = Vec::new();
        for bucket in lost {
            if !self.losses.giving_up.contains(&bucket.0) {
                continue;
            }
            let Some(told) = self.losses.told.get(&bucket.0) else { continue };
            let furthest = told.values().map(|told| told.chosen).max().unwrap_or_default();
            let source = told.iter().find(|(_, told)| told.chosen == furthest).map(|(node, _)| *node);
            let mut there = self.peers.iter().filter(|peer| peer.up && self.route.holds(peer.node, bucket));
            if !there.all(|peer| told.contains_key(&peer.node)) {
                continue;
            }
            if self.applied(bucket) < furthest {
                if let Some(source) = source {
                    self.behind(now, bucket, source, furthest);
                }
                continue;
            }
            known.push((bucket, furthest));
        }
        if known.is_empty() {
            return self.pump(now);
        }
        let given_up = known.iter().map(|(bucket, _)| {
            let Status { chosen, accepted, .. } = self.core.status(*bucket);
            (*bucket, if accepted.is_some() { chosen.next() } else { chosen })
        });
        if let Err(error) = self.kept.holes.give_up(given_up, self.kept.life.synced) {
            tracing::error!(%error, "what is given up could not be written down; it is tried again");
            return;
        }
        for (bucket, furthest) in known {
            self.counters.given_up += 1;
            if let Some(floor) = self.core.vote_in_spite_of_loss(bucket, furthest, &mut self.out) {
                self.losses.anew.insert(bucket.0, floor);
            }
            self.losses.told.remove(&bucket.0);
            self.losses.giving_up.remove(&bucket.0);
        }
        self.pump(now);
    }
}
