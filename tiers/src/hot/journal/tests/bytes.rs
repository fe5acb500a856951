//! Layouts there and back, and files of arbitrary bytes.

use proptest::prelude::*;

use super::super::super::{Bucket, Slot};
use super::super::layout::*;
use super::super::scan::Scan;
use super::super::*;
use super::scene::*;
use crate::disk::{DIRECT_ALIGNMENT, Disk, MemoryDisk, OpenMode};

fn identities() -> impl Strategy<Value = JournalIdentity> {
    any::<(u128, u16, u64)>().prop_map(|(cluster, node, disk)| JournalIdentity { cluster, node, disk })
}

proptest! {
    #[test]
    fn labels_survive_there_and_back(identity in identities(), numbers in any::<[u64; 6]>(), flip in 0_usize..4096) {
        let numbers = numbers.map(|number| (number >> 2).max(2));
        let segment_bytes = SEGMENT_BYTES_MIN + numbers[1] as u32 % (1 << 17) * BLOCK_BYTES;
        let segment = SegmentLabel { identity, generation: Generation(numbers[0]), segment_bytes };
        prop_assert_eq!(SegmentLabel::decode(&segment.encode()), Ok(segment));
        let catalog = CatalogLabel {
            identity,
            revision: numbers[1],
            floor: Generation(numbers[2] % numbers[4] + 1),
            replay_from: Generation(numbers[2] % numbers[4] + 1 + numbers[0] % (numbers[4] - numbers[2] % numbers[4] + 1)),
            replay_sequence: Sequence(numbers[3]),
            newest: Generation(numbers[4]),
            suspect: Generation(numbers[5] % numbers[4]),
        };
        prop_assert_eq!(CatalogLabel::decode(&catalog.encode()), Ok(catalog));
        prop_assert_eq!(CatalogLabel::decode(&segment.encode()), Err(LabelFault::Corrupt));
        let mut damaged = segment.encode();
        damaged[flip / 8] ^= 1 << (flip % 8);
        prop_assert_eq!(SegmentLabel::decode(&damaged), Err(LabelFault::Corrupt));
    }

    #[test]
    fn headers_survive_there_and_back(
        identity in identities(),
        numbers in any::<[u64; 3]>(),
        small in any::<[u32; 6]>(),
        kind in any::<u8>(),
        flip in 0_usize..48 * 8,
    ) {
        let numbers = numbers.map(|number| number >> 1);
        let generation = Generation(numbers[0]);
        let seed = Seed::new(identity, generation);
        let (offset, body_bytes) = (small[0] % (1 << 29), small[1] % (1 << 28));
        let commit = CommitHeader {
            generation,
            sequence: Sequence(numbers[1]),
            offset,
            body_bytes,
            records: small[2],
            previous: small[3],
            records_checksum: small[4],
        };
        let mut bytes = [0; 48];
        let checksum = commit.encode(seed, &mut bytes);
        let decode = |bytes: &[u8], generation, offset, capacity| {
            CommitHeader::decode(bytes, Seed::new(identity, generation), generation, offset, capacity)
        };
        prop_assert_eq!(decode(&bytes, generation, offset, 1 << 30), Some((commit, checksum)));
        prop_assert_eq!(decode(&bytes, Generation(numbers[0] ^ 1), offset, 1 << 30), None);
        prop_assert_eq!(decode(&bytes, generation, offset ^ 4096, 1 << 30), None);
        prop_assert_eq!(decode(&bytes, generation, offset, offset + body_bytes), None);
        prop_assert_eq!(decode(&bytes[..47], generation, offset, 1 << 30), None);
        bytes[flip / 8] ^= 1 << (flip % 8);
        prop_assert_eq!(decode(&bytes, generation, offset, 1 << 30), None);

        let head = RecordHead { bucket: Bucket(small[5]), slot: Slot(numbers[2]), kind: RecordKind(kind) };
        let record = RecordHeader { head, payload_bytes: small[1], payload_checksum: small[2] };
        let mut bytes = [0; 28];
        record.encode_unsealed(&mut bytes);
        let checksum = RecordHeader::seal(&mut bytes, seed, offset);
        prop_assert_eq!(RecordHeader::decode(&bytes, seed, offset), Some((record, checksum)));
        prop_assert_eq!(RecordHeader::decode(&bytes, seed, offset ^ 1), None);
        prop_assert_eq!(RecordHeader::decode(&bytes, Seed::new(identity, Generation(numbers[0] ^ 1)), offset), None);
        bytes[flip / 8 % 28] ^= 1 << (flip % 8);
        prop_assert_eq!(RecordHeader::decode(&bytes, seed, offset), None);
    }

    #[test]
    fn any_records_come_back_as_they_were(
        commits in prop::collection::vec(prop::collection::vec((0_u32..9, any::<u64>(), 0_usize..3000), 1..6), 1..8),
    ) {
        let disk = MemoryDisk::new(1);
        let limits = JournalConfig { segments_max: 64, ..config() };
        let mut opened = try_open_with(&disk, limits.clone(), identity()).unwrap();
        let mut written = Vec::new();
        for records in &commits {
            let mut batch = batch(&limits, records);
            opened.journal.commit(&mut [&mut batch]).unwrap();
            for ((bucket, slot, length), position) in records.iter().zip(batch.positions()) {
                let payload = payload(*bucket, *slot, *length);
                written.push(Seen { head: head(*bucket, *slot), payload, position });
            }
        }
        drop(opened);
        prop_assert_eq!(try_open_with(&disk, limits, identity()).unwrap().seen, written);
    }
}

