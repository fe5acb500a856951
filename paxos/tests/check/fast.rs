//! I5, one fast proposer: round 0 of a slot belongs to the heir or originator of what was chosen before (DESIGN 2 I5, 4 F1), and
//! I2, sequence: a slot is voted on only once the one before it is chosen.

use thermocline_paxos::{Originator, Record, Slot};

use super::{Checked, History};

impl History {
    /// A vote is written. `founder` owns slot 1.
    pub(crate) fn check_fast(&self, record: &Record, founder: Originator) -> Checked {
        let slot = match record {
            Record::Promise { slot, .. } | Record::Accept { slot, .. } => *slot,
            _ => return Ok(()),
        };
        let before = Slot(slot.0 - 1);
        if before > Slot(0) && !self.chosen.contains_key(&before) {
            return Err(format!("I2: slot {} is open before {} is chosen", slot.0, before.0));
        }
        let Record::Accept { ballot, .. } = record else { return Ok(()) };
        if ballot.round > 0 {
            return Ok(());
        }
        let owner = match before {
            Slot(0) => Some(founder),
            _ => self.chosen.get(&before).and_then(thermocline_paxos::Command::next_owner),
        };
        if owner == Some(ballot.proposer()) {
            Ok(())
        } else {
            Err(format!("I5: {ballot:?} is fast at slot {}, owned by {owner:?}", slot.0))
        }
    }
}
