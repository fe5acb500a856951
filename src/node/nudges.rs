//! Which peer is asked to push which idle buckets over this replica's vote floors.
//!
//! One is enough for a bucket: two that decide the same slot only hinder each other, the more the busier they are. The owner of its open slot is
//! best, which who is asked may know and who asks does not: all are asked, and one of them to do it where nobody owns it. That one stays
//! the same as long as buckets pass. When none has passed for a while, somebody may not be able to: each bucket is another's then,
//! whoever owns it.

use std::collections::{BTreeMap, VecDeque};

use thermocline_paxos::{Bucket, NodeId};

use super::wire::Who;

/// So long nothing may pass until others are asked, in milliseconds.
const PATIENCE_MS: u64 = 2_000;

/// So many buckets at a time: each is a slot that has to be decided beside what callers want. With this many a node
/// of 65,536 idle buckets is back in half a minute; with more its callers wait longer meanwhile (`benches/RESULTS.md`).
pub(crate) const AT_ONCE: usize = 8;

/// Who is whose turn.
#[derive(Default)]
pub(crate) struct Nudges {
    turn: usize,
    /// Which buckets are still to be asked for.
    due: VecDeque<Bucket>,
    last: Option<Bucket>,
    /// How many buckets were waiting at the last look, and since when none has passed.
    waiting: usize,
    since: u64,
    /// Whether that was too long.
    stuck: bool,
}

impl Nudges {
    /// So many buckets wait.
    pub(crate) fn look(&mut self, now: u64, waiting: usize) {
        if waiting == self.waiting && now < self.since + PATIENCE_MS {
            return;
        }
        self.stuck = waiting == self.waiting;
        if self.stuck {
            self.turn = self.turn.wrapping_add(1);
        }
        (self.waiting, self.since) = (waiting, now);
    }

    /// These are to be asked for, in the place of all before: in their order, after the one that was asked for last.
    pub(crate) fn plan(&mut self, mut due: Vec<Bucket>) {
        let next = due.partition_point(|bucket| Some(*bucket) <= self.last);
        due.rotate_left(next);
        self.due = due.into();
    }

    /// Whether none has passed for a while.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.due.is_empty()
    }

    /// Who is asked about the next few buckets, and how. `holders` are the peers that hold a bucket and can be reached.
    pub(crate) fn next(
        &mut self,
        holders: impl Fn(Bucket) -> Vec<NodeId>,
    ) -> BTreeMap<(NodeId, Who), Vec<Bucket>> {
        let mut asked: BTreeMap<(NodeId, Who), Vec<Bucket>> = BTreeMap::new();
        let few = AT_ONCE.min(self.due.len());
        for bucket in self.due.drain(..few).collect::<Vec<_>>() {
            self.last = Some(bucket);
            let holders = holders(bucket);
            let one = self.peer(bucket, &holders);
            for holder in holders {
                let who = match (Some(holder) == one, self.stuck) {
                    (true, true) => Who::You,
                    (true, false) => Who::OwnerOrYou,
                    (false, _) => Who::Owner,
                };
                asked.entry((holder, who)).or_default().push(bucket);
            }
        }
        asked
    }

    /// Which of these peers pushes a bucket that nobody owns.
    fn peer(&self, bucket: Bucket, peers: &[NodeId]) -> Option<NodeId> {
        let at = (bucket.0 as usize).wrapping_add(self.turn).checked_rem(peers.len())?;
        peers.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEERS: [NodeId; 2] = [NodeId(2), NodeId(3)];

    fn asked(nudges: &Nudges) -> Vec<NodeId> {
        (0..10).filter_map(|bucket| nudges.peer(Bucket(bucket), &PEERS)).collect()
    }

    #[test]
    fn a_bucket_stays_with_one_peer_while_some_pass() {
        let mut nudges = Nudges::default();
        nudges.look(0, 1_000);
        let first = asked(&nudges);
        assert!(PEERS.iter().all(|peer| first.contains(peer)), "each peer has its share");
        for round in 1..100 {
            nudges.look(round * (PATIENCE_MS - 1), 1_000 - round as usize);
            assert_eq!(asked(&nudges), first, "round {round}");
        }
    }

    #[test]
    fn each_bucket_is_another_peer_s_when_none_has_passed_for_a_while() {
        let mut nudges = Nudges::default();
        nudges.look(0, 1_000);
        let first = asked(&nudges);
        nudges.look(PATIENCE_MS - 1, 1_000);
        assert_eq!(asked(&nudges), first);
        nudges.look(PATIENCE_MS, 1_000);
        assert!(asked(&nudges).iter().zip(&first).all(|(now, then)| now != then));
    }

    #[test]
    fn without_peers_nobody_is_asked() {
        assert_eq!(Nudges::default().peer(Bucket(7), &[]), None);
    }
}
