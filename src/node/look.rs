//! What a test may look at (feature `test-util`).

use thermocline_paxos::{Bucket, Core, Slot};
use thermocline_tiers::hot::state::Part;

use super::worker::Worker;

impl Worker {
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part that has the bucket's state.
    pub(crate) fn state_of(&self, bucket: Bucket) -> &Part {
        self.part(bucket)
    }

    /// Whether it has forgotten something in this start, and that is written down.
    pub(crate) fn has_admitted(&self) -> bool {
        self.admissions > 0 && !self.is_admitting()
    }

    /// The first and the last slot whose commands the journal has, and how many there are.
    pub(crate) fn indexed(&self, bucket: Bucket) -> Option<(Slot, Slot, u64)> {
        self.index.span(bucket)
    }
}
