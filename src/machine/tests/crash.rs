//! Journal, state, manifests and small files together: every state that a crash can leave of them is recovered by the start of a
//! node, and checked.

use std::io::Write as _;

use thermocline_tiers::disk::{MemoryDisk, PowerCuts};

use super::scenario::{End, Progress, recover, scenario, start_and_read};

/// Which states of a cut are tried.
#[derive(Clone, Copy)]
struct Chosen {
    cuts: PowerCuts,
    /// Of all of them so many, evenly.
    most: usize,
}

/// What is tried each time.
const MANY: Chosen = Chosen { cuts: PowerCuts { exhaustive_max: 5, drawn: 8, torn: 3 }, most: 7 };
/// The second cut, while starting.
const AGAIN: Chosen = Chosen { cuts: PowerCuts { exhaustive_max: 2, drawn: 1, torn: 1 }, most: 2 };
/// Enough to see a bug.
#[cfg(feature = "plant")]
const FEW: Chosen = Chosen { cuts: PowerCuts { exhaustive_max: 3, drawn: 2, torn: 1 }, most: 4 };

/// One state of so many is cut again at each change of its first start.
const DEEP_EVERY: u64 = 512;

impl Chosen {
    /// Shows `look` the states of a disk whose power goes now. Says how many there were.
    fn each(
        self,
        disk: &MemoryDisk,
        seed: u64,
        mut look: impl FnMut(&MemoryDisk) -> Result<(), String>,
    ) -> Result<u64, String> {
        let changes = disk.unsettled().len();
        let all = if changes <= self.cuts.exhaustive_max as usize {
            1 << changes
        } else {
            4 * (changes + 1) + self.cuts.drawn as usize
        };
        let stride = (all + self.cuts.torn as usize).div_ceil(self.most);
        let (mut number, mut looked) = (seed as usize, 0);
        self.cuts.each(disk, seed, |left| {
            number += 1;
            if number % stride != 0 {
                return Ok(());
            }
            looked += 1;
            look(&left)
        })?;
        Ok(looked)
    }
}

/// What was tried.
#[derive(Debug, Default)]
struct Walked {
    cuts: u64,
    states: u64,
    /// After a second cut, while starting.
    again: u64,
}

/// What the end of a recovery says is wrong; the power does not go in one.
fn wrong(end: End) -> String {
    match end {
        End::Cut => "the disk is frozen".into(),
        End::Wrong(wrong) => wrong,
    }
}

/// Recovers, also when the power goes again at each change until the node has been read. Says how many states that were.
fn recover_deeply(disk: &MemoryDisk, progress: &Progress) -> Result<u64, String> {
    recover(&disk.fork(), progress).map_err(wrong)?;
    let mut states = 0;
    for point in 0.. {
        let stopped = disk.fork();
        stopped.freeze_after(point);
        let mut reached = progress.clone();
        match start_and_read(&stopped, &mut reached) {
            Err(End::Cut) => {}
            // It is through, with fewer changes.
            Ok(()) => break,
            Err(End::Wrong(wrong)) => {
                return Err(format!("with the power cut after {point} changes: {wrong}"));
            }
        }
        states += AGAIN
            .each(&stopped, point, |left| recover(left, &reached).map_err(wrong))
            .map_err(|wrong| format!("cut again after {point} changes of the start: {wrong}"))?;
    }
    Ok(states)
}

/// All states of a cut after `point` changes.
fn cut(point: u64, chosen: Chosen, walked: &mut Walked) -> Result<(), String> {
    let disk = MemoryDisk::new(1);
    disk.freeze_after(point);
    let mut progress = Progress::default();
    match scenario(&disk, &mut progress) {
        Err(End::Cut) => {}
        Err(End::Wrong(wrong)) => return Err(format!("before the cut: {wrong}")),
        Ok(()) => return Err("a frozen disk lets nothing pass".into()),
    }
    chosen.each(&disk, point, |left| {
        walked.states += 1;
        if walked.states % DEEP_EVERY == 1 {
            walked.again += recover_deeply(left, &progress)?;
            return Ok(());
        }
        recover(left, &progress).map_err(wrong)
    })?;
    Ok(())
}

/// How many changes of the disk the scenario makes.
fn changes() -> u64 {
    let disk = MemoryDisk::new(1);
    let mut progress = Progress::default();
    scenario(&disk, &mut progress).map_err(wrong).unwrap();
    assert!(progress.given_back > 1, "the journal is given back");
    disk.calls().changes()
}

/// Cuts the power at each of so many changes of the scenario.
fn cut_everywhere(cuts: u64, chosen: Chosen) -> Result<Walked, String> {
    let mut walked = Walked { cuts, ..Walked::default() };
    for point in 0..walked.cuts {
        cut(point, chosen, &mut walked).map_err(|wrong| format!("cut at {point}: {wrong}"))?;
    }
    Ok(walked)
}

#[test]
fn a_crash_anywhere_loses_nothing_of_a_whole_node() {
    let Walked { cuts, states, again } = cut_everywhere(changes(), MANY).unwrap();
    // Past the capture of a test's output: the figures are wanted.
    writeln!(
        std::io::stdout(),
        "crash states of a whole node: {states} at {cuts} cuts, and {again} of a second cut while starting"
    )
    .unwrap();
    assert!(states > 2_000 && again > 500, "{states}, {again}");
}

#[cfg(feature = "plant")]
mod planted {
    use super::*;
    use crate::plant::{Plant, with};

    /// That the crash states show a bug, and nothing without it.
    fn is_noticed(plant: Plant, expected: &str) {
        // The bug may show at an orderly start too, and the scenario not come to its end with it.
        let cuts = changes();
        let wrong = with(plant, || cut_everywhere(cuts, FEW)).unwrap_err();
        assert!(wrong.starts_with("cut at") && !wrong.contains("before the cut"), "{wrong}");
        assert!(wrong.contains(expected), "{wrong}");
    }

    #[test]
    fn an_identity_that_is_written_after_the_journal_is_noticed() {
        is_noticed(Plant::IdentityAfterJournal, "");
    }

    #[test]
    fn a_small_file_in_its_place_before_it_is_synced_is_noticed() {
        is_noticed(Plant::SmallFileNotSynced, "identity");
    }

    #[test]
    fn a_small_file_whose_name_is_not_synced_is_noticed() {
        is_noticed(Plant::SmallFileNameNotSynced, "");
    }

    #[test]
    fn a_journal_given_back_before_the_state_has_it_is_noticed() {
        is_noticed(Plant::ReclaimsTooMuch, "");
        is_noticed(Plant::AppliedIsDurable, "");
    }
}
