//! Test only: what can be done to a part, step by step beside the model.
#![expect(clippy::unwrap_used, reason = "for tests, which may panic")]

use std::collections::BTreeMap;

use super::model::{Action, Model, apply, check, check_scan, config, drop_window, merge, open};
use super::*;
use crate::disk::{MemoryDisk, Unsynced};
use crate::hot::{Bucket, Slot};

#[derive(Clone, Debug)]
pub(super) enum Step {
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
    if let Ok(after) = part.snapshot() {
        assert_eq!(after.content(bucket).unwrap(), snapshot.content(bucket).unwrap());
    }
    assert_eq!(snapshot.applied(bucket).0, model.get(&bucket.0).map_or(0, |model| model.applied));
}

/// Takes the steps one after the other; says what is not as the model has it.
pub(super) fn run(steps: Vec<Step>, sinks: bool) -> Result<(), String> {
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
                check_scan(&part, bucket, model, &entity, from, to, newest_first, records, bytes)?;
            }
            Step::Check => check(&mut part, &model)?,
        }
    }
    check(&mut part, &model)
}
