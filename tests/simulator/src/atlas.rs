//! Keeps the schedule within what the store promises to survive.
//!
//! Promised is: nothing acknowledged is lost while a majority of the disks of each bucket keep what was synced to them. So
//! anything may happen to processes, links and clocks; disks fail, and lose what they had synced, at a minority of the nodes only.
//!
//! A disk is put back to an earlier copy only where all other nodes remember, durably, a life that the copy does not account for
//! (`World::put_back`): what only some of them remember can be hidden by their absence, and is beyond what is promised. From then on
//! everybody may be killed and started at any moment. And it is not put back to before it was replaced: such a
//! directory takes no part any more, which is no fault to heal from.
//!
//! Not in the schedule, because the store does not promise to notice it: the last commit of a journal rotting before there is another, or
//! read from a wrong place at a start.

use crate::fault::{Fault, Kind};

/// What was admitted so far.
#[derive(Debug)]
pub(crate) struct Atlas {
    nodes: usize,
    /// Nodes whose disk fails, or loses what it had; a bit for each.
    failing: u32,
    /// Nodes whose disk is replaced, and nodes whose disk is put back.
    replaced: [u32; 2],
}

impl Atlas {
    /// For a group of so many nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        Self { nodes, failing: 0, replaced: [0; 2] }
    }

    /// Whether the fault may happen on top of those admitted before; if so, it is admitted.
    pub(crate) fn admits(&mut self, fault: &Fault) -> bool {
        let bit = 1 << fault.node;
        let at_odds = match fault.kind {
            Kind::Wipe => self.replaced[1] & bit != 0,
            Kind::RollBack => self.replaced[0] & bit != 0,
            _ => false,
        };
        if at_odds {
            return false;
        }
        if !fault.kind.is_of_disks() {
            return true;
        }
        // Such a replica may learn only, until the others, a majority of the group and all of them voting, give it a vote floor. A
        // read that fails during recovery is of that kind, too.
        let failing = self.failing | bit;
        let admitted = failing.count_ones() as usize <= (self.nodes - 1) / 2;
        if admitted {
            self.failing = failing;
            self.replaced[0] |= if fault.kind == Kind::Wipe { bit } else { 0 };
            self.replaced[1] |= if fault.kind == Kind::RollBack { bit } else { 0 };
        }
        admitted
    }
}
