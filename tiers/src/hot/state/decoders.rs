//! Test only: each decoder of the state, given bytes that nobody vouches for.
//!
//! A checksum keeps nearly all of them out. So each is tried as it is, and once more with its checksums put right.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::entry::{Block, BlockBuilder, Entry, EntryKey, Input, Kind};
use super::key::{Place, RunSet};
use super::manifest::{self, Manifest};
use super::model::{Action, IDENTITY, config, dated};
use super::page::{PAGE_HEADER_BYTES, PageSeed, seal, unseal};
use super::run::{Age, Footer, Run, RunId, RunMeta, RunStore};
use super::steps::{Step, run as run_steps};
use super::writer::RunWriter;
use super::*;
use crate::disk::{Disk, MemoryDisk, OpenMode, Unsynced};
use crate::hot::Bucket;

fn store(disk: &MemoryDisk) -> Arc<RunStore> {
    Arc::new(RunStore::new(Arc::new(disk.clone()), PathBuf::new(), IDENTITY, config()))
}

/// The bytes with a right checksum as their last four.
fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    let body = &bytes[..bytes.len().saturating_sub(4)];
    [body, &crc32fast::hash(body).to_le_bytes()].concat()
}

/// A manifest.
pub fn manifest(bytes: &[u8]) {
    let path = Path::new("manifest");
    for bytes in [bytes.to_vec(), with_checksum(bytes)] {
        let Ok(found) = manifest::decode(path, &bytes, IDENTITY, &config()) else { continue };
        let store = store(&MemoryDisk::new(1));
        store.next_file.store(found.next_file, Ordering::Relaxed);
        let again = manifest::encode(&store, found.next_age, found.rests_on, found.runs.iter(), &found.marks);
        let Ok(again) = manifest::decode(path, &again, IDENTITY, &config()) else {
            panic!("a manifest that was read cannot be written");
        };
        let parts = |it: &Manifest| (it.next_file, it.next_age, it.runs.clone(), it.marks.clone());
        assert_eq!(parts(&found), parts(&again));
        let _ = manifest::list(&store, found.runs);
    }
}

/// A block of entries.
pub fn block(bytes: &[u8]) {
    let Ok(found) = Block::decode(bytes.to_vec()) else { return };
    let mut builder = BlockBuilder::default();
    for index in 0..found.len() {
        builder.push(&found.entry(index));
    }
    let Ok(again) = Block::decode(builder.bytes().to_vec()) else {
        panic!("a block that was read cannot be written");
    };
    assert_eq!(found.len(), again.len());
    for index in 0..found.len() {
        assert_eq!(found.entry(index), again.entry(index));
        let key = found.key(index);
        assert!(found.at_or_after(&key) <= found.len() && found.after(&key) <= found.len());
    }
}

/// A page.
pub fn page(bytes: &[u8]) {
    let seed = PageSeed::new(b"a file");
    let mut right = bytes.to_vec();
    if let Some((header, payload)) = right.split_at_mut_checked(PAGE_HEADER_BYTES) {
        let checksum = seed.checksum(7, &header[4..], payload);
        header[..4].copy_from_slice(&checksum.to_le_bytes());
    }
    for bytes in [bytes, &right] {
        if let Ok(raw) = unseal(seed, 7, bytes) {
            let mut again = Vec::new();
            seal(seed, 7, &raw, true, &mut again);
            assert_eq!(unseal(seed, 7, &again), Ok(raw));
        }
    }
}

/// A run: the whole file.
pub fn run(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), resealed_run(bytes)] {
        let disk = MemoryDisk::new(1);
        let store = store(&disk);
        let meta = run_meta(bytes.len() as u64);
        let path = store.path(meta.id);
        let written = disk.open(&path, OpenMode::CreateNew).and_then(|file| file.write_all_at(&bytes, 0));
        assert!(written.is_ok());
        let run = Arc::new(Run::new(meta, store));
        let _ = run.buckets();
        if let Ok(reader) = run.reader() {
            for page in 0..reader.pages() {
                let _ = run.block(&reader, page);
            }
        }
    }
}

/// What the manifest says of the run in [`run_seed`], but for its length.
fn run_meta(len: u64) -> RunMeta {
    RunMeta {
        id: RunId(1),
        set: RunSet::Undated,
        len,
        entries: 3,
        oldest: Age(1),
        newest: Age(1),
        first_ms: 0,
        last_ms: 0,
        first_bucket: Bucket(0),
        last_bucket: Bucket(9),
    }
}

