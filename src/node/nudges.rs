//! Which peer is asked to push which idle buckets over this replica's vote floors.
//!
//! One is enough for a bucket, and it stays the same as long as buckets pass: two that decide the same slot only hinder each other, the
//! more the busier they are. When none has passed for a while, somebody may not be able to, and each bucket is another's.

use thermocline_paxos::{Bucket, NodeId};

/// So long nothing may pass until others are asked, in milliseconds.
const PATIENCE_MS: u64 = 2_000;

/// Who is whose turn.
#[derive(Default)]
pub(crate) struct Nudges {
    turn: usize,
    /// How many buckets were waiting at the last look, and since when none has passed.
    waiting: usize,
    since: u64,
}

impl Nudges {
    /// So many buckets wait.
    pub(crate) fn look(&mut self, now: u64, waiting: usize) {
        if waiting == self.waiting && now < self.since + PATIENCE_MS {
            return;
        }
        if waiting == self.waiting {
            self.turn = self.turn.wrapping_add(1);
        }
        (self.waiting, self.since) = (waiting, now);
    }

    /// Who of these peers is asked about a bucket.
    pub(crate) fn peer(&self, bucket: Bucket, peers: &[NodeId]) -> Option<NodeId> {
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
