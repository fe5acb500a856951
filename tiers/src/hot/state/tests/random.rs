//! Random commands, flushes, merges, crashes and wipes against the model.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::model::Action;
use super::super::steps::{Step, run};
use super::*;
use crate::disk::Unsynced;

fn entity() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![b"a".to_vec(), b"ab".to_vec(), vec![b'b'; 300], b"zebra-17".to_vec()])
}

fn position() -> impl Strategy<Value = Position> {
    prop_oneof![
        1 => Just(Position::Undated),
        6 => (0..40_u64, 0..2_u64).prop_map(|(tens, sequence)| dated(tens * 10, sequence)),
        1 => Just(Position::LAST),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let value = prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(Just(7), 600..1500)];
    let attribute = (0..3_u8, 0..3_u64).prop_map(|(kind, index)| Attribute { kind, index });
    let token = (0..2_u64, 0..20_u64).prop_map(|(client, counter)| TokenKey { client, counter });
    prop_oneof![
        8 => (entity(), position(), value, prop::option::of(any::<u64>())).prop_map(
            |(entity, position, value, expires_ms)| Action::Put { entity, position, value, expires_ms }
        ),
        3 => (entity(), position()).prop_map(|(entity, position)| Action::Delete { entity, position }),
        1 => (entity(), 0..45_u64).prop_map(|(entity, tens)| Action::Trim { entity, through_ms: tens * 10 }),
        2 => (token, any::<u8>()).prop_map(|(token, status)| Action::Outcome { token, status }),
        1 => (attribute, vec(any::<u8>(), 0..4)).prop_map(|(name, value)| Action::Attribute { name, value }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let unsynced =
        prop_oneof![Just(Unsynced::Lost), Just(Unsynced::Kept), any::<u64>().prop_map(Unsynced::Mixed)];
    let scan = (0..3_u32, entity(), position(), position(), any::<bool>(), (1..6_usize, 1..200_usize));
    prop_oneof![
        24 => (0..3_u32, vec(action(), 0..6)).prop_map(|(bucket, actions)| Step::Command(bucket, actions)),
        8 => Just(Step::Flush),
        5 => Just(Step::Merge),
        1 => Just(Step::Lose),
        1 => Just(Step::Reopen),
        1 => unsynced.prop_map(Step::Crash),
        1 => (0..5_u64).prop_map(Step::Drop),
        1 => (0..3_u32).prop_map(Step::Move),
        4 => scan.prop_map(|(bucket, entity, from, to, newest_first, limits)| {
            Step::Scan { bucket, entity, from, to, newest_first, limits }
        }),
        2 => Just(Step::Check),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_part_is_equal_to_ordered_maps(steps in vec(step(), 1..120), sinks in any::<bool>()) {
        run(steps, sinks).map_err(TestCaseError::fail)?;
    }
}
