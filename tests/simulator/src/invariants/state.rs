//! The state on a disk is never ahead of the journal on it: else a crash would leave a gap in the journal, and a peer that
//! lacks the commands in it could not be helped.

use thermocline::machine::Machine;

use super::{Checked, Invariants};

impl Invariants {
    /// A part of a node's state was written.
    pub(crate) fn check_state(&self, node: usize, machine: &Machine) -> Checked {
        for bucket in self.groups.keys() {
            let (state, journal) = (machine.durable(*bucket), self.synced_command(node, *bucket));
            if state > journal {
                return Err(format!(
                    "bucket {}: the state of node {} is written through slot {}, its journal is synced through {}",
                    bucket.0,
                    node + 1,
                    state.0,
                    journal.0
                ));
            }
        }
        Ok(())
    }
}
