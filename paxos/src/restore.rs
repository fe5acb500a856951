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
///
/// What is out of place once stays so: each later start is to give it to [`void`](Replay::void). Else a state that has come further meanwhile
/// would put it in place again, also where the log has gone on otherwise, because a majority had lost these slots and they were given up.
///
/// Where the state came whole from another replica and did not last, that is as if it had not come; but if the replica has voted since, or the
/// state [is wiped](Replay::wiped), the log goes on ahead of the state. Either way no vote is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    restored: Restored,
    /// The highest slot of a record that was out of place, if nothing has made up for it since.
    forgets: Option<Slot>,
    /// The state through this slot came whole, did not last, and nothing was recorded since.
    installed: Option<Slot>,
    /// Whether there is no other replica: then what it accepted is chosen.
    is_only: bool,
}

impl Replay {
    /// Begins above a slot through which the state is known to be applied.
    #[must_use]
    pub fn new(applied: Slot) -> Self {
        let restored = Restored { chosen: applied, ..Restored::default() };
        Self { restored, forgets: None, installed: None, is_only: false }
    }

    /// Of a replica that is the only one of its bucket: a hole behind what it accepted takes nothing from that.
    #[must_use]
    pub fn of_only_replica(self) -> Self {
        Self { is_only: true, ..self }
    }

    /// The highest slot that is known to be chosen so far.
    #[must_use]
    pub fn chosen(&self) -> Slot {
        self.restored.chosen
    }

    /// Whether what was promised, accepted or chosen in this slot says nothing more: such a record need not be given to
    /// [`record`](Replay::record).
    #[must_use]
    pub fn is_past(&self, slot: Slot) -> bool {
        slot < self.restored.chosen
    }

    /// Takes the next record. Adds to `chosen` the commands that are certain now, in the order of their slots.
    ///
    /// Says whether it is in place. If it is not, then neither it nor what was recorded before it of slots above
    /// [`chosen`](Replay::chosen) counts for anything from here on.
    pub fn record(&mut self, record: Record, chosen: &mut alloc::vec::Vec<(Slot, Command)>) -> bool {
        let slot = record.slot();
        match record {
            Record::Floor { .. } => {
                // The last one: it is beyond all votes before it, or what was beyond it was given up.
                self.restored.vote = Vote::From(slot);
                self.forgets = None;
            }
            Record::Installed { .. } => self.installed(slot),
            _ if slot <= self.restored.chosen => {
                // What was accepted last in the slot that the state ends with says nothing: another command may have been chosen there,
                // in a record that was lost, and that nobody wrote again as the state had it.
                if let (true, Record::Chosen { command, .. }) = (slot == self.restored.chosen, &record) {
                    self.restored.owner = command.next_owner();
                }
            }
            _ => return self.in_order(record, chosen),
        }
        true
    }

    /// Takes a record of a slot that an earlier start has found out of place, or that was recorded before such a one and did not count any
    /// more. It proves what it proved then.
    pub fn void(&mut self, slot: Slot, chosen: &mut alloc::vec::Vec<(Slot, Command)>) {
        if slot > self.restored.chosen {
            self.prove(slot, chosen);
        }
        if slot > self.restored.chosen {
            self.out_of_place(slot);
        }
    }

    /// A record of a slot that is not known to be chosen yet. Says whether it is in place.
    fn in_order(&mut self, record: Record, chosen: &mut alloc::vec::Vec<(Slot, Command)>) -> bool {
        let slot = record.slot();
        self.prove(slot, chosen);
        if slot > self.restored.chosen.next() {
            self.out_of_place(slot);
            return false;
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
        true
    }

    /// What there is to be known of earlier slots, as something was recorded of this one.
    fn prove(&mut self, slot: Slot, chosen: &mut alloc::vec::Vec<(Slot, Command)>) {
        if let Some(installed) = self.installed.take().filter(|installed| *installed < slot) {
            self.pass_over(installed);
        }
        let open = self.restored.chosen.next();
        if slot > open
            && let Some((_, command)) = self.restored.accepted.take()
            && (slot == open.next() || self.is_only)
        {
            self.advance(command, chosen);
        }
    }

    /// The state through this slot came whole from another replica, or began to come.
    fn installed(&mut self, slot: Slot) {
        if slot > self.restored.chosen {
            self.installed = Some(slot);
        } else if slot == self.restored.chosen {
            self.restored.owner = None;
        }
    }

    /// Nothing of the bucket's state is left, as it was to come whole: the log goes on behind it.
    pub fn wiped(&mut self) {
        if let Some(slot) = self.installed.take() {
            self.pass_over(slot);
        }
    }

    /// All slots through this one are decided, whatever was voted for in them. All votes before are in these slots.
    fn pass_over(&mut self, slot: Slot) {
        self.restored.chosen = slot;
        self.restored.owner = None;
        self.restored.promised = Ballot::ZERO;
        self.restored.accepted = None;
        // What was lost before a record is at slots up to that record's.
        self.forgets = self.forgets.filter(|out_of_place| *out_of_place > slot);
    }

    /// Records of the bucket may be missing here. What was accepted last may have lost in one of them: the next slot's record does
    /// not prove it any more.
    pub fn lost(&mut self) {
        if !plant::on(Plant::LostProves) {
            self.restored.accepted = None;
        }
    }

    fn out_of_place(&mut self, slot: Slot) {
        self.forgets = self.forgets.max(Some(slot));
        self.restored.promised = Ballot::ZERO;
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

    /// What the replica starts with. Records out of place make it a learner, unless a floor was written behind them.
    #[must_use]
    pub fn finish(self) -> Restored {
        let mut restored = self.restored;
        if plant::on(Plant::ForgetPromise) {
            (restored.promised, restored.accepted) = (Ballot::ZERO, None);
        }
        if self.forgets.is_some() && !plant::on(Plant::HoleForgiven) {
            restored.vote = Vote::LearnerOnly;
        }
        restored
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Boot, CommandId, NodeId};

    #[test]
    fn a_record_that_is_past_changes_nothing() {
        let ballot = Ballot { round: 7, node: NodeId(2), boot: Boot { disk: 1, count: 1 } };
        let originator = Originator { node: ballot.node, boot: ballot.boot };
        let id = Some(CommandId { originator, sequence: 1 });
        let command = Command { id, heir: None, payload: Bytes::new() };
        let replay = Replay::new(Slot(5));
        for slot in (1..=6).map(Slot) {
            let records = [
                Record::Promise { slot, ballot },
                Record::Accept { slot, ballot, command: command.clone() },
                Record::Chosen { slot, command: command.clone() },
            ];
            for record in records.into_iter().filter(|_| replay.is_past(slot)) {
                let (mut after, mut chosen) = (replay.clone(), alloc::vec::Vec::new());
                after.record(record, &mut chosen);
                assert_eq!((after, chosen.len()), (replay.clone(), 0));
            }
            assert_eq!(replay.is_past(slot), slot < Slot(5));
        }
    }
}
