//! The journal's bytes as version 1 wrote them: today's code reads them, and writes the very same.
//!
//! A difference here is a change of format: it needs a new version, new files beside the old ones, and a word in FORMAT.md.
//! `WRITE_GOLDEN=1 cargo test -p thermocline-tiers --test journal_golden` writes the files where there are none.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thermocline_tiers::disk::{Disk, MemoryDisk, OpenMode};
use thermocline_tiers::hot::journal::{
    Journal, JournalBatch, JournalConfig, JournalIdentity, RecordHead, RecordKind, SEGMENT_BYTES_MIN, Tail,
};
use thermocline_tiers::hot::{Bucket, Slot};

const FILES: [&str; 2] = ["catalog", "segment-0000000000000001"];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal-v1")
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

fn contents(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    let file = disk.open(&Path::new("j").join(name), OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn todays_writer_makes_the_same_bytes() {
    let disk = write();
    for name in FILES {
        let path = golden().join(name);
        if std::env::var_os("WRITE_GOLDEN").is_some() && !path.exists() {
            std::fs::create_dir_all(golden()).unwrap();
            std::fs::write(&path, contents(&disk, name)).unwrap();
        }
        let expected = std::fs::read(&path).unwrap();
        let found = contents(&disk, name);
        let difference = expected.iter().zip(&found).position(|(old, new)| old != new);
        assert!(expected == found, "{name} differs, first at {difference:?}");
    }
}

#[test]
fn todays_reader_understands_version_1() {
    let disk = MemoryDisk::new(0);
    disk.create_directory(Path::new("j")).unwrap();
    for name in FILES {
        let file = disk.open(&Path::new("j").join(name), OpenMode::CreateNew).unwrap();
        file.write_all_at(&std::fs::read(golden().join(name)).unwrap(), 0).unwrap();
    }
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
