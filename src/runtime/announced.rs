//! A flag that is announced when it changes.

use super::sync::{AtomicBool, Ordering};

/// The flag. Two threads may change it at once, and their announcements may come in any order: an announcement does not say what the
/// flag is, whoever hears it reads that. So who has heard all of them knows what it is.
pub(super) struct Announced(AtomicBool);

impl Announced {
    pub(super) fn new(value: bool) -> Self {
        Self(AtomicBool::new(value))
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Changes the flag and then announces it, if it was another.
    pub(super) fn set(&self, value: bool, announce: impl FnOnce()) {
        if self.0.swap(value, Ordering::SeqCst) != value {
            announce();
        }
    }
}
