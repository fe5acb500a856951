//! Committing, reading back by position, rolling, running full, poisoning.

use std::io;

use super::super::super::{Bucket, Slot};
use super::super::*;
use super::scene::*;
use crate::disk::{Call, Disk, MemoryDisk, Unsynced};

#[test]
fn a_commit_is_one_write_and_durable() {
    let disk = MemoryDisk::new(1);
    let mut opened = open(&disk);
    assert!(opened.recovered.never_used);
    let before = disk.calls();
    let config = config();
    let (mut first, mut second) =
        (batch(&config, &[(1, 1, 300), (2, 1, 0), (3, 9, 5000)]), batch(&config, &[(1, 2, 10)]));
    let committed = opened.journal.commit(&mut [&mut first, &mut second]).unwrap();
    assert_eq!(disk.calls().changes(), before.changes() + 1);
    assert_eq!((committed.records, committed.commits, committed.rolled), (4, 1, false));
    assert_eq!(committed.sequence, Sequence(1));
    disk.power_cut(Unsynced::Lost);
    let opened = open(&disk);
    assert_eq!(opened.slots(), [(1, 1), (2, 1), (3, 9), (1, 2)]);
    let positions: Vec<Position> = first.positions().chain(second.positions()).collect();
    assert_eq!(opened.seen.iter().map(|seen| seen.position).collect::<Vec<_>>(), positions);
    assert_eq!(opened.seen[2].payload, payload(3, 9, 5000));
    assert_eq!(opened.seen[2].head.kind, RecordKind(4));
    assert!(!opened.recovered.never_used);
}

#[test]
fn batches_know_where_their_records_lie() {
    let disk = MemoryDisk::new(1);
    let mut opened = open(&disk);
    let mut batch = batch(&config(), &[(1, 1, 10), (1, 2, 20)]);
    assert_eq!(batch.position(0), None);
    opened.journal.commit(&mut [&mut batch]).unwrap();
    assert_eq!(
        batch.positions().collect::<Vec<_>>(),
        [batch.position(0).unwrap(), batch.position(1).unwrap()]
    );
    assert_eq!(batch.position(2), None);
    let (reader, mut buffer) = (opened.journal.reader(), Vec::new());
    let record = reader.read(batch.position(1).unwrap(), &mut buffer).unwrap();
    assert_eq!((record.head, record.payload), (head(1, 2), &payload(1, 2, 20)[..]));
    batch.clear();
    assert!(batch.is_empty() && batch.positions().next().is_none());
}

#[test]
fn what_does_not_fit_goes_to_the_next_segment_and_large_batches_are_split() {
    let disk = MemoryDisk::new(1);
    let mut opened = open(&disk);
    let (reader, mut buffer) = (opened.journal.reader(), Vec::new());
    let mut all = Vec::new();
    for round in 0..6_u64 {
        let records: Vec<_> =
            (0..9).map(|slot| (round as u32, slot + 1, 300 * slot as usize + 1000)).collect();
        let mut large = batch(&config(), &records);
        let committed = opened.journal.commit(&mut [&mut large]).unwrap();
        assert_eq!(committed.records, 9);
        all.extend(large.positions().zip(records));
        if round == 2 {
            opened.journal.preparer().prepare_next().unwrap();
        }
        opened.journal.preparer().reclaim(Generation(all[all.len() - 9].0.generation.0)).unwrap();
        for (position, (bucket, slot, length)) in &all[all.len() - 9..] {
            let record = reader.read(*position, &mut buffer).unwrap();
            assert_eq!(
                (record.head, record.payload),
                (head(*bucket, *slot), &payload(*bucket, *slot, *length)[..])
            );
        }
    }
    assert!(all[0].0.generation < all[all.len() - 1].0.generation);
    assert!(matches!(reader.read(all[0].0, &mut buffer), Err(JournalError::Gone(_))));
    assert!(opened.journal.segments().len() <= 3);
}

