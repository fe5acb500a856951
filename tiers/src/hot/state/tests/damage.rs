//! Damaged files: an error that names them, never wrong data, never a panic.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::model::{Action, Model, apply, check, same};
use super::*;
use crate::disk::{Disk, OpenMode};
use crate::hot::{Bucket, Slot};
use crate::plant::{Plant, with};

fn filled(disk: &MemoryDisk) -> Model {
    let mut part = open(disk, config()).unwrap();
    let mut model = Model::new();
    for slot in 1..=40_u64 {
        let entity = format!("entity-{}", slot % 5).into_bytes();
        let actions = [
            Action::Put {
                entity: entity.clone(),
                position: dated(slot * 7, 0),
                value: slot.to_le_bytes().repeat(9),
                expires_ms: None,
            },
            Action::Put { entity, position: Position::Undated, value: vec![1; 3], expires_ms: Some(slot) },
            Action::Trim { entity: b"entity-1".to_vec(), through_ms: slot },
            Action::Outcome { token: TokenKey { client: 1, counter: slot }, status: 3 },
            Action::Attribute { name: Attribute { kind: 1, index: slot % 4 }, value: vec![9] },
        ];
        apply(&mut part, &mut model, (slot % 2) as u32, &actions);
    }
    flush(&mut part).unwrap();
    model
}

fn files(disk: &MemoryDisk) -> Vec<(PathBuf, u64)> {
    let dir = Path::new(DIR);
    let files = disk.list(dir).unwrap();
    files
        .iter()
        .map(|file| {
            let path = dir.join(file.file_name().unwrap());
            let len = disk.open(&path, OpenMode::Read).unwrap().len().unwrap();
            (path, len)
        })
        .collect()
}

