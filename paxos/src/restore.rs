//! From a journal's records to a replica's start.

use crate::plant::{self, Plant};
use crate::{Ballot, Command, Originator, Record, Slot};

/// In which slots a replica votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Vote {
    /// In all.
    #[default]
    Voting,
    /// In none: it lost, or may have lost, what it promised (I6).
    LearnerOnly,
    /// From its vote floor on.
    From(Slot),
}

/// What a replica starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Restored {
    /// The highest slot that is known to be chosen.
    pub chosen: Slot,
    /// Who owns the slot after, by the command chosen there, if that is known.
    pub owner: Option<Originator>,
    /// What was promised in the slot after.
    pub promised: Ballot,
    /// What was accepted in the slot after.
    pub accepted: Option<(Ballot, Command)>,
    /// In which slots it votes.
    pub vote: Vote,
    /// Whether its group is founded in this very start: then the first member owns slot 1 (F1).
    pub founder: bool,
}

/// Folds one bucket's records, in the order they were written, into what its replica starts with.
///
/// A replica touches slot s+1 only when it knows what was chosen at s, and writes that down first unless it is what it
/// accepted last. So a record of slot s+1 proves that s was decided, with the last command recorded for s, unless records between
/// them are [lost](Replay::lost).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    restored: Restored,
    /// A slot is missing, or has no command: what follows cannot be placed.
    gap: bool,
}

impl Replay {
    /// Begins above a slot through which the state is known to be applied.
    #[must_use]
    pub fn new(applied: Slot) -> Self {
        Self { restored: Restored { chosen: applied, ..Restored::default() }, gap: false }
    }

    /// Takes the next record. Adds to `chosen` the commands that are certain now, in the order of their slots.
    pub fn record(&mut self, record: Record, chosen: &mut alloc::vec::Vec<(Slot, Command)>) {
        if let Record::Floor { slot } = record {
            let floor = if let Vote::From(earlier) = self.restored.vote { earlier.max(slot) } else { slot };
            self.restored.vote = Vote::From(floor);
            return;
        }
        let slot = record.slot();
        if let Record::Installed { .. } = record {
            // Without the state that came with it, nothing behind it can be placed.
            self.gap |= slot > self.restored.chosen;
            if slot == self.restored.chosen {
                self.restored.owner = None;
            }
            return;
        }
        if slot <= self.restored.chosen || self.gap {
            // What was accepted last in the slot that the state ends with says nothing: another command may have been chosen there, in a
            // record that was lost, and that nobody wrote again as the state had it.
            if let (true, Record::Chosen { command, .. }) = (slot == self.restored.chosen, &record) {
                self.restored.owner = command.next_owner();
            }
            return;
        }
        if slot > self.restored.chosen.next() {
            match self.restored.accepted.take() {
                Some((_, command)) if slot == self.restored.chosen.next().next() => {
                    self.advance(command, chosen)
                }
                _ => {
                    self.gap = true;
                    return;
                }
            }
        }
        match record {
            Record::Promise { ballot, .. } => self.restored.promised = self.restored.promised.max(ballot),
            Record::Accept { ballot, command, .. } => {
                self.restored.promised = self.restored.promised.max(ballot);
                // A record that was written again later does not replace a higher vote.
                if self.restored.accepted.as_ref().is_none_or(|(accepted, _)| *accepted <= ballot) {
                    self.restored.accepted = Some((ballot, command));
                }
            }
            Record::Chosen { command, .. } => self.advance(command, chosen),
            Record::Floor { .. } | Record::Installed { .. } => {}
        }
    }

    /// Records of the bucket may be missing here. What was accepted last may have lost in one of them: the next slot's record does
    /// not prove it any more.
    pub fn lost(&mut self) {
        self.restored.accepted = None;
    }

    fn advance(&mut self, command: Command, chosen: &mut alloc::vec::Vec<(Slot, Command)>) {
        let restored = &mut self.restored;
        restored.chosen = restored.chosen.next();
        restored.owner = command.next_owner();
        restored.promised = Ballot::ZERO;
        restored.accepted = None;
        chosen.push((restored.chosen, command));
    }

    /// What the replica starts with. Records that could not be placed make it a learner.
    #[must_use]
    pub fn finish(self) -> Restored {
        let mut restored = self.restored;
        if plant::on(Plant::ForgetPromise) {
            (restored.promised, restored.accepted) = (Ballot::ZERO, None);
        }
        if self.gap {
            restored.vote = Vote::LearnerOnly;
            restored.promised = Ballot::ZERO;
            restored.accepted = None;
        }
        restored
    }
}
