//! Small groups, exhaustively: what the random histories may miss.
#![allow(clippy::unwrap_used, reason = "tests may panic")]
#![allow(dead_code, reason = "the world also serves the random histories")]

mod check;
mod exhaustive;
mod world;

use exhaustive::{Budget, explore};
use world::World;

const STATES_MAX: usize = 170_000;

fn model(name: &str, count: usize, slots: usize, budget: Budget) {
    let explored = explore(World::new(count, true), budget, slots, STATES_MAX);
    match explored {
        Ok(explored) => {
            println!("{name}: {} states, {}", explored.states, if explored.all { "all" } else { "not all" });
            assert!(explored.states > 1000, "the model does nothing");
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

fn budget() -> Budget {
    Budget { proposers: 0b011, retries: [0; 5], crashes: 0, wipes: 0, doubles: 0 }
}

#[test]
fn one_proposer() {
    model("one proposer", 3, 1, Budget { proposers: 0b010, crashes: 1, ..budget() });
}

#[test]
fn two_proposers_at_one_slot() {
    model("two proposers", 3, 1, budget());
}

#[test]
fn two_proposers_and_a_doubled_message() {
    model("a doubled message", 3, 1, Budget { doubles: 1, ..budget() });
}

#[test]
fn two_proposers_that_try_again() {
    model("a second prepare", 3, 1, Budget { retries: [1, 1, 0, 0, 0], ..budget() });
}

#[test]
fn two_proposers_and_a_crash() {
    model("a crash", 3, 1, Budget { crashes: 1, ..budget() });
}

#[test]
fn amnesia_and_the_floor() {
    model("amnesia", 3, 2, Budget { proposers: 0b001, retries: [1; 5], wipes: 1, ..budget() });
}

#[test]
fn ownership_with_five_replicas() {
    model("ownership", 5, 2, Budget { retries: [1, 0, 0, 0, 0], ..budget() });
}
