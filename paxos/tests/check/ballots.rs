//! I4, a ballot is used once: it never carries two values at a slot, whatever its proposer forgot (DESIGN 2, I4).

use std::collections::btree_map::Entry;

use thermocline_paxos::{Ballot, CommandId, Slot};

use super::History;

impl History {
    /// A vote for a value is written, or told. `true` for the first at its ballot.
    pub(super) fn check_ballot(
        &mut self,
        slot: Slot,
        ballot: Ballot,
        id: Option<CommandId>,
    ) -> Result<bool, String> {
        match self.values.entry((slot, ballot)) {
            Entry::Vacant(entry) => {
                entry.insert(id);
                Ok(true)
            }
            Entry::Occupied(known) if *known.get() == id => Ok(false),
            Entry::Occupied(known) => Err(format!(
                "I4: slot {} ballot {ballot:?} has the values {:?} and {id:?}",
                slot.0,
                known.get()
            )),
        }
    }
}
