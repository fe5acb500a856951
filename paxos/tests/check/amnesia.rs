//! I6, amnesia does not vote: a replica that was wiped never votes again at a slot that its lost self had touched
//! (DESIGN 2, I6; bug 36 of the test plan).

use thermocline_paxos::{Record, Slot};

use super::{Checked, History};

impl History {
    /// A replica's disk is gone.
    pub(crate) fn note_wiped(&mut self, node: usize) {
        let touched = self.synced.keys().filter(|(of, _)| *of == node).map(|(_, slot)| *slot).max();
        let lost = self.lost_through.entry(node).or_default();
        *lost = (*lost).max(touched.unwrap_or_default());
        self.synced.retain(|(of, _), _| *of != node);
    }

    /// A vote is written.
    pub(crate) fn check_amnesia(&self, node: usize, record: &Record) -> Checked {
        let lost = self.lost_through.get(&node).copied().unwrap_or(Slot(0));
        match record {
            Record::Promise { slot, .. } | Record::Accept { slot, .. } if *slot <= lost => Err(format!(
                "I6: replica {node} votes at slot {}, but its lost self had touched {}",
                slot.0, lost.0
            )),
            _ => Ok(()),
        }
    }
}
