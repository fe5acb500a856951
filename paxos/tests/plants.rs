//! The checks are checked: every broken rule must be noticed. Prints by which check, and after how many histories.
#![allow(clippy::unwrap_used, reason = "tests may panic")]
#![allow(dead_code, reason = "the world also serves the exhaustive search")]

mod check;
mod random;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use thermocline_paxos::plant::{self, Plant};

/// The first history, of three and five replicas in turn, in which something is noticed.
fn hunt(plant: Option<Plant>, seeds: u64) -> Option<(u64, usize, String)> {
    plant::set(plant);
    if let Err(error) = check::check_floor_quorum() {
        plant::set(None);
        return Some((0, 0, error));
    }
    for seed in 0..seeds {
        for count in [3, 5] {
            let run = catch_unwind(AssertUnwindSafe(|| random::run(seed, count, 800)));
            let error = match run {
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => error,
                Err(_) => String::from("an assertion of the core"),
            };
            plant::set(None);
            return Some((seed, count, error));
        }
    }
    plant::set(None);
    None
}

#[test]
fn every_planted_bug_is_caught() {
    assert_eq!(hunt(None, 300), None, "a correct core is accused");
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = vec![];
    for plant in Plant::ALL {
        match hunt(Some(plant), 12000) {
            Some((seed, count, error)) => {
                let error: String = error.chars().take(70).collect();
                println!("{:20} seed {seed:4}, {count} replicas: {error}", format!("{plant:?}"));
            }
            None => {
                println!("{:20} MISSED", format!("{plant:?}"));
                missed.push(plant);
            }
        }
    }
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}
