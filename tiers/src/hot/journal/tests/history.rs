//! Segments that nobody starts from: not replayed, read later.

use super::super::super::Bucket;
use super::super::*;
use super::recovery::{all_slots, commit_of, three_segments};
use super::scene::*;
use crate::disk::{Disk, MemoryDisk, OpenMode};

/// What lies before the last of three segments is not needed any more.
fn two_of_history() -> (MemoryDisk, Vec<Position>) {
    let (disk, positions) = three_segments();
    open(&disk).journal.preparer().replay_from(Generation(3)).unwrap();
    (disk, positions)
}

/// Slots as they come, and `None` where something may be lost: of a bucket, of all.
#[derive(Debug, Default, PartialEq, Eq)]
struct History(Vec<Option<(u32, u64)>>, Vec<DamageScope>);

fn read(reader: &mut HistoryReader) -> History {
    let mut history = History::default();
    while reader.read_next(|found| match found {
        Found::Record(record, _) => history.0.push(Some((record.head.bucket.0, record.head.slot.0))),
        Found::Commit(_) => {}
        Found::Lost(scope) => {
            history.0.push(None);
            history.1.push(scope);
        }
    }) {}
    assert!(reader.is_done());
    history
}

/// What the history of a journal says, of which opening finds no damage and replays the last segment.
fn history(disk: &MemoryDisk) -> History {
    let opened = open(disk);
    assert_eq!((opened.damages(), opened.slots()), (vec![], all_slots()[8..].to_vec()));
    read(&mut opened.journal.reader().history())
}

fn whole() -> Vec<Option<(u32, u64)>> {
    all_slots()[..8].iter().copied().map(Some).collect()
}

/// The history without slots `lost`, which are told to be so.
fn but(lost: std::ops::Range<usize>) -> Vec<Option<(u32, u64)>> {
    let mut found = whole();
    found.splice(lost, [None]);
    found
}

#[test]
fn what_nobody_needs_is_not_replayed_but_read_later() {
    let (disk, positions) = two_of_history();
    let opened = open(&disk);
    assert_eq!(opened.slots(), all_slots()[8..]);
    assert_eq!((opened.recovered.sequence, opened.recovered.records), (Sequence(6), 4));
    let (reader, mut buffer) = (opened.journal.reader(), Vec::new());
    assert!(matches!(reader.read(positions[0], &mut buffer), Err(JournalError::NoSuchRecord { .. })));
    let mut history = reader.history();
    assert!(!history.is_done());
    assert_eq!(read(&mut history), History(whole(), vec![]));
    for position in positions {
        assert!(reader.read(position, &mut buffer).is_ok(), "{position:?}");
    }
    let bytes: Vec<u32> = opened.recovered.segments.iter().map(|segment| segment.bytes).collect();
    let known: Vec<u32> = opened.journal.segments().iter().map(|segment| segment.bytes).collect();
    assert_eq!(bytes[..2], [4096; 2], "not known before it is read");
    assert!(known[..3].iter().all(|bytes| *bytes > 20_000), "{known:?}");
}

#[test]
fn a_journal_that_is_replayed_from_its_floor_has_no_history() {
    let (disk, _) = three_segments();
    let opened = open(&disk);
    let mut history = opened.journal.reader().history();
    assert!(history.is_done());
    assert!(!history.read_next(|_| {}));
    opened.journal.preparer().reclaim(Generation(2)).unwrap();
    drop(opened);
    let opened = open(&disk);
    assert_eq!(opened.slots(), all_slots()[4..]);
    assert!(opened.journal.reader().history().is_done());
}

