//! The crash points: a scenario is cut at every write, sync and directory change, with several fates of what was not
//! synced; whatever is left must recover.

use super::super::*;
use super::scene::*;
use std::io;

use crate::disk::{Call, Disk, MemoryDisk, OpenMode, Unsynced};

/// What a run of the scenario promised before the power went.
#[derive(Default)]
struct Promised {
    /// The records of each commit that returned, in order: (bucket, slot, length).
    acknowledged: Vec<(u32, u64, usize)>,
    /// Those of the commit that was running.
    attempted: Vec<(u32, u64, usize)>,
    /// All records below this generation were given up; those reclaimed may be gone.
    reclaimed: usize,
}

/// Commits of many sizes with rolling, splitting, preparing, recycling and a restart in between.
fn scenario(disk: &MemoryDisk, promised: &mut Promised) -> Result<(), JournalError> {
    let mut slot = 0;
    let mut boundaries: Vec<(Generation, usize)> = Vec::new();
    for run in 0..3 {
        let mut opened = try_open(disk)?;
        for round in 0..14_u64 {
            let count = 1 + (round * 7 + run) % 5;
            let records: Vec<_> = (0..count)
                .map(|index| {
                    slot += 1;
                    ((slot % 4) as u32, slot, ((slot * 977 + index * 131) % 4200) as usize)
                })
                .collect();
            let mut batch = batch(&config(), &records);
            promised.attempted.clone_from(&records);
            if round % 6 == 5 {
                opened.journal.witness()?;
            }
            match opened.journal.commit(&mut [&mut batch]) {
                Ok(committed) => {
                    if let Some(first) = batch.position(0) {
                        boundaries.push((first.generation, promised.acknowledged.len()));
                    }
                    promised.acknowledged.append(&mut promised.attempted);
                    if committed.rolled && round % 2 == 0 {
                        opened.journal.preparer().prepare_next()?;
                    }
                }
                Err(error) => return Err(error),
            }
            if round % 5 == 4
                && let Some(active) = opened.journal.active_generation()
            {
                let keep = Generation(active.0 - 1);
                promised.reclaimed = boundaries
                    .iter()
                    .find(|(generation, _)| *generation >= keep)
                    .map_or(promised.reclaimed, |(_, index)| *index);
                opened.journal.preparer().reclaim(keep)?;
            }
        }
        if run == 1 {
            opened.journal.close()?;
        }
    }
    Ok(())
}

/// Checks what is there after a crash: a suffix of the acknowledged records that leaves out nothing but what was reclaimed,
/// then nothing, or a beginning of what was being attempted.
fn check(opened: &Opened, promised: &Promised) -> Result<(), String> {
    if !opened.recovered.damage.is_empty() {
        return Err(format!("damage: {:?}", opened.recovered.damage));
    }
    let mut all = promised.acknowledged.clone();
    all.extend(&promised.attempted);
    let Some(first) = opened.seen.first() else {
        return if promised.reclaimed == promised.acknowledged.len() {
            Ok(())
        } else {
            Err("everything is gone".to_owned())
        };
    };
    let start = all
        .iter()
        .position(|(_, slot, _)| *slot == first.head.slot.0)
        .ok_or("a record that was never written")?;
    if start > promised.reclaimed {
        return Err(format!("begins at {start}, reclaimed only up to {}", promised.reclaimed));
    }
    if start + opened.seen.len() < promised.acknowledged.len() {
        return Err(format!(
            "ends {} records early",
            promised.acknowledged.len() - start - opened.seen.len()
        ));
    }
    if start + opened.seen.len() > all.len() {
        return Err("more records than were written".to_owned());
    }
    for (seen, (bucket, slot, length)) in opened.seen.iter().zip(&all[start..]) {
        if seen.head != head(*bucket, *slot) || seen.payload != payload(*bucket, *slot, *length) {
            return Err(format!("{:?} where slot {slot} was written", seen.head));
        }
    }
    Ok(())
}

/// Runs the scenario cut at every point; `stride` leaves out points for the checks of planted bugs.
pub(super) fn enumerate(stride: usize, fates: u64) -> Result<usize, String> {
    let whole = MemoryDisk::new(1);
    let mut promised = Promised::default();
    scenario(&whole, &mut promised).map_err(|error| error.to_string())?;
    let points = whole.calls().changes();
    let mut states = 0;
    for point in (0..=points).step_by(stride) {
        let disk = MemoryDisk::new(1);
        let mut promised = Promised::default();
        disk.freeze_after(point);
        let outcome = scenario(&disk, &mut promised);
        if outcome.is_ok() != (point >= points) {
            return Err(format!("point {point}: the scenario said {outcome:?}"));
        }
        for fate in 0..fates {
            let cut = disk.fork();
            cut.power_cut(match fate {
                0 => Unsynced::Lost,
                1 => Unsynced::Kept,
                seed => Unsynced::Mixed(seed * 1_000_003 + point),
            });
            recover(&cut, &promised, true, fate)
                .map_err(|error| format!("point {point}, fate {fate}: {error}"))?;
            states += 1;
        }
    }
    Ok(states)
}

