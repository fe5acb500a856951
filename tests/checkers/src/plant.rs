//! Test only: mistakes that a test can make a checker make, one at a time, to prove that the checkers' tests notice.
//!
//! Without the feature `plant`, `on` is the constant `false`.

#![cfg_attr(
    not(feature = "plant"),
    allow(unreachable_pub, dead_code, reason = "public with the feature only")
)]

/// A mistake of a checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// An operation of unknown outcome counts as one that was not applied.
    UnknownAsFailed = 1,
    /// An operation of unknown outcome counts as one that was applied.
    UnknownAsDone,
    /// What a read was answered is not looked at.
    ReadsIgnored,
    /// That an operation ended before another began means nothing.
    RealTimeIgnored,
    /// A compare-and-set that succeeded need not have met what it expected.
    ConditionIgnored,
    /// Two configurations of the search count as equal when the same operations were taken, whatever the state.
    StateForgotten,
    /// A search that gives up says that the history is right.
    GivesUpSilently,
    /// Two values of one version are not noticed.
    VersionTwice,
    /// A part of a batch is enough.
    HalfBatch,
    /// Scans need not be states of one series.
    ScansUnordered,
    /// A list is compared in its length only.
    ListByLength,
    /// Only the upper bound of a counter is looked at.
    CounterUpperOnly,
    /// A lost element is not noticed if it was not read before.
    LostUnlessRead,
    /// Only the first of the final reads is looked at.
    FinalReadOfOneNode,
    /// A token that was committed with two versions is not noticed.
    TokenTwice,
    /// Digests are compared whatever slot they are of.
    DigestWithoutSlot,
    /// Where lost operations are counted, one of them can happen many times.
    LostManyTimes,
    /// Where lost operations are counted, one of them can happen before it is called.
    LostBeforeCalled,
}

impl Plant {
    /// All of them.
    #[cfg(feature = "plant")]
    pub const ALL: [Self; 18] = [
        Self::UnknownAsFailed,
        Self::UnknownAsDone,
        Self::ReadsIgnored,
        Self::RealTimeIgnored,
        Self::ConditionIgnored,
        Self::StateForgotten,
        Self::GivesUpSilently,
        Self::VersionTwice,
        Self::HalfBatch,
        Self::ScansUnordered,
        Self::ListByLength,
        Self::CounterUpperOnly,
        Self::LostUnlessRead,
        Self::FinalReadOfOneNode,
        Self::TokenTwice,
        Self::DigestWithoutSlot,
        Self::LostManyTimes,
        Self::LostBeforeCalled,
    ];
}

#[cfg(feature = "plant")]
static PLANTED: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Makes one mistake in the whole process, or none.
#[cfg(feature = "plant")]
pub fn set(plant: Option<Plant>) {
    PLANTED.store(plant.map_or(0, |plant| plant as u8), std::sync::atomic::Ordering::SeqCst);
}

#[cfg(feature = "plant")]
pub(crate) fn on(plant: Plant) -> bool {
    PLANTED.load(std::sync::atomic::Ordering::Relaxed) == plant as u8
}

#[cfg(not(feature = "plant"))]
pub(crate) const fn on(_: Plant) -> bool {
    false
}