/// The footer's and all pages' checksums put right, where there are pages.
fn resealed_run(bytes: &[u8]) -> Vec<u8> {
    let Some(footer_at) = bytes.len().checked_sub(Footer::BYTES) else { return bytes.to_vec() };
    let seed = store(&MemoryDisk::new(1)).seed(RunId(1));
    let mut bytes = bytes.to_vec();
    let mut places = vec![(0, 0); 3];
    for (place, at) in places.iter_mut().zip([56, 68, 80]) {
        let mut input = Input { bytes: &bytes, at: footer_at + at };
        let (Ok(offset), Ok(len)) = (input.u64(), input.u32()) else { continue };
        *place = (offset, len);
    }
    // Data pages lie one behind the other from the beginning.
    let mut offset = 0;
    while let Some(len) = bytes.get(offset + 8..offset + 12) {
        let len =
            u32::from_le_bytes([len[0], len[1], len[2], len[3]]).saturating_add(PAGE_HEADER_BYTES as u32);
        places.push((offset as u64, len));
        offset += len as usize;
    }
    for (offset, len) in places {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let Some(page) = bytes.get_mut(start..start.saturating_add(len as usize)) else { continue };
        let Some((header, payload)) = page.split_at_mut_checked(PAGE_HEADER_BYTES) else { continue };
        let checksum = seed.checksum(offset, &header[4..], payload);
        header[..4].copy_from_slice(&checksum.to_le_bytes());
    }
    let footer = with_checksum(&bytes[footer_at..]);
    bytes[footer_at..].copy_from_slice(&footer);
    bytes
}

/// Steps beside the model: what the bytes say is done to a part, and it must be equal to ordered maps.
pub fn model(bytes: &[u8]) {
    let mut input = Input { bytes: &bytes[..bytes.len().min(512)], at: 0 };
    let sinks = input.u8().unwrap_or(0) & 1 == 1;
    let mut steps = Vec::new();
    while let Ok(step) = step(&mut input) {
        steps.push(step);
    }
    if let Err(wrong) = run_steps(steps, sinks) {
        panic!("{wrong}");
    }
}

