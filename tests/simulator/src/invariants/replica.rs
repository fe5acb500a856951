//! What one replica of a bucket has synced, and what its starts found of that (I3, I6).
//!
//! A start that cannot read a part of the disk learns. That part need not be lost: a read can go astray once, and the next start votes with
//! all that was ever promised. So nothing is taken for lost for good. Each start that votes is compared with all that any start before it has
//! synced; it may lack only what is below the first slot in which it votes.

use thermocline_paxos::{Message, Record, Restored, Slot, Vote};

use super::core::{Checked, Fact, Memory};

#[derive(Clone, Default)]
pub(super) struct Replica {
    /// What this start of it, or an earlier one that nothing was lost since, has synced.
    pub(super) memory: Memory,
    /// What it ever synced.
    ever: Memory,
    /// A start of it learned, and none has voted since with all that was synced.
    learned: bool,
    /// Where this start may vote.
    from: Slot,
}

impl Replica {
    /// A record is written.
    pub(super) fn check_vote(&self, node: usize, record: &Record) -> Checked {
        let slot = record.slot();
        if matches!(record, Record::Promise { .. } | Record::Accept { .. }) && slot < self.from {
            return Err(format!(
                "I6: replica {node} votes at slot {}, but began with votes from slot {} on",
                slot.0, self.from.0
            ));
        }
        self.memory.check_vote(node, record)
    }

    /// A message leaves.
    pub(super) fn check_told(&self, node: usize, message: &Message) -> Checked {
        self.memory.check_told(node, message)
    }

    /// A record is synced.
    pub(super) fn synced(&mut self, record: &Record) -> Option<Fact> {
        self.ever.note_synced(record);
        self.memory.note_synced(record)
    }

    /// Its disk was put back, or it takes what it had promised for lost: below a floor it does not vote.
    pub(super) fn lost(&mut self) {
        self.learned = true;
        self.from = Slot(0);
        self.memory.note_lost();
    }

    /// It starts from its disk, and knows if that was put back.
    pub(super) fn restarted(&mut self, node: usize, restored: &Restored) -> Checked {
        let floor = match restored.vote {
            Vote::LearnerOnly => {
                self.lost();
                return Ok(());
            }
            Vote::Voting => Slot(0),
            Vote::From(floor) => floor,
        };
        self.ever.check_restored(node, restored)?;
        if std::mem::take(&mut self.learned) {
            self.memory = self.ever.clone();
        }
        self.from = restored.chosen.next().max(floor);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use thermocline_paxos::{Ballot, Boot, Command, NodeId};

    use super::*;

    fn ballot(round: u32) -> Ballot {
        Ballot { round, node: NodeId(1), boot: Boot { disk: 7, count: 1 } }
    }

    fn promise(slot: u64, round: u32) -> Record {
        Record::Promise { slot: Slot(slot), ballot: ballot(round) }
    }

    /// What a start finds: slots 1 and 2 are decided, and this was promised and accepted in slot 3.
    fn found(promised: u32, accepted: Option<u32>, vote: Vote) -> Restored {
        let accepted = accepted.map(|round| (ballot(round), Command::no_op()));
        Restored { chosen: Slot(2), promised: ballot(promised), accepted, vote, ..Restored::default() }
    }

    /// A replica that accepted in slot 3, and then promised more.
    fn replica() -> Replica {
        let mut replica = Replica::default();
        replica.synced(&Record::Accept { slot: Slot(3), ballot: ballot(4), command: Command::no_op() });
        replica.synced(&promise(3, 5));
        replica
    }

    #[test]
    fn a_start_that_reads_all_of_it_may_vote_after_one_that_did_not() {
        let mut replica = replica();
        replica.restarted(0, &found(0, None, Vote::LearnerOnly)).unwrap();
        assert!(replica.check_vote(0, &promise(3, 9)).is_err());
        replica.restarted(0, &found(5, Some(4), Vote::From(Slot(2)))).unwrap();
        replica.check_vote(0, &promise(3, 9)).unwrap();
        assert!(replica.check_vote(0, &promise(2, 9)).is_err(), "below where it began");
    }

    #[test]
    fn a_start_that_lacks_anything_and_votes_there_is_noticed() {
        for lacks in [
            found(4, Some(4), Vote::Voting),
            found(5, None, Vote::Voting),
            found(5, Some(3), Vote::From(Slot(3))),
        ] {
            let mut replica = replica();
            assert!(replica.restarted(0, &lacks).is_err(), "{lacks:?}");
            replica.restarted(0, &found(0, None, Vote::LearnerOnly)).unwrap();
            assert!(replica.restarted(0, &lacks).is_err(), "{lacks:?}, after a start that learned");
        }
    }

    #[test]
    fn what_was_lost_may_be_lacked_below_the_floor_only() {
        let mut replica = replica();
        replica.restarted(0, &found(0, None, Vote::LearnerOnly)).unwrap();
        replica.check_vote(0, &promise(4, 1)).unwrap();
        replica.restarted(0, &found(0, None, Vote::From(Slot(4)))).unwrap();
        replica.check_vote(0, &promise(4, 1)).unwrap();
        replica.synced(&promise(4, 1));
        let forgets = Restored { chosen: Slot(3), ..found(0, None, Vote::From(Slot(4))) };
        assert!(replica.restarted(0, &forgets).is_err());
    }
}
