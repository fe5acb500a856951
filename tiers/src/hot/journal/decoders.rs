//! Test only: the journal's recovery, given files that nobody vouches for.
//!
//! The input is a list of places and what lies there: file (1 byte), offset in units of 16 bytes (2), length (1), bytes. The
//! rest of each file is zeros. It is tried as it is, and once more with every checksum put right.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::config::SEGMENT_BYTES_MIN;
use super::layout::{BLOCK_BYTES, COMMIT_HEADER_BYTES, CatalogLabel, LABEL_BYTES, Seed, SegmentLabel};
use super::segment::FileName;
use super::*;
use crate::disk::{Disk, MemoryDisk, OpenMode};
use crate::hot::{Bucket, Slot};

const IDENTITY: JournalIdentity = JournalIdentity { cluster: 7, node: 1, disk: 0x5eed };
const UNIT: usize = 16;
/// What is not mentioned is not there.
const FILES: [FileName; 4] = [
    FileName::Catalog,
    FileName::Segment(Generation(1)),
    FileName::Segment(Generation(2)),
    FileName::Spare(0),
];

fn config() -> JournalConfig {
    JournalConfig {
        segments_max: 4,
        headroom_segments: 0,
        ..JournalConfig::with_segment_bytes(SEGMENT_BYTES_MIN)
    }
}

/// Files of a journal's directory.
pub fn directory(bytes: &[u8]) {
    let found = places(bytes);
    let mut right = found.clone();
    for (file, bytes) in right.iter_mut().enumerate() {
        if let Some(bytes) = bytes {
            reseal(bytes, file as u64);
        }
    }
    for files in [found, right] {
        let disk = MemoryDisk::new(1);
        write(&disk, &files).unwrap_or_else(|error| panic!("{error}"));
        recover(&disk);
    }
}

/// What is found is found again, before and after it was opened.
fn recover(disk: &MemoryDisk) {
    let root = Path::new("");
    let look = || {
        let mut seen = Vec::new();
        let found =
            inspect(disk, root, IDENTITY, |record, _| seen.push((record.head, record.payload.to_vec())));
        found.map(|found| (found, seen))
    };
    let Ok((_, before)) = look() else { return };
    let mut seen = Vec::new();
    let visit = |record: Record<'_>, _| seen.push((record.head, record.payload.to_vec()));
    let Ok((journal, found)) = Journal::open(Arc::new(disk.clone()), root, config(), IDENTITY, visit) else {
        return;
    };
    assert_eq!(before, seen, "opening finds what inspecting does");
    drop(journal);
    let Ok((after, again)) = look() else { panic!("what was opened cannot be opened again") };
    assert_eq!(seen, again, "the same is found a second time");
    assert!(
        found.damage.is_empty() || !after.damage.is_empty(),
        "damage is not forgotten: {:?}",
        found.damage
    );
}

fn places(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut files = vec![None; FILES.len()];
    let mut rest = bytes;
    while let Some(([file, low, high, length], more)) = rest.split_first_chunk::<4>() {
        let (place, more) = more.split_at(more.len().min(usize::from(*length)));
        let file = usize::from(*file) % FILES.len();
        let length = if file == 0 { 2 * BLOCK_BYTES } else { SEGMENT_BYTES_MIN } as usize;
        let content = files[file].get_or_insert_with(|| vec![0; length]);
        let start = (usize::from(u16::from_le_bytes([*low, *high])) * UNIT).min(length);
        let end = (start + place.len()).min(length);
        content[start..end].copy_from_slice(&place[..end - start]);
        rest = more;
    }
    files
}

fn write(disk: &MemoryDisk, files: &[Option<Vec<u8>>]) -> io::Result<()> {
    for (name, bytes) in FILES.iter().zip(files) {
        let Some(bytes) = bytes else { continue };
        let file = disk.open(&name.path(Path::new("")), OpenMode::CreateNew)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
    }
    disk.sync_directory(Path::new(""))
}

/// Puts every checksum right that a reader will look at.
fn reseal(bytes: &mut [u8], generation: u64) {
    for label in bytes.chunks_mut(BLOCK_BYTES as usize).take(2) {
        let (body, checksum) = label[..LABEL_BYTES].split_at_mut(LABEL_BYTES - 4);
        checksum.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    }
    if generation == 0 {
        return;
    }
    let seed = Seed::new(IDENTITY, Generation(generation));
    for block in (BLOCK_BYTES as usize..bytes.len()).step_by(BLOCK_BYTES as usize) {
        // The second block may have got a label's checksum above; a commit is written over it.
        reseal_commit(bytes, block, seed);
    }
}

