//! The recovery table of FORMAT.md: one test per row, of the same name.

use super::super::super::Bucket;
use super::super::layout::{CatalogLabel, SegmentLabel};
use super::super::*;
use super::scene::*;
use crate::disk::{Disk, MemoryDisk, OpenMode, Unsynced};

/// A journal of three segments: six commits of two records, two commits in each segment.
pub(super) fn three_segments() -> (MemoryDisk, Vec<Position>) {
    let disk = MemoryDisk::new(1);
    let mut opened = open(&disk);
    let mut positions = Vec::new();
    for slot in 1..=6 {
        positions.extend(commit(&mut opened.journal, &[(slot as u32 % 3, slot, 5000), (7, slot, 5000)]));
    }
    assert_eq!(opened.journal.active_generation(), Some(Generation(3)));
    drop(opened);
    (disk, positions)
}

pub(super) fn all_slots() -> Vec<(u32, u64)> {
    (1..=6).flat_map(|slot| [(slot as u32 % 3, slot), (7, slot)]).collect()
}

fn without(slots: &[(u32, u64)]) -> Vec<(u32, u64)> {
    all_slots().into_iter().filter(|slot| !slots.contains(slot)).collect()
}

/// What the first opening says.
struct Judged {
    slots: Vec<(u32, u64)>,
    tail: Tail,
    damage: Vec<Damage>,
    never_used: bool,
}

impl Judged {
    fn damages(&self) -> Vec<(DamageScope, DamageReason)> {
        self.damage.iter().map(|damage| (damage.scope, damage.reason)).collect()
    }
}

/// Opens the journal, and checks what holds whatever is wrong with it: the second opening finds the same, the journal can
/// be written, and damage ends when nobody needs the segments it lies in, or they are reclaimed, not before.
fn judge(disk: &MemoryDisk) -> Result<Judged, String> {
    disk.power_cut(Unsynced::Lost);
    let before = disk.calls();
    let mut inspected = Vec::new();
    let found = inspect(disk, directory(), identity(), |record, position| {
        inspected.push(Seen { head: record.head, payload: record.payload.to_vec(), position });
    });
    let found = found.map_err(|error| error.to_string())?;
    if disk.calls().changes() != before.changes() {
        return Err("inspecting changed something".to_owned());
    }
    let first = open(disk);
    if first.seen != inspected
        || (&first.recovered.damage, &first.recovered.tail) != (&found.damage, &found.tail)
        || (first.recovered.records, first.recovered.sequence) != (found.records, found.sequence)
    {
        return Err(format!("inspecting found {found:?}, opening {:?}", first.recovered));
    }
    let damaged = !first.recovered.damage.is_empty();
    let (slots, seen) = (first.slots(), first.seen.clone());
    let judged = Judged {
        slots,
        tail: first.recovered.tail.clone(),
        damage: first.recovered.damage.clone(),
        never_used: first.recovered.never_used,
    };
    drop(first);
    let mut second = open(disk);
    if second.seen != seen || second.recovered.damage.is_empty() == damaged {
        return Err(format!("the second opening differs: {:?} {:?}", second.slots(), second.damages()));
    }
    let position = commit(&mut second.journal, &[(5, 99, 10)])[0];
    drop(second);
    disk.power_cut(Unsynced::Lost);
    let mut third = open(disk);
    let last = third.seen.pop().map(|last| last.position);
    if last != Some(position) || third.seen != seen || third.recovered.damage.is_empty() == damaged {
        return Err(format!("going on differs: {:?} {:?}", third.slots(), third.damages()));
    }
    for slot in 100..103 {
        commit(&mut third.journal, &[(5, slot, 14_000), (5, slot, 2_000)]);
    }
    let active = third.journal.active_generation().unwrap_or(Generation(0));
    third.journal.preparer().replay_from(active).map_err(|error| error.to_string())?;
    let unneeded = disk.fork();
    unneeded.power_cut(Unsynced::Lost);
    let unneeded = open(&unneeded).recovered.damage;
    if !unneeded.is_empty() {
        return Err(format!("not healed by not being needed: {unneeded:?}"));
    }
    third.journal.preparer().reclaim(active).map_err(|error| error.to_string())?;
    drop(third);
    let healed = open(disk);
    if !healed.recovered.damage.is_empty() {
        return Err(format!("not healed: {:?}", healed.recovered.damage));
    }
    Ok(judged)
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} instead of {expected:?}")) }
}

