//! Power cuts at every write, sync and directory change of a scenario.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_64;

use super::super::model::{Action, Model, apply, check, drop_window, same};
use super::*;
use crate::disk::{Call, Disk, OpenMode, PowerCuts, Walked};
use crate::hot::{Bucket, Slot};
use crate::plant::{Plant, with};

/// What a crash may leave: what the last finished job left, or what the job under way makes of it.
struct Progress {
    allowed: Vec<Model>,
    /// Grows when something else is allowed.
    step: u64,
}

impl Default for Progress {
    fn default() -> Progress {
        Progress { allowed: vec![Model::new()], step: 0 }
    }
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
    progress.step += 1;
    part.install(job.run())?;
    progress.allowed.remove(0);
    progress.step += 1;
    Ok(())
}

/// Opens what crashes leave, and says what is wrong with it. What was found right is not looked through a second time: the same
/// files after opening are the same part.
#[derive(Default)]
struct Checker {
    right: HashSet<(u64, u64)>,
}

impl Checker {
    fn look(&mut self, disk: &MemoryDisk, progress: &Progress) -> Result<(), String> {
        let mut part = open(disk, config()).map_err(|error| error.to_string())?;
        let files = (progress.step, fingerprint(disk).map_err(|error| error.to_string())?);
        if self.right.contains(&files) {
            return Ok(());
        }
        let mut wrong = Vec::new();
        for model in &progress.allowed {
            match check(&mut part, model) {
                Ok(()) => {
                    no_orphans(disk, &part)?;
                    self.right.insert(files);
                    return Ok(());
                }
                Err(what) => wrong.push(what),
            }
        }
        Err(wrong.join(", nor "))
    }

    /// Also when the power goes again while the part is opened.
    fn look_twice(&mut self, disk: &MemoryDisk, progress: &Progress) -> Result<u64, String> {
        let whole = disk.fork();
        let before = whole.calls().changes();
        self.look(&whole, progress)?;
        let mut cuts = 0;
        for point in 0..whole.calls().changes() - before {
            let stopped = disk.fork();
            stopped.freeze_after(point);
            drop(open(&stopped, config()));
            cuts += AGAIN
                .each(&stopped, point, |left| self.look(&left, progress))
                .map_err(|what| format!("cut again after {point} changes of the opening: {what}"))?
                .states;
        }
        Ok(cuts)
    }
}

/// A number for all that a reader finds.
fn fingerprint(disk: &MemoryDisk) -> std::io::Result<u64> {
    let mut hash = 0;
    for name in disk.list(Path::new(DIR))? {
        let file = disk.open(&Path::new(DIR).join(&name), OpenMode::Read)?;
        let mut bytes = vec![0; file.len()? as usize];
        file.read_exact_at(&mut bytes, 0)?;
        hash = XxHash3_64::oneshot_with_seed(hash, name.as_os_str().as_encoded_bytes());
        hash = XxHash3_64::oneshot_with_seed(hash, &bytes);
    }
    Ok(hash)
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

const ALL: PowerCuts = PowerCuts { exhaustive_max: 11, drawn: 150, torn: 32 };
/// Enough to see a bug.
const FEW: PowerCuts = PowerCuts { exhaustive_max: 4, drawn: 8, torn: 2 };
/// The second cut, while opening.
const AGAIN: PowerCuts = PowerCuts { exhaustive_max: 4, drawn: 4, torn: 0 };

/// Cuts the power at every change that `scenario` makes; how many states were looked at, and after a second cut, or the first
/// thing found wrong.
fn cut_everywhere(cuts: &PowerCuts) -> Result<(Walked, u64), String> {
    let disk = MemoryDisk::new(3);
    let mut progress = Progress::default();
    scenario(&disk, &mut progress).map_err(|error| error.to_string())?;
    let mut checker = Checker::default();
    let (mut walked, mut again, mut number) = (Walked::default(), 0, 0);
    for cut in 0..disk.calls().changes() {
        let disk = MemoryDisk::new(3);
        disk.freeze_after(cut);
        let mut progress = Progress::default();
        let ended = scenario(&disk, &mut progress);
        assert!(ended.is_err(), "a frozen disk lets nothing pass");
        let of_this_cut = cuts.each(&disk, cut, |left| {
            number += 1;
            if number % 8 == 1 {
                again += checker.look_twice(&left, &progress)?;
                return Ok(());
            }
            checker.look(&left, &progress)
        });
        walked += of_this_cut.map_err(|what| format!("cut at {cut}: {what}"))?;
    }
    Ok((walked, again))
}

#[test]
fn a_crash_anywhere_leaves_an_exact_prefix() {
    let (walked, again) = cut_everywhere(&ALL).unwrap();
    // Past the capture of a test's output: the figures are wanted.
    writeln!(
        std::io::stdout(),
        "crash states of the state: {} at {} cuts ({} exhausted, {} sampled), and {again} of a second cut while opening",
        walked.states,
        walked.exhausted + walked.sampled,
        walked.exhausted,
        walked.sampled
    )
    .unwrap();
    assert!(walked.states > 10_000 && again > 30_000, "{walked:?}, {again}");
}

/// That the crash states show a bug, and nothing without it.
fn is_noticed(plant: Plant, expected: &str) {
    let wrong = with(plant, || cut_everywhere(&FEW)).unwrap_err();
    assert!(wrong.contains(expected), "{wrong}");
}

#[test]
fn a_manifest_before_the_sync_of_its_runs_is_noticed() {
    is_noticed(Plant::ManifestBeforeSync, "corrupt");
}

#[test]
fn two_manifests_for_one_flush_are_noticed() {
    is_noticed(Plant::TwoManifests, "found");
}

#[test]
fn a_manifest_in_its_place_before_it_is_synced_is_noticed() {
    is_noticed(Plant::ManifestNotSynced, "manifest");
}

#[test]
fn a_manifest_before_the_names_of_its_runs_is_noticed() {
    is_noticed(Plant::RunNamesNotSynced, "gone");
}

#[test]
fn a_flush_done_before_its_manifest_has_its_name_is_noticed() {
    is_noticed(Plant::ManifestNameNotSynced, "gone");
}

#[test]
fn merged_runs_removed_before_the_manifest_is_replaced_are_noticed() {
    is_noticed(Plant::MergedRunsRemovedEarly, "gone");
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
