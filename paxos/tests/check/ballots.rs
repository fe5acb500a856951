//! I4, a ballot is used once: it never carries two values at a slot, whatever its proposer forgot (DESIGN 2, I4).

use thermocline_paxos::{Message, Record};

use super::{Checked, History};

impl History {
    /// A vote is written, or a message with one leaves.
    pub(crate) fn check_ballot_written(&mut self, record: &Record) -> Checked {
        match record {
            Record::Accept { slot, ballot, command } => self.value_of(*slot, *ballot, command.id),
            _ => Ok(()),
        }
    }

    /// See [`check_ballot_written`](Self::check_ballot_written).
    pub(crate) fn check_ballot_told(&mut self, message: &Message) -> Checked {
        match &message.accepted {
            Some(accepted) if !message.chosen => self.value_of(message.slot, accepted.ballot, accepted.id),
            _ => Ok(()),
        }
    }

    fn value_of(
        &mut self,
        slot: thermocline_paxos::Slot,
        ballot: thermocline_paxos::Ballot,
        id: Option<thermocline_paxos::CommandId>,
    ) -> Checked {
        let known = self.values.entry((slot, ballot)).or_insert(id);
        if *known == id {
            Ok(())
        } else {
            Err(format!("I4: slot {} ballot {ballot:?} has the values {known:?} and {id:?}", slot.0))
        }
    }
}