fn all(reason: DamageReason) -> (DamageScope, DamageReason) {
    (DamageScope::AllBuckets, reason)
}

/// Where in its segment the commit of a first record begins.
pub(super) fn commit_of(position: Position) -> u64 {
    u64::from(position.offset) - 48
}

#[test]
fn empty_directory() {
    let disk = MemoryDisk::new(1);
    disk.create_directory(directory()).unwrap();
    assert!(inspect(&disk, directory(), identity(), |_, _| {}).unwrap().never_used);
    assert_eq!(identity_of(&disk, directory()).unwrap(), None);
    let opened = open(&disk);
    assert!(opened.recovered.never_used && opened.seen.is_empty());
    assert_eq!((opened.recovered.tail.clone(), opened.damages()), (Tail::Clean, vec![]));
    assert_eq!(opened.recovered.sequence, Sequence(0));
    drop(opened);
    let judged = judge(&disk).unwrap();
    assert!(judged.never_used, "a restart before the first commit makes no difference");
}

#[test]
fn clean() {
    let (disk, positions) = three_segments();
    let opened = open(&disk);
    assert_eq!(opened.seen.iter().map(|seen| seen.position).collect::<Vec<_>>(), positions);
    assert_eq!(opened.recovered.sequence, Sequence(6));
    assert_eq!(opened.recovered.segments.iter().map(|info| info.records).collect::<Vec<_>>(), [4, 4, 4]);
    drop(opened);
    let judged = judge(&disk).unwrap();
    assert_eq!(
        (judged.slots.clone(), judged.tail.clone(), judged.damages()),
        (all_slots(), Tail::Clean, vec![])
    );
    assert!(!judged.never_used);
}

pub(super) fn check_torn_tail() -> Result<(), String> {
    // The last commit lies at 16,384 and takes three blocks; each variant is something that a torn write can leave.
    let (_, positions) = three_segments();
    let start = commit_of(positions[10]);
    for (what, from, length) in [
        ("all of it", 0, 12_288),
        ("its first sector", 0, 512),
        ("its last sectors", 6_144, 6_144),
        ("a sector of the first record", 1024, 512),
        ("a few bytes of its header", 20, 10),
    ] {
        let (disk, positions) = three_segments();
        overwrite(&disk, &segment_path(3), start + from, &vec![0; length]);
        let judged = judge(&disk).map_err(|error| format!("{what}: {error}"))?;
        expect(what, judged.slots.clone(), without(&[(0, 6), (7, 6)]))?;
        expect(what, judged.damages(), vec![])?;
        let seen = if from == 0 {
            Tail::Clean
        } else {
            Tail::Torn { generation: Generation(3), offset: start as u32 }
        };
        expect(what, judged.tail, seen)?;
        // What was cut never comes back, and its place is used again.
        let mut opened = open(&disk);
        let again = opened.journal.reader().read(positions[10], &mut Vec::new()).map(|_| ());
        if again.is_ok() {
            return Err(format!("{what}: the torn record can be read"));
        }
        commit(&mut opened.journal, &[(1, 1, 1)]);
    }
    Ok(())
}

#[test]
fn torn_tail() {
    check_torn_tail().unwrap();
}

#[test]
fn torn_tail_in_a_new_segment() {
    let (disk, positions) = three_segments();
    let start = commit_of(positions[8]);
    assert_eq!(start, 4096);
    overwrite(&disk, &segment_path(3), start + 600, &vec![0; 28_000 - 600]);
    let judged = judge(&disk).unwrap();
    assert_eq!(judged.slots, without(&[(2, 5), (7, 5), (0, 6), (7, 6)]));
    assert_eq!(judged.damages(), []);
    assert_eq!(judged.tail, Tail::Torn { generation: Generation(3), offset: 4096 });
}

#[test]
fn witnessed_tail() {
    // The same loss as in `torn_tail`, but the journal was closed: it is no torn write then.
    let (disk, positions) = three_segments();
    open(&disk).journal.close().unwrap();
    overwrite(&disk, &segment_path(3), commit_of(positions[10]) + 1024, &[0; 512]);
    let judged = judge(&disk).unwrap();
    assert_eq!(judged.slots, without(&[(0, 6)]));
    assert_eq!(judged.damages(), [(DamageScope::Bucket(Bucket(0)), DamageReason::CorruptPayload)]);
}

