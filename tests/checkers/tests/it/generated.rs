//! Histories that are right by construction hold, those made wrong do not, and the methods agree on the rest.

use proptest::prelude::*;
use thermocline_checkers::Operation;
use thermocline_checkers::linearizability::{self, Register, counted, search};

use crate::common::generate::{Step, Thing, history, steps};
use crate::common::suite;
use crate::common::wrong::{self, Wrong};

fn a_step() -> impl Strategy<Value = Step> {
    (0_u8..5, any::<u8>(), any::<u8>(), 0_u8..8, 0_u8..16, 0_u8..16, any::<u8>()).prop_map(
        |(process, what, choice, wait, before, after, fate)| Step {
            process,
            what,
            choice,
            wait,
            before,
            after,
            fate,
        },
    )
}

fn a_thing() -> impl Strategy<Value = Thing> {
    proptest::sample::select(Thing::ALL.to_vec())
}

proptest! {
    #[test]
    fn a_right_history_holds(thing in a_thing(), steps in proptest::collection::vec(a_step(), 0..60)) {
        prop_assert_eq!(suite::right(thing, &history(thing, &steps, 16)), Ok(()));
    }

    #[test]
    fn a_history_made_wrong_does_not_hold(
        thing in a_thing(),
        how in proptest::sample::select(Wrong::ALL.to_vec()),
        steps in proptest::collection::vec(a_step(), 20..60),
    ) {
        if let Some(wrong) = wrong::make(&history(thing, &steps, 8), how) {
            prop_assert_eq!(suite::wrong(thing, how, &wrong), Ok(()));
        }
    }

    #[test]
    fn the_methods_agree_on_any_history(
        thing in a_thing(),
        steps in proptest::collection::vec(a_step(), 2..40),
        swaps in proptest::collection::vec((any::<usize>(), any::<usize>()), 0..3),
        trouble in 0_u8..24,
    ) {
        prop_assert_eq!(agree_when_disturbed(thing, &steps, swaps, trouble), Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Half of the operations may be lost.
    #[test]
    fn counting_lost_operations_decides_as_the_search_does(
        thing in proptest::sample::select(Thing::REGISTERS.to_vec()),
        steps in proptest::collection::vec(a_step(), 2..24),
        swaps in proptest::collection::vec((any::<usize>(), any::<usize>()), 0..3),
        trouble in 24_u8..192,
    ) {
        prop_assert_eq!(agree_when_disturbed(thing, &steps, swaps, trouble), Ok(()));
    }
}

/// Whether the methods agree on a history some answers of which stand in the place of others.
fn agree_when_disturbed(
    thing: Thing,
    steps: &[Step],
    swaps: Vec<(usize, usize)>,
    trouble: u8,
) -> Result<(), String> {
    let mut history = history(thing, steps, trouble);
    for (one, other) in swaps {
        history = wrong::disturb(&history, one, other);
    }
    suite::agree(thing, &history).map(drop)
}

/// Every way to make a history wrong finds its place somewhere, so that none of the properties above is empty.
#[test]
fn every_way_to_be_wrong_occurs() {
    for how in Wrong::ALL {
        let found = Thing::ALL.iter().any(|&thing| {
            (0..50).any(|seed| wrong::make(&history(thing, &steps(seed, 60), 8), how).is_some())
        });
        assert!(found, "{how:?} never fits");
    }
}

/// The frontier gives up where too many operations are lost. Of what the properties above make, it decides nearly everything, or its
/// second opinion would be worth nothing.
#[test]
fn the_frontier_seldom_gives_up() {
    for thing in Thing::ALL {
        let gives_up = |seed: &u64| {
            suite::by_frontier(thing, &history(thing, &steps(*seed, 60), 16)) == search::End::GaveUp
        };
        let undecided: Vec<u64> = (0..50).filter(gives_up).collect();
        assert!(undecided.len() <= 2, "{thing:?}: of 50 seeds, it gives up on {undecided:?}");
    }
}

/// Nor does what judges the histories of a store.
#[test]
fn right_histories_are_seldom_left_undecided() {
    for thing in Thing::ALL {
        let is_undecided = |seed: &u64| {
            let history = history(thing, &steps(*seed, 60), 16);
            !linearizability::check_within(&history, suite::CONFIGURATIONS).holds()
        };
        let undecided: Vec<u64> = (0..50).filter(is_undecided).collect();
        assert!(undecided.len() <= 2, "{thing:?}: of 50 seeds, it leaves {undecided:?} undecided");
    }
}

/// Registers of which most operations are lost, with and without an answer that nothing explains: the search gives up, counting does
/// not.
#[test]
fn a_register_of_many_lost_operations_is_decided() {
    for seed in 0..20 {
        let mut history = history(Thing::Terse, &steps(seed, 400), 160);
        let places: Vec<usize> = (0..history.len()).collect();
        let decided = |history: &[Operation]| counted::decide(history, &places, 20_000);
        assert_eq!(decided(&history), search::End::Found, "seed {seed}");
        assert!(linearizability::check_within(&history, 20_000).holds(), "seed {seed}");
        history = wrong::make(&history, Wrong::StaleRead).expect("some writes are acknowledged, and read");
        assert!(matches!(decided(&history), search::End::Impossible { .. }), "seed {seed}");
    }
    let gives_up = |seed| {
        let history = history(Thing::Terse, &steps(seed, 400), 160);
        let places: Vec<usize> = (0..history.len()).collect();
        search::search(&Register, &history, &places, 20_000) == search::End::GaveUp
    };
    assert!((0..20).any(gives_up), "none of them is too much for the search");
}

#[test]
fn ten_thousand_operations_of_a_key_are_within_the_budget() {
    for thing in Thing::REGISTERS {
        let history = history(thing, &steps(7, 10_000), 1);
        let verdict = linearizability::check(&history);
        assert!(verdict.holds(), "{thing:?}: {verdict}");
    }
}
