//! What is written again while it is in memory, and outcomes in memory and in runs.

use super::super::model::{Action, Model, apply, check};
use super::*;
use crate::hot::{Bucket, Slot};

fn put(value: Vec<u8>, expires_ms: Option<u64>) -> Action {
    Action::Put { entity: b"alice".to_vec(), position: Position::Undated, value, expires_ms }
}

fn outcome(counter: u64, status: u8) -> Action {
    Action::Outcome { token: TokenKey { client: 3, counter }, status }
}

/// Wipes bucket 0, and puts in the outcomes that a snapshot has of it, in the order of their tokens. It is still to be finished.
fn restore_outcomes(part: &mut Part, snapshot: &Snapshot) {
    part.wipe(Bucket(0)).unwrap();
    let mut restore = part.restore(Bucket(0));
    for (token, outcome) in snapshot.outcomes(Bucket(0)).unwrap() {
        restore.outcome(token, outcome);
    }
}

#[test]
fn a_record_written_again_is_as_last_written_whatever_its_lengths() {
    let delete = Action::Delete { entity: b"alice".to_vec(), position: Position::Undated };
    let writes = [
        put(vec![1; 200], None),
        put(vec![2; 200], None),
        put(vec![3; 20], None),
        put(vec![4; 12], Some(77)),
        put(vec![5; 13], Some(78)),
        put(vec![6; 300], Some(79)),
        put(vec![7; 308], None),
        delete.clone(),
        put(vec![], None),
        delete,
        put(vec![8; 5], None),
    ];
    let disk = MemoryDisk::new(1);
    for flushed in 0..writes.len() {
        let mut part = open(&disk.fork(), config()).unwrap();
        let mut model = Model::new();
        // A neighbour on either side, which must stay as it is.
        for (step, write) in writes.iter().enumerate() {
            let name = format!("bob-{step}").into_bytes();
            let beside = Action::Put {
                entity: name,
                position: Position::Undated,
                value: vec![9; 30],
                expires_ms: None,
            };
            apply(&mut part, &mut model, 0, &[write.clone(), beside]);
            if step == flushed {
                flush(&mut part).unwrap();
            }
            let expected = model[&0].live(b"alice", Position::Undated);
            assert_eq!(get(&part, 0, b"alice", Position::Undated).unwrap(), expected, "after {step}");
        }
        check(&mut part, &model).unwrap();
    }
}

#[test]
fn a_record_of_one_length_written_again_and_again_takes_no_more_memory() {
    let mut part = open(&MemoryDisk::new(1), config()).unwrap();
    let mut model = Model::new();
    apply(&mut part, &mut model, 0, &[put(vec![0; 2000], None)]);
    let once = part.memory_bytes();
    for round in 1..=1000_u32 {
        apply(&mut part, &mut model, 0, &[put(vec![round as u8; 2000], None)]);
    }
    assert_eq!(part.memory_bytes(), once);
    check(&mut part, &model).unwrap();
}

#[test]
fn a_snapshot_keeps_what_is_then_written_over() {
    let mut part = open(&MemoryDisk::new(1), config()).unwrap();
    let mut model = Model::new();
    apply(&mut part, &mut model, 0, &[put(vec![1; 50], None), outcome(1, 1)]);
    let snapshot = part.snapshot().unwrap();
    apply(&mut part, &mut model, 0, &[put(vec![2; 50], None), outcome(1, 2), outcome(2, 3)]);
    let items: Vec<_> = snapshot.bucket(Bucket(0), &[]).map(Result::unwrap).collect();
    assert_eq!(items.len(), 1);
    assert!(matches!(&items[0].change, Change::Put { value, .. } if value[..] == [1; 50]));
    let outcomes = snapshot.outcomes(Bucket(0)).unwrap();
    let first = Outcome { slot: Slot(1), status: 1, detail: 5, born: 6 };
    assert_eq!(outcomes, [(TokenKey { client: 3, counter: 1 }, first)]);
    check(&mut part, &model).unwrap();
}

