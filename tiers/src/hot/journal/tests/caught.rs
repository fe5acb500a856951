//! The checks are checked: each planted bug is caught by a test that passes without it.

use super::super::planted::{Bug, with};
use super::{crash, recovery, writing};

/// A check and the bug that must make it fail, by an error or a panic.
fn catches(bug: Bug, check: fn() -> Result<(), String>) {
    check().unwrap();
    let caught = with(bug, || std::panic::catch_unwind(check));
    assert!(!matches!(caught, Ok(Ok(()))), "{bug:?} goes unnoticed");
}

#[test]
fn the_generation_left_out_of_the_checksums_is_caught() {
    catches(Bug::GenerationIgnored, recovery::check_stale_generation);
    catches(Bug::GenerationIgnored, || crash::enumerate(17, 6).map(|_| ()));
}

#[test]
fn a_bad_record_skipped_in_silence_is_caught() {
    catches(Bug::BadRecordSkipped, recovery::check_corrupt_middle_payload);
}

#[test]
fn corruption_taken_for_a_torn_tail_is_caught() {
    catches(Bug::AnythingIsATornTail, recovery::check_corrupt_middle_payload);
    catches(Bug::AnythingIsATornTail, recovery::check_corrupt_middle_header);
}

#[test]
fn a_torn_tail_that_is_not_cut_is_caught() {
    catches(Bug::TornTailDelivered, recovery::check_torn_tail);
    catches(Bug::TornTailDelivered, || crash::enumerate(5, 10).map(|_| ()));
}

#[test]
fn a_poison_forgotten_is_caught() {
    catches(Bug::PoisonForgotten, writing::failure_poisons);
}
