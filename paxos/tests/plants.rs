//! The checks are checked: every broken rule must be noticed, by random histories and by the search over a small group. Prints by
//! which check, and after how many histories and states.
#![allow(clippy::unwrap_used, reason = "tests may panic")]
#![allow(dead_code, reason = "not all of the scaffolding is used by every test")]

mod check;
mod exhaustive;
mod models;
mod random;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use exhaustive::{Model, explore};
use random::Disks;
use thermocline_paxos::plant::{self, Plant};

const SEEDS: u64 = 12_000;
/// A broken core need not come to an end: it may have more states than the right one, without a bound.
const STATES_MAX: usize = 3_000_000;

/// What histories reach too seldom: the harm of a floor from too few peers needs a vote that only one of them knows of.
const NOT_IN_HISTORIES: [Plant; 1] = [Plant::FloorFewPeers];

/// What shows only where journals are damaged; the searches lose whole disks alone.
const OF_DAMAGE: [Plant; 2] = [Plant::LostProves, Plant::HoleForgiven];

/// The model that is to notice a planted bug: one of those that do, and that are searched fast. `None` where none does.
fn model_for(planted: Plant) -> Option<&'static Model> {
    Some(match planted {
        Plant::ForgetPromise
        | Plant::CountBeforeDurable
        | Plant::AnswerBeforeDurable
        | Plant::QuorumTooSmall
        | Plant::FastByNonOwner
        | Plant::DuplicateCounted => &models::ONE_PROPOSER,
        Plant::BallotWithoutBoot => &models::PROPOSER_CRASHES,
        Plant::ChosenUnrecorded => &models::CRASH_IN_SLOT_2,
        Plant::FloorFewPeers | Plant::ProposedTwice => &models::FLOOR,
        Plant::OwnershipByBallot => &models::OWNERSHIP,
        // These may write without an end before anything is synced.
        Plant::AcceptBelowPromise | Plant::BallotByRound => &models::LATE,
        Plant::OwnValue | Plant::LosesOriginator | Plant::FastAfterPromise => &models::TWO_PROPOSERS,
        Plant::FormerOwner | Plant::LosesHeir => &models::HAND_OVER,
        Plant::LowestAdopted => &models::SECOND_PREPARE,
        Plant::PromiseBeforeDurable => &models::CRASH_BETWEEN,
        Plant::FloorTooLow | Plant::LearnerVotes => &models::AMNESIA,
        Plant::ReadIgnoresAccepted | Plant::ReadAlone | Plant::UndecidedServed => &models::READS,
        Plant::LearnerCountsInRead => &models::READS_AND_AMNESIA,
        // A proposal is given up at its fourth prepare: that is beyond what any of the models has the time for.
        Plant::ContendedForUnknown => return None,
        Plant::LostProves | Plant::HoleForgiven => return None,
        // What is written again is needed once a journal is cut short, which the models do not do.
        Plant::PromiseNotRenewed => return None,
    })
}

/// Where a planted bug was noticed, and as what.
type Caught = (String, String);

/// What a run says is wrong; an assertion of the core counts.
fn error_of(run: impl FnOnce() -> Result<(), String>) -> Option<String> {
    let error = catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(String::from("an assertion of the core")))
        .err()?;
    Some(error.lines().next().unwrap_or_default().chars().take(60).collect())
}

/// The first history, of three and five replicas in turn, in which something is noticed.
fn in_histories(seeds: u64, disks: Disks) -> Option<Caught> {
    for seed in 0..seeds {
        for count in [3, 5] {
            if let Some(error) = error_of(|| random::run(seed, count, 800, disks).map(drop)) {
                return Some((format!("history {} ({count} replicas)", seed + 1), error));
            }
        }
    }
    None
}

/// What the search of a model notices, and after how many states.
fn in_model(model: &Model) -> Option<Caught> {
    let mut states = 0;
    let run = || {
        let explored = explore(model, STATES_MAX);
        states = explored.states;
        explored.checked
    };
    // Where the core itself objects, the search ends without a count.
    error_of(run).map(|error| (format!("{}, {states} states", model.name), error))
}

#[test]
fn every_planted_bug_is_caught() {
    for disks in [Disks::Lost, Disks::Damaged] {
        assert_eq!(in_histories(300, disks), None, "a correct core is accused");
    }
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = vec![];
    for planted in Plant::ALL {
        plant::set(Some(planted));
        let model = model_for(planted);
        let seeds = if NOT_IN_HISTORIES.contains(&planted) { 0 } else { SEEDS };
        let disks = if OF_DAMAGE.contains(&planted) { Disks::Damaged } else { Disks::Lost };
        let found = [in_histories(seeds, disks), model.and_then(in_model)];
        plant::set(None);
        let cells = found.each_ref().map(|caught| match caught {
            Some((place, error)) => format!("{place}: {error}"),
            None => String::from("-"),
        });
        println!("| {planted:?} | {} | {} |", cells[0], cells[1]);
        if found.map(|caught| caught.is_some()) != [seeds > 0, model.is_some()] {
            missed.push(planted);
        }
    }
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}