#[test]
fn the_newest_outcome_of_a_token_counts_wherever_the_older_ones_are() {
    let disk = MemoryDisk::new(1);
    let mut part = open(&disk, config()).unwrap();
    let mut model = Model::new();
    for slot in 1..=40_u64 {
        let bucket = (slot % 2) as u32;
        // Tokens come again while they are kept, and after they were forgotten.
        apply(&mut part, &mut model, bucket, &[outcome(slot % 3, slot as u8), outcome(slot % 11, 100)]);
        match slot % 10 {
            3 | 6 => flush(&mut part).unwrap(),
            8 => drop(part.snapshot()),
            9 => {
                while let Some(job) = part.freeze() {
                    part.install(job.run()).unwrap();
                }
                drop(part);
                part = open(&disk, config()).unwrap();
            }
            _ => {}
        }
        check(&mut part, &model).unwrap();
    }
    let unknown = TokenKey { client: 3, counter: 12 };
    assert_eq!(part.outcome(Bucket(0), &unknown).unwrap(), None);
    assert_eq!(part.outcome(Bucket(9), &unknown).unwrap(), None);
}

#[test]
fn outcomes_in_memory_are_told_without_reading() {
    let disk = MemoryDisk::new(1);
    let mut part = open(&disk, config()).unwrap();
    let mut model = Model::new();
    apply(&mut part, &mut model, 0, &[outcome(0, 1)]);
    flush(&mut part).unwrap();
    for counter in 1..=8 {
        apply(&mut part, &mut model, 0, &[outcome(counter, 1)]);
    }
    let before = disk.calls();
    for counter in 0..20 {
        let token = TokenKey { client: 3, counter };
        let expected = model[&0].outcome(&token, 8);
        assert_eq!(expected.is_some(), (1..=8).contains(&counter));
        assert_eq!(part.outcome(Bucket(0), &token).unwrap(), expected);
    }
    assert_eq!(disk.calls(), before);
}

#[test]
fn a_token_that_was_born_after_the_last_flush_is_not_looked_for_on_the_disk() {
    let disk = MemoryDisk::new(1);
    let mut part = open(&disk, config()).unwrap();
    let mut model = Model::new();
    for counter in 1..=3 {
        apply(&mut part, &mut model, 0, &[outcome(counter, 1)]);
    }
    flush(&mut part).unwrap();
    let old = TokenKey { client: 3, counter: 3 };
    let before = disk.calls();
    assert_eq!(
        part.outcome_after(Bucket(0), &old, Slot(3)).unwrap(),
        None,
        "decided at slot 3, and not after it"
    );
    assert_eq!(part.outcome_after(Bucket(0), &TokenKey { client: 3, counter: 9 }, Slot(3)).unwrap(), None);
    assert_eq!(disk.calls(), before);
    assert_eq!(part.outcome_after(Bucket(0), &old, Slot(2)).unwrap(), model[&0].outcome(&old, 8));
    assert_ne!(disk.calls(), before, "what is older is");
    // In memory the answer is the same as on the disk.
    apply(&mut part, &mut model, 0, &[outcome(4, 1)]);
    let new = TokenKey { client: 3, counter: 4 };
    assert!(part.outcome_after(Bucket(0), &new, Slot(3)).unwrap().is_some());
    assert_eq!(part.outcome_after(Bucket(0), &new, Slot(4)).unwrap(), None);
}

#[test]
fn outcomes_that_were_flushed_while_a_bucket_was_restored_are_remembered() {
    let mut source = open(&MemoryDisk::new(1), config()).unwrap();
    let mut model = Model::new();
    for counter in 1..=20 {
        apply(&mut source, &mut model, 0, &[outcome(counter, 1)]);
    }
    let snapshot = source.snapshot().unwrap();
    let mut part = open(&MemoryDisk::new(2), config()).unwrap();
    restore_outcomes(&mut part, &snapshot);
    flush(&mut part).unwrap();
    part.restore(Bucket(0)).finish(snapshot.applied(Bucket(0)), snapshot.digest(Bucket(0)));
    for counter in 13..=20 {
        let token = TokenKey { client: 3, counter };
        assert!(part.outcome(Bucket(0), &token).unwrap().is_some(), "token {counter}");
        assert!(part.outcome_after(Bucket(0), &token, Slot(counter - 1)).unwrap().is_some());
    }
}

#[test]
#[should_panic(expected = "version 1 of a key is written after version 1")]
fn a_key_is_written_once_a_slot() {
    let mut part = open(&MemoryDisk::new(1), config()).unwrap();
    let mut batch = part.apply(Bucket(0), Slot(1));
    let key = Key::new(b"alice", Position::Undated).unwrap();
    batch.put(&key, b"one", None);
    batch.put(&key, b"two", None);
}

