//! The crash states: a scenario is cut at every write, sync and directory change, with every fate of what was not synced;
//! whatever is left must recover, also when the power goes again meanwhile.

mod scenario;
mod states;

use super::super::*;
use super::scene::*;
use std::io;

pub(super) use self::scenario::{DENSE, MIXED, Promised, RETRY};
pub(super) use self::states::{few_states, few_states_of_a_retry};
use crate::disk::{Call, Disk, MemoryDisk, OpenMode, Unsynced};

/// The n-th call fails instead of the power: the journal refuses everything after it (or, where nothing was promised yet,
/// says so), and the next start finds what was acknowledged, whether the process dies alone or with its machine.
#[test]
fn every_failing_call_recovers() {
    let disk = MemoryDisk::new(1);
    MIXED.run(&disk, &mut Promised::default()).unwrap();
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
                match MIXED.run(&disk, &mut promised) {
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
                for disk in [disk, cut] {
                    MIXED
                        .recover_deeply(&disk, &promised, nth)
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
    MIXED.run(&disk, &mut Promised::default()).unwrap();
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