pub(super) fn check_corrupt_middle_payload() -> Result<(), String> {
    // The second record of the first commit, and the second to last commit: something valid follows both.
    for (index, bucket, lost) in [(1, 7, (7, 1)), (8, 2, (2, 5))] {
        let (disk, positions) = three_segments();
        let position = positions[index];
        let path = segment_path(position.generation.0);
        disk.flip_bits(&path, u64::from(position.offset) + 2000, 0x10).map_err(|error| error.to_string())?;
        let judged = judge(&disk)?;
        expect(
            "damage",
            judged.damages(),
            vec![(DamageScope::Bucket(Bucket(bucket)), DamageReason::CorruptPayload)],
        )?;
        expect(
            "place",
            (judged.damage[0].path.clone(), judged.damage[0].offset),
            (path, position.offset.into()),
        )?;
        expect("records", judged.slots, without(&[lost]))?;
        expect("tail", judged.tail, Tail::Clean)?;
    }
    Ok(())
}

#[test]
fn corrupt_middle_payload() {
    check_corrupt_middle_payload().unwrap();
}

pub(super) fn check_corrupt_middle_header() -> Result<(), String> {
    for byte in [0, 4, 8, 12, 16, 23, 24, 27] {
        let (disk, positions) = three_segments();
        let position = positions[1];
        let path = segment_path(1);
        disk.flip_bits(&path, u64::from(position.offset) + byte, 1).map_err(|error| error.to_string())?;
        let judged = judge(&disk)?;
        expect("damage", judged.damages(), vec![all(DamageReason::CorruptRecordHeader)])?;
        expect("records", judged.slots, without(&[(7, 1)]))?;
    }
    Ok(())
}

#[test]
fn corrupt_middle_header() {
    check_corrupt_middle_header().unwrap();
}

#[test]
fn corrupt_middle_commit_header() {
    for byte in [0, 4, 8, 16, 24, 28, 32, 36, 40, 44, 47] {
        let (disk, positions) = three_segments();
        disk.flip_bits(&segment_path(2), commit_of(positions[4]) + byte, 1).unwrap();
        let judged = judge(&disk).unwrap();
        assert_eq!(judged.damages(), [all(DamageReason::CorruptCommitHeader)], "byte {byte}");
        assert_eq!(judged.slots, without(&[(0, 3), (7, 3)]));
    }
}

#[test]
fn damage_proven_by_a_torn_commit() {
    // What shows that the second to last commit was durable is the header of the last, which is torn.
    for header in [false, true] {
        let (disk, positions) = three_segments();
        let damaged = positions[8];
        let at = if header { commit_of(damaged) } else { u64::from(damaged.offset) + 2000 };
        disk.flip_bits(&segment_path(damaged.generation.0), at, 0x10).unwrap();
        let last = positions[positions.len() - 1];
        disk.flip_bits(&segment_path(last.generation.0), u64::from(last.offset) + 40, 0x10).unwrap();
        let judged = judge(&disk).unwrap();
        assert_eq!(judged.damage.len(), 1, "{:?}", judged.damage);
        assert!(matches!(judged.tail, Tail::Torn { .. }), "{:?}", judged.tail);
    }
}

#[test]
fn corrupt_last_commit_of_a_closed_segment() {
    let (disk, positions) = three_segments();
    disk.flip_bits(&segment_path(1), commit_of(positions[2]) + 17, 1).unwrap();
    let judged = judge(&disk).unwrap();
    let missing = DamageReason::MissingCommits { first: Sequence(2), last: Sequence(2) };
    assert_eq!(judged.damages(), [all(missing)]);
    assert_eq!(judged.slots, without(&[(2, 2), (7, 2)]));
}

