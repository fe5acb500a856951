//! The protocol under a hostile network, and in all histories of small groups.
#![allow(clippy::unwrap_used, reason = "tests may panic")]
#![allow(dead_code, reason = "the world also serves the exhaustive search")]

mod check;
mod random;
mod world;

fn random_histories(count: usize, seeds: std::ops::Range<u64>, steps: usize) {
    let mut total = random::Tally::default();
    for seed in seeds {
        match random::run(seed, count, steps) {
            Ok(tally) => {
                total.slots += tally.slots;
                total.events += tally.events;
                total.crashes += tally.crashes;
                total.wipes += tally.wipes;
            }
            Err(error) => panic!("{count} replicas, seed {seed}, {steps} steps: {error}"),
        }
    }
    println!("{count} replicas: {total:?}");
    assert!(total.slots > 0, "nothing was chosen");
}

#[test]
fn one_replica_under_faults() {
    random_histories(1, 0..300, 400);
}

#[test]
fn three_replicas_under_faults() {
    random_histories(3, 0..3000, 800);
}

#[test]
fn five_replicas_under_faults() {
    random_histories(5, 0..1500, 1000);
}

#[test]
fn a_floor_needs_a_majority_of_the_others() {
    check::check_floor_quorum().unwrap();
}