#[test]
fn where_opening_begins_never_falls_and_never_passes_the_active_segment() {
    let (disk, _) = three_segments();
    let opened = open(&disk);
    let preparer = opened.journal.preparer();
    preparer.replay_from(Generation(2)).unwrap();
    let before = disk.calls();
    preparer.replay_from(Generation(2)).unwrap();
    preparer.replay_from(Generation(1)).unwrap();
    assert_eq!(disk.calls().changes(), before.changes(), "nothing new is not written");
    drop(opened);
    let opened = open(&disk);
    assert_eq!(opened.slots(), all_slots()[4..]);
    opened.journal.preparer().replay_from(Generation(u64::MAX)).unwrap();
    drop(opened);
    let mut opened = open(&disk);
    assert_eq!(opened.slots(), all_slots()[8..]);
    // Nor does a reclaim make it fall.
    opened.journal.preparer().reclaim(Generation(2)).unwrap();
    commit(&mut opened.journal, &[(9, 9, 9)]);
    drop(opened);
    let opened = open(&disk);
    assert_eq!(opened.slots()[..4], all_slots()[8..]);
    let seen = read(&mut opened.journal.reader().history()).0;
    assert_eq!(seen, all_slots()[4..8].iter().copied().map(Some).collect::<Vec<_>>());
}

/// Damage in it is none to those who start, and is told to those who read it, at the place where something may be missing.
#[test]
pub(super) fn damage_in_history_is_told_where_it_lies() {
    let (all, of_7) = (DamageScope::AllBuckets, DamageScope::Bucket(Bucket(7)));
    let (disk, positions) = two_of_history();
    disk.flip_bits(&segment_path(1), u64::from(positions[1].offset) + 40, 1).unwrap();
    assert_eq!(history(&disk), History(but(1..2), vec![of_7]));

    let (disk, positions) = two_of_history();
    disk.flip_bits(&segment_path(1), u64::from(positions[1].offset) + 10, 1).unwrap();
    assert_eq!(history(&disk), History(but(1..2), vec![all]));

    // The header of a commit, in the middle, at the end of a segment, at the end of all.
    for (segment, first, last) in [(1, 0, 2), (1, 2, 4), (2, 4, 6), (2, 6, 8)] {
        let (disk, positions) = two_of_history();
        disk.flip_bits(&segment_path(segment), commit_of(positions[first]), 1).unwrap();
        let mut found = history(&disk);
        found.0.dedup();
        assert_eq!(found.0, but(first..last), "{first}");
    }

    // A commit whose records do not verify looks torn at the end of a segment.
    for last in [3, 7] {
        let (disk, positions) = two_of_history();
        let path = segment_path(positions[last].generation.0);
        disk.flip_bits(&path, u64::from(positions[last].offset) + 40, 1).unwrap();
        let mut found = history(&disk);
        found.0.dedup();
        assert_eq!(found.0, but(last - 1..last + 1), "{last}");
    }
}

#[test]
fn segments_that_are_missing_or_not_what_they_should_be_are_told() {
    for segment in [1, 2] {
        let lost = segment * 4 - 4..segment * 4;
        let expected = || {
            let mut expected = but(lost.clone());
            // Nothing comes before it.
            expected.drain(..usize::from(segment == 1));
            expected
        };
        let seen = |disk: &MemoryDisk| {
            let mut found = history(disk);
            found.0.dedup();
            found.0
        };
        let (disk, _) = two_of_history();
        disk.remove(&segment_path(segment as u64)).unwrap();
        assert_eq!(seen(&disk), expected());

        let (disk, _) = two_of_history();
        overwrite(&disk, &segment_path(segment as u64), 4096, &vec![0; SEGMENT as usize - 4096]);
        assert_eq!(seen(&disk), expected());

        // Without its label it is still known by its name, and every record tells whether it is there.
        let (disk, _) = two_of_history();
        overwrite(&disk, &segment_path(segment as u64), 0, &[0; 512]);
        assert_eq!(seen(&disk), whole());
        let mut opened = open(&disk);
        opened.journal.preparer().reclaim(Generation(3)).unwrap();
        commit(&mut opened.journal, &[(1, 7, 9_000)]);
        drop(opened);
        assert_eq!(open(&disk).damages(), []);
    }
}