#[test]
fn foreign_records() {
    // A sector of another commit's records at the same place: each verifies, the whole does not.
    let (mut disk, _) = three_segments();
    let other = disk.fork();
    for (disk, slots) in [(&disk, [7, 8, 9]), (&other, [17, 18, 9])] {
        let mut opened = open(disk);
        commit(&mut opened.journal, &slots.map(|slot| (1, slot, 400)));
    }
    let (mine, theirs) = (open(&disk).seen, open(&other).seen);
    let (start, end) = (mine[12].position.offset, mine[13].position.offset);
    assert_eq!(theirs[13].position.offset, end);
    let generation = mine[12].position.generation.0;
    let bytes = read_bytes(&other, &segment_path(generation), start.into(), (end - start) as usize);
    overwrite(&disk, &segment_path(generation), start.into(), &bytes);
    // As a tail it is torn; with a witness behind it, damage.
    let torn = disk.fork();
    assert_eq!(judge(&torn).unwrap().slots, all_slots());
    open(&other).journal.close().unwrap();
    disk = other;
    let original = {
        let (plain, _) = three_segments();
        let mut opened = open(&plain);
        commit(&mut opened.journal, &[7, 8, 9].map(|slot| (1, slot, 400)));
        read_bytes(&plain, &segment_path(generation), start.into(), (end - start) as usize)
    };
    overwrite(&disk, &segment_path(generation), start.into(), &original);
    let judged = judge(&disk).unwrap();
    assert_eq!(judged.damages(), [all(DamageReason::ForeignRecords)]);
}

#[test]
fn missing_segment() {
    for (generation, lost) in [(1, [1, 2]), (2, [3, 4]), (3, [5, 6])] {
        let (disk, _) = three_segments();
        disk.remove(&segment_path(generation)).unwrap();
        disk.sync_directory(directory()).unwrap();
        let judged = judge(&disk).unwrap();
        let missing =
            DamageReason::MissingSegment { first: Generation(generation), last: Generation(generation) };
        assert_eq!(judged.damages()[0], all(missing), "segment {generation}");
        let lost: Vec<_> = lost.iter().flat_map(|slot| [(*slot as u32 % 3, *slot), (7, *slot)]).collect();
        assert_eq!(judged.slots, without(&lost));
        assert_eq!(judged.tail == Tail::InDoubt, generation == 3);
    }
}

/// The records in their order, and whose may have been lost between them.
type Told = Vec<Result<(u32, u64), DamageScope>>;

fn follow(disk: &MemoryDisk) -> Told {
    follow_to(disk, Sequence(0)).0
}

/// The same, and what else there is to know, when a commit is known to have been acknowledged.
fn follow_to(disk: &MemoryDisk, synced: Sequence) -> (Told, Journal, Recovered) {
    let mut found = Told::new();
    let shared = std::sync::Arc::new(disk.clone());
    let (journal, recovered) =
        Journal::open_and_follow(shared, directory(), config(), identity(), synced, |next| {
            found.push(match next {
                Found::Record(record, _) => Ok((record.head.bucket.0, record.head.slot.0)),
                Found::Lost(scope) => Err(scope),
                Found::Commit(_) => return,
            });
        })
        .unwrap();
    found.dedup();
    (found, journal, recovered)
}

#[test]
pub(super) fn lost_end() {
    let (disk, positions) = three_segments();
    let whole: Vec<_> = all_slots().into_iter().map(Ok).collect();
    let (found, journal, recovered) = follow_to(&disk, Sequence(6));
    assert_eq!((found, recovered.damage.len(), recovered.tail), (whole.clone(), 0, Tail::Clean));
    drop(journal);
    // Nothing in the journal tells that this is no torn write.
    overwrite(&disk, &segment_path(3), commit_of(positions[10]) + 600, &vec![0; 5_000]);
    let (left, lost) = (whole[..10].to_vec(), Err(DamageScope::AllBuckets));
    assert_eq!(follow(&disk), left);
    let records = |found: &Told| -> Told { found.iter().copied().filter(Result::is_ok).collect() };
    for _ in 0..2 {
        let (found, journal, recovered) = follow_to(&disk, Sequence(6));
        let missing = DamageReason::MissingCommits { first: Sequence(6), last: Sequence(6) };
        let damage = recovered.damage.last().unwrap();
        assert_eq!((damage.scope, damage.reason), all(missing));
        assert_eq!((records(&found), found.last()), (left.clone(), Some(&lost)));
        assert_eq!((recovered.tail, recovered.sequence), (Tail::InDoubt, Sequence(5)));
        assert!(journal.active_generation() > Some(damage.generation), "a floor there makes up for it");
    }
    // Once that is written down, the caller knows of no later commit than the journal has; the damage stays.
    let (found, mut journal, recovered) = follow_to(&disk, Sequence(5));
    assert_eq!((found.last(), recovered.damage.len()), (Some(&lost), 1));
    assert_eq!(recovered.damage[0].reason, DamageReason::EarlierDamage);
    commit(&mut journal, &[(7, 9, 50)]);
    drop(journal);
    let (found, _, recovered) = follow_to(&disk, Sequence(6));
    assert_eq!(found[found.len() - 2..], [lost, Ok((7, 9))]);
    assert_eq!((recovered.damage.len(), recovered.damage[0].generation), (1, Generation(3)));
}