fn step(input: &mut Input<'_>) -> Result<Step, &'static str> {
    Ok(match input.u8()? {
        0..=127 => {
            let bucket = u32::from(input.u8()? % 3);
            let actions = (0..input.u8()? % 6).map(|_| action(input)).collect::<Result<_, _>>()?;
            Step::Command(bucket, actions)
        }
        128..=159 => Step::Flush,
        160..=179 => Step::Merge,
        180..=187 => Step::Lose,
        188..=195 => Step::Reopen,
        196..=207 => Step::Crash(match input.u8()? {
            0 => Unsynced::Lost,
            1 => Unsynced::Kept,
            seed => Unsynced::Mixed(seed.into()),
        }),
        208..=219 => Step::Drop(u64::from(input.u8()? % 5)),
        220..=227 => Step::Move(u32::from(input.u8()? % 3)),
        228..=247 => {
            let flags = input.u8()?;
            Step::Scan {
                bucket: u32::from(flags & 1),
                entity: entity(flags),
                from: position(input.u8()?),
                to: position(input.u8()?),
                newest_first: flags & 2 != 0,
                limits: (1 + usize::from(flags >> 5), 1 + usize::from(input.u8()?)),
            }
        }
        248..=255 => Step::Check,
    })
}

fn action(input: &mut Input<'_>) -> Result<Action, &'static str> {
    let (what, entity) = (input.u8()?, entity(input.u8()?));
    Ok(match what {
        0..=127 => {
            let position = position(input.u8()?);
            let (byte, length) = (input.u8()?, input.u8()?);
            // Now and then a long one, so that there is more than a block.
            let length = usize::from(length) * if length > 200 { 6 } else { 1 };
            let expires_ms = (what % 4 == 0).then_some(u64::from(byte));
            Action::Put { entity, position, value: vec![byte; length], expires_ms }
        }
        128..=175 => Action::Delete { entity, position: position(input.u8()?) },
        176..=191 => Action::Trim { entity, through_ms: u64::from(input.u8()? % 45) * 10 },
        192..=223 => {
            let counter = u64::from(input.u8()? % 20);
            Action::Outcome { token: TokenKey { client: u64::from(what % 2), counter }, status: input.u8()? }
        }
        224..=255 => {
            let name = Attribute { kind: what % 3, index: u64::from(input.u8()? % 3) };
            Action::Attribute { name, value: vec![what; usize::from(what % 4)] }
        }
    })
}

fn entity(choice: u8) -> Vec<u8> {
    match choice % 4 {
        0 => b"a".to_vec(),
        1 => b"ab".to_vec(),
        2 => vec![b'b'; 300],
        _ => b"zebra-17".to_vec(),
    }
}

fn position(choice: u8) -> Position {
    match choice {
        0..=31 => Position::Undated,
        240..=255 => Position::LAST,
        _ => dated(u64::from(choice % 40) * 10, u64::from(choice & 1)),
    }
}

fn entries() -> Vec<Entry<'static>> {
    let entry = |bucket, entity, place, kind, value| Entry {
        key: EntryKey { bucket: Bucket(bucket), entity, place },
        kind,
        version: Version(5),
        expires_ms: (bucket == 1).then_some(99),
        value,
    };
    vec![
        entry(1, b"alice", Place::trim(70), Kind::Trim, &[]),
        entry(1, b"alice", Place::UNDATED, Kind::Put, b"a value"),
        entry(1, b"alice", Place::dated(80, 1), Kind::Put, &[7; 200]),
        entry(2, b"bob", Place::dated(90, 2), Kind::Delete, &[]),
    ]
}

/// A block, and a page of it.
pub fn block_seeds() -> Vec<Vec<u8>> {
    let mut builder = BlockBuilder::default();
    entries().iter().for_each(|entry| builder.push(entry));
    vec![builder.bytes().to_vec()]
}

/// A page that is compressed and one that is not.
pub fn page_seeds() -> Vec<Vec<u8>> {
    let seal_one = |raw: &[u8]| {
        let mut page = Vec::new();
        seal(PageSeed::new(b"a file"), 7, raw, true, &mut page);
        page
    };
    vec![seal_one(b"short"), seal_one(&block_seeds().concat())]
}

/// A manifest with a run and two buckets.
pub fn manifest_seeds() -> Vec<Vec<u8>> {
    let store = store(&MemoryDisk::new(1));
    store.next_file.store(2, Ordering::Relaxed);
    let mark = |applied| manifest::Mark { applied: crate::hot::Slot(applied), ..manifest::Mark::default() };
    let marks = [(Bucket(1), mark(5)), (Bucket(2), mark(9))].into();
    vec![manifest::encode(&store, Age(2), 7, [run_meta(400)].iter(), &marks)]
}

/// A run of three undated records.
pub fn run_seeds() -> Vec<Vec<u8>> {
    let disk = MemoryDisk::new(1);
    let write = || -> Result<Vec<u8>, StateError> {
        let store = store(&disk);
        let mut writer = RunWriter::create(&store, RunSet::Undated, Age(1), Age(1))?;
        let undated: Vec<_> = (1..=3)
            .map(|number| Entry {
                key: EntryKey { bucket: Bucket(number), ..entries()[1].key },
                ..entries()[1]
            })
            .collect();
        for entry in &undated {
            writer.push(entry)?;
        }
        let meta = writer.finish()?;
        let mut bytes = vec![0; meta.len as usize];
        let path = store.path(meta.id);
        let io = |source| StateError::Io { action: "read", file: path.clone(), source };
        disk.open(&path, OpenMode::Read).and_then(|file| file.read_exact_at(&mut bytes, 0)).map_err(io)?;
        Ok(bytes)
    };
    vec![write().unwrap_or_default()]
}

/// Steps of every kind.
pub fn model_seeds() -> Vec<Vec<u8>> {
    let mut steps = vec![1];
    for number in 0..24_u8 {
        steps.extend([number, number, 3, number, number, 100, number, 220, 130, 1, 60, 200, 4, 9]);
        steps.extend([[130, 248, 170], [130, 196, number], [230, number * 9, 40]][usize::from(number) % 3]);
    }
    let drops =
        vec![0, 5, 0, 1, 3, 1, 70, 8, 20, 130, 5, 1, 1, 3, 1, 70, 8, 20, 130, 210, 0, 222, 1, 130, 170, 248];
    vec![steps, drops]
}
