//! The checks are checked: each planted bug is caught by a test that passes without it.

use super::crash::{DENSE, MIXED, few_states, few_states_of_a_retry};
use super::{history, recovery, writing};
use crate::plant::{Plant, with};

/// A check and the bug that must make it fail, by an error or a panic.
fn catches(bug: Plant, check: fn() -> Result<(), String>) {
    check().unwrap();
    let caught = with(bug, || std::panic::catch_unwind(check));
    assert!(!matches!(caught, Ok(Ok(()))), "{bug:?} goes unnoticed");
}

#[test]
fn the_generation_left_out_of_the_checksums_is_caught() {
    catches(Plant::GenerationIgnored, recovery::check_stale_generation);
    catches(Plant::GenerationIgnored, || few_states(DENSE, 3));
}

#[test]
fn a_bad_record_skipped_in_silence_is_caught() {
    catches(Plant::BadRecordSkipped, recovery::check_corrupt_middle_payload);
}

#[test]
fn corruption_taken_for_a_torn_tail_is_caught() {
    catches(Plant::AnythingIsATornTail, recovery::check_corrupt_middle_payload);
    catches(Plant::AnythingIsATornTail, recovery::check_corrupt_middle_header);
}

#[test]
fn a_torn_tail_that_is_not_cut_is_caught() {
    catches(Plant::TornTailDelivered, recovery::check_torn_tail);
    catches(Plant::TornTailDelivered, || few_states(DENSE, 3));
}

#[test]
fn a_poison_forgotten_is_caught() {
    catches(Plant::PoisonForgotten, writing::failure_poisons);
}

#[test]
fn a_commit_that_is_not_synced_is_caught() {
    catches(Plant::CommitNotSynced, || few_states(MIXED, 5));
}

#[test]
fn a_payload_checksum_ignored_is_caught() {
    catches(Plant::PayloadChecksumIgnored, || few_states(DENSE, 3));
}

#[test]
fn records_of_two_commits_taken_for_one_are_caught() {
    catches(Plant::CommitChecksumIgnored, few_states_of_a_retry);
}

#[test]
fn a_segment_name_that_is_not_synced_is_caught() {
    catches(Plant::SegmentNameNotSynced, || few_states(MIXED, 1));
}

#[test]
fn a_catalog_without_a_second_copy_is_caught() {
    catches(Plant::OneCatalog, || few_states(MIXED, 1));
}

#[test]
fn a_release_before_the_catalog_says_so_is_caught() {
    catches(Plant::ReleaseBeforeCatalog, || few_states(MIXED, 1));
}

#[test]
fn a_loss_between_segments_of_history_is_caught() {
    catches(Plant::HistoryChainIgnored, || {
        history::damage_in_history_is_told_where_it_lies();
        Ok(())
    });
}

#[test]
fn an_end_in_doubt_taken_for_whole_is_caught() {
    catches(Plant::EndTakenForWhole, || {
        recovery::an_end_that_may_be_lost_is_told_behind_the_last_record();
        Ok(())
    });
}

#[test]
fn a_lost_end_that_is_ignored_is_caught() {
    catches(Plant::LostEndIgnored, || {
        recovery::lost_end();
        Ok(())
    });
}

#[test]
fn a_segment_in_doubt_that_is_read_is_caught() {
    catches(Plant::SuspectRead, || {
        history::what_ends_in_doubt_is_never_read();
        Ok(())
    });
}
