//! A node can read back from its journal, for peers that lack them, all commands from the first one that it kept through the
//! last one that it applied: the index has no gap.

use thermocline::machine::{Indexed, Machine};
use thermocline_paxos::Slot;

use super::{Checked, Invariants};

impl Invariants {
    /// A node has started, or its state on the disk has changed.
    pub(crate) fn check_index(&self, node: usize, machine: &Machine) -> Checked {
        for bucket in self.groups.keys() {
            let Some(Indexed { first, last, count }) = machine.indexed(*bucket) else { continue };
            if last.0 + 1 - first.0 != count || last < machine.durable(*bucket) {
                return Err(format!(
                    "bucket {}: the journal of node {} has {count} commands from slot {} to {}; its state reaches {}",
                    bucket.0,
                    node + 1,
                    first.0,
                    last.0,
                    machine.durable(*bucket).0
                ));
            }
        }
        Ok(())
    }

    /// The last slot whose command a node has synced.
    pub(super) fn synced_command(&self, node: usize, bucket: thermocline_paxos::Bucket) -> Slot {
        self.commands.get(&(node, bucket)).copied().unwrap_or_default()
    }
}
