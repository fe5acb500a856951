//! Power cuts at every write, sync and directory change of a scenario.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::model::{Action, Model, apply, check, drop_window, same};
use super::*;
use crate::disk::{Call, Disk, Unsynced};
use crate::hot::state::fault::{self, Fault};
use crate::hot::{Bucket, Slot};

/// What a crash may leave: what the last finished job left, or what the job under way makes of it.
struct Progress {
    allowed: Vec<Model>,
}

fn put(slot: u64, timestamp_ms: u64) -> Vec<Action> {
    let value = vec![slot as u8; 20 + slot as usize % 700];
    let name = Attribute { kind: 1, index: slot % 3 };
    vec![
        Action::Put {
            entity: b"alice".to_vec(),
            position: dated(timestamp_ms, slot),
            value,
            expires_ms: None,
        },
        Action::Put {
            entity: format!("user-{}", slot % 7).into_bytes(),
            position: Position::Undated,
            value: slot.to_le_bytes().to_vec(),
            expires_ms: Some(slot),
        },
        Action::Delete { entity: b"alice".to_vec(), position: dated(timestamp_ms / 2, slot / 2) },
        Action::Outcome { token: TokenKey { client: 9, counter: slot }, status: 1 },
        Action::Attribute { name, value: vec![slot as u8] },
    ]
}

/// Flushes, a merge, a trim, a wipe, a dropped window. Ends at the first failure.
fn scenario(disk: &MemoryDisk, progress: &mut Progress) -> Result<(), StateError> {
    let config = StateConfig { merge_fan: 2, ..config() };
    let mut part = open(disk, config)?;
    let mut model = Model::new();
    for round in 0..4_u64 {
        for step in 0..12_u64 {
            let bucket = (step % 3) as u32;
            let slot = model.get(&bucket).map_or(0, |model| model.applied) + 1;
            apply(&mut part, &mut model, bucket, &put(slot, round * 60 + step * 5));
        }
        if round == 1 {
            apply(&mut part, &mut model, 0, &[Action::Trim { entity: b"alice".to_vec(), through_ms: 70 }]);
        }
        if round == 2 {
            part.wipe(Bucket(1))?;
            model.remove(&1);
        }
        run(&mut part, progress, &model, Part::freeze)?;
        for bucket in 0..3 {
            let expected = model.get(&bucket).map_or(0, |model| model.applied);
            assert_eq!(part.durable(Bucket(bucket)), Slot(expected));
        }
        if round == 2 {
            run(&mut part, progress, &model, Part::choose_merge)?;
        }
    }
    let through: BTreeMap<_, _> = [(Bucket(0), part.durable(Bucket(0))), (Bucket(2), Slot(3))].into();
    drop_window(&mut model, 100, 0, &through);
    run(&mut part, progress, &model, |part| part.drop_window(Window(0), through))?;
    run(&mut part, progress, &model, Part::choose_merge)?;
    run(&mut part, progress, &model, Part::sweep)?;
    if disk.is_frozen() {
        // What a sweep cannot remove is no failure, so that a cut there is noticed here only.
        return Err(StateError::Poisoned);
    }
    check(&mut part, &model).map_err(|what| panic!("without a crash: {what}"))
}

/// Runs a job after which the part is as `model` says.
fn run(
    part: &mut Part,
    progress: &mut Progress,
    model: &Model,
    job: impl FnOnce(&mut Part) -> Option<Job>,
) -> Result<(), StateError> {
    let Some(job) = job(part) else { return Ok(()) };
    progress.allowed.truncate(1);
    progress.allowed.push(model.clone());
    part.install(job.run())?;
    progress.allowed.remove(0);
    Ok(())
}

/// Opens what a crash left, and says what is wrong with it.
fn look(disk: &MemoryDisk, progress: &Progress) -> Result<(), String> {
    let mut part = open(disk, config()).map_err(|error| error.to_string())?;
    let mut wrong = Vec::new();
    for model in &progress.allowed {
        match check(&mut part, model) {
            Ok(()) => return no_orphans(disk, &part),
            Err(what) => wrong.push(what),
        }
    }
    Err(wrong.join(", nor "))
}

