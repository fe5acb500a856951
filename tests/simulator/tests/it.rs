//! The simulator itself: it repeats, and what it runs is green.

use thermocline_simulator::explore::{Exploration, explore};
use thermocline_simulator::{Bias, run};

#[test]
fn the_same_seed_gives_the_same_trace() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 1..=6 {
        let (first, second) = (run(seed, Bias::None, false), run(seed, Bias::None, false));
        assert_eq!(first, second);
        hashes.insert(first.hash);
    }
    assert_eq!(hashes.len(), 6, "other seeds have other traces");
}

#[test]
fn a_few_seeds_are_green() {
    let explored = explore(&Exploration::new(1_000, 12, 2));
    assert_eq!(explored.failures, []);
    assert!(explored.tally.succeeded > 500, "{:?}", explored.tally);
}

/// In this run two clients call a node that is down, again and again.
#[test]
fn calls_that_nobody_hears_are_known_to_have_failed() {
    let run = run(1_795_277_220, Bias::None, false);
    assert_eq!(run.failure, None);
    assert!(run.tally.unknown * 10 < run.tally.operations, "{:?}", run.tally);
}

/// Each was red once; what it found is in `tests/RESULTS.md`.
#[test]
fn seeds_that_were_red_stay_green() {
    for (seed, bias) in [
        (200_017, Bias::None),
        (202_744, Bias::None),
        (651_001_073_607, Bias::None),
        (9_057_616, Bias::None),
        (446, Bias::Losses),
        (7135, Bias::Losses),
        (7282, Bias::Losses),
        (6227, Bias::Losses),
        (6299, Bias::Losses),
        (6706, Bias::Losses),
        (7358, Bias::Losses),
        (7544, Bias::Losses),
        (7934, Bias::Losses),
        (7551, Bias::Losses),
        (6035, Bias::Losses),
        (6070, Bias::Losses),
        (6731, Bias::Losses),
        (7507, Bias::Losses),
        (8914, Bias::Losses),
        (8925, Bias::Losses),
        (1_001_382, Bias::Losses),
        (1_002_292, Bias::Losses),
        (1_000_174, Bias::Losses),
        (10_090, Bias::Losses),
        (8_007_860, Bias::Losses),
        (103_766_367_759, Bias::None),
    ] {
        assert_eq!(run(seed, bias, false).failure, None, "cargo sim {seed}, {bias:?}");
    }
}

#[test]
fn a_few_seeds_that_lose_disks_are_green() {
    let explored = explore(&Exploration { bias: Bias::Losses, ..Exploration::new(1, 8, 2) });
    assert_eq!(explored.failures, []);
    let lost = |kind| explored.tally.faults.iter().any(|(name, number)| name.contains(kind) && *number > 0);
    assert!(lost("wiped disk") || lost("put back"), "{:?}", explored.tally.faults);
}

/// A canary: should the simulator go blind, it shows here. All bugs: `cargo sim --plants`.
#[cfg(feature = "plant")]
#[test]
fn bugs_that_are_put_in_are_noticed() {
    use thermocline::plant::Plant;
    use thermocline_simulator::plants::{Bug, hunt};
    for bug in [Plant::FlushAheadOfJournal, Plant::TimeoutIsFailure, Plant::ReadsLocally, Plant::BootRepeated]
    {
        let hunted = hunt(Bug::Node(bug), 200, 2);
        assert!(hunted.caught.is_some(), "{bug:?} is not noticed");
    }
}
