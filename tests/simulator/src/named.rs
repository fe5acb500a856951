//! Tests outside of the simulator that break a rule and see another test, or search, fail.

use thermocline::plant::Plant as NodePlant;
use thermocline_paxos::plant::Plant as CorePlant;
use thermocline_tiers::plant::Plant as TiersPlant;

use crate::plants::Bug;

/// A test that notices a bug.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// What it is called.
    pub name: &'static str,
    /// The file that it is in, from the repository's root.
    pub file: &'static str,
    /// That file.
    pub text: &'static str,
}

macro_rules! files {
    ($($file:ident = $path:literal),+ $(,)?) => {
        $(const fn $file(name: &'static str) -> Test {
            Test { name, file: $path, text: include_str!(concat!("../../../", $path)) }
        })+
    };
}

files! {
    core = "paxos/tests/plants.rs",
    journal = "tiers/src/hot/journal/tests/caught.rs",
    state = "tiers/src/hot/state/tests/crash.rs",
    damage = "tiers/src/hot/state/tests/damage.rs",
    trims = "tiers/src/hot/state/tests/trims.rs",
    nodes = "src/node/tests/plants.rs",
    worker = "src/node/worker/tests/plants.rs",
    lives = "src/node/lives.rs",
    witnessed = "src/node/witnessed.rs",
    frames = "src/node/worker/tests/lives.rs",
    together = "src/node/worker/tests/together.rs",
    copied = "src/node/worker/tests/copied.rs",
    whole = "src/machine/tests/crash.rs",
}

/// The test that notices a bug, if there is one outside of the simulator.
#[must_use]
pub fn test_of(bug: Bug) -> Option<Test> {
    match bug {
        Bug::Core(bug) => Some(of_core(bug)),
        Bug::Tiers(bug) => Some(of_tiers(bug)),
        Bug::Node(bug) => of_node(bug),
    }
}

/// One test goes through all of them.
const fn of_core(_: CorePlant) -> Test {
    core("every_planted_bug_is_caught")
}

const fn of_tiers(bug: TiersPlant) -> Test {
    match bug {
        TiersPlant::GenerationIgnored => journal("the_generation_left_out_of_the_checksums_is_caught"),
        TiersPlant::BadRecordSkipped => journal("a_bad_record_skipped_in_silence_is_caught"),
        TiersPlant::AnythingIsATornTail => journal("corruption_taken_for_a_torn_tail_is_caught"),
        TiersPlant::TornTailDelivered => journal("a_torn_tail_that_is_not_cut_is_caught"),
        TiersPlant::PoisonForgotten => journal("a_poison_forgotten_is_caught"),
        TiersPlant::CommitNotSynced => journal("a_commit_that_is_not_synced_is_caught"),
        TiersPlant::PayloadChecksumIgnored => journal("a_payload_checksum_ignored_is_caught"),
        TiersPlant::CommitChecksumIgnored => journal("records_of_two_commits_taken_for_one_are_caught"),
        TiersPlant::SegmentNameNotSynced => journal("a_segment_name_that_is_not_synced_is_caught"),
        TiersPlant::OneCatalog => journal("a_catalog_without_a_second_copy_is_caught"),
        TiersPlant::ReleaseBeforeCatalog => journal("a_release_before_the_catalog_says_so_is_caught"),
        TiersPlant::HistoryChainIgnored => journal("a_loss_between_segments_of_history_is_caught"),
        TiersPlant::EndTakenForWhole => journal("an_end_in_doubt_taken_for_whole_is_caught"),
        TiersPlant::LostEndIgnored => journal("a_lost_end_that_is_ignored_is_caught"),
        TiersPlant::SuspectRead => journal("a_segment_in_doubt_that_is_read_is_caught"),
        TiersPlant::ManifestBeforeSync => state("a_manifest_before_the_sync_of_its_runs_is_noticed"),
        TiersPlant::ManifestNotSynced => state("a_manifest_in_its_place_before_it_is_synced_is_noticed"),
        TiersPlant::RunNamesNotSynced => state("a_manifest_before_the_names_of_its_runs_is_noticed"),
        TiersPlant::ManifestNameNotSynced => {
            state("a_flush_done_before_its_manifest_has_its_name_is_noticed")
        }
        TiersPlant::MergedRunsRemovedEarly => {
            state("merged_runs_removed_before_the_manifest_is_replaced_are_noticed")
        }
        TiersPlant::TwoManifests => state("two_manifests_for_one_flush_are_noticed"),
        TiersPlant::ChecksumWithoutAddress => damage("a_checksum_without_its_address_is_noticed"),
        TiersPlant::TombstoneTooEarly => damage("a_tombstone_dropped_too_early_is_noticed"),
        TiersPlant::TrimHidesLater => trims("a_trim_that_hides_what_comes_later_is_noticed"),
        TiersPlant::TrimForgotten => trims("a_trim_that_is_forgotten_with_the_memory_is_noticed"),
    }
}