fn reseal_commit(bytes: &mut [u8], start: usize, seed: Seed) {
    let number = |bytes: &[u8], at: usize| {
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    };
    if &bytes[start..start + 4] != b"TCJC" {
        return;
    }
    let body = number(bytes, start + 28) as usize;
    let mut at = start + COMMIT_HEADER_BYTES as usize;
    let end = at.saturating_add(body).min(bytes.len());
    let header = RECORD_HEADER_BYTES as usize;
    let mut checksums = Vec::new();
    while at + header <= end {
        let payload_end = (at + header).saturating_add(number(bytes, at) as usize);
        if let Some(payload) = bytes.get(at + header..payload_end) {
            let checksum = crc32fast::hash(payload).to_le_bytes();
            bytes[at + 4..at + 8].copy_from_slice(&checksum);
        }
        let checksum = layout::RecordHeader::seal(&mut bytes[at..at + header], seed, at as u32);
        checksums.extend_from_slice(&checksum.to_le_bytes());
        at = payload_end;
    }
    bytes[start + 40..start + 44].copy_from_slice(&crc32fast::hash(&checksums).to_le_bytes());
    let checksum = seed.checksum(&bytes[start..start + 44]);
    bytes[start + 44..start + 48].copy_from_slice(&checksum.to_le_bytes());
}

/// A label of a segment and one of a catalog.
pub fn label(bytes: &[u8]) {
    let mut label = [0; LABEL_BYTES];
    let length = bytes.len().min(LABEL_BYTES);
    label[..length].copy_from_slice(&bytes[..length]);
    let mut right = label;
    reseal(&mut right, 0);
    for label in [label, right] {
        if let Ok(found) = SegmentLabel::decode(&label) {
            assert_eq!(SegmentLabel::decode(&found.encode()), Ok(found));
        }
        if let Ok(found) = CatalogLabel::decode(&label) {
            assert_eq!(CatalogLabel::decode(&found.encode()), Ok(found));
        }
    }
}

/// A label of each kind.
pub fn label_seeds() -> Vec<Vec<u8>> {
    let segment =
        SegmentLabel { identity: IDENTITY, generation: Generation(1), segment_bytes: SEGMENT_BYTES_MIN };
    let catalog = CatalogLabel {
        identity: IDENTITY,
        revision: 3,
        floor: Generation(1),
        replay_from: Generation(1),
        replay_sequence: Sequence(1),
        newest: Generation(2),
        suspect: Generation(0),
    };
    vec![segment.encode().to_vec(), catalog.encode().to_vec()]
}

/// A journal of two segments, and the same one with a torn commit at its end.
pub fn directory_seeds() -> Vec<Vec<u8>> {
    let disk = MemoryDisk::new(1);
    let root = Path::new("");
    let fill = || -> Result<(), JournalError> {
        let (mut journal, _) = Journal::open(Arc::new(disk.clone()), root, config(), IDENTITY, |_, _| {})?;
        for slot in 1..=5_u64 {
            let mut batch = JournalBatch::new(journal.config());
            for bucket in 0..2 {
                let head = RecordHead { bucket: Bucket(bucket), slot: Slot(slot), kind: RecordKind(2) };
                batch.push(head, |payload| payload.put(&[slot as u8; 40]))?;
            }
            journal.commit(&mut [&mut batch])?;
        }
        Ok(())
    };
    let files = fill()
        .ok()
        .and_then(|()| FILES.iter().map(|name| read(&disk, *name)).collect::<io::Result<Vec<_>>>().ok());
    let whole = files.unwrap_or_default();
    let mut torn = whole.clone();
    // The last commit is the second one of the second segment.
    if let Some(Some(last)) = torn.get_mut(2) {
        last[2 * BLOCK_BYTES as usize + 100] ^= 1;
    }
    vec![listed(&whole), listed(&torn)]
}

fn read(disk: &MemoryDisk, name: FileName) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(&name.path(Path::new("")), OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = vec![0; file.len()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

/// Files as the input has them: only what is not zero.
fn listed(files: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut input = Vec::new();
    for (file, bytes) in files.iter().enumerate() {
        for (unit, bytes) in bytes.iter().flat_map(|bytes| bytes.chunks(UNIT).enumerate()) {
            if bytes.iter().any(|byte| *byte != 0) {
                input.push(file as u8);
                input.extend_from_slice(&(unit as u16).to_le_bytes());
                input.push(bytes.len() as u8);
                input.extend_from_slice(bytes);
            }
        }
    }
    input
}
