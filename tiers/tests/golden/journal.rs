//! The journal.

use std::path::Path;
use std::sync::Arc;

use thermocline_tiers::disk::MemoryDisk;
use thermocline_tiers::hot::journal::{
    Journal, JournalBatch, JournalConfig, JournalIdentity, RecordHead, RecordKind, SEGMENT_BYTES_MIN, Tail,
};
use thermocline_tiers::hot::{Bucket, Slot};

use crate::files::Golden;

const FILES: [&str; 2] = ["catalog", "segment-0000000000000001"];

fn golden() -> Golden<'static> {
    Golden { folder: "journal-v1", directory: Path::new("j"), names: &FILES }
}

fn config() -> JournalConfig {
    JournalConfig::with_segment_bytes(SEGMENT_BYTES_MIN)
}

fn identity() -> JournalIdentity {
    JournalIdentity {
        cluster: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
        node: 0x1112,
        disk: 0x1314_1516_1718_191a,
    }
}

fn records() -> Vec<(RecordHead, Vec<u8>)> {
    let head =
        |bucket, slot, kind| RecordHead { bucket: Bucket(bucket), slot: Slot(slot), kind: RecordKind(kind) };
    vec![
        (head(0x2122_2324, 0x3132_3334_3536_3738, 0x41), b"the first record".to_vec()),
        (head(0, 1, 0), Vec::new()),
        (head(u32::MAX, u64::MAX, 255), (0..=255).collect()),
        (head(7, 2, 1), vec![0xab; 3000]),
    ]
}

/// Two records, two more, a witness.
fn write() -> MemoryDisk {
    let disk = MemoryDisk::new(0);
    let (mut journal, _) =
        Journal::open(Arc::new(disk.clone()), Path::new("j"), config(), identity(), |_, _| {}).unwrap();
    for pair in records().chunks(2) {
        let mut batch = JournalBatch::new(&config());
        for (head, payload) in pair {
            batch.push(*head, |into| into.put(payload)).unwrap();
        }
        journal.commit(&mut [&mut batch]).unwrap();
    }
    journal.close().unwrap();
    disk
}

#[test]
fn todays_writer_makes_the_same_bytes() {
    let disk = write();
    golden().assert_same(&disk);
}

#[test]
fn todays_reader_understands_version_1() {
    let disk = golden().disk();
    let mut seen = Vec::new();
    let (_journal, recovered) =
        Journal::open(Arc::new(disk), Path::new("j"), config(), identity(), |record, position| {
            assert_eq!(position.length as usize, 28 + record.payload.len());
            seen.push((record.head, record.payload.to_vec()));
        })
        .unwrap();
    assert_eq!(seen, records());
    assert_eq!((recovered.tail, recovered.damage, recovered.sequence.0), (Tail::Clean, vec![], 3));
}
