//! Keeps the schedule within what the store promises to survive.
//!
//! Promised is: nothing acknowledged is lost while a majority of the disks of each bucket keep what was synced to them. So
//! anything may happen to processes, links and clocks; disks fail, and lose what they had synced, at a minority of the nodes only.
//!
//! Not in the schedule, because the store does not promise to notice it yet: a disk that is put back to an earlier copy of
//! itself, and the last commit of a journal rotting before there is another.

use crate::fault::{Fault, Kind};

/// What was admitted so far.
#[derive(Debug)]
pub(crate) struct Atlas {
    nodes: usize,
    /// Nodes whose disk fails, or loses what it had; a bit for each.
    failing: u32,
}

impl Atlas {
    /// For a group of so many nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        Self { nodes, failing: 0 }
    }

    /// Whether the fault may happen on top of those admitted before; if so, it is admitted.
    pub(crate) fn admits(&mut self, fault: &Fault) -> bool {
        match fault.kind {
            // Such a replica may learn only, until the others, a majority of the group and all of them voting, give it a vote
            // floor. A read that fails during recovery is of that kind, too.
            Kind::FailedSync
            | Kind::FailedWrite
            | Kind::FailedRead
            | Kind::FullDisk
            | Kind::Rot
            | Kind::BrokenSector
            | Kind::Wipe => {
                let failing = self.failing | 1 << fault.node;
                let admitted = failing.count_ones() as usize <= (self.nodes - 1) / 2;
                if admitted {
                    self.failing = failing;
                }
                admitted
            }
            _ => true,
        }
    }
}
