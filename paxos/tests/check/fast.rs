//! I5, one fast proposer: round 0 of a slot belongs to the heir or originator of what was chosen before (DESIGN 2 I5, 4 F1), and
//! I2, sequence: a slot is voted on only once the one before it is chosen.

use thermocline_paxos::{Ballot, Command, Originator, Slot};

use super::{Checked, History};

impl History {
    fn owner_after(&self, slot: Slot) -> Option<Originator> {
        match slot {
            Slot(0) => Some(self.founder),
            slot => self.chosen.get(&slot).and_then(Command::next_owner),
        }
    }

    /// A replica starts, and takes somebody for the owner of the slot after `slot`: who is wrong would refuse the true one.
    pub(super) fn check_owner(&self, node: usize, slot: Slot, owner: Originator) -> Checked {
        let known = self.owner_after(slot);
        if known == Some(owner) {
            return Ok(());
        }
        Err(format!(
            "I5: replica {node} takes {owner:?} for the owner after slot {}, which is {known:?}",
            slot.0
        ))
    }

    /// A promise or a vote is written.
    pub(super) fn check_sequence(&self, slot: Slot) -> Checked {
        let before = Slot(slot.0 - 1);
        if before > Slot(0) && !self.chosen.contains_key(&before) {
            return Err(format!("I2: slot {} is open before {} is chosen", slot.0, before.0));
        }
        Ok(())
    }

    /// A value is written, or told.
    pub(super) fn check_fast(&self, slot: Slot, ballot: Ballot) -> Checked {
        if ballot.round > 0 {
            return Ok(());
        }
        let owner = self.owner_after(Slot(slot.0 - 1));
        if owner == Some(ballot.proposer()) {
            Ok(())
        } else {
            Err(format!("I5: {ballot:?} is fast at slot {}, owned by {owner:?}", slot.0))
        }
    }
}
