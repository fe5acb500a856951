//! Reading on in the order of writing.

use super::super::*;
use super::scene::*;
use crate::disk::{AlignedBuffer, MemoryDisk};

/// Reads on from a bookmark to the end, by stretches of so many bytes.
fn walk(reader: &JournalReader, from: Bookmark, bytes: u32) -> Vec<Seen> {
    let (mut seen, mut buffer, mut next) = (Vec::new(), AlignedBuffer::new(), Some(from));
    while let Some(from) = next {
        next = reader
            .read_on(from, bytes, &mut buffer, |record, position| {
                seen.push(Seen { head: record.head, payload: record.payload.to_vec(), position });
            })
            .unwrap();
        assert!(next.is_none_or(|next| next > from), "no way from {from:?}");
    }
    seen
}

const ROUNDS: u64 = 8;
const SIZES: [u32; 6] = [0, 4_096, 5_000, 8_192, 20_000, 1 << 20];

/// Commits of one block and of several, records longer than a block, and several segments.
fn filled(disk: &MemoryDisk) -> Journal {
    let mut journal = open(disk).journal;
    for round in 1..=ROUNDS {
        commit(&mut journal, &[(1, round, 100), (2, round, 0), (3, round, 60 * round as usize)]);
        commit(&mut journal, &[(4, round, 2_000), (5, round, 4_060), (6, round, 700 * round as usize)]);
    }
    assert!(journal.segments().len() > 2);
    journal
}

#[test]
fn whoever_reads_on_from_any_record_sees_what_recovery_sees_from_there() {
    let disk = MemoryDisk::new(1);
    let reader = filled(&disk).reader();
    let seen = open(&disk).seen;
    assert_eq!(seen.len(), ROUNDS as usize * 6);
    for bytes in SIZES {
        for (index, first) in seen.iter().enumerate() {
            let walked = walk(&reader, first.position.into(), bytes);
            assert!(walked == seen[index..], "from record {index}, by {bytes} bytes");
        }
        let start = Bookmark { generation: Generation(1), offset: 0 };
        assert!(walk(&reader, start, bytes) == seen, "from the start, by {bytes} bytes");
    }
}

#[test]
fn damage_is_passed_over_by_whoever_reads_on() {
    let disk = MemoryDisk::new(1);
    let reader = filled(&disk).reader();
    let seen = open(&disk).seen;
    let start = Bookmark { generation: Generation(1), offset: 0 };
    for hurt in [3, 4, 5, 10, 16, 47] {
        let Position { generation, offset, .. } = seen[hurt].position;
        let payload = u64::from(offset + RECORD_HEADER_BYTES);
        let path = segment_path(generation.0);
        let kept = read_bytes(&disk, &path, payload, 1);
        overwrite(&disk, &path, payload, &[!kept[0]]);
        let but_one: Vec<&Seen> = seen.iter().filter(|one| one.position != seen[hurt].position).collect();
        for bytes in SIZES {
            assert!(walk(&reader, start, bytes).iter().eq(but_one.iter().copied()), "payload {hurt}");
        }
        overwrite(&disk, &path, payload, &kept);
        // Where a header is damaged, the rest of its commit cannot be found.
        let header = u64::from(offset);
        let kept = read_bytes(&disk, &path, header, 1);
        overwrite(&disk, &path, header, &[!kept[0]]);
        for bytes in SIZES {
            let walked = walk(&reader, start, bytes);
            let lost: Vec<usize> = (0..seen.len()).filter(|index| !walked.contains(&seen[*index])).collect();
            let rest_of_commit: Vec<usize> = (hurt..(hurt / 3 + 1) * 3).collect();
            assert_eq!(lost, rest_of_commit, "header {hurt}, by {bytes} bytes");
            assert_eq!(walked.len() + lost.len(), seen.len(), "nothing is made up");
        }
        overwrite(&disk, &path, header, &kept);
    }
}

#[test]
fn whoever_reads_on_is_told_what_is_gone_and_what_never_was() {
    let disk = MemoryDisk::new(1);
    let mut journal = filled(&disk);
    let (reader, mut buffer) = (journal.reader(), AlignedBuffer::new());
    let mut read = |generation, offset| {
        let from = Bookmark { generation: Generation(generation), offset };
        reader.read_on(from, 4_096, &mut buffer, |_, _| {})
    };
    journal.preparer().reclaim(Generation(2)).unwrap();
    assert!(matches!(read(1, 0), Err(JournalError::Gone(Generation(1)))));
    assert!(matches!(read(99, 0), Err(JournalError::NoSuchRecord { .. })));
    let newest = *journal.segments().last().unwrap();
    assert_eq!(read(newest.generation.0, newest.bytes).unwrap(), None);
    assert_eq!(read(newest.generation.0, u32::MAX).unwrap(), None);
    // A file that is ready for later commits is not the next one to be read yet.
    journal.preparer().prepare_next().unwrap();
    assert_eq!(read(newest.generation.0, newest.bytes).unwrap(), None);
    commit(&mut journal, &[(7, 1, 10)]);
    let reader = journal.reader();
    let end = Bookmark { generation: newest.generation, offset: newest.bytes };
    assert_eq!(walk(&reader, end, 4_096).len(), 1);
}