/// Reads all there is; what is read must be right, and what fails must say where.
fn read_all(part: &mut Part, model: &Model) -> Vec<StateError> {
    let mut errors = Vec::new();
    for (number, model) in model {
        let bucket = Bucket(*number);
        for (entity, position) in model.records.keys() {
            let expected = model.live(entity, *position);
            match get(part, *number, entity, *position) {
                Ok(found) => assert_eq!(found, expected),
                Err(error) => errors.push(error),
            }
            match part.version_of(bucket, &Key::new(entity, *position).unwrap(), None) {
                Ok(found) => assert_eq!(found, expected.map(|record| record.version)),
                Err(error) => errors.push(error),
            }
        }
        for entity in model.entities() {
            for newest_first in [false, true] {
                let range = ScanRange {
                    from: Position::FIRST,
                    to: Position::LAST,
                    newest_first,
                    limit_records: 1000,
                    limit_bytes: 1 << 20,
                };
                match scan(part, *number, &entity, &range) {
                    Ok(page) => {
                        assert_eq!(
                            page.records,
                            model.scan(&entity, Position::FIRST, Position::LAST, newest_first)
                        );
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
        for token in model.outcomes.keys() {
            match part.outcome(bucket, token) {
                Ok(found) => assert_eq!(found, model.outcome(token, 8)),
                Err(error) => errors.push(error),
            }
        }
        let snapshot = part.snapshot().unwrap();
        errors.extend(snapshot.bucket(bucket, &[]).filter_map(Result::err));
        errors.extend(snapshot.outcomes(bucket).err());
    }
    // Read together, what cannot be read fails its bucket alone.
    let (snapshot, buckets) = (part.snapshot().unwrap(), [Bucket(0), Bucket(1), Bucket(2)]);
    for (bucket, content) in buckets.into_iter().zip(snapshot.contents(&buckets)) {
        assert_eq!(content.ok(), snapshot.content(bucket).ok());
    }
    errors
}

#[test]
fn a_flipped_bit_anywhere_is_an_error_and_never_an_answer() {
    let disk = MemoryDisk::new(1);
    let model = filled(&disk);
    let mut noticed = 0;
    for (path, len) in files(&disk) {
        let is_manifest = path.ends_with("manifest");
        for offset in 0..len {
            let disk = disk.fork();
            disk.flip_bits(&path, offset, 1 << (offset % 8)).unwrap();
            let mut part = match open(&disk, config()) {
                Ok(part) => part,
                Err(StateError::Manifest { file, .. }) => {
                    assert!(is_manifest && file.ends_with("manifest"));
                    noticed += 1;
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            assert!(!is_manifest, "a damaged manifest was opened");
            let set = part.runs.all().find(|run| part.store.path(run.meta.id) == path).unwrap().meta.set;
            let errors = read_all(&mut part, &model);
            for error in &errors {
                let StateError::Corrupt { file, set: named, first, last, .. } = error else {
                    panic!("{error}")
                };
                assert_eq!((file, *named), (&path, set));
                assert!(first <= last && last.0 <= 1);
            }
            // Which buckets a run holds is asked only when its window is dropped.
            if errors.is_empty() {
                let run = part.runs.all().find(|run| part.store.path(run.meta.id) == path).unwrap();
                assert!(run.buckets().is_err(), "byte {offset} of {} is covered by nothing", path.display());
            }
            noticed += 1;
            assert!(part.stats().corruptions > 0);
        }
    }
    assert!(noticed > 3000, "only {noticed} bytes");
}

#[test]
fn a_run_cut_short_or_gone_is_named() {
    let disk = MemoryDisk::new(1);
    let model = filled(&disk);
    for (path, len) in files(&disk) {
        if path.ends_with("manifest") {
            continue;
        }
        for cut in [0, 1, 103, len / 2, len - 1] {
            let disk = disk.fork();
            disk.open(&path, OpenMode::ReadWrite).unwrap().set_len(cut).unwrap();
            let mut part = open(&disk, config()).unwrap();
            let errors = read_all(&mut part, &model);
            assert!(!errors.is_empty());
            assert!(
                errors.iter().all(
                    |error| matches!(error, StateError::Corrupt { file, offset: 0, .. } if *file == path)
                )
            );
        }
        let disk = disk.fork();
        disk.remove(&path).unwrap();
        let error = open(&disk, config()).err().unwrap();
        assert!(matches!(&error, StateError::Corrupt { file, .. } if *file == path), "{error}");
    }
}

#[test]
fn a_part_without_its_manifest_is_not_taken_for_a_new_one() {
    let disk = MemoryDisk::new(1);
    filled(&disk);
    disk.remove(&Path::new(DIR).join("manifest")).unwrap();
    let error = open(&disk, config()).err().unwrap();
    assert!(matches!(error, StateError::Manifest { what: "gone, though runs are there", .. }), "{error}");
    Part::destroy(&disk, Path::new(DIR)).unwrap();
    let mut part = open(&disk, config()).unwrap();
    check(&mut part, &Model::new()).unwrap();
}

#[test]
fn a_foreign_directory_is_refused_by_name() {
    let disk = MemoryDisk::new(1);
    filled(&disk);
    let refused = |config: StateConfig, identity: Identity| {
        let result = Part::open(Arc::new(disk.clone()), Path::new(DIR), config, identity);
        match result.err().unwrap() {
            StateError::Foreign { field, .. } => field,
            error => panic!("{error}"),
        }
    };
    assert_eq!(refused(config(), Identity { store: 1, ..IDENTITY }), "store");
    assert_eq!(refused(config(), Identity { part: 4, ..IDENTITY }), "part");
    assert_eq!(refused(StateConfig { window_span_ms: 5, ..config() }, IDENTITY), "window_span_ms");
    assert_eq!(refused(StateConfig { outcome_slots: 5, ..config() }, IDENTITY), "outcome_slots");
    // What another version of this library has written is whole.
    let file = disk.open(&Path::new(DIR).join("manifest"), OpenMode::ReadWrite).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes[4] += 1;
    let end = bytes.len() - 4;
    let checksum = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    file.write_all_at(&bytes, 0).unwrap();
    assert_eq!(refused(config(), IDENTITY), "format version");
}

/// Exchanges two pages of equal length, as a disk does that writes to the wrong place.
fn misdirected() -> Result<(), String> {
    let disk = MemoryDisk::new(1);
    let mut part = open(&disk, config()).unwrap();
    let mut model = Model::new();
    for slot in 1..=8_u8 {
        // Of no two bytes alike in a row, so that every block is as long as the others.
        let value: Vec<u8> =
            (0..520_u32).map(|at| (at * 167 + at * at * 31 + u32::from(slot)) as u8).collect();
        let action = Action::Put { entity: vec![slot], position: Position::Undated, value, expires_ms: None };
        apply(&mut part, &mut model, 0, &[action]);
    }
    flush(&mut part).unwrap();
    let run = part.runs.all().next().unwrap();
    let path = part.store.path(run.meta.id);
    let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
    let mut pages = BTreeMap::new();
    let (mut offset, mut header) = (0, [0; 16]);
    while pages.len() < 8 {
        file.read_exact_at(&mut header, offset).unwrap();
        let len = 16 + u64::from(u32::from_le_bytes([header[8], header[9], header[10], header[11]]));
        pages.insert(offset, len);
        offset += len;
    }
    let mut moved = false;
    for (one, len) in &pages {
        let Some((other, _)) = pages.iter().find(|(other, of)| *other > one && *of == len) else { continue };
        let (mut left, mut right) = (vec![0; *len as usize], vec![0; *len as usize]);
        file.read_exact_at(&mut left, *one).unwrap();
        file.read_exact_at(&mut right, *other).unwrap();
        file.write_all_at(&right, *one).unwrap();
        file.write_all_at(&left, *other).unwrap();
        moved = true;
        break;
    }
    assert!(moved, "no two pages of equal length");
    for (entity, position) in model[&0].records.keys() {
        match get(&part, 0, entity, *position) {
            Ok(found) => same("get", found, model[&0].live(entity, *position))?,
            Err(StateError::Corrupt { what: "wrong checksum", .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    Ok(())
}

#[test]
fn a_misdirected_page_is_not_accepted() {
    misdirected().unwrap();
}

#[test]
fn a_checksum_without_its_address_is_noticed() {
    with(Plant::ChecksumWithoutAddress, misdirected).unwrap_err();
}

/// A deleted record, its tombstone merged with newer runs, the record below them.
fn deleted() -> Result<(), String> {
    let disk = MemoryDisk::new(1);
    let config = StateConfig { sinks: false, merge_bytes_max: 5000, merge_fan: 2, ..config() };
    let mut part = open(&disk, config).unwrap();
    let mut model = Model::new();
    for slot in 1..=3 {
        // The first run is too large to be merged with the others.
        let len = if slot == 1 { 9000 } else { 10 };
        let value: Vec<u8> = (0..len).map(|at: u32| (at * at * 31 + at / 7) as u8).collect();
        let position = Position::Undated;
        let mut actions = vec![Action::Put { entity: vec![slot], position, value, expires_ms: None }];
        if slot == 2 {
            actions.push(Action::Delete { entity: vec![1], position });
        }
        apply(&mut part, &mut model, 0, &actions);
        flush(&mut part).unwrap();
    }
    assert!(merge(&mut part).unwrap());
    check(&mut part, &model)
}

#[test]
fn a_tombstone_stays_as_long_as_something_may_lie_below() {
    deleted().unwrap();
}

#[test]
fn a_tombstone_dropped_too_early_is_noticed() {
    let wrong = with(Plant::TombstoneTooEarly, deleted).unwrap_err();
    assert!(wrong.contains("get"), "{wrong}");
}

#[test]
fn applied_slots_come_in_order() {
    let disk = MemoryDisk::new(1);
    let mut part = open(&disk, config()).unwrap();
    let skipping = std::panic::AssertUnwindSafe(|| drop(part.apply(Bucket(1), Slot(2))));
    assert!(std::panic::catch_unwind(skipping).is_err());
}

#[test]
fn a_damaged_run_is_merged_no_more_and_does_not_keep_others_from_it() {
    let disk = MemoryDisk::new(1);
    let config = StateConfig { merge_fan: 2, ..config() };
    let mut part = open(&disk, config).unwrap();
    let mut model = Model::new();
    let mut flushed = |part: &mut Part, slot: u64| {
        let position = Position::Undated;
        let entity = slot.to_le_bytes().to_vec();
        let action = Action::Put { entity, position, value: vec![7; 90], expires_ms: None };
        apply(part, &mut model, 0, &[action]);
        flush(part).unwrap();
    };
    flushed(&mut part, 1);
    let damaged = part.runs.all().next().unwrap().meta.id;
    flushed(&mut part, 2);
    disk.flip_bits(&part.store.path(damaged), 20, 1).unwrap();
    assert!(matches!(merge(&mut part), Err(StateError::Corrupt { .. })));
    assert_eq!(part.stats().unmergeable, 1);
    assert!(!merge(&mut part).unwrap(), "the same merge is not tried again");
    flushed(&mut part, 3);
    assert!(merge(&mut part).unwrap(), "the newer ones are merged without it");
    assert!(part.runs.all().any(|run| run.meta.id == damaged));
    for slot in 2..=3_u64 {
        assert!(get(&part, 0, &slot.to_le_bytes(), Position::Undated).unwrap().is_some());
    }
}
