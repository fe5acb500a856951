//! The checks of the checkers are checked: every mistake that can be planted in a checker must be noticed.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::generate::{Thing, history, steps};
use common::wrong::{self, Wrong};
use common::{cases, suite};
use thermocline_checkers::plant::{self, Plant};

/// The first complaint about the checkers, by hand-made cases and then by generated histories.
fn complaint() -> Option<String> {
    if let Some(wrong) = cases::all().iter().find_map(|case| case.judge().err()) {
        return Some(wrong);
    }
    for seed in 0..40 {
        for thing in Thing::ALL {
            let history = history(thing, &steps(seed, 40), 16);
            if let Err(why) = suite::right(thing, &history) {
                return Some(format!("seed {seed}: {why}"));
            }
            for how in Wrong::ALL {
                if let Some(Err(why)) =
                    wrong::make(&history, how).map(|wrong| suite::wrong(thing, how, &wrong))
                {
                    return Some(format!("seed {seed}: {why}"));
                }
            }
        }
    }
    None
}

#[test]
fn every_planted_mistake_is_noticed() {
    assert_eq!(complaint(), None, "there is a mistake that nobody planted");
    let mut missed = Vec::new();
    for mistake in Plant::ALL {
        plant::set(Some(mistake));
        match complaint() {
            Some(why) => println!("{mistake:?}: {}", why.lines().next().unwrap()),
            None => missed.push(mistake),
        }
        plant::set(None);
    }
    assert_eq!(missed, [], "not noticed");
}
