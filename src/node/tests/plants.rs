//! The checks are checked: rules of the node and of the core are broken, one at a time, and a test must notice.
//!
//! A rule of the core is broken in the whole process, so the test runs in a process of its own.

use std::process::{Command, Stdio};

use thermocline_paxos::plant::Plant as CorePlant;

use super::disks;
use crate::plant::{self, Plant};

const VARIABLE: &str = "THERMOCLINE_PLANT";

/// Rules of the core, and the test that is to notice when they are broken.
const CORE: [(CorePlant, &str); 3] = [
    (CorePlant::FloorTooLow, "floors::a_floor_is_two_beyond_what_the_others_have_touched"),
    (CorePlant::FloorFewPeers, "floors::a_floor_needs_a_majority_of_the_others"),
    (CorePlant::LearnerVotes, "lost::a_wiped_node_learns_and_votes_again"),
];

/// Breaks the rule that the process was started with.
pub(super) fn plant_what_is_wanted() {
    let Ok(name) = std::env::var(VARIABLE) else { return };
    let rule = CORE.map(|(rule, _)| rule).into_iter().find(|rule| format!("{rule:?}") == name);
    thermocline_paxos::plant::set(rule);
}

#[test]
fn every_broken_rule_of_the_core_is_noticed() {
    let passes = |rule: &str, test: &str| {
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args(["--exact", &format!("node::tests::disks::{test}")]).env(VARIABLE, rule);
        let output = process.stderr(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("running 1 test"), "there is no test {test}");
        output.status.success()
    };
    for (rule, test) in CORE {
        assert!(passes("none", test), "{test} fails although no rule is broken");
        assert!(!passes(&format!("{rule:?}"), test), "{test} does not notice {rule:?}");
    }
}

/// Runs tests, each with a rule of the node broken, on this thread: each must fail.
pub(in crate::node) fn each_is_noticed(tests: &[(Plant, fn())]) {
    for (rule, test) in tests {
        let outcome = std::panic::catch_unwind(|| plant::with(*rule, test));
        assert!(outcome.is_err(), "nothing notices {rule:?}");
    }
}

#[test]
fn a_boot_that_repeats_is_noticed() {
    each_is_noticed(&[(
        Plant::BootRepeated,
        disks::put_back::a_directory_put_back_to_an_earlier_copy_is_recognised_by_its_peers,
    )]);
}

#[test]
fn a_node_that_hears_any_life_is_noticed() {
    each_is_noticed(&[(
        Plant::AnyLifeHeard,
        disks::put_back::a_directory_put_back_to_an_earlier_copy_is_recognised_by_its_peers,
    )]);
}

#[test]
fn broken_rules_of_lives_are_noticed() {
    each_is_noticed(&[
        (
            Plant::AnyStartContinues,
            disks::lives::a_copy_that_ended_before_it_was_told_is_recognised_in_any_later_start,
        ),
        (
            Plant::AdmissionIsNoAmnesia,
            disks::put_back::a_floor_counts_for_the_loss_before_it_and_not_for_the_next,
        ),
        (Plant::AnyDiskAccounts, disks::put_back::a_disk_accounts_for_no_other_before_it_has_admitted_that),
        (Plant::HearsayIgnored, disks::lives::a_life_that_one_peer_heard_is_remembered_by_all),
        (
            Plant::QuestionOfTheUnheardIgnored,
            disks::lives::two_nodes_that_do_not_hear_each_other_account_for_themselves,
        ),
        (Plant::AnyDiskDisplaces, disks::lives::a_late_frame_of_a_disk_that_is_lost_too_displaces_nobody),
    ]);
}

#[test]
fn a_learner_that_answers_for_a_floor_is_noticed() {
    each_is_noticed(&[(
        Plant::LearnerAnswersFloor,
        disks::majority::a_lost_majority_is_told_and_given_up_only_when_the_operator_says_so,
    )]);
}

#[test]
fn what_is_given_up_and_comes_back_is_noticed() {
    each_is_noticed(&[
        (Plant::HoleForgotten, disks::majority::what_was_given_up_does_not_come_back),
        (Plant::HoleForgotten, disks::majority::what_others_have_given_up_does_not_come_back),
        (
            Plant::HoleForgotten,
            disks::majority::what_can_be_read_again_after_it_was_given_up_does_not_come_back,
        ),
        (
            Plant::HoleForgotten,
            disks::majority::the_log_of_an_only_replica_is_one_however_often_its_end_is_given_up,
        ),
        (
            Plant::HoleForgotten,
            disks::majority::the_log_of_three_replicas_is_one_however_often_its_end_is_given_up,
        ),
        (
            Plant::ServedBeforeGoingOn,
            disks::majority::no_read_is_served_before_the_slot_is_decided_in_which_a_log_goes_on,
        ),
    ]);
}

#[test]
fn a_bucket_that_looks_whole_too_early_is_noticed() {
    each_is_noticed(&[(
        Plant::InstallingLooksWhole,
        disks::installed::a_crash_in_the_middle_of_an_installation_leaves_nothing_that_looks_whole,
    )]);
}

#[test]
fn a_bucket_that_is_wiped_before_the_journal_says_so_is_noticed() {
    each_is_noticed(&[(
        Plant::WipedBeforeRecorded,
        disks::installed::a_power_cut_while_buckets_are_taken_over_makes_no_learner,
    )]);
}
