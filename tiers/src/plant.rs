//! Test only: bugs that a test can put in, one at a time, to prove that the checks notice.
//!
//! Without the feature `plant`, and outside of this crate's own tests, `on` is the constant `false`, and nothing of this is left
//! in the product.

#![cfg_attr(
    not(any(test, feature = "plant")),
    allow(unreachable_pub, reason = "public with the feature only")
)]

/// Names bugs. Under the condition there is a list of all of them.
#[doc(hidden)]
#[macro_export]
macro_rules! plants {
    ($all_if:meta; $($(#[$doc:meta])* $plant:ident),+ $(,)?) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Plant {
            $($(#[$doc])* $plant,)+
        }

        impl Plant {
            /// All of them.
            #[cfg($all_if)]
            pub const ALL: &[Self] = &[$(Self::$plant),+];
        }
    };
}

plants! {
    any(test, feature = "plant");
    /// A journal's checksums do not depend on the segment's generation, and nobody compares it.
    GenerationIgnored,
    /// A journal's record that does not verify is passed over without a word.
    BadRecordSkipped,
    /// A commit that does not verify always counts as a torn tail, whatever follows it.
    AnythingIsATornTail,
    /// The last commit is delivered as far as it verifies instead of being cut.
    TornTailDelivered,
    /// A poisoned journal goes on.
    PoisonForgotten,
    /// A commit goes to the page cache and is not synced.
    CommitNotSynced,
    /// The checksum of a record's payload is not looked at.
    PayloadChecksumIgnored,
    /// The checksum that ties a commit's records together is not looked at.
    CommitChecksumIgnored,
    /// A new segment takes commits before its name is durable.
    SegmentNameNotSynced,
    /// A catalog is one copy, written over in place.
    OneCatalog,
    /// Segments are given up before the catalog says so.
    ReleaseBeforeCatalog,
    /// Whether a segment that is only read goes on where the one before it ended is not looked at.
    HistoryChainIgnored,
    /// Where a journal's end is in doubt, nobody is told that something may be lost behind its last record.
    EndTakenForWhole,
    /// A journal that ends before a commit of which the caller knows is taken for whole.
    LostEndIgnored,
    /// What lies in segments that end in doubt is read with the rest of the history.
    SuspectRead,
    /// A manifest names runs that are not synced.
    ManifestBeforeSync,
    /// A manifest takes its place before it is synced.
    ManifestNotSynced,
    /// A manifest takes its place before the names of its runs are durable.
    RunNamesNotSynced,
    /// A flush counts as done before the manifest's name is durable.
    ManifestNameNotSynced,
    /// Runs that a merge replaces are removed before the manifest is.
    MergedRunsRemovedEarly,
    /// A flush installs its runs with two changes of the manifest.
    TwoManifests,
    /// Page checksums do not cover the page's offset.
    ChecksumWithoutAddress,
    /// A merge drops tombstones though older runs lie below.
    TombstoneTooEarly,
    /// A trim hides what is put after it, too.
    TrimHidesLater,
    /// A trim that is written to a run hides nothing any more.
    TrimForgotten,
}

#[cfg(any(test, feature = "plant"))]
mod planted {
    use std::cell::Cell;
    use std::thread::LocalKey;

    use super::Plant;

    thread_local! {
        static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
    }

    /// Whether a bug is in on this thread.
    pub(crate) fn on(plant: Plant) -> bool {
        PLANTED.get() == Some(plant)
    }

    /// Runs something with a bug in, on this thread alone.
    pub fn with<T>(plant: Plant, run: impl FnOnce() -> T) -> T {
        with_in(&PLANTED, plant, run)
    }

    /// The same for the bugs of another crate, in a place of its own. Afterwards none is in, even if `run` has panicked.
    pub fn with_in<P: 'static, T>(
        place: &'static LocalKey<Cell<Option<P>>>,
        plant: P,
        run: impl FnOnce() -> T,
    ) -> T {
        struct Uproot<P: 'static>(&'static LocalKey<Cell<Option<P>>>);
        impl<P> Drop for Uproot<P> {
            fn drop(&mut self) {
                self.0.set(None);
            }
        }
        let _uproot = Uproot(place);
        place.set(Some(plant));
        run()
    }
}

#[cfg(any(test, feature = "plant"))]
pub(crate) use self::planted::on;
#[cfg(any(test, feature = "plant"))]
pub use self::planted::{with, with_in};

#[cfg(not(any(test, feature = "plant")))]
pub(crate) const fn on(_: Plant) -> bool {
    false
}
