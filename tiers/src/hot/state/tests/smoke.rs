//! The shortest way through everything once.

use super::*;
use crate::hot::{Bucket, Slot};

const B: Bucket = Bucket(7);

fn put(part: &mut Part, slot: u64, entity: &[u8], position: Position, value: &[u8]) {
    let mut apply = part.apply(B, Slot(slot));
    apply.put(&Key::new(entity, position).unwrap(), value, None);
    apply.outcome(TokenKey { client: 1, counter: slot }, 1, 2, 3);
    apply.finish();
}

#[test]
fn what_is_put_is_found_before_and_after_flush_merge_and_reopening() {
    let disk = MemoryDisk::new(1);
    let mut part = open(&disk, config()).unwrap();
    for slot in 1..=40 {
        put(&mut part, slot, b"alice", dated(slot, 0), &slot.to_le_bytes());
        if slot % 5 == 0 {
            flush(&mut part).unwrap();
        }
    }
    assert!(merge(&mut part).unwrap());
    drop(part);
    let part = open(&disk, config()).unwrap();
    assert_eq!(part.applied(B), Slot(40));
    for slot in 1..=40_u64 {
        let record = get(&part, 7, b"alice", dated(slot, 0)).unwrap().unwrap();
        assert_eq!((&record.value[..], record.version), (&slot.to_le_bytes()[..], Version(slot)));
    }
    assert_eq!(get(&part, 7, b"alice", dated(41, 0)).unwrap(), None);
    let range = ScanRange {
        from: dated(10, 0),
        to: Position::LAST,
        newest_first: true,
        limit_records: 3,
        limit_bytes: 1000,
    };
    let page = scan(&part, 7, b"alice", &range).unwrap();
    let stamps: Vec<_> = page.records.iter().map(|record| record.position).collect();
    assert_eq!(stamps, [dated(40, 0), dated(39, 0), dated(38, 0)]);
    assert_eq!(page.next, dated(38, 0).previous());
    let token = TokenKey { client: 1, counter: 33 };
    let outcome = Outcome { slot: Slot(33), status: 1, detail: 2, born: 3 };
    assert_eq!(part.outcome(B, &token).unwrap(), Some(outcome));
    assert_eq!(part.outcome(B, &TokenKey { client: 1, counter: 32 }).unwrap(), None);
}
