//! The state.

use std::path::Path;
use std::sync::Arc;

use thermocline_tiers::disk::{Disk, MemoryDisk};
use thermocline_tiers::hot::state::{
    Attribute, Digest, Identity, Key, Lookup, Outcome, Part, Position, Scan, ScanRange, StateConfig,
    TokenKey, Version,
};
use thermocline_tiers::hot::{Bucket, Slot};

use crate::files::Golden;

/// The manifest, then the runs: outcomes and attributes, undated, two windows.
const FILES: [&str; 5] = [
    "manifest",
    "0000000000000001.run",
    "0000000000000002.run",
    "0000000000000003.run",
    "0000000000000004.run",
];
const COMMIT: u64 = 0x2324_2526_2728_292a;
const LOW: Bucket = Bucket(0x0102_0304);
const HIGH: Bucket = Bucket(u32::MAX);
const TOKEN: TokenKey = TokenKey { client: 0x4142_4344_4546_4748, counter: 0x5152_5354_5556_5758 };
const LINK: Attribute = Attribute { kind: 0x61, index: 0x6263_6465_6667_6869 };
const LOW_DIGEST: Digest = Digest(0xca02_2af7_1db2_1c03_226c_20d3_9c91_3b72);

fn golden() -> Golden<'static> {
    Golden { folder: "state-v2", directory: Path::new("s"), names: &FILES }
}

fn open(disk: &MemoryDisk) -> Part {
    let config = StateConfig { window_span_ms: 1000, block_bytes: 512, ..StateConfig::default() };
    let identity = Identity { store: 0x1112_1314_1516_1718_191a_1b1c_1d1e_1f20, part: 0x2122_2324 };
    Part::open(Arc::new(disk.clone()), Path::new("s"), config, identity).unwrap()
}

fn dated(timestamp_ms: u64, sequence: u64) -> Position {
    Position::Dated { timestamp_ms, sequence }
}

/// Every kind of entry, in two windows; one block that can be compressed and one that cannot.
fn write() -> MemoryDisk {
    let disk = MemoryDisk::new(0);
    let mut part = open(&disk);
    for (slot, bucket) in [(1, HIGH), (1, LOW), (2, LOW)] {
        let mut apply = part.apply(bucket, Slot(slot));
        let key = |entity, position| Key::new(entity, position).unwrap();
        apply.put(&key(b"alice", Position::Undated), b"undated", Some(0x3132_3334_3536_3738));
        apply.put(&key(b"alice", dated(999, slot)), &[7; 600], None);
        apply.put(&key(b"alice", dated(1000, u64::MAX)), b"", Some(u64::MAX));
        apply.delete(&key(b"bob", dated(5, 6)));
        apply.trim(b"bob", 0x77);
        if slot == 2 {
            let noise: Vec<u8> =
                (0..600_u32).map(|at| (at * at * 167 + at * 31) as u8 ^ (at >> 3) as u8).collect();
            apply.put(&key(&[0xff; 1024], dated(500, 0)), &noise, None);
            apply.outcome(TOKEN, 0x81, 0x8283_8485_8687_8889, 0x9192_9394_9596_9798);
            apply.set_attribute(LINK, b"a link");
            apply.set_attribute(Attribute { kind: 0, index: 0 }, b"");
        }
        apply.finish();
    }
    let mut flush = part.freeze().unwrap();
    flush.rest_on(COMMIT);
    part.install(flush.run()).unwrap();
    disk
}

#[test]
fn todays_writer_makes_the_same_bytes() {
    let disk = write();
    golden().assert_same(&disk);
    assert_eq!(disk.list(Path::new("s")).unwrap().len(), FILES.len());
}

#[test]
fn todays_reader_understands_the_old_bytes() {
    let disk = golden().disk();
    let part = open(&disk);
    assert_eq!((part.buckets(), part.rests_on()), (vec![LOW, HIGH], COMMIT));
    assert_eq!((part.applied(LOW), part.applied(HIGH)), (Slot(2), Slot(1)));
    assert_eq!(part.digest(LOW), LOW_DIGEST);
    let get = |entity, position| match part.get(LOW, &Key::new(entity, position).unwrap()) {
        Lookup::Deferred(job) => job.run().unwrap(),
        Lookup::Found(record) => Some(record),
        Lookup::Absent => None,
    };
    let undated = get(b"alice", Position::Undated).unwrap();
    assert_eq!((&undated.value[..], undated.version), (&b"undated"[..], Version(2)));
    assert_eq!(undated.expires_ms, Some(0x3132_3334_3536_3738));
    assert_eq!(get(b"alice", dated(999, 1)).unwrap().version, Version(1));
    assert_eq!(get(b"bob", dated(5, 6)), None);
    assert_eq!(get(&[0xff; 1024], dated(500, 0)).unwrap().value.len(), 600);
    let (from, to) = (Position::FIRST, Position::LAST);
    let range = ScanRange { from, to, newest_first: true, limit_records: 9, limit_bytes: 9000 };
    let Scan::Deferred(job) = part.scan(LOW, b"alice", &range) else { panic!("nothing is in memory") };
    let positions: Vec<_> = job.run().unwrap().records.iter().map(|record| record.position).collect();
    assert_eq!(positions, [dated(1000, u64::MAX), dated(999, 2), dated(999, 1), Position::Undated]);
    let outcome =
        Outcome { slot: Slot(2), status: 0x81, detail: 0x8283_8485_8687_8889, born: 0x9192_9394_9596_9798 };
    assert_eq!(part.outcome(LOW, &TOKEN).unwrap(), Some(outcome));
    assert_eq!(part.attribute(LOW, LINK).unwrap().unwrap(), "a link");
}