#[test]
fn a_batch_larger_than_a_commit_takes_several() {
    let disk = MemoryDisk::new(1);
    let limits = JournalConfig { batch_bytes_max: 200 << 10, segments_max: 16, ..config() };
    let mut opened = try_open_with(&disk, limits.clone(), identity()).unwrap();
    let records: Vec<_> = (0..100).map(|slot| (slot as u32 % 3, slot + 1, 900 + 7 * slot as usize)).collect();
    let mut large = batch(&limits, &records);
    let committed = opened.journal.commit(&mut [&mut large]).unwrap();
    assert!(committed.commits >= 5 && committed.rolled);
    drop(opened);
    let opened = try_open_with(&disk, limits, identity()).unwrap();
    assert_eq!(opened.slots(), records.iter().map(|(bucket, slot, _)| (*bucket, *slot)).collect::<Vec<_>>());
    let positions: Vec<Position> = large.positions().collect();
    assert_eq!(opened.seen.iter().map(|seen| seen.position).collect::<Vec<_>>(), positions);
    assert_eq!((0..100).map(|index| large.position(index).unwrap()).collect::<Vec<_>>(), positions);
}

#[test]
fn records_and_batches_have_limits() {
    let config = config();
    let mut batch = JournalBatch::new(&config);
    let most = config.payload_bytes_max as usize;
    let refused = batch.push(head(1, 1), |into| {
        into.put(&vec![0; most]);
        into.put_u8(1);
    });
    assert!(
        matches!(refused, Err(JournalError::Invalid { field: "payload_bytes", value, .. }) if value == most as u64 + 1)
    );
    assert!(batch.is_empty() && batch.byte_len() == 0);
    assert_eq!(batch.push(head(1, 1), |into| into.put(&vec![0; most])).unwrap(), 0);
    assert!(matches!(
        batch.push(head(1, 2), |into| into.put(&vec![0; most])),
        Err(JournalError::BatchFull { .. })
    ));
    assert_eq!(batch.len(), 1);
    let disk = MemoryDisk::new(1);
    let small = JournalConfig { payload_bytes_max: 100, ..config.clone() };
    let mut opened = try_open_with(&disk, small, identity()).unwrap();
    let mut other = JournalBatch::new(&config);
    while other.push(head(1, 1), |into| into.put(&[1; 9000])).is_ok() {}
    let before = disk.calls();
    let refused = opened.journal.commit(&mut [&mut batch, &mut other]);
    assert!(matches!(refused, Err(JournalError::Invalid { field: "record bytes", .. })));
    assert_eq!(disk.calls(), before);
}

#[test]
fn nothing_is_written_for_nothing() {
    let disk = MemoryDisk::new(1);
    let mut opened = open(&disk);
    let before = disk.calls();
    let committed = opened.journal.commit(&mut [&mut JournalBatch::new(&config())]).unwrap();
    assert_eq!((committed.commits, committed.sequence), (0, Sequence(0)));
    assert_eq!(disk.calls(), before);
}

#[test]
fn positions_that_were_never_given_out_are_refused() {
    let disk = MemoryDisk::new(1);
    let mut opened = open(&disk);
    let position = commit(&mut opened.journal, &[(1, 1, 100)])[0];
    let (reader, mut buffer) = (opened.journal.reader(), Vec::new());
    for wrong in [
        Position { generation: Generation(9), ..position },
        Position { offset: 0, ..position },
        Position { length: 27, ..position },
        Position { length: u32::MAX, ..position },
        Position { offset: u32::MAX, ..position },
        Position { length: position.length - 1, ..position },
    ] {
        let refused = reader.read(wrong, &mut buffer);
        assert!(matches!(refused, Err(JournalError::NoSuchRecord { .. })), "{wrong:?}: {refused:?}");
    }
    let refused = reader.read(Position { offset: position.offset + 1, ..position }, &mut buffer);
    assert!(matches!(refused, Err(JournalError::Corrupt { .. })), "{refused:?}");
    disk.flip_bits(&segment_path(1), u64::from(position.offset) + 50, 1).unwrap();
    assert!(matches!(reader.read(position, &mut buffer), Err(JournalError::Corrupt { .. })));
    disk.break_sector(&segment_path(1), position.offset.into()).unwrap();
    assert!(matches!(reader.read(position, &mut buffer), Err(JournalError::Io { .. })));
}