#[test]
fn outcomes_of_large_commands_are_found_in_each_of_them_and_the_newest_of_a_token_counts() {
    let mut part = open(&MemoryDisk::new(1), config()).unwrap();
    let mut model = Model::new();
    let all = |counters: std::ops::Range<u64>, status: u8| -> Vec<Action> {
        counters.map(|counter| outcome(counter, status)).collect()
    };
    for round in 0..3 {
        // Those of 50 to 99 are decided twice.
        for (counters, status) in [(0..100, 1), (50..150, 2)] {
            apply(
                &mut part,
                &mut model,
                0,
                &all(counters.start + 1_000 * round..counters.end + 1_000 * round, status),
            );
            apply(&mut part, &mut model, 1, &[outcome(counters.end, 3)]);
        }
        let checks = |part: &Part| {
            for counter in (0..160).map(|counter| counter + 1_000 * round) {
                let token = TokenKey { client: 3, counter };
                let expected = model[&0].outcome(&token, 8);
                assert_eq!(part.outcome(Bucket(0), &token).unwrap(), expected, "{counter}");
                let slot = expected.map_or(Slot(9), |outcome| outcome.slot);
                assert_eq!(part.outcome_after(Bucket(0), &token, slot).unwrap(), None, "{counter}");
                let before = Slot(slot.0 - 1);
                assert_eq!(part.outcome_after(Bucket(0), &token, before).unwrap(), expected, "{counter}");
            }
        };
        checks(&part);
        // Some in memtables that are set aside, then on the disk.
        drop(part.snapshot().unwrap());
        checks(&part);
        flush(&mut part).unwrap();
        checks(&part);
    }
    check(&mut part, &model).unwrap();
}

#[test]
fn outcomes_that_were_restored_in_any_order_of_slots_are_found_before_and_after_commands() {
    let mut source = open(&MemoryDisk::new(1), config()).unwrap();
    let mut model = Model::new();
    // Tokens come in an order of their own, so that the slots of their outcomes have none.
    for counter in [5, 2, 9, 1, 7, 3, 8] {
        apply(&mut source, &mut model, 0, &[outcome(counter, 1)]);
    }
    let snapshot = source.snapshot().unwrap();
    let mut part = open(&MemoryDisk::new(2), config()).unwrap();
    // What the bucket had before counts no more.
    apply(&mut part, &mut Model::new(), 0, &[outcome(77, 1)]);
    restore_outcomes(&mut part, &snapshot);
    part.restore(Bucket(0)).finish(snapshot.applied(Bucket(0)), snapshot.digest(Bucket(0)));
    for later in 0..4 {
        for counter in (1..=9).chain([77, 21, 22, 23]) {
            let token = TokenKey { client: 3, counter };
            let expected = model[&0].outcome(&token, 8);
            for after in 0..model[&0].applied {
                let expected = expected.filter(|outcome| outcome.slot.0 > after);
                let found = part.outcome_after(Bucket(0), &token, Slot(after)).unwrap();
                assert_eq!(found, expected, "token {counter} after slot {after}, {later} commands later");
            }
        }
        apply(&mut part, &mut model, 0, &[outcome(21 + later, 2)]);
    }
}

/// A flush that was under way when the bucket was wiped says that it is durable further than what was restored.
#[test]
fn a_flush_from_before_a_wipe_does_not_have_restored_outcomes_forgotten() {
    let mut source = open(&MemoryDisk::new(1), config()).unwrap();
    let mut model = Model::new();
    for counter in 1..=6 {
        apply(&mut source, &mut model, 0, &[outcome(counter, 1)]);
    }
    for _ in 7..=10 {
        apply(&mut source, &mut model, 0, &[]);
    }
    let snapshot = source.snapshot().unwrap();
    let mut part = open(&MemoryDisk::new(2), config()).unwrap();
    let mut before = Model::new();
    for _ in 1..=10 {
        apply(&mut part, &mut before, 0, &[]);
    }
    let under_way = part.freeze().unwrap().run();
    restore_outcomes(&mut part, &snapshot);
    part.install(under_way).unwrap();
    flush(&mut part).unwrap();
    part.restore(Bucket(0)).finish(snapshot.applied(Bucket(0)), snapshot.digest(Bucket(0)));
    let token = TokenKey { client: 3, counter: 6 };
    assert!(part.outcome_after(Bucket(0), &token, Slot(5)).unwrap().is_some());
}
