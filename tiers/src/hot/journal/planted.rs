//! Bugs to be switched on in tests, each of which some test must catch.

use std::cell::Cell;

use super::layout::Generation;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// Checksums do not depend on the segment's generation, and nobody compares it.
    GenerationIgnored,
    /// A record that does not verify is passed over without a word.
    BadRecordSkipped,
    /// A commit that does not verify always counts as a torn tail, whatever follows it.
    AnythingIsATornTail,
    /// The last commit is delivered as far as it verifies instead of being cut.
    TornTailDelivered,
    /// A poisoned journal goes on.
    PoisonForgotten,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

pub(super) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Runs `check` with the bug in place, on this thread alone.
pub(super) fn with<T>(bug: Bug, check: impl FnOnce() -> T) -> T {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            PLANTED.set(None);
        }
    }
    let _restore = Restore;
    PLANTED.set(Some(bug));
    check()
}

pub(super) fn generation(generation: Generation) -> Generation {
    if is_planted(Bug::GenerationIgnored) { Generation(0) } else { generation }
}

pub(super) fn same(found: Generation, expected: Generation) -> Generation {
    if is_planted(Bug::GenerationIgnored) { expected } else { found }
}
