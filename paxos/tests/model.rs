//! Small groups, exhaustively: what the random histories may miss. Each model is searched to its end, and has as many states as
//! `models/mod.rs` says; a change of the protocol that is meant changes these numbers too.
#![allow(clippy::unwrap_used, reason = "tests may panic")]
#![allow(dead_code, reason = "a replica and its checks also serve the random histories")]

mod check;
mod exhaustive;
mod models;
mod world;

use exhaustive::{Model, STATES_MAX, explore};

/// Searches a model to its end.
fn holds(model: &Model) {
    let explored = explore(model, STATES_MAX);
    println!(
        "{}: {} states, {} transitions, {} different steps of the core, {}",
        model.name,
        explored.states,
        explored.transitions,
        explored.steps,
        if explored.all { "all within the bound" } else { "not all" }
    );
    if let Err(error) = explored.checked {
        panic!("{}: {error}", model.name);
    }
    assert!(explored.all, "{}: some states within the bound were not visited", model.name);
    assert_eq!(explored.states, model.states, "{}: states within the bound", model.name);
}

#[test]
fn one_proposer_and_a_crash() {
    holds(&models::ONE_PROPOSER);
}

#[test]
fn a_lost_disk_and_the_floor() {
    holds(&models::FLOOR);
}

#[test]
fn ownership_with_five_replicas() {
    holds(&models::OWNERSHIP);
}

/// Seconds each, and up to half a minute.
mod large {
    use super::{holds, models};

    #[test]
    fn two_proposers_at_one_slot() {
        holds(&models::TWO_PROPOSERS);
    }

    #[test]
    fn two_slots_and_an_owner_that_asks_one_of_two() {
        holds(&models::THRIFTY);
    }

    #[test]
    fn two_proposers_and_late_messages() {
        holds(&models::LATE);
    }

    #[test]
    fn two_proposers_that_try_again() {
        holds(&models::SECOND_PREPARE);
    }

    #[test]
    fn two_proposers_and_a_crash() {
        holds(&models::CRASH);
    }

    #[test]
    fn two_proposers_on_a_line_and_a_crash() {
        holds(&models::CRASH_BETWEEN);
    }

    #[test]
    fn two_proposers_and_a_lost_disk() {
        holds(&models::AMNESIA);
    }

    #[test]
    fn two_proposers_and_a_read() {
        holds(&models::READS);
    }

    #[test]
    fn a_lost_disk_and_a_read() {
        holds(&models::READS_AND_AMNESIA);
    }

    #[test]
    fn a_proposer_that_crashes_and_proposes_again() {
        holds(&models::PROPOSER_CRASHES);
    }

    #[test]
    fn two_slots_and_a_crash() {
        holds(&models::CRASH_IN_SLOT_2);
    }

    #[test]
    fn a_bucket_that_is_handed_over() {
        holds(&models::HAND_OVER);
    }

    #[test]
    fn ownership_with_five_replicas_until_slot_2() {
        holds(&models::OWNERSHIP_IN_SLOT_2);
    }
}