/// The first segment that is replayed has lost all that it had.
#[test]
fn lost_end_of_all_that_is_replayed() {
    let disk = MemoryDisk::new(1);
    let mut opened = open(&disk);
    commit(&mut opened.journal, &[(7, 1, 5000)]);
    drop(opened);
    overwrite(&disk, &segment_path(1), 4096, &vec![0; 12_000]);
    assert_eq!(
        open(&disk).journal.active_generation(),
        Some(Generation(1)),
        "a new journal, as far as it knows"
    );
    let (_, mut journal, recovered) = follow_to(&disk, Sequence(1));
    assert_eq!((recovered.damage.len(), recovered.damage[0].generation), (1, Generation(1)));
    assert_eq!(journal.active_generation(), Some(Generation(2)), "a floor there makes up for it");
    commit(&mut journal, &[(7, 9, 50)]);
    drop(journal);
    let (found, _, recovered) = follow_to(&disk, Sequence(1));
    assert_eq!((found.last(), recovered.tail), (Some(&Ok((7, 9))), Tail::Clean));
    assert_eq!((recovered.damage.len(), recovered.damage[0].generation), (1, Generation(1)));
}

#[test]
fn what_may_be_lost_is_told_where_it_was() {
    let (disk, positions) = three_segments();
    let told = |lost: &[usize], scope| -> Vec<Result<(u32, u64), DamageScope>> {
        let records = all_slots().into_iter().map(Ok).enumerate();
        let mut told: Vec<_> =
            records.map(|(at, record)| if lost.contains(&at) { Err(scope) } else { record }).collect();
        told.dedup();
        told
    };
    assert_eq!(follow(&disk), told(&[], DamageScope::AllBuckets));
    let damaged = |at: i64| {
        let (disk, positions) = three_segments();
        let offset = u64::from(positions[2].offset).wrapping_add_signed(at);
        disk.flip_bits(&segment_path(1), offset, 1).unwrap();
        follow(&disk)
    };
    assert_eq!(positions[2].generation, Generation(1));
    assert_eq!(damaged(RECORD_HEADER_BYTES.into()), told(&[2], DamageScope::Bucket(Bucket(2))));
    assert_eq!(damaged(4), told(&[2, 3], DamageScope::AllBuckets));
    assert_eq!(damaged(-40), told(&[2, 3], DamageScope::AllBuckets));
    let (disk, _) = three_segments();
    disk.remove(&segment_path(2)).unwrap();
    disk.sync_directory(directory()).unwrap();
    assert_eq!(follow(&disk), told(&[4, 5, 6, 7], DamageScope::AllBuckets));
}

#[test]
fn released_segments_are_not_missed() {
    let (disk, _) = three_segments();
    open(&disk).journal.preparer().reclaim(Generation(3)).unwrap();
    let judged = judge(&disk).unwrap();
    assert_eq!((judged.damages(), judged.slots), (vec![], vec![(2, 5), (7, 5), (0, 6), (7, 6)]));
}

