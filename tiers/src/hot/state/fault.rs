//! Bugs planted by tests, to show that the tests notice them.

use std::cell::Cell;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The manifest names runs that are not synced.
    ManifestBeforeSync,
    /// A flush installs its runs with two changes of the manifest.
    TwoManifests,
    /// Page checksums do not cover the page's offset.
    ChecksumWithoutAddress,
    /// A merge drops tombstones though older runs lie below.
    TombstoneTooEarly,
}

thread_local! {
    static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Whether the bug is in on this thread.
pub(super) fn planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Runs something on this thread with a bug in.
pub(super) fn with<T>(fault: Fault, run: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            PLANTED.set(None);
        }
    }
    PLANTED.set(Some(fault));
    let _reset = Reset;
    run()
}