/// Fills segments until the journal says that it is full; returns the slots written.
fn fill(journal: &mut Journal) -> u64 {
    for slot in 1.. {
        let mut batch = batch(&config(), &[(1, slot, 9000)]);
        match journal.commit(&mut [&mut batch]) {
            Ok(_) => {}
            Err(JournalError::Full { .. }) => return slot - 1,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!()
}

#[test]
fn a_full_journal_says_so_before_writing_and_works_again_after_reclaiming() {
    let disk = MemoryDisk::new(1);
    let mut opened = open(&disk);
    let written = fill(&mut opened.journal);
    assert_eq!(opened.journal.segments().len(), 7, "one file of eight is headroom");
    let before = disk.calls();
    let mut one = batch(&config(), &[(1, written + 1, 9000)]);
    assert!(matches!(opened.journal.commit(&mut [&mut one]), Err(JournalError::Full { .. })));
    assert_eq!(disk.calls(), before);
    assert!(matches!(opened.journal.preparer().prepare_next(), Err(JournalError::Full { .. })));
    opened.journal.commit_from_headroom(&mut [&mut one]).unwrap();
    let released = opened.journal.preparer().reclaim(Generation(4)).unwrap();
    assert_eq!((released.segments, released.records), (3, 6));
    let mut two = batch(&config(), &[(1, written + 2, 14_000)]);
    opened.journal.commit(&mut [&mut two]).unwrap();
    drop(opened);
    let opened = open(&disk);
    assert!(opened.recovered.damage.is_empty());
    assert_eq!(opened.slots(), (7..=written + 2).map(|slot| (1, slot)).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_is_no_poison_and_keeps_the_headroom() {
    let disk = MemoryDisk::new(1);
    let mut opened = open(&disk);
    opened.journal.preparer().prepare_next().unwrap();
    disk.set_capacity(Some(disk.used_bytes() + 5000));
    let written = fill(&mut opened.journal);
    assert_eq!(written, 4, "the next segment is used, the one behind it is headroom");
    while opened.journal.witness().is_ok_and(|committed| !committed.rolled) {}
    assert_eq!(opened.journal.active_generation(), Some(Generation(3)), "a witness may use it");
    disk.set_capacity(Some(disk.used_bytes() + 40_000));
    let mut more = batch(&config(), &[(1, 5, 9000)]);
    opened.journal.commit(&mut [&mut more]).unwrap();
    drop(opened);
    disk.power_cut(Unsynced::Lost);
    assert_eq!(open(&disk).slots(), [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]);
}

#[test]
fn a_disk_without_room_for_a_name_is_no_poison() {
    // The calls of a roll that change names, one after the other; then those of a release.
    for nth in 1..=4 {
        let disk = MemoryDisk::new(1);
        let mut opened = open(&disk);
        commit(&mut opened.journal, &[(1, 1, 9000)]);
        disk.fail(Call::Entry, nth, io::ErrorKind::StorageFull);
        let mut slot = 2;
        for _ in 0..20 {
            let mut batch = batch(&config(), &[(1, slot, 9000)]);
            match opened.journal.commit(&mut [&mut batch]) {
                Ok(_) => slot += 1,
                Err(JournalError::Full { .. }) => {}
                Err(error) => panic!("call {nth}: {error}"),
            }
            let newest = opened.journal.active_generation().unwrap();
            opened.journal.preparer().reclaim(newest).unwrap();
        }
        disk.heal();
        drop(opened);
        disk.power_cut(Unsynced::Lost);
        let opened = open(&disk);
        assert!(opened.recovered.damage.is_empty(), "call {nth}");
        assert_eq!(opened.slots().last(), Some(&(1, slot - 1)), "call {nth}");
    }
}

#[test]
fn a_disk_full_from_the_beginning_opens_and_says_full() {
    let disk = MemoryDisk::new(1);
    disk.set_capacity(Some(20_000));
    let mut opened = open(&disk);
    let mut one = batch(&config(), &[(1, 1, 10)]);
    assert!(matches!(opened.journal.commit(&mut [&mut one]), Err(JournalError::Full { .. })));
    assert_eq!(opened.journal.active_generation(), None);
    disk.set_capacity(None);
    opened.journal.commit(&mut [&mut one]).unwrap();
    assert_eq!(opened.journal.active_generation(), Some(Generation(1)));
    drop(opened);
    assert_eq!(open(&disk).slots(), [(1, 1)]);
}

/// Whether a failed write ends the journal for good; shared with the planted bug.
pub(super) fn failure_poisons() -> Result<(), String> {
    let disk = MemoryDisk::new(7);
    let mut opened = open(&disk);
    commit(&mut opened.journal, &[(1, 1, 3000)]);
    disk.fail(Call::Write, 1, io::ErrorKind::Other);
    let mut second = batch(&config(), &[(1, 2, 3000)]);
    let first_answer = opened.journal.commit(&mut [&mut second]);
    if !matches!(&first_answer, Err(JournalError::Poisoned(_))) {
        return Err(format!("the failing commit said {first_answer:?}"));
    }
    let before = disk.calls();
    for answer in [
        opened.journal.commit(&mut [&mut second]).err(),
        opened.journal.witness().err(),
        opened.journal.preparer().prepare_next().err(),
        opened.journal.preparer().reclaim(Generation(1)).err(),
    ] {
        if !matches!(&answer, Some(JournalError::Poisoned(poison)) if poison.action == "write") {
            return Err(format!("after the failure: {answer:?}"));
        }
    }
    if disk.calls() != before {
        return Err("a poisoned journal touched the disk".to_owned());
    }
    Ok(())
}

#[test]
fn a_failed_write_poisons() {
    failure_poisons().unwrap();
}

#[test]
fn what_was_committed_before_the_poison_can_be_read() {
    let disk = MemoryDisk::new(7);
    let mut opened = open(&disk);
    let position = commit(&mut opened.journal, &[(1, 1, 30)])[0];
    disk.fail(Call::Write, 1, io::ErrorKind::Other);
    let mut second = batch(&config(), &[(1, 2, 3000)]);
    opened.journal.commit(&mut [&mut second]).unwrap_err();
    assert!(second.positions().next().is_none());
    let mut buffer = Vec::new();
    let record = opened.journal.reader().read(position, &mut buffer).unwrap();
    assert_eq!((record.head.bucket, record.head.slot), (Bucket(1), Slot(1)));
}

#[test]
fn failing_to_prepare_a_file_poisons_too() {
    for call in [Call::Write, Call::Sync, Call::Entry] {
        let disk = MemoryDisk::new(7);
        let opened = open(&disk);
        disk.fail(call, 1, io::ErrorKind::Other);
        let preparer = opened.journal.preparer();
        assert!(matches!(preparer.prepare_next(), Err(JournalError::Poisoned(_))), "{call:?}");
        assert!(matches!(preparer.prepare_next(), Err(JournalError::Poisoned(_))), "{call:?}");
    }
}

#[test]
fn released_files_are_used_again_and_no_more_of_them_kept_than_wanted() {
    let disk = MemoryDisk::new(1);
    let mut opened = open(&disk);
    fill(&mut opened.journal);
    opened.journal.preparer().reclaim(Generation(u64::MAX)).unwrap();
    let files = disk.list(directory()).unwrap();
    let spares = files.iter().filter(|name| name.to_string_lossy().starts_with("spare")).count();
    assert_eq!((files.len(), spares), (1 + 1 + 3, 3), "the catalog, the active segment, three spares");
    let before = disk.calls();
    opened.journal.preparer().prepare_next().unwrap();
    assert_eq!(disk.calls().writes, before.writes + 3, "one label, two catalog copies, nothing filled");
    assert_eq!(opened.journal.preparer().reclaim(Generation(1)).unwrap(), Released::default());
}

#[test]
fn a_directory_is_opened_once() {
    let disk = MemoryDisk::new(1);
    let opened = open(&disk);
    assert!(matches!(try_open(&disk), Err(JournalError::InUse { .. })));
    drop(opened);
    open(&disk);
}

#[test]
fn segments_of_another_length_are_read_and_not_used_again() {
    let disk = MemoryDisk::new(1);
    let mut opened = open(&disk);
    commit(&mut opened.journal, &[(1, 1, 9000)]);
    drop(opened);
    let larger = JournalConfig { segments_max: 8, ..JournalConfig::with_segment_bytes(2 * SEGMENT) };
    let mut opened = try_open_with(&disk, larger.clone(), identity()).unwrap();
    assert_eq!(opened.slots(), [(1, 1)]);
    commit(&mut opened.journal, &[(1, 2, 9000)]);
    commit(&mut opened.journal, &[(1, 3, 20_000)]);
    assert_eq!(opened.journal.active_generation(), Some(Generation(2)));
    opened.journal.preparer().reclaim(Generation(2)).unwrap();
    assert!(disk.list(directory()).unwrap().iter().all(|name| {
        let path = directory().join(name);
        name.to_string_lossy() == "catalog"
            || disk.open(&path, crate::disk::OpenMode::Read).unwrap().len().unwrap() == 65536
    }));
    drop(opened);
    let opened = try_open_with(&disk, larger, identity()).unwrap();
    assert_eq!(opened.slots(), [(1, 3)]);
}