#[test]
fn history_may_go_while_it_is_read() {
    let (disk, _) = two_of_history();
    let opened = open(&disk);
    let mut reader = opened.journal.reader().history();
    assert!(reader.read_next(|_| {}));
    opened.journal.preparer().reclaim(Generation(3)).unwrap();
    assert!(reader.is_done());
    assert_eq!(read(&mut reader), History(vec![None], vec![DamageScope::AllBuckets]));
    assert!(open(&disk.fork()).journal.reader().history().is_done());
}

#[test]
fn what_is_given_back_while_it_is_read_is_no_loss() {
    let (disk, _) = two_of_history();
    let opened = open(&disk);
    let mut reader = opened.journal.reader().history();
    assert!(!reader.pass_over_released());
    assert!(reader.read_next(|_| {}));
    opened.journal.preparer().reclaim(Generation(3)).unwrap();
    assert!(reader.pass_over_released(), "what was read is gone too");
    assert!(!reader.pass_over_released());
    assert_eq!(read(&mut reader), History::default());
}

#[test]
fn a_file_of_history_with_damage_is_not_used_again() {
    let spares_of = |damaged: Option<(usize, i64)>| {
        let (disk, positions) = two_of_history();
        if let Some((record, at)) = damaged {
            let Position { generation, offset, .. } = positions[record];
            disk.flip_bits(&segment_path(generation.0), u64::from(offset).wrapping_add_signed(at), 1)
                .unwrap();
        }
        let spares = || {
            let names = disk.list(directory()).unwrap();
            names.iter().filter(|name| name.to_string_lossy().starts_with("spare-")).count()
        };
        let opened = open(&disk);
        read(&mut opened.journal.reader().history());
        let before = spares();
        opened.journal.preparer().reclaim(Generation(3)).unwrap();
        spares() - before
    };
    let whole = spares_of(None);
    assert!(whole > 0);
    // A record of the second segment; the last commit there, which the chain alone tells of.
    assert_eq!(spares_of(Some((5, 40))), whole.min(1));
    assert_eq!(spares_of(Some((6, -40))), whole.min(1));
    // The last commit of the first segment: it shows in the second.
    assert_eq!(spares_of(Some((2, -40))), 0);
}

/// What went on behind a segment whose end is in doubt has taken the numbers of commits that may have been in it, so that nothing tells that they are missing.
#[test]
pub(super) fn what_ends_in_doubt_is_never_read() {
    let truncated = |disk: &MemoryDisk| {
        let file = disk.open(&segment_path(3), OpenMode::ReadWrite).unwrap();
        file.set_len(16_384 + 700).unwrap();
        file.sync().unwrap();
    };
    let misplaced = |disk: &MemoryDisk| {
        let copy = read_bytes(disk, &segment_path(1), 0, SEGMENT as usize);
        overwrite(disk, &segment_path(3), 0, &copy);
    };
    let unreadable = |disk: &MemoryDisk| disk.break_sector(&segment_path(3), SEGMENT as u64 - 10).unwrap();
    for damage in [truncated, misplaced, unreadable] {
        let (disk, _) = three_segments();
        damage(&disk);
        let mut opened = open(&disk);
        assert_eq!(opened.recovered.tail, Tail::InDoubt);
        for slot in 7..=10 {
            commit(&mut opened.journal, &[(1, slot, 9_000), (2, slot, 9_000)]);
        }
        opened.journal.preparer().replay_from(Generation(u64::MAX)).unwrap();
        drop(opened);
        let opened = open(&disk);
        assert_eq!(opened.damages(), []);
        let found: Vec<u64> = read(&mut opened.journal.reader().history())
            .0
            .into_iter()
            .flatten()
            .map(|(_, slot)| slot)
            .collect();
        assert!(!found.is_empty() && found.iter().all(|slot| *slot > 6), "{found:?}");
    }
}