fn no_orphans(disk: &MemoryDisk, part: &Part) -> Result<(), String> {
    let files = disk.list(Path::new(DIR)).map_err(|error| error.to_string())?;
    let mut expected: Vec<PathBuf> =
        part.runs.all().map(|run| part.store.path(run.meta.id).file_name().unwrap().into()).collect();
    expected.push("manifest".into());
    expected.sort();
    let found: Vec<PathBuf> = files.iter().map(|file| file.file_name().unwrap().into()).collect();
    same("files", found, expected)
}

/// Cuts the power at every change that `scenario` makes; the first thing found wrong.
fn cut_everywhere() -> Result<usize, String> {
    let disk = MemoryDisk::new(3);
    let mut progress = Progress { allowed: vec![Model::new()] };
    scenario(&disk, &mut progress).map_err(|error| error.to_string())?;
    let changes = disk.calls().changes();
    let modes = [Unsynced::Lost, Unsynced::Kept].into_iter().chain((0..6).map(Unsynced::Mixed));
    let mut looked = 0;
    for mode in modes {
        for cut in 0..changes {
            let disk = MemoryDisk::new(3);
            disk.freeze_after(cut);
            let mut progress = Progress { allowed: vec![Model::new()] };
            let ended = scenario(&disk, &mut progress);
            assert!(ended.is_err(), "a frozen disk lets nothing pass");
            disk.power_cut(mode);
            // A second cut while opening must do no harm.
            let cuts = if matches!(mode, Unsynced::Mixed(seed) if seed > 0) { 0 } else { 3 };
            for again in 0..cuts {
                let disk = disk.fork();
                disk.freeze_after(again);
                let _ = open(&disk, config());
                disk.power_cut(mode);
                look(&disk, &progress).map_err(|what| format!("cut at {cut}, {again}, {mode:?}: {what}"))?;
            }
            look(&disk, &progress).map_err(|what| format!("cut at {cut}, {mode:?}: {what}"))?;
            looked += 1;
        }
    }
    Ok(looked)
}

#[test]
fn a_crash_anywhere_leaves_an_exact_prefix() {
    let looked = cut_everywhere().unwrap();
    assert!(looked > 500, "only {looked} cuts");
}

#[test]
fn a_manifest_before_the_sync_of_its_runs_is_noticed() {
    let wrong = fault::with(Fault::ManifestBeforeSync, cut_everywhere).unwrap_err();
    assert!(wrong.contains("corrupt"), "{wrong}");
}

#[test]
fn two_manifests_for_one_flush_are_noticed() {
    let wrong = fault::with(Fault::TwoManifests, cut_everywhere).unwrap_err();
    assert!(wrong.contains("found"), "{wrong}");
}

#[test]
fn a_failed_job_can_be_tried_again_unless_the_manifest_is_in_doubt() {
    let fork = MemoryDisk::new(5);
    drop(open(&fork, config()).unwrap());
    let (mut again, mut poisoned) = (0, 0);
    let kinds = [Call::Write, Call::Sync, Call::Entry];
    for (kind, nth) in kinds.into_iter().flat_map(|kind| (1..=8).map(move |nth| (kind, nth))) {
        let disk = fork.fork();
        let mut part = open(&disk, config()).unwrap();
        let mut model = Model::new();
        apply(&mut part, &mut model, 0, &put(1, 10));
        disk.fail(kind, nth, std::io::ErrorKind::Other);
        let result = flush(&mut part);
        disk.heal();
        if result.is_ok() {
            continue;
        }
        assert_eq!(part.durable(Bucket(0)), Slot(0));
        check(&mut part, &model).unwrap();
        match flush(&mut part) {
            Ok(()) => again += 1,
            Err(StateError::Poisoned) => poisoned += 1,
            Err(error) => panic!("{error}"),
        }
        drop(part);
        disk.kill();
        let mut part = open(&disk, config()).unwrap();
        if check(&mut part, &model).is_err() {
            check(&mut part, &Model::new()).unwrap();
        }
    }
    assert!(again > 5 && poisoned >= 2, "{again} tried again, {poisoned} poisoned");
}
