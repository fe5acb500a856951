//! Whom a worker asks first.
//!
//! For votes, and for how far a log is, as many peers are asked as make a majority; the others only when these keep it waiting. That
//! saves the third node of a group a vote and a synced write that nobody needs, and costs patience where a peer falls silent: a little longer than
//! decisions take here, and then that peer is asked after the others for a while. Where too few are left that are not avoided so, all are asked.
//!
//! **Nothing depends on the order but time (I9):** any majority will do.

use thermocline_paxos::NodeId;

use super::worker::Worker;

/// A peer that kept this node waiting is asked after the others for so long, in milliseconds; twice as long each time that it does it again.
const AVOID_MS: u64 = 1_000;
const AVOID_MS_MAX: u64 = 16_000;

/// Votes are waited for as long as three decisions take, and so many milliseconds, before others are asked; but no longer than that.
const PATIENCE_MS: u64 = 3;
const PATIENCE_MS_MAX: u64 = 20;

/// The peers in the order in which they are asked, and how long decisions take.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    /// Those to which there is a link.
    order: Vec<NodeId>,
    /// How many of them, the first ones, are not avoided.
    trusted: usize,
    /// Until when it stands, in milliseconds; 0 when it is to be made anew.
    until: u64,
    /// The smoothed time from a proposal to its decision, in sixteenths of a millisecond.
    decision: u64,
}

/// How long a peer is asked after the others.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Avoided {
    until: u64,
    span: u64,
}

impl Avoided {
    /// From `now` on, for `AVOID_MS`, or twice as long as the last time if that is not long ago.
    fn kept_waiting(&mut self, now: u64) {
        if now < self.until {
            return;
        }
        let again = self.span > 0 && now < self.until + AVOID_MS_MAX;
        self.span = if again { (2 * self.span).min(AVOID_MS_MAX) } else { AVOID_MS };
        self.until = now + self.span;
    }

    /// For a moment, without a grudge.
    fn for_now(&mut self, until: u64) {
        self.until = self.until.max(until);
    }
}

impl Asking {
    /// The peers, best first, with whether one of them is enough where one answer is wanted.
    pub(in crate::node) fn order(&self) -> impl Iterator<Item = (NodeId, bool)> {
        self.order.iter().enumerate().map(|(at, node)| (*node, at < self.trusted))
    }

    /// The order is to be made anew.
    pub(in crate::node) fn has_changed(&mut self) {
        self.until = 0;
    }

    /// An own proposal was decided after so many milliseconds.
    pub(in crate::node) fn decided_after(&mut self, ms: u64) {
        let sample = 16 * ms.min(PATIENCE_MS_MAX);
        self.decision = self.decision - self.decision / 16 + sample / 16;
    }

    /// How long decisions take, in milliseconds; `PATIENCE_MS_MAX` at most.
    pub(in crate::node) fn decision_ms(&self) -> u64 {
        self.decision / 16
    }

    /// How long votes are waited for before others are asked, in milliseconds.
    pub(in crate::node) fn patience(&self) -> u64 {
        (PATIENCE_MS + 3 * self.decision / 16).min(PATIENCE_MS_MAX)
    }
}

impl Worker {
    /// Sees to it that the order of the peers is that of now.
    pub(in crate::node) fn order_peers(&mut self, now: u64) {
        if now < self.asking.until {
            return;
        }
        let me = self.settings.me;
        // Those right after this node in number come first, so that the nodes ask different ones.
        let up = self.peers.iter().filter(|peer| peer.up);
        let mut order: Vec<(bool, bool, NodeId)> =
            up.map(|peer| (now < peer.avoided.until, peer.node < me, peer.node)).collect();
        order.sort_unstable();
        let ends = self.peers.iter().map(|peer| peer.avoided.until).filter(|until| now < *until);
        self.asking.until = ends.min().unwrap_or(u64::MAX);
        self.asking.trusted = order.iter().filter(|(avoided, _, _)| !avoided).count();
        self.asking.order.clear();
        self.asking.order.extend(order.into_iter().map(|(_, _, node)| node));
        self.core.ask_first(self.asking.order[..self.asking.trusted].iter().copied());
    }

    /// A peer was asked, and did not answer in time.
    pub(in crate::node) fn kept_waiting(&mut self, now: u64, node: NodeId) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) {
            peer.avoided.kept_waiting(now);
            self.asking.has_changed();
        }
    }

    /// A peer only learns, in some bucket at least: it is asked after the others until then.
    pub(in crate::node) fn does_not_count(&mut self, node: NodeId, until: u64) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) {
            peer.avoided.for_now(until);
            self.asking.has_changed();
        }
    }

    /// Own proposals that wait too long for votes, or perhaps for those of a peer that is gone (`lost`), are put to everybody.
    pub(in crate::node) fn widen_proposals(&mut self, now: u64, lost: bool) {
        for bucket in self.active.late_proposals(if lost { u64::MAX } else { now }) {
            self.counters.widened_proposals += 1;
            let silent = self.core.widen(bucket, &mut self.out);
            if !lost {
                silent.into_iter().for_each(|node| self.kept_waiting(now, node));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_others_waiting_again_is_avoided_longer_and_who_did_long_ago_is_not() {
        let mut avoided = Avoided::default();
        avoided.kept_waiting(10);
        assert_eq!(avoided.until, 10 + AVOID_MS);
        avoided.kept_waiting(20);
        assert_eq!(avoided.until, 10 + AVOID_MS, "one silence counts once");
        for times in [2, 4, 8, 16, 16] {
            let now = avoided.until;
            avoided.kept_waiting(now);
            assert_eq!(avoided.until, now + (times * AVOID_MS).min(AVOID_MS_MAX));
        }
        let now = avoided.until + AVOID_MS_MAX;
        avoided.kept_waiting(now);
        assert_eq!(avoided.until, now + AVOID_MS);
    }

    #[test]
    fn patience_follows_what_decisions_take_within_bounds() {
        let mut asking = Asking::default();
        assert_eq!(asking.patience(), PATIENCE_MS);
        (0..100).for_each(|_| asking.decided_after(2));
        assert!((PATIENCE_MS + 4..=PATIENCE_MS + 6).contains(&asking.patience()), "{}", asking.patience());
        (0..100).for_each(|_| asking.decided_after(10_000));
        assert_eq!(asking.patience(), PATIENCE_MS_MAX);
        (0..200).for_each(|_| asking.decided_after(0));
        assert!(asking.patience() <= PATIENCE_MS + 3);
    }
}
