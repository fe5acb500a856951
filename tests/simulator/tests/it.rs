//! The simulator itself: it repeats, and what it runs is green.

use thermocline_simulator::{explore, run};

#[test]
fn the_same_seed_gives_the_same_trace() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 1..=6 {
        let (first, second) = (run(seed, false), run(seed, false));
        assert_eq!(first, second);
        hashes.insert(first.hash);
    }
    assert_eq!(hashes.len(), 6, "other seeds have other traces");
}

#[test]
fn a_few_seeds_are_green() {
    let explored = explore::explore(1_000, 12, 2);
    assert_eq!(explored.failures, []);
    assert!(explored.tally.succeeded > 500, "{:?}", explored.tally);
}