#[test]
fn foreign_identity() {
    let (disk, _) = three_segments();
    assert_eq!(identity_of(&disk, directory()).unwrap(), Some(identity()));
    let before = disk.calls();
    for other in [
        JournalIdentity { cluster: 1, ..identity() },
        JournalIdentity { node: 4, ..identity() },
        JournalIdentity { disk: 1, ..identity() },
    ] {
        match try_open_with(&disk, config(), other).map(|opened| opened.recovered) {
            Err(JournalError::Foreign { found, expected, .. }) => {
                assert_eq!((found, expected), (identity(), other))
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(disk.calls().writes, before.writes, "nothing was changed");
    // A single file of another node among ours.
    let label = SegmentLabel {
        identity: JournalIdentity { node: 4, ..identity() },
        generation: Generation(2),
        segment_bytes: SEGMENT,
    };
    overwrite(&disk, &segment_path(2), 0, &label.encode());
    assert!(matches!(try_open(&disk).map(|_| ()), Err(JournalError::Foreign { .. })));
}

#[test]
fn unsupported_version() {
    let newer = |path: &std::path::Path, at: u64| {
        let (disk, _) = three_segments();
        let mut label = read_bytes(&disk, path, at, 512);
        label[8] = 2;
        let checksum = crc32fast::hash(&label[..508]);
        label[508..].copy_from_slice(&checksum.to_le_bytes());
        overwrite(&disk, path, at, &label);
        let writes = disk.calls().writes;
        match try_open(&disk).map(|opened| opened.recovered) {
            Err(JournalError::UnsupportedVersion { found: 2, supported: 1, path: named }) => {
                assert_eq!(named, path)
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(disk.calls().writes, writes);
    };
    newer(&segment_path(2), 0);
    newer(&catalog_path(), 0);
    newer(&catalog_path(), 4096);
}

pub(super) fn check_stale_generation() -> Result<(), String> {
    let (disk, positions) = three_segments();
    let mut opened = open(&disk);
    opened.journal.preparer().reclaim(Generation(3)).map_err(|error| error.to_string())?;
    let reader = opened.journal.reader();
    // Two files are used again. Each has two old commits, the second of which is not overwritten.
    for slot in 7..=8 {
        let position = commit(&mut opened.journal, &[(slot as u32 % 3, slot, 9000)])[0];
        expect(
            "place",
            (position.generation, position.offset),
            (Generation(4), if slot == 7 { 4144 } else { 16_432 }),
        )?;
        match reader.read(positions[0], &mut Vec::new()) {
            Err(JournalError::Gone(Generation(1))) => {}
            other => return Err(format!("a reclaimed record: {other:?}")),
        }
        if slot == 7 {
            let old = read_bytes(&disk, &segment_path(4), 16_384, 4);
            expect("what lies behind", old, b"TCJC".to_vec())?;
            disk.fork().power_cut(Unsynced::Lost);
            let judged = judge(&disk.fork())?;
            expect("records", judged.slots.clone(), vec![(2, 5), (7, 5), (0, 6), (7, 6), (1, 7)])?;
            expect("tail and damage", (judged.tail.clone(), judged.damages()), (Tail::Clean, vec![]))?;
        }
    }
    Ok(())
}

#[test]
fn stale_generation_in_recycled_segment() {
    check_stale_generation().unwrap();
}

#[test]
fn truncated_segment() {
    // In the middle of the series; then the last one, where commits may have been lost.
    for (generation, lost, tail) in
        [(2, vec![(1, 4), (7, 4)], Tail::Clean), (3, vec![(0, 6), (7, 6)], Tail::InDoubt)]
    {
        let (disk, _) = three_segments();
        let file = disk.open(&segment_path(generation), OpenMode::ReadWrite).unwrap();
        file.set_len(16_384 + 700).unwrap();
        file.sync().unwrap();
        let judged = judge(&disk).unwrap();
        assert_eq!(judged.damages()[0], all(DamageReason::TruncatedSegment));
        assert_eq!((judged.slots, judged.tail), (without(&lost), tail));
    }
    let (disk, _) = three_segments();
    disk.open(&segment_path(1), OpenMode::ReadWrite).unwrap().set_len(0).unwrap();
    disk.open(&segment_path(1), OpenMode::ReadWrite).unwrap().sync().unwrap();
    let judged = judge(&disk).unwrap();
    assert_eq!(judged.damages()[0], all(DamageReason::CorruptLabel));
    assert_eq!(judged.slots, without(&[(1, 1), (7, 1), (2, 2), (7, 2)]));
}

#[test]
fn misplaced_segment() {
    let (disk, _) = three_segments();
    let copy = read_bytes(&disk, &segment_path(1), 0, SEGMENT as usize);
    overwrite(&disk, &segment_path(2), 0, &copy);
    let judged = judge(&disk).unwrap();
    assert_eq!(judged.damages()[0], all(DamageReason::MisplacedSegment { found: Generation(1) }));
    assert_eq!(judged.slots, without(&[(0, 3), (7, 3), (1, 4), (7, 4)]), "and nothing twice");
}

#[test]
fn misplaced_commit() {
    // A write of the second commit that went over the first one of the same segment: the bytes are whole, the place is not.
    let (disk, positions) = three_segments();
    let bytes = read_bytes(&disk, &segment_path(1), commit_of(positions[2]), 12_288);
    overwrite(&disk, &segment_path(1), commit_of(positions[0]), &bytes);
    let judged = judge(&disk).unwrap();
    assert_eq!(judged.damages(), [all(DamageReason::CorruptCommitHeader)]);
    assert_eq!(judged.slots, without(&[(1, 1), (7, 1)]));
}

#[test]
fn broken_chain() {
    // Segment 2 is replaced by one of another history of the same journal.
    let (disk, positions) = three_segments();
    let other = MemoryDisk::new(1);
    let mut opened = open(&other);
    for slot in 1..=6 {
        commit(&mut opened.journal, &[(slot as u32 % 3, slot + 10, 5000), (7, slot, 5000)]);
    }
    let bytes = read_bytes(&other, &segment_path(2), 0, SEGMENT as usize);
    overwrite(&disk, &segment_path(2), 0, &bytes);
    let judged = judge(&disk).unwrap();
    assert_eq!(judged.damages(), [all(DamageReason::BrokenChain); 2]);
    assert_eq!(judged.damage[0].offset, commit_of(positions[4]));
}

#[test]
fn corrupt_label() {
    for generation in 1..=3 {
        let (disk, _) = three_segments();
        disk.flip_bits(&segment_path(generation), 100, 1).unwrap();
        let judged = judge(&disk).unwrap();
        assert_eq!(judged.damages(), [all(DamageReason::CorruptLabel)]);
        assert_eq!(judged.slots, all_slots(), "the records prove themselves");
        assert_eq!(judged.tail == Tail::InDoubt, generation == 3);
    }
}

#[test]
fn missing_catalog() {
    let (disk, _) = three_segments();
    disk.remove(&catalog_path()).unwrap();
    disk.sync_directory(directory()).unwrap();
    let judged = judge(&disk).unwrap();
    assert_eq!((judged.damages(), judged.slots), (vec![all(DamageReason::MissingCatalog)], all_slots()));
    assert_eq!(judged.tail, Tail::InDoubt);
}

#[test]
fn missing_catalog_and_segments() {
    let (disk, _) = three_segments();
    open(&disk).journal.preparer().reclaim(Generation(3)).unwrap();
    disk.remove(&catalog_path()).unwrap();
    disk.remove(&segment_path(3)).unwrap();
    disk.sync_directory(directory()).unwrap();
    let judged = judge(&disk).unwrap();
    assert_eq!((judged.damages(), judged.slots), (vec![all(DamageReason::MissingCatalog)], vec![]));
}

#[test]
fn corrupt_catalog() {
    let (disk, _) = three_segments();
    disk.flip_bits(&catalog_path(), 60, 1).unwrap();
    let judged = judge(&disk.fork()).unwrap();
    assert_eq!((judged.damages(), judged.tail), (vec![], Tail::Clean), "one copy is enough");
    disk.flip_bits(&catalog_path(), 4096 + 60, 1).unwrap();
    let judged = judge(&disk).unwrap();
    assert_eq!((judged.damages(), judged.slots), (vec![all(DamageReason::CorruptCatalog)], all_slots()));
}

#[test]
fn one_rotten_catalog_copy_is_replaced() {
    let (disk, _) = three_segments();
    disk.flip_bits(&catalog_path(), 60, 1).unwrap();
    drop(open(&disk));
    disk.flip_bits(&catalog_path(), 4096 + 60, 1).unwrap();
    assert_eq!(judge(&disk).unwrap().damages(), []);
}

#[test]
fn old_catalog() {
    let (disk, _) = three_segments();
    let label = CatalogLabel {
        identity: identity(),
        revision: 9,
        floor: Generation(1),
        replay_from: Generation(1),
        replay_sequence: Sequence(1),
        newest: Generation(2),
        suspect: Generation(0),
    };
    overwrite(&disk, &catalog_path(), 0, &label.encode());
    overwrite(&disk, &catalog_path(), 4096, &label.encode());
    let judged = judge(&disk).unwrap();
    assert_eq!((judged.damages(), judged.slots), (vec![all(DamageReason::OldCatalog)], all_slots()));
}

#[test]
fn missing_first_commits() {
    // All commits of the oldest segment are wiped, its label is whole: only the catalog knows with which number it began.
    let (disk, _) = three_segments();
    overwrite(&disk, &segment_path(1), 4096, &vec![0; SEGMENT as usize - 4096]);
    let judged = judge(&disk).unwrap();
    let missing = DamageReason::MissingCommits { first: Sequence(1), last: Sequence(2) };
    assert_eq!(judged.damages(), [all(missing)]);
}

#[test]
fn unreadable() {
    // In the middle of a commit; behind the end of a closed segment, where nothing is; behind the end of the last one.
    let (disk, positions) = three_segments();
    disk.break_sector(&segment_path(1), u64::from(positions[0].offset) + 4096).unwrap();
    let opened = open(&disk);
    assert_eq!(opened.slots(), without(&[(1, 1), (7, 1)]));
    assert_eq!(opened.damages()[0].0, DamageScope::Bucket(Bucket(1)));

    let (disk, _) = three_segments();
    disk.break_sector(&segment_path(1), SEGMENT as u64 - 10).unwrap();
    assert_eq!(open(&disk).damages(), []);

    let (disk, _) = three_segments();
    disk.break_sector(&segment_path(3), SEGMENT as u64 - 10).unwrap();
    let judged = judge(&disk).unwrap();
    assert_eq!((judged.damages(), judged.slots), (vec![all(DamageReason::Unreadable)], all_slots()));
    assert_eq!(judged.tail, Tail::InDoubt);
}

#[test]
fn many_damages_are_summed_up() {
    let disk = MemoryDisk::new(1);
    let larger = JournalConfig { segments_max: 4, ..JournalConfig::with_segment_bytes(1 << 20) };
    let mut opened = try_open_with(&disk, larger.clone(), identity()).unwrap();
    let records: Vec<_> = (1..=3000).map(|slot| (slot as u32, slot, 1)).collect();
    let mut batch = batch(&larger, &records);
    opened.journal.commit(&mut [&mut batch]).unwrap();
    opened.journal.close().unwrap();
    for position in batch.positions() {
        disk.flip_bits(&segment_path(1), u64::from(position.offset) + 28, 1).unwrap();
    }
    let opened = try_open_with(&disk, larger, identity()).unwrap();
    assert_eq!(opened.damages().len(), 1025);
    assert_eq!(opened.damages()[1024], all(DamageReason::MoreDamage));
    assert!(opened.recovered.is_damaged(Bucket(2_000_000)));
}

#[test]
pub(super) fn an_end_that_may_be_lost_is_told_behind_the_last_record() {
    let truncated = |disk: &MemoryDisk, generation| {
        let file = disk.open(&segment_path(generation), OpenMode::ReadWrite).unwrap();
        file.set_len(16_384 + 700).unwrap();
        file.sync().unwrap();
    };
    let misplaced = |disk: &MemoryDisk, generation| {
        let copy = read_bytes(disk, &segment_path(4 - generation), 0, SEGMENT as usize);
        overwrite(disk, &segment_path(generation), 0, &copy);
    };
    let missing = |disk: &MemoryDisk, generation| {
        disk.remove(&segment_path(generation)).unwrap();
        disk.sync_directory(directory()).unwrap();
    };
    let unlabelled =
        |disk: &MemoryDisk, generation| disk.flip_bits(&segment_path(generation), 20, 1).unwrap();
    type Harm<'a> = &'a dyn Fn(&MemoryDisk, u64);
    let damages: [Harm<'_>; 4] = [&truncated, &misplaced, &missing, &unlabelled];
    let is_told = |disk: &MemoryDisk| {
        let found = follow(disk);
        assert!(found.len() > 4, "{found:?}");
        found.last() == Some(&Err(DamageScope::AllBuckets))
    };
    for (number, damage) in damages.iter().enumerate() {
        let (disk, _) = three_segments();
        damage(&disk, 3);
        assert!(is_told(&disk), "damage {number}");
        drop(open(&disk));
        assert!(is_told(&disk), "damage {number}, and nothing was written since the first start");
        let before = open(&disk).slots().len();
        commit(&mut open(&disk).journal, &[(1, 7, 90)]);
        let found = follow(&disk);
        assert_eq!(found.last(), Some(&Ok((1, 7))), "damage {number}, and what was written since is whole");
        let told = found.iter().rposition(|found| *found == Err(DamageScope::AllBuckets)).unwrap();
        assert_eq!(found.len() - told, 2, "damage {number}: {found:?}");
        assert_eq!(open(&disk).slots().len(), before + 1);

        let (disk, _) = three_segments();
        damage(&disk, 1);
        assert!(!is_told(&disk), "damage {number} far from the end");
    }
}