/// What is put into a segment file, at a multiple of an eighth of a block.
#[derive(Clone, Debug)]
enum Junk {
    Bytes(Vec<u8>),
    /// A commit header that verifies, with whatever lengths.
    Commit {
        sequence: u64,
        body_bytes: u32,
        records: u32,
    },
    /// A record header that verifies, with whatever length.
    Record {
        payload_bytes: u32,
        payload_checksum: u32,
    },
}

fn junk() -> impl Strategy<Value = (u32, Junk)> {
    let lengths = || prop_oneof![0_u32..20_000, any::<u32>()];
    let junk = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..900).prop_map(Junk::Bytes),
        (0_u64..12, lengths(), lengths()).prop_map(|(sequence, body_bytes, records)| Junk::Commit {
            sequence,
            body_bytes,
            records
        }),
        (lengths(), any::<u32>())
            .prop_map(|(payload_bytes, payload_checksum)| Junk::Record { payload_bytes, payload_checksum }),
    ];
    (0..SEGMENT / 512, junk)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_bytes_in_a_segment_neither_panic_nor_claim_memory(
        pieces in prop::collection::vec(junk(), 1..12),
        whole_blocks in any::<bool>(),
        cut in prop::option::of(0_u32..=SEGMENT),
    ) {
        let disk = MemoryDisk::new(1);
        let mut opened = open(&disk);
        for slot in 1..=5 {
            commit(&mut opened.journal, &[(1, slot, 2000), (2, slot, 3000)]);
        }
        drop(opened);
        let (path, generation) = (segment_path(1), Generation(1));
        let seed = Seed::new(identity(), generation);
        for (place, junk) in pieces {
            let offset = if whole_blocks { place / 8 * BLOCK_BYTES } else { place * 512 };
            let bytes = match junk {
                Junk::Bytes(bytes) => bytes,
                Junk::Commit { sequence, body_bytes, records } => {
                    let header = CommitHeader {
                        generation,
                        sequence: Sequence(sequence),
                        offset,
                        body_bytes,
                        records,
                        previous: 0,
                        records_checksum: 0,
                    };
                    let mut bytes = vec![0; 48];
                    header.encode(seed, &mut bytes);
                    bytes
                }
                Junk::Record { payload_bytes, payload_checksum } => {
                    let mut bytes = vec![0; 28];
                    RecordHeader { head: head(1, 1), payload_bytes, payload_checksum }.encode_unsealed(&mut bytes);
                    RecordHeader::seal(&mut bytes, seed, offset + 48);
                    let mut behind = vec![0; 48];
                    behind.extend(bytes);
                    behind
                }
            };
            let room = (SEGMENT - offset) as usize;
            overwrite(&disk, &path, offset.into(), &bytes[..bytes.len().min(room)]);
        }
        if let Some(cut) = cut {
            disk.open(&path, OpenMode::ReadWrite).unwrap().set_len(cut.into()).unwrap();
        }

        let file = disk.open(&path, OpenMode::Read).unwrap();
        let length = file.len().unwrap() as u32;
        let mut scan = Scan::new(file, seed, generation, length);
        let mut at = 0;
        while let Some((offset, header)) = scan.next_commit(at) {
            scan.walk(&header, |_, _| {});
            at = offset + BLOCK_BYTES;
        }
        prop_assert!(scan.memory_bytes() <= SEGMENT.next_power_of_two() as usize + DIRECT_ALIGNMENT);

        match try_open(&disk) {
            Ok(mut opened) => {
                // Whatever was delivered was written once, unless the junk verifies as a whole.
                for seen in &opened.seen {
                    let written = payload(seen.head.bucket.0, seen.head.slot.0, seen.payload.len());
                    prop_assert!(seen.payload == written || seen.payload.is_empty());
                }
                commit(&mut opened.journal, &[(1, 77, 100)]);
                drop(opened);
                prop_assert!(open(&disk).slots().contains(&(1, 77)));
            }
            Err(JournalError::UnsupportedVersion { .. } | JournalError::Foreign { .. }) => {}
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn any_numbers_in_labels_do_not_panic(
        numbers in prop::array::uniform8(prop_oneof![0_u64..9, any::<u64>()]),
        segment_bytes in prop_oneof![Just(SEGMENT), any::<u32>()],
        which in 0_u64..5,
        both in any::<bool>(),
    ) {
        let disk = MemoryDisk::new(1);
        let mut opened = open(&disk);
        for slot in 1..=5 {
            commit(&mut opened.journal, &[(1, slot, 2000), (2, slot, 3000)]);
        }
        drop(opened);
        let catalog = CatalogLabel {
            identity: identity(),
            revision: numbers[0],
            floor: Generation(numbers[1]),
            replay_from: Generation(numbers[7]),
            replay_sequence: Sequence(numbers[2]),
            newest: Generation(numbers[3]),
            suspect: Generation(numbers[4]),
        };
        let segment = SegmentLabel { identity: identity(), generation: Generation(numbers[5]), segment_bytes };
        match which {
            0 | 1 => overwrite(&disk, &segment_path(which + 1), 0, &segment.encode()),
            2 => overwrite(&disk, &catalog_path(), 4096, &catalog.encode()),
            3 => {
                let path = directory().join(format!("segment-{:016x}", numbers[6]));
                if disk.open(&path, OpenMode::CreateNew).is_ok() {
                    overwrite(&disk, &path, 0, &segment.encode());
                }
            }
            _ => {
                let path = directory().join(format!("spare-{:016x}", numbers[6]));
                if disk.open(&path, OpenMode::CreateNew).is_ok() {
                    overwrite(&disk, &path, SEGMENT as u64 - 1, &[0]);
                }
                overwrite(&disk, &path, 0, &segment.encode());
            }
        }
        if both {
            overwrite(&disk, &catalog_path(), 0, &catalog.encode());
        }
        let mut opened = open(&disk);
        let mut one = batch(&config(), &[(1, 77, 100)]);
        match opened.journal.commit(&mut [&mut one]) {
            Ok(_) => {
                drop(opened);
                let again = open(&disk);
                prop_assert!(again.slots().contains(&(1, 77)));
            }
            Err(JournalError::Full { .. }) => {}
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn a_flipped_bit_costs_at_most_the_last_commit_or_is_reported(at in 0_u64..u64::from(SEGMENT), bit in 0..8) {
        let disk = MemoryDisk::new(1);
        let mut opened = open(&disk);
        for slot in 1..=4 {
            commit(&mut opened.journal, &[(1, slot, 2000), (2, slot, 3000)]);
        }
        drop(opened);
        disk.flip_bits(&segment_path(1), at, 1_u8 << bit).unwrap();
        let opened = open(&disk);
        let whole: Vec<_> = (1..=4).flat_map(|slot| [(1, slot), (2, slot)]).collect();
        let torn = matches!(opened.recovered.tail, Tail::Torn { .. }) || at >= 4096 + 3 * 8192;
        for seen in &opened.seen {
            prop_assert_eq!(&seen.payload, &payload(seen.head.bucket.0, seen.head.slot.0, seen.payload.len()));
        }
        if opened.slots() != whole {
            let only_last = torn && opened.slots() == whole[..6];
            prop_assert!(only_last || !opened.recovered.damage.is_empty(), "{:?}", opened.slots());
        }
    }
}
