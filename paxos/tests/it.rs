//! The protocol under a hostile network.
#![allow(clippy::unwrap_used, reason = "tests may panic")]
#![allow(dead_code, reason = "a replica and its checks also serve the exhaustive search")]

mod check;
mod random;
mod world;

use random::Disks;

fn random_histories(count: usize, seeds: std::ops::Range<u64>, steps: usize, disks: Disks) -> random::Tally {
    let mut total = random::Tally::default();
    for seed in seeds {
        match random::run(seed, count, steps, disks) {
            Ok(tally) => total.add(tally),
            Err(error) => panic!("{count} replicas, seed {seed}, {steps} steps: {error}"),
        }
    }
    println!("{count} replicas: {total:?}");
    assert!(total.slots > 0, "nothing was chosen");
    total
}

#[test]
fn one_replica_under_faults() {
    random_histories(1, 0..300, 400, Disks::Lost);
}

#[test]
fn three_replicas_under_faults() {
    let tally = random_histories(3, 0..3000, 800, Disks::Lost);
    assert!(tally.crashes > 0 && tally.wipes > 0 && tally.rollbacks > 0, "the faults did not happen");
}

#[test]
fn five_replicas_under_faults() {
    let tally = random_histories(5, 0..1500, 1000, Disks::Lost);
    assert!(tally.together > 0, "no two replicas had lost their disks at a time");
}

/// Whoever has a floor behind the damage stays whole through every later start; whoever has none does not vote.
#[test]
fn replicas_with_holes_in_their_journals() {
    let tally = random_histories(3, 0..3000, 800, Disks::Damaged);
    assert!(tally.holes > 0, "no journal was damaged");
    random_histories(5, 0..1000, 1000, Disks::Damaged);
}
