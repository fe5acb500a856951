//! Test only: rules of the protocol that a test can break, one at a time, to prove that the checks notice.
//!
//! Without the feature `plant`, `on` is the constant `false`, and nothing of this is left in the product.

#![cfg_attr(not(feature = "plant"), allow(unreachable_pub, reason = "public with the feature only"))]

use crate::{Ballot, Known};

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plant {
    /// A restart forgets what was promised and accepted in the open slot.
    ForgetPromise = 1,
    /// A replica counts its own vote before it is synced.
    CountBeforeDurable,
    /// A replica tells its vote before it is synced.
    AnswerBeforeDurable,
    /// An acceptance does not look at the promise.
    AcceptBelowPromise,
    /// Half of the replicas are a majority.
    QuorumTooSmall,
    /// A proposer ignores what others have accepted.
    OwnValue,
    /// A proposer adopts the value at the lowest ballot.
    LowestAdopted,
    /// Ballots carry no boot, and are used again after a restart.
    BallotWithoutBoot,
    /// Anybody may use the fast ballot.
    FastByNonOwner,
    /// The next slot belongs to whoever issued the ballot, not to the originator of the value.
    OwnershipByBallot,
    /// An answer that comes twice counts twice.
    DuplicateCounted,
    /// The vote floor is one too low.
    FloorTooLow,
    /// The vote floor is taken from one peer less than a majority.
    FloorFewPeers,
    /// A replica that lost its memory votes.
    LearnerVotes,
    /// A read counts replicas that do not vote.
    LearnerCountsInRead,
    /// A read does not look at what is accepted in the next slot.
    ReadIgnoresAccepted,
    /// A recovered command is proposed without its originator.
    LosesOriginator,
    /// A recovered command is proposed without its heir.
    LosesHeir,
    /// Who hands a bucket over goes on as if it owned it.
    FormerOwner,
    /// Ballots are compared by their round alone.
    BallotByRound,
    /// A proposer counts its own promise before it is synced.
    PromiseBeforeDurable,
    /// The owner uses its fast ballot after it has promised a higher one.
    FastAfterPromise,
    /// A decision is not written down where this replica voted for another command.
    ChosenUnrecorded,
    /// A proposal goes on in the next slot although it was chosen.
    ProposedTwice,
    /// A command that was given up while votes for it are under way counts as never to be chosen.
    ContendedForUnknown,
    /// A read is served by what the reader knows alone.
    ReadAlone,
    /// A read is served at a slot that is accepted somewhere, and not decided.
    UndecidedServed,
    /// What was accepted before records were lost counts as decided when a record of the next slot comes.
    LostProves,
    /// Records that are out of place in a damaged journal make no learner, whatever was voted in them.
    HoleForgiven,
    /// A promise above what was accepted is not written down again with it.
    PromiseNotRenewed,
}

impl Plant {
    /// All of them.
    #[cfg(feature = "plant")]
    pub const ALL: [Self; 30] = [
        Self::ForgetPromise,
        Self::CountBeforeDurable,
        Self::AnswerBeforeDurable,
        Self::AcceptBelowPromise,
        Self::QuorumTooSmall,
        Self::OwnValue,
        Self::LowestAdopted,
        Self::BallotWithoutBoot,
        Self::FastByNonOwner,
        Self::OwnershipByBallot,
        Self::DuplicateCounted,
        Self::FloorTooLow,
        Self::FloorFewPeers,
        Self::LearnerVotes,
        Self::LearnerCountsInRead,
        Self::ReadIgnoresAccepted,
        Self::LosesOriginator,
        Self::LosesHeir,
        Self::FormerOwner,
        Self::BallotByRound,
        Self::PromiseBeforeDurable,
        Self::FastAfterPromise,
        Self::ChosenUnrecorded,
        Self::ProposedTwice,
        Self::ContendedForUnknown,
        Self::ReadAlone,
        Self::UndecidedServed,
        Self::LostProves,
        Self::HoleForgiven,
        Self::PromiseNotRenewed,
    ];
}

#[cfg(feature = "plant")]
static PLANTED: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);

/// Breaks one rule in the whole process, or none.
#[cfg(feature = "plant")]
pub fn set(plant: Option<Plant>) {
    PLANTED.store(plant.map_or(0, |plant| plant as u8), core::sync::atomic::Ordering::SeqCst);
}

#[cfg(feature = "plant")]
pub(crate) fn on(plant: Plant) -> bool {
    PLANTED.load(core::sync::atomic::Ordering::Relaxed) == plant as u8
}

#[cfg(not(feature = "plant"))]
pub(crate) const fn on(_: Plant) -> bool {
    false
}

/// As whose a member's record is counted.
pub(crate) fn counted_as(index: usize, before: Ballot, now: Ballot, members: usize) -> usize {
    if on(Plant::DuplicateCounted) && before == now { (index + 1) % members } else { index }
}

/// Whether a value is accepted against the rule.
pub(crate) fn accepts(ballot: Ballot, own: Known) -> bool {
    ballot != own.accepted
        && (on(Plant::AcceptBelowPromise) || on(Plant::BallotByRound) && ballot.round >= own.promised.round)
}

/// Whether what was told at a ballot gives way to what is told at another.
pub(crate) fn goes_before(known: Ballot, told: Ballot) -> bool {
    if on(Plant::LowestAdopted) { known > told } else { known < told }
}

/// How many answers make a vote floor.
pub(crate) fn floor_answers(majority: usize) -> usize {
    if on(Plant::FloorFewPeers) { majority - 1 } else { majority }
}