const fn of_node(bug: NodePlant) -> Option<Test> {
    Some(match bug {
        NodePlant::BootRepeated => nodes("a_boot_that_repeats_is_noticed"),
        NodePlant::AnyLifeHeard => nodes("a_node_that_hears_any_life_is_noticed"),
        NodePlant::LearnerAnswersFloor => nodes("a_learner_that_answers_for_a_floor_is_noticed"),
        NodePlant::HoleForgotten | NodePlant::ServedBeforeGoingOn => {
            nodes("what_is_given_up_and_comes_back_is_noticed")
        }
        NodePlant::InstallingLooksWhole => nodes("a_bucket_that_looks_whole_too_early_is_noticed"),
        NodePlant::WipedBeforeRecorded => {
            nodes("a_bucket_that_is_wiped_before_the_journal_says_so_is_noticed")
        }
        NodePlant::AnyReachAccounts | NodePlant::LostEndAccounted | NodePlant::RememberedLifeDropped => {
            lives("an_account_that_says_too_much_or_too_little_is_noticed")
        }
        NodePlant::AnyStartContinues
        | NodePlant::HearsayIgnored
        | NodePlant::HearsayDisplaces
        | NodePlant::DeafForgets
        | NodePlant::AnyDiskDisplaces => witnessed("a_peer_that_hears_too_much_is_noticed"),
        NodePlant::QuestionOfTheUnheardIgnored
        | NodePlant::AdmissionIsNoAmnesia
        | NodePlant::AnyDiskAccounts => nodes("broken_rules_of_lives_are_noticed"),
        NodePlant::HeardBeforeWritten
        | NodePlant::NewLifeNotSpread
        | NodePlant::UnheardStillCounted
        | NodePlant::AnswerOfEarlierLifeCounted
        | NodePlant::FloorUnderWayCounted
        | NodePlant::GivenUpWhileAdmitting
        | NodePlant::AdmittedNotForgotten
        | NodePlant::AnyLifeAnswered => frames("broken_rules_of_lives_are_noticed"),
        NodePlant::AdmittedByOneWorker | NodePlant::OtherWorkersUnheeded => {
            together("a_worker_that_goes_its_own_way_is_noticed")
        }
        NodePlant::WantBeginsAnew => copied("a_want_that_begins_anew_is_noticed"),
        NodePlant::AppliedToHalfACopy => worker("a_journal_that_is_applied_to_a_part_of_a_copy_is_noticed"),
        NodePlant::InstallsOlder | NodePlant::WipedIsNoAmnesia => copied("a_state_that_goes_back_is_noticed"),
        NodePlant::AddressOfAnyEpoch => worker("an_address_of_any_epoch_is_noticed"),
        NodePlant::AnswersMistaken => worker("an_answer_that_is_mistaken_for_another_is_noticed"),
        NodePlant::ForgottenBeginsAnew => worker("a_forgotten_write_that_begins_anew_is_noticed"),
        NodePlant::RefusalSpeaksForAll => worker("a_refusal_that_speaks_for_all_copies_is_noticed"),
        NodePlant::FlushAheadOfJournal => worker("a_flush_ahead_of_the_journal_is_noticed"),
        NodePlant::FetchServesUnsynced => worker("a_fetch_of_what_is_not_known_to_be_chosen_is_noticed"),
        NodePlant::AnyRecordStreamed => worker("a_stream_of_any_record_of_a_slot_is_noticed"),
        NodePlant::RenewalNotAwaited | NodePlant::RenewalCoversDecided => {
            worker("a_journal_that_lets_go_too_early_of_what_is_recorded_again_is_noticed")
        }
        NodePlant::BirthsStay => worker("a_token_that_stays_too_old_is_noticed"),
        NodePlant::ExpiredIsThere => worker("a_condition_that_finds_what_has_expired_is_noticed"),
        NodePlant::AppliedOnce => worker("a_command_that_is_not_tried_again_is_noticed"),
        NodePlant::PastJoinedOverLoss => worker("a_past_that_is_joined_over_a_loss_is_noticed"),
        NodePlant::IdentityAfterJournal => whole("an_identity_that_is_written_after_the_journal_is_noticed"),
        NodePlant::SmallFileNotSynced => whole("a_small_file_in_its_place_before_it_is_synced_is_noticed"),
        NodePlant::SmallFileNameNotSynced => whole("a_small_file_whose_name_is_not_synced_is_noticed"),
        NodePlant::ReclaimsTooMuch | NodePlant::AppliedIsDurable => {
            whole("a_journal_given_back_before_the_state_has_it_is_noticed")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_that_is_named_exists_and_is_of_that_bug() {
        for bug in Bug::all() {
            let Some(test) = test_of(bug) else { continue };
            let begins = format!("fn {}()", test.name);
            let Some(at) = test.text.find(&begins) else { panic!("{} has no {}", test.file, test.name) };
            let body = test.text[at..].split("\n}").next().unwrap_or_default();
            // The core's test goes through all of its bugs.
            let named = format!("Plant::{}", bug.name().1);
            assert!(body.contains(&named) || body.contains("Plant::ALL"), "{} is not of {named}", test.name);
        }
    }

    #[test]
    fn what_is_not_hunted_has_a_test() {
        for bug in Bug::all().into_iter().filter(|bug| !bug.is_hunted()) {
            assert!(test_of(bug).is_some(), "nothing is to notice {bug:?}");
        }
    }
}