/// Recovers, is cut again while recovering, recovers again: always the same records, when nothing on the disk waits to be
/// `settled` by a power cut.
fn recover(disk: &MemoryDisk, promised: &Promised, settled: bool, fate: u64) -> Result<(), String> {
    let again = disk.fork();
    let twice = disk.fork();
    let opened = try_open(disk).map_err(|error| error.to_string())?;
    check(&opened, promised)?;

    again.freeze_after(fate % 7);
    drop(try_open(&again));
    again.power_cut(Unsynced::Mixed(fate));
    let second = try_open(&again).map_err(|error| format!("second time: {error}"))?;
    check(&second, promised).map_err(|error| format!("second time: {error}"))?;
    if settled && second.seen != opened.seen {
        return Err(format!("second time {:?}, first {:?}", second.slots(), opened.slots()));
    }

    // What recovery delivered is durable by then, and the journal goes on from there.
    let first = try_open(&twice).map_err(|error| error.to_string())?;
    let mut journal = first.journal;
    let records = [(9, 1_000_000, 700), (9, 1_000_001, 5000)];
    let mut more = batch(&config(), &records);
    journal.commit(&mut [&mut more]).map_err(|error| error.to_string())?;
    drop(journal);
    twice.power_cut(Unsynced::Lost);
    let third = try_open(&twice).map_err(|error| format!("third time: {error}"))?;
    let mut expected = opened.slots();
    expected.extend(records.map(|(bucket, slot, _)| (bucket, slot)));
    if third.slots() != expected || !third.recovered.damage.is_empty() {
        return Err(format!(
            "going on: {:?} instead of {expected:?}: {:?}",
            third.slots(),
            third.recovered.damage
        ));
    }
    Ok(())
}

#[test]
fn every_crash_point_recovers() {
    let states = enumerate(1, 64).unwrap();
    assert!(states > 10_000, "{states}");
}

/// The n-th call fails instead of the power: the journal refuses everything after it (or, where nothing was promised yet,
/// says so), and the next start finds what was acknowledged, whether the process dies alone or with its machine.
#[test]
fn every_failing_call_recovers() {
    let disk = MemoryDisk::new(1);
    scenario(&disk, &mut Promised::default()).unwrap();
    let whole = disk.calls();
    for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
        for (call, calls) in
            [(Call::Write, whole.writes), (Call::Sync, whole.syncs), (Call::Entry, whole.entries)]
        {
            let mut failures = 0;
            for nth in 1.. {
                let disk = MemoryDisk::new(nth);
                let mut promised = Promised::default();
                disk.fail(call, nth, kind);
                match scenario(&disk, &mut promised) {
                    Ok(()) if nth > calls => break,
                    // Absorbed, as a full disk is when a file can be made later.
                    Ok(()) => {}
                    Err(JournalError::Poisoned(_) | JournalError::Io { .. } | JournalError::Full { .. }) => {}
                    Err(error) => panic!("{call:?} {nth}: {error}"),
                }
                failures += 1;
                disk.heal();
                let cut = disk.fork();
                cut.power_cut(Unsynced::Mixed(nth));
                for (disk, settled) in [(disk, false), (cut, true)] {
                    recover(&disk, &promised, settled, nth)
                        .unwrap_or_else(|error| panic!("{kind:?} {call:?} {nth}: {error}"));
                }
            }
            assert!(failures > 3, "{kind:?} {call:?}: {failures}");
        }
    }
}

/// A read that fails while recovering is an error or damage, never a record less in silence.
#[test]
fn every_failing_read_is_noticed() {
    let disk = MemoryDisk::new(1);
    let mut promised = Promised::default();
    scenario(&disk, &mut promised).unwrap();
    let whole = open(&disk.fork()).seen;
    for nth in 1.. {
        let disk = disk.fork();
        let before = disk.calls().reads;
        disk.fail(Call::Read, nth, io::ErrorKind::Other);
        if let Ok(opened) = try_open(&disk) {
            assert!(opened.seen == whole || !opened.recovered.damage.is_empty(), "read {nth}");
        }
        if disk.calls().reads < before + nth {
            assert!(nth > 5);
            break;
        }
    }
}

#[test]
fn a_commit_in_the_page_cache_alone_is_made_durable_by_recovery() {
    // A file system without direct writes: the process dies between write and sync, or its sync fails.
    let disk = MemoryDisk::new(1);
    commit(&mut open(&disk).journal, &[(5, 49, 9000)]);
    let cached = disk.fork();
    let mut opened = open(&disk);
    let position = commit(&mut opened.journal, &[(5, 50, 3000)])[0];
    drop(opened);
    let start = u64::from(position.offset) - 48;
    let bytes = read_bytes(&disk, &segment_path(position.generation.0), start, 4096);
    let path = segment_path(position.generation.0);
    cached.open(&path, OpenMode::ReadWrite).unwrap().write_all_at(&bytes, start).unwrap();
    cached.kill();
    assert_eq!(open(&cached).slots().last(), Some(&(5, 50)));
    cached.power_cut(Unsynced::Lost);
    assert_eq!(open(&cached).slots().last(), Some(&(5, 50)));
}
