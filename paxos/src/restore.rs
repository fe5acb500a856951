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
///
/// A record further ahead is out of place: what was between is gone. What a replica may have voted there it has forgotten, until a
/// later record says from which floor it votes again. It learned the missing slots anew, in order, so that what it wrote of them
/// goes on where the hole began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    restored: Restored,
    /// A record was out of place, and no floor has been written since.
    forgets: bool,
}

impl Replay {
    /// Begins above a slot through which the state is known to be applied.
    #[must_use]
    pub fn new(applied: Slot) -> Self {
        Self { restored: Restored { chosen: applied, ..Restored::default() }, forgets: false }
    }

    /// Takes the next record. Adds to `chosen` the commands that are certain now, in the order of their slots.
    pub fn record(&mut self, record: Record, chosen: &mut alloc::vec::Vec<(Slot, Command)>) {
        let slot = record.slot();
        match record {
            Record::Floor { .. } => {
                self.restored.vote = Vote::From(self.floor().map_or(slot, |earlier| earlier.max(slot)));
                self.forgets = false;
            }
            Record::Installed { .. } => self.installed(slot),
            _ if slot <= self.restored.chosen => {
                // What was accepted last in the slot that the state ends with says nothing: another command may have been chosen there,
                // in a record that was lost, and that nobody wrote again as the state had it.
                if let (true, Record::Chosen { command, .. }) = (slot == self.restored.chosen, &record) {
                    self.restored.owner = command.next_owner();
                }
            }
            _ => self.in_order(record, chosen),
        }
    }

    /// A record of a slot that is not known to be chosen yet.
    fn in_order(&mut self, record: Record, chosen: &mut alloc::vec::Vec<(Slot, Command)>) {
        let slot = record.slot();
        if slot > self.restored.chosen.next() {
            match self.restored.accepted.take() {
                Some((_, command)) if slot == self.restored.chosen.next().next() => {
                    self.advance(command, chosen)
                }
                _ => return self.out_of_place(),
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

    /// The state through this slot came whole from another replica.
    fn installed(&mut self, slot: Slot) {
        if slot > self.restored.chosen {
            // It did not last, and what was voted for before may have lost since. All votes before this record are below its next
            // slot; so for a replica that has a floor, that slot is one.
            match self.floor() {
                Some(floor) if !self.forgets => {
                    self.out_of_place();
                    self.forgets = false;
                    self.restored.vote = Vote::From(floor.max(slot.next()));
                }
                _ => self.out_of_place(),
            }
        } else if slot == self.restored.chosen {
            self.restored.owner = None;
        }
    }

    /// Records of the bucket may be missing here. What was accepted last may have lost in one of them: the next slot's record does
    /// not prove it any more.
    pub fn lost(&mut self) {
        if !plant::on(Plant::LostProves) {
            self.restored.accepted = None;
        }
    }

    fn out_of_place(&mut self) {
        self.forgets = true;
        self.restored.promised = Ballot::ZERO;
        self.restored.accepted = None;
    }

    fn floor(&self) -> Option<Slot> {
        if let Vote::From(floor) = self.restored.vote { Some(floor) } else { None }
    }

    fn advance(&mut self, command: Command, chosen: &mut alloc::vec::Vec<(Slot, Command)>) {
        let restored = &mut self.restored;
        restored.chosen = restored.chosen.next();
        restored.owner = command.next_owner();
        restored.promised = Ballot::ZERO;
        restored.accepted = None;
        chosen.push((restored.chosen, command));
    }

    /// What the replica starts with. Records out of place make it a learner, unless a floor was written behind them.
    #[must_use]
    pub fn finish(self) -> Restored {
        let mut restored = self.restored;
        if plant::on(Plant::ForgetPromise) {
            (restored.promised, restored.accepted) = (Ballot::ZERO, None);
        }
        if self.forgets && !plant::on(Plant::HoleForgiven) {
            restored.vote = Vote::LearnerOnly;
        }
        restored
    }
}
