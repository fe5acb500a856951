//! I8, linearizable reads: a read sees every slot that anybody knew to be chosen before it began, and none that is not decided
//! (DESIGN 4, R1 to R5; bugs 5 and 12 of the test plan).

use thermocline_paxos::{Slot, read::Verdict};

use super::{Checked, History};

impl History {
    /// A read that began when `bound` was the highest slot known anywhere may end so.
    pub(crate) fn check_read(&self, bound: Slot, verdict: Verdict) -> Checked {
        let (at, served) = match verdict {
            Verdict::Wait => return Ok(()),
            Verdict::Serve { at } => (at, true),
            Verdict::Finish { slot } => (slot, false),
        };
        if at < bound {
            return Err(format!("I8: a read is served at slot {}, but {} was known before", at.0, bound.0));
        }
        if served && at > self.highest() {
            return Err(format!("I8: a read is served at slot {}, which nobody knows to be decided", at.0));
        }
        Ok(())
    }
}
