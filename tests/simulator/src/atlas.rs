//! Keeps the schedule within what the store promises to survive.
//!
//! Promised is: nothing acknowledged is lost while a majority of the disks of each bucket keep what was synced to them. So
//! anything may happen to processes, links and clocks, and any disk may fail loudly; what a disk *silently* loses of what it
//! has synced is admitted for a minority only.

use crate::fault::{Fault, Kind};

/// What was admitted so far.
#[derive(Debug)]
pub(crate) struct Atlas {
    nodes: usize,
    /// Nodes whose disk fails on its own: bit by bit.
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
            // A sync that fails loses what it was to make durable, and may leave the node unable to go on until it restarts.
            Kind::FailedSync | Kind::FailedWrite | Kind::FailedRead | Kind::FullDisk => {
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
