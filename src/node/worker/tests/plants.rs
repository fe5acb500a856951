//! The checks are checked: bugs that whole nodes show seldom or never, and the worker's own tests at once.

use super::{
    a_flush_of_the_state_waits_until_the_journal_has_synced_what_is_in_it,
    a_refusal_of_the_second_copy_says_nothing_of_the_first, a_vote_that_lost_is_never_fetched_as_chosen,
    addresses, answers, losses, past, shortened, streamed, tokens, unapplied,
};
use crate::node::tests::plants::each_is_noticed;
use crate::plant::Plant;

#[test]
fn an_address_of_any_epoch_is_noticed() {
    each_is_noticed(&[(
        Plant::AddressOfAnyEpoch,
        addresses::an_address_is_believed_only_as_of_a_later_epoch_than_the_topology,
    )]);
}

#[test]
fn an_answer_that_is_mistaken_for_another_is_noticed() {
    each_is_noticed(&[(
        Plant::AnswersMistaken,
        answers::a_late_refusal_says_nothing_of_the_call_that_has_the_place_now,
    )]);
}

#[test]
fn an_answer_of_who_does_not_hear_this_life_is_noticed() {
    each_is_noticed(&[(
        Plant::DeafCounted,
        answers::an_answer_to_an_earlier_life_is_none_to_this_one_whatever_its_name,
    )]);
}

#[test]
fn a_forgotten_write_that_begins_anew_is_noticed() {
    each_is_noticed(&[(
        Plant::ForgottenBeginsAnew,
        tokens::a_write_whose_outcome_is_forgotten_stays_unknown_when_it_is_sent_again,
    )]);
}

#[test]
fn a_refusal_that_speaks_for_all_copies_is_noticed() {
    each_is_noticed(&[(Plant::RefusalSpeaksForAll, a_refusal_of_the_second_copy_says_nothing_of_the_first)]);
}

#[test]
fn a_flush_ahead_of_the_journal_is_noticed() {
    each_is_noticed(&[(
        Plant::FlushAheadOfJournal,
        a_flush_of_the_state_waits_until_the_journal_has_synced_what_is_in_it,
    )]);
}

#[test]
fn a_fetch_of_what_is_not_known_to_be_chosen_is_noticed() {
    each_is_noticed(&[(Plant::FetchServesUnsynced, a_vote_that_lost_is_never_fetched_as_chosen)]);
    each_is_noticed(&[(Plant::FetchServesUnsynced, streamed::a_vote_that_lost_is_never_streamed)]);
}

#[test]
fn a_stream_of_any_record_of_a_slot_is_noticed() {
    each_is_noticed(&[(Plant::AnyRecordStreamed, streamed::a_vote_that_lost_is_never_streamed)]);
}

#[test]
fn a_past_that_is_joined_over_a_loss_is_noticed() {
    each_is_noticed(&[(
        Plant::PastJoinedOverLoss,
        past::where_a_record_is_lost_nothing_is_served_that_it_may_have_been_written_over,
    )]);
}

#[test]
fn a_journal_that_is_applied_to_a_part_of_a_copy_is_noticed() {
    each_is_noticed(&[(Plant::AppliedToHalfACopy, losses::nothing_is_applied_to_a_part_of_a_copy)]);
}

#[test]
fn a_journal_that_lets_go_too_early_of_what_is_recorded_again_is_noticed() {
    each_is_noticed(&[
        (
            Plant::RenewalNotAwaited,
            shortened::what_counts_of_undecided_slots_is_recorded_again_and_the_journal_is_given_back_before_it,
        ),
        (
            Plant::RenewalCoversDecided,
            shortened::what_is_recorded_again_does_not_stand_for_what_was_decided_before,
        ),
    ]);
}

#[test]
fn a_token_that_stays_too_old_is_noticed() {
    each_is_noticed(&[(
        Plant::BirthsStay,
        tokens::more_writers_of_one_record_than_a_token_holds_for_are_all_served,
    )]);
}

#[test]
fn a_condition_that_finds_what_has_expired_is_noticed() {
    each_is_noticed(&[(Plant::ExpiredIsThere, tokens::what_has_expired_is_not_there_for_conditions)]);
}

#[test]
fn a_command_that_is_not_tried_again_is_noticed() {
    each_is_noticed(&[(
        Plant::AppliedOnce,
        unapplied::a_command_that_could_not_be_applied_is_tried_until_it_is,
    )]);
}
