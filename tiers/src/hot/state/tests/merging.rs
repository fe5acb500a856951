//! Merges of several windows at once.

use super::*;
use crate::hot::{Bucket, Slot};

const WINDOWS: u64 = 60;
const B: Bucket = Bucket(7);

/// A record in each window, in a run of its own of each, and so `times` times.
fn fill(part: &mut Part, times: u64, value: &[u8]) {
    for _ in 0..times {
        let slot = part.applied(B).0 + 1;
        let mut apply = part.apply(B, Slot(slot));
        for window in 0..WINDOWS {
            let position = dated(window * 100, slot);
            apply.put(&Key::new(b"alice", position).unwrap(), value, None);
        }
        apply.finish();
        flush(part).unwrap();
    }
}

fn runs_of_windows(part: &Part) -> Vec<usize> {
    (0..WINDOWS).map(|window| part.runs.of(RunSet::Window(Window(window))).len()).collect()
}

#[test]
fn tiny_runs_of_many_windows_are_merged_by_one_job() {
    let disk = MemoryDisk::new(1);
    let mut part = open(&disk, config()).unwrap();
    fill(&mut part, 4, b"before");
    assert_eq!(runs_of_windows(&part), [4; WINDOWS as usize]);
    let before = part.stats().runs;
    assert!(merge(&mut part).unwrap());
    assert_eq!(runs_of_windows(&part), [1; WINDOWS as usize]);
    assert!(part.stats().runs <= before - 3 * WINDOWS);
    // Nothing is chosen before something has changed; the files of merged runs are removed.
    while merge(&mut part).unwrap() {}
    assert!(part.choose_merge().is_none() && part.choose_small_merge().is_none());
    let sweep = part.sweep().unwrap();
    part.install(sweep.run()).unwrap();
    fill(&mut part, 4, b"after");
    assert!(merge(&mut part).unwrap());
    drop(part);
    let part = open(&disk, config()).unwrap();
    for window in 0..WINDOWS {
        for slot in 1..=8 {
            let position = dated(window * 100, slot);
            let record = get(&part, B.0, b"alice", position).unwrap().unwrap();
            let expected: &[u8] = if slot <= 4 { b"before" } else { b"after" };
            assert_eq!((&record.value[..], record.version), (expected, Version(slot)));
        }
    }
}

#[test]
fn a_small_merge_takes_in_no_more_than_a_flush_writes() {
    let disk = MemoryDisk::new(1);
    let config = StateConfig { memtable_bytes: 16 << 10, ..config() };
    let mut part = open(&disk, config).unwrap();
    // Bytes that do not get fewer by compression: 4 runs of 5,000 are more than 16 KiB, 3 of them are not.
    let mut state = 1_u64;
    let large: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(5_000)
    .collect();
    for slot in 1..=4 {
        let mut apply = part.apply(B, Slot(slot));
        apply.put(&Key::new(b"alice", dated(0, slot)).unwrap(), &large, None);
        apply.finish();
        flush(&mut part).unwrap();
    }
    let large_runs = |part: &Part| part.runs.of(RunSet::Window(Window(0))).len();
    while let Some(job) = part.choose_small_merge() {
        part.install(job.run()).unwrap();
    }
    assert_eq!(large_runs(&part), 4, "a flush would wait for them");
    while merge(&mut part).unwrap() {}
    assert_eq!(large_runs(&part), 1, "when none waits they are merged");
}
