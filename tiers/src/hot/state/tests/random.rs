//! Random commands, flushes, merges, crashes and wipes against the model.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::model::{Action, Model, apply, check, check_scan, drop_window};
use super::*;
use crate::disk::Unsynced;
use crate::hot::{Bucket, Slot};

#[derive(Clone, Debug)]
enum Step {
    Command(u32, Vec<Action>),
    Flush,
    Merge,
    /// A flush whose job is run, but never installed.
    Lose,
    Reopen,
    Crash(Unsynced),
    Drop(u64),
    Move(u32),
    Scan {
        bucket: u32,
        entity: Vec<u8>,
        from: Position,
        to: Position,
        newest_first: bool,
        limits: (usize, usize),
    },
    Check,
}

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

/// Empties a bucket and fills it again from a snapshot of itself, as another replica would.
fn move_bucket(part: &mut Part, model: &Model, bucket: u32) {
    let Ok(snapshot) = part.snapshot() else { return };
    let bucket = Bucket(bucket);
    if part.wipe(bucket).is_err() {
        return;
    }
    assert_eq!(part.applied(bucket), Slot(0));
    let mut restore = part.restore(bucket);
    for item in snapshot.bucket(bucket, &[]) {
        restore.item(&item.unwrap());
    }
    for (token, outcome) in snapshot.outcomes(bucket).unwrap() {
        restore.outcome(token, outcome);
    }
    for (name, value) in snapshot.attributes(bucket).unwrap() {
        restore.attribute(name, &value);
    }
    restore.finish(snapshot.applied(bucket), snapshot.digest(bucket));
    assert_eq!(snapshot.applied(bucket).0, model.get(&bucket.0).map_or(0, |model| model.applied));
}

fn run(steps: Vec<Step>, sinks: bool) -> Result<(), TestCaseError> {
    let config = StateConfig { sinks, merge_fan: 2, ..config() };
    let disk = MemoryDisk::new(7);
    let mut part = open(&disk, config.clone()).unwrap();
    let mut model = Model::new();
    // What a crash leaves.
    let mut durable = Model::new();
    let mut moved = false;
    for step in steps {
        match step {
            Step::Command(bucket, actions) => apply(&mut part, &mut model, bucket, &actions),
            Step::Flush => {
                while let Some(job) = part.freeze() {
                    part.install(job.run()).unwrap();
                }
                durable = model.clone();
                moved = false;
            }
            Step::Merge => {
                merge(&mut part).unwrap();
            }
            Step::Lose => {
                if part.stats().frozen < 4
                    && let Some(job) = part.freeze()
                {
                    drop(job.run());
                    // It is durable all the same, though the part does not know.
                    durable = model.clone();
                    drop(part);
                    part = open(&disk, config.clone()).unwrap();
                    model = durable.clone();
                }
            }
            Step::Reopen | Step::Crash(_) => {
                drop(part);
                if let Step::Crash(unsynced) = step {
                    disk.power_cut(unsynced)
                } else {
                    disk.kill()
                }
                part = open(&disk, config.clone()).unwrap();
                model = durable.clone();
                moved = false;
            }
            Step::Drop(window) => {
                let through: BTreeMap<_, _> =
                    (0..2).map(|bucket| (Bucket(bucket), part.durable(Bucket(bucket)))).collect();
                // What was moved here since the last flush is in memory, whatever was durable before.
                if !moved && let Some(job) = part.drop_window(Window(window), through.clone()) {
                    part.install(job.run()).unwrap();
                    drop_window(&mut model, 100, window, &through);
                    drop_window(&mut durable, 100, window, &through);
                }
            }
            Step::Move(bucket) => {
                move_bucket(&mut part, &model, bucket);
                moved = true;
            }
            Step::Scan { bucket, entity, from, to, newest_first, limits: (records, bytes) } => {
                let model = model.entry(bucket).or_default();
                check_scan(&part, bucket, model, &entity, from, to, newest_first, records, bytes)
                    .map_err(TestCaseError::fail)?;
            }
            Step::Check => check(&mut part, &model).map_err(TestCaseError::fail)?,
        }
    }
    check(&mut part, &model).map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_part_is_equal_to_ordered_maps(steps in vec(step(), 1..120), sinks in any::<bool>()) {
        run(steps, sinks)?;
    }
}
