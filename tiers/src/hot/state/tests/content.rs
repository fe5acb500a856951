//! What is compared between replicas.

use super::super::model::{Action, Model, apply};
use super::*;
use crate::hot::{Bucket, Slot};

const BUCKET: u32 = 1;

fn put(slot: u64, value: u8) -> Vec<Action> {
    let entity = format!("entity-{}", slot % 3).into_bytes();
    let record =
        |position| Action::Put { entity: entity.clone(), position, value: vec![value; 4], expires_ms: None };
    let mut actions = vec![record(dated(slot * 30, 0)), record(Position::Undated)];
    if slot.is_multiple_of(4) {
        actions.push(Action::Delete { entity: b"entity-9".to_vec(), position: Position::Undated });
    }
    if slot.is_multiple_of(7) {
        actions.push(Action::Trim { entity: b"entity-1".to_vec(), through_ms: slot * 10 });
    }
    actions.push(Action::Outcome { token: TokenKey { client: 1, counter: slot }, status: 3 });
    actions
}

/// A part with the same log as every other, flushed and merged as often as is said.
fn part(slots: u64, flush_every: u64, value: u8) -> Part {
    let config = StateConfig { sinks: false, merge_fan: 2, ..config() };
    let mut part = open(&MemoryDisk::new(flush_every), config).unwrap();
    let mut model = Model::new();
    for slot in 1..=slots {
        apply(&mut part, &mut model, BUCKET, &put(slot, if slot == 5 { value } else { 1 }));
        if slot.is_multiple_of(flush_every) {
            flush(&mut part).unwrap();
            while merge(&mut part).unwrap() {}
        }
    }
    part
}

fn content(part: &mut Part) -> Content {
    part.snapshot().unwrap().content(Bucket(BUCKET)).unwrap()
}

#[test]
fn equal_logs_have_equal_contents_however_they_were_flushed_and_merged() {
    let expected = content(&mut part(40, 100, 1));
    assert_eq!(expected.applied, Slot(40));
    assert!(expected.sets.len() > 5 && expected.records > 20);
    for flush_every in [1, 3, 10] {
        assert_eq!(content(&mut part(40, flush_every, 1)), expected, "flushed every {flush_every} slots");
    }
}

#[test]
fn another_value_shows_in_its_window_alone() {
    let (one, other) = (content(&mut part(40, 10, 1)), content(&mut part(40, 10, 2)));
    let differing: Vec<&RunSet> =
        one.sets.keys().filter(|set| one.sets.get(set) != other.sets.get(set)).collect();
    assert_eq!(differing, [&RunSet::Window(Window(150 / 100))]);
    assert_ne!(one.digest, other.digest);
}

#[test]
fn buckets_read_together_have_the_contents_that_each_has() {
    let config = StateConfig { sinks: false, merge_fan: 2, ..config() };
    let mut part = open(&MemoryDisk::new(1), config).unwrap();
    let mut models: Vec<Model> = (0..6).map(|_| Model::new()).collect();
    for slot in 1..=20 {
        for bucket in [0, 2, 3, 5] {
            apply(&mut part, &mut models[bucket as usize], bucket, &put(slot, bucket as u8));
        }
        if slot.is_multiple_of(6) {
            flush(&mut part).unwrap();
        }
        if slot == 13 {
            part.wipe(Bucket(3)).unwrap();
            models[3] = Model::new();
            part.restore(Bucket(3)).finish(Slot(0), Digest::default());
        }
    }
    let snapshot = part.snapshot().unwrap();
    let each = |bucket: &Bucket| snapshot.content(*bucket).unwrap();
    for buckets in [&[0, 1, 2, 3, 4, 5][..], &[0, 3], &[2, 3, 5], &[1, 4], &[]] {
        let buckets: Vec<Bucket> = buckets.iter().map(|number| Bucket(*number)).collect();
        let together: Vec<Content> = snapshot.contents(&buckets).into_iter().map(Result::unwrap).collect();
        assert_eq!(together, buckets.iter().map(each).collect::<Vec<_>>(), "{buckets:?}");
    }
    let wiped = each(&Bucket(3));
    assert!(wiped.records > 0 && wiped.records < each(&Bucket(2)).records);
}

#[test]
fn few_runs_stay_open_however_many_are_read() {
    let config = StateConfig { open_runs_max: 4, merge_fan: 64, ..config() };
    let mut part = open(&MemoryDisk::new(1), config).unwrap();
    let mut model = Model::new();
    for slot in 1..=40 {
        apply(&mut part, &mut model, BUCKET, &put(slot, 1));
        flush(&mut part).unwrap();
    }
    assert!(part.stats().runs > 40);
    let all = content(&mut part);
    assert!(all.records > 20 && part.store.open_runs() <= 4, "{} runs stay open", part.store.open_runs());
    assert_eq!(content(&mut part), all);
}

#[test]
fn a_wiped_bucket_is_installing_until_it_is_whole_and_so_it_is_after_a_crash() {
    let disk = MemoryDisk::new(1);
    let mut part = open(&disk, config()).unwrap();
    let mut model = Model::new();
    let other = BUCKET + 1;
    apply(&mut part, &mut model, BUCKET, &put(1, 1));
    assert!(part.is_untouched(Bucket(other)) && !part.is_untouched(Bucket(BUCKET)));
    flush(&mut part).unwrap();
    let snapshot = part.snapshot().unwrap();
    part.wipe_all(&[Bucket(BUCKET), Bucket(other)]).unwrap();
    let mut items = snapshot.bucket(Bucket(BUCKET), &[]).map(Result::unwrap);
    part.restore(Bucket(BUCKET)).item(&items.next().unwrap());
    flush(&mut part).unwrap();
    drop(part);
    let mut part = open(&disk, config()).unwrap();
    for bucket in [BUCKET, other] {
        assert!(part.is_installing(Bucket(bucket)) && !part.is_untouched(Bucket(bucket)));
        assert_eq!(part.applied(Bucket(bucket)), Slot(0));
    }
    // What came before the crash counts for nothing.
    part.wipe(Bucket(BUCKET)).unwrap();
    let mut restore = part.restore(Bucket(BUCKET));
    for item in items {
        restore.item(&item);
    }
    restore.finish(Slot(1), snapshot.digest(Bucket(BUCKET)));
    assert!(!part.is_installing(Bucket(BUCKET)));
    let whole = snapshot.content(Bucket(BUCKET)).unwrap().records;
    assert_eq!(part.snapshot().unwrap().content(Bucket(BUCKET)).unwrap().records, whole - 1);
}
