//! The checkers, checked.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

#[path = "../common/mod.rs"]
mod common;
mod formats;
mod generated;
mod recorded;
mod second_opinion;

use common::cases;

#[test]
fn every_case_is_judged_right() {
    let wrong: Vec<String> = cases::all().iter().filter_map(|case| case.judge().err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
