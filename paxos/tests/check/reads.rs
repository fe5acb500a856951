//! I8, linearizable reads: a read sees every slot that anybody knew to be chosen before it began (DESIGN 4, R1 to R5).

use thermocline_paxos::Slot;

use super::{Checked, History};

impl History {
    /// A read that began when `bound` was the highest slot known anywhere is served at `at`.
    pub(crate) fn check_read(&self, bound: Slot, at: Slot) -> Checked {
        if at >= bound {
            Ok(())
        } else {
            Err(format!("I8: a read is served at slot {}, but {} was known before", at.0, bound.0))
        }
    }
}
