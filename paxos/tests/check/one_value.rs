//! I1, one value per slot; and a command is chosen once at most (DESIGN 2, I1; Lamport, "The Part-Time Parliament").

use thermocline_paxos::{Command, CommandId, ProposalOutcome, Slot};

use super::{Checked, History};

impl History {
    /// A replica says that `command` is chosen. `true` if it is the first.
    pub(super) fn check_one_value(
        &mut self,
        node: usize,
        slot: Slot,
        command: &Command,
    ) -> Result<bool, String> {
        if let Some(known) = self.chosen.get(&slot) {
            if known != command {
                return Err(format!("I1: slot {} is {known:?}; replica {node} has {command:?}", slot.0));
            }
            return Ok(false);
        }
        if let Some(id) = command.id {
            if let Some(other) = self.slot_of.insert(id, slot) {
                return Err(format!("I1: {id:?} is chosen at slots {} and {}", other.0, slot.0));
            }
            if self.contended.contains(&id) {
                return Err(format!("I15: {id:?} was said never to be chosen, and is at slot {}", slot.0));
            }
        }
        self.chosen.insert(slot, command.clone());
        Ok(true)
    }

    /// A proposer says how its proposal ended.
    pub(super) fn check_outcome(&mut self, id: CommandId, outcome: ProposalOutcome) -> Checked {
        let slot = self.slot_of.get(&id).copied();
        match outcome {
            ProposalOutcome::ChosenAt(at) if slot != Some(at) => Err(format!("I15: {id:?} is not at {at:?}")),
            ProposalOutcome::Contended if slot.is_some() => {
                Err(format!("I15: {id:?} is chosen, not contended"))
            }
            ProposalOutcome::Contended => {
                self.contended.insert(id);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
