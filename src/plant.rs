//! Test only: bugs of the node that a test can put in, one at a time, to prove that the checks notice.
//!
//! Without the feature `plant`, `on` is the constant `false`, and nothing of this is left in the product.

#![cfg_attr(not(feature = "plant"), allow(unreachable_pub, reason = "public with the feature only"))]

thermocline_tiers::plants! {
    feature = "plant";
    /// A flush of the state does not wait until the journal has synced what is in it.
    FlushAheadOfJournal,
    /// What was decided for a token is not looked up: a second copy is applied again.
    OutcomeIgnored,
    /// A compare-and-set succeeds on any version.
    ConditionIgnored,
    /// Of a batch, only the first change is applied.
    HalfABatch,
    /// A write that runs out of time is said to have failed, though a copy of it may be chosen.
    TimeoutIsFailure,
    /// A proposal that was given up is said to have failed, though a vote for it may be under way.
    GivenUpIsFailure,
    /// The refusal of one copy counts for all of them.
    RefusalSpeaksForAll,
    /// A write whose outcome is forgotten begins anew.
    ForgottenBeginsAnew,
    /// A read is answered from the asked node's state, without a word to the others.
    ReadsLocally,
    /// A read is answered before the slot that it needs is applied.
    ServesBeforeApplied,
    /// An answer is taken for one to whatever call has that place now.
    AnswersMistaken,
    /// The boot number is not raised.
    BootRepeated,
    /// Segments are given back that recovery needs.
    ReclaimsTooMuch,
    /// Segments are given back when their records are applied, durable or not.
    AppliedIsDurable,
    /// A peer is served commands of which it is not known that they were chosen.
    FetchServesUnsynced,
    /// Of a slot with several records, the first is served and not the last.
    FirstRecordServed,
    /// The next start replays the segment that was being written to, and nothing before it.
    ReplaysTooLittle,
    /// What lies in the journal's history is joined to what was replayed, whether it reaches to there or not.
    AnyPastJoined,
    /// A start that finds a bucket whose copy is not whole, and nothing of it in the journal, does not write down that it may have forgotten votes.
    WipedIsNoAmnesia,
    /// A start applies what its journal has of a bucket to a copy of it that is not whole.
    AppliedToHalfACopy,
    /// A copy takes the place of a state that was durable at a later slot.
    InstallsOlder,
    /// Where a bucket goes on without what was given up, reads are served before its first slot is decided.
    ServedBeforeGoingOn,
    /// A start does not know which records of its journal an earlier one could not use.
    HoleForgotten,
    /// It is joined also where records were lost that may have been written over it.
    PastJoinedOverLoss,
    /// Of a slot with several records, any is streamed.
    AnyRecordStreamed,
    /// The founding is told before it is written down.
    FoundingNotWritten,
    /// Whose directory it is, and that it was started, is written down after the journal was opened.
    IdentityAfterJournal,
    /// A small file takes its place before it is synced.
    SmallFileNotSynced,
    /// A small file counts as replaced before its name is durable.
    SmallFileNameNotSynced,
    /// A node takes what it is told without a look at whose life it is from.
    AnyLifeHeard,
    /// A vote of a peer counts although the peer does not hear this start of the node.
    DeafCounted,
    /// A replica that only learns answers the question for a vote floor.
    LearnerAnswersFloor,
    /// A bucket that is being installed is taken for whole from its first piece on.
    InstallingLooksWhole,
    /// A bucket is wiped, to be filled from another replica, before the journal says so.
    WipedBeforeRecorded,
    /// Where a peer says that it can be reached is believed, however old its topology is.
    AddressOfAnyEpoch,
    /// What a third node remembers of a node takes the place of what was heard of the node itself.
    HearsayDisplaces,
    /// What a third node remembers of a node's lives is not remembered.
    HearsayIgnored,
    /// Any start of a directory is taken for one that follows what is remembered of it.
    AnyStartContinues,
    /// A life is accounted for however short its journal is.
    AnyReachAccounts,
    /// A journal that is shorter than it was still accounts for what was in it.
    LostEndAccounted,
    /// A life that a peer is known to remember is dropped from a full list like any other.
    RememberedLifeDropped,
    /// A disk that nobody knows takes the place of another one as soon as a frame of it comes.
    AnyDiskDisplaces,
    /// A life of a peer is heard before it is written down.
    HeardBeforeWritten,
    /// A new life of a peer is not told to the others.
    NewLifeNotSpread,
    /// Who is not heard any more has voted, and answered, all the same.
    UnheardStillCounted,
    /// An answer for a vote floor counts in whichever life it comes.
    AnswerOfEarlierLifeCounted,
    /// The answer to a call of an earlier life is told to the next one.
    AnyLifeAnswered,
    /// What a directory admits to have forgotten its replicas go on with, until the next start.
    AdmittedNotForgotten,
    /// Who is not heard is not asked either what it remembers.
    QuestionOfTheUnheardIgnored,
    /// What a directory admits to lack is accounted for, and not written down as forgotten.
    AdmissionIsNoAmnesia,
    /// An admission is written down as soon as one worker has forgotten.
    AdmittedByOneWorker,
    /// A vote floor that was being written when a worker forgot counts afterwards.
    FloorUnderWayCounted,
    /// What a majority has lost is given up, and voted on, while an amnesia is being written down.
    GivenUpWhileAdmitting,
    /// A worker goes on by what it remembers of peers itself, whatever others of its node have written down.
    OtherWorkersUnheeded,
    /// A peer whose new life does not hear this node is taken to remember no life of it.
    DeafForgets,
    /// A disk accounts for the lives of any other disk of its node, as if it had been put in that one's place.
    AnyDiskAccounts,
    /// What is recorded again need not be synced before what it stands for goes.
    RenewalNotAwaited,
    /// What stands for an undecided slot lets what was decided before go, too.
    RenewalCoversDecided,
    /// The token of a write that waits stays as old as it is.
    BirthsStay,
    /// What has expired is there for conditions.
    ExpiredIsThere,
    /// A command that could not be applied is not tried again.
    AppliedOnce,
    /// A bucket that is wanted again is wanted as if for the first time.
    WantBeginsAnew,
}

#[cfg(feature = "plant")]
mod planted {
    use std::cell::Cell;

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
        thermocline_tiers::plant::with_in(&PLANTED, plant, run)
    }
}

#[cfg(feature = "plant")]
pub(crate) use self::planted::on;
#[cfg(feature = "plant")]
pub use self::planted::with;

#[cfg(not(feature = "plant"))]
pub(crate) const fn on(_: Plant) -> bool {
    false
}
