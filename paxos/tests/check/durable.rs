//! I3, durable before counted: what is chosen has a majority of synced votes at one ballot, a vote that is told is synced, and a
//! restart remembers all that is synced (DESIGN 2, I3; the invariants 1, 3, 6 and 12 of the test plan).

use thermocline_paxos::{Ballot, Command, Message, Record, Restored, Slot, Vote};

use super::{Checked, Fact, History, Memory, Votes};

impl Memory {
    /// A record is synced.
    pub(crate) fn note_synced(&mut self, record: &Record) -> Option<Fact> {
        let slot = record.slot();
        let (ballot, accepted) = match record {
            Record::Promise { ballot, .. } => (*ballot, Ballot::ZERO),
            Record::Accept { ballot, .. } => (*ballot, *ballot),
            _ => return None,
        };
        let synced = self.synced.entry(slot).or_default();
        *synced = (synced.0.max(ballot), synced.1.max(accepted));
        self.touched = self.touched.max(slot);
        (accepted.is_some() && self.voted.insert((slot, ballot))).then_some(Fact::Voted { slot, ballot })
    }

    /// The replica tells its record.
    pub(crate) fn check_told(&self, node: usize, message: &Message) -> Checked {
        if !message.durable || message.chosen {
            return Ok(());
        }
        let accepted = message.accepted.as_ref().map_or(Ballot::ZERO, |accepted| accepted.ballot);
        let synced = self.synced.get(&message.slot).copied().unwrap_or_default();
        if message.promised > synced.0 || accepted > synced.1 {
            return Err(format!("I3: replica {node} tells of {message:?}, but has synced only {synced:?}"));
        }
        Ok(())
    }

    /// The replica starts from its disk.
    pub(crate) fn check_restored(&self, node: usize, restored: &Restored) -> Checked {
        let slot = restored.chosen.next();
        let first = match restored.vote {
            Vote::Voting => slot,
            Vote::LearnerOnly => return Ok(()),
            Vote::From(floor) => slot.max(floor),
        };
        let accepted = restored.accepted.as_ref().map_or(Ballot::ZERO, |(ballot, _)| *ballot);
        for (at, (promised, voted)) in self.synced.range(first..) {
            if *at > slot || restored.promised < *promised || accepted < *voted {
                return Err(format!("I3: replica {node} restarts at {slot:?} and forgets a vote at {at:?}"));
            }
        }
        Ok(())
    }

    /// Nothing below a slot is told any more, and the replica is not started again: what was synced there does not matter.
    pub(crate) fn forget_below(&mut self, slot: Slot) {
        self.synced = self.synced.split_off(&slot);
    }

    /// Nothing is told any more, and nothing lost: only what others may count matters.
    pub(crate) fn keep_votes(&mut self) {
        *self = Self { voted: std::mem::take(&mut self.voted), ..Self::default() };
    }
}

impl History {
    /// Somebody is the first to say that a slot is chosen: the votes must be there.
    pub(super) fn check_majority(&self, slot: Slot, votes: &Votes<'_>) -> Checked {
        let Some(command) = self.chosen.get(&slot) else { return Ok(()) };
        let values = self.values.range((slot, Ballot::ZERO)..).take_while(|((at, _), _)| *at == slot);
        let enough =
            values.into_iter().any(|((_, ballot), id)| *id == command.id && votes.are_enough(slot, *ballot));
        if enough { Ok(()) } else { Err(format!("I3: slot {} is chosen without a synced majority", slot.0)) }
    }

    /// A replica's journal says what was chosen.
    pub(super) fn check_replayed(&self, node: usize, slot: Slot, command: &Command) -> Checked {
        if self.chosen.get(&slot) == Some(command) {
            return Ok(());
        }
        Err(format!("I3: replay of replica {node} yields {command:?} at slot {}", slot.0))
    }
}
