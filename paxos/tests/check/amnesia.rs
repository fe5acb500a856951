//! I6, amnesia does not vote: a replica whose disk was wiped, or put back to what it was earlier, never votes again at a slot that
//! its lost self had touched (DESIGN 2, I6; bug 36 of the test plan).

use thermocline_paxos::{Record, Slot};

use super::{Checked, Memory};

impl Memory {
    /// The disk is gone, or forgot the end of what it had.
    pub(crate) fn note_lost(&mut self) {
        self.lost_through = self.lost_through.max(self.touched);
        self.touched = Slot(0);
        self.synced.clear();
    }

    /// A vote is written.
    pub(crate) fn check_vote(&self, node: usize, record: &Record) -> Checked {
        match record {
            Record::Promise { slot, .. } | Record::Accept { slot, .. } if *slot <= self.lost_through => {
                Err(format!(
                    "I6: replica {node} votes at slot {}, but its lost self had touched {}",
                    slot.0, self.lost_through.0
                ))
            }
            _ => Ok(()),
        }
    }
}
