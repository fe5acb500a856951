//! Every state that a power cut can leave of a scenario, recovered and checked.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::super::super::*;
use super::super::scene::*;
use super::scenario::{Scenario, aligned};
use super::{DENSE, MIXED, Promised, RETRY};
use crate::disk::{MemoryDisk, PowerCuts, Walked};

/// All combinations of what a commit of two blocks writes.
const ALL: PowerCuts = PowerCuts { exhaustive_max: 16, drawn: 800, torn: 64 };
/// What is tried each time.
const MANY: PowerCuts = PowerCuts { exhaustive_max: 8, drawn: 128, torn: 16 };
/// Enough to see a bug.
const FEW: PowerCuts = PowerCuts { exhaustive_max: 8, drawn: 20, torn: 8 };
/// The second cut, while recovering.
const AGAIN: PowerCuts = PowerCuts { exhaustive_max: 2, drawn: 2, torn: 1 };

/// One state of so many is cut again at each point of its recovery.
const DEEP_EVERY: u64 = 512;

/// What a recovery delivered: records `first..end` of what was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delivered {
    first: usize,
    end: usize,
}

/// Takes records as they are delivered and compares them with what was promised, at once.
struct Compare<'a> {
    promised: &'a Promised,
    delivered: Option<Delivered>,
    wrong: Option<String>,
}

impl Compare<'_> {
    fn take(&mut self, record: Record<'_>) {
        let index = (record.head.slot.0 as usize).wrapping_sub(1);
        let delivered = self.delivered.get_or_insert(Delivered { first: index, end: index });
        let expected = self.promised.records.get(delivered.end);
        delivered.end += 1;
        if expected.is_none_or(|(head, payload)| *head != record.head || payload != record.payload) {
            self.wrong.get_or_insert_with(|| format!("{:?} is not what was written there", record.head));
        }
    }
}

/// Reads what was not replayed: all that comes before `first` and is not given up.
fn read_history(journal: &Journal, promised: &Promised, first: usize) -> Result<(), String> {
    let mut compare = Compare { promised, delivered: None, wrong: None };
    let mut history = journal.reader().history();
    let mut lost = false;
    while history.read_next(|found| match found {
        Found::Record(record, _) => compare.take(record),
        Found::Commit(_) => {}
        Found::Lost(_) => lost |= compare.delivered.is_some(),
    }) {}
    let nothing = Delivered { first, end: first };
    let delivered = compare.delivered.unwrap_or(nothing);
    match compare.wrong {
        Some(wrong) => Err(format!("history: {wrong}")),
        None if lost => Err("history: something is said to be lost".to_owned()),
        None if delivered.first > promised.reclaimed || delivered.end != first => Err(format!(
            "history: {delivered:?} before {first}, but only {} were given up",
            promised.reclaimed
        )),
        None => Ok(()),
    }
}

impl Scenario {
    /// Opens what a crash left, or looks at it without a change, and checks what it says.
    fn recover(
        self,
        disk: &MemoryDisk,
        promised: &Promised,
        look_only: bool,
    ) -> Result<(Delivered, Option<Journal>), String> {
        let mut compare = Compare { promised, delivered: None, wrong: None };
        let visit = |record: Record<'_>, _: Position| compare.take(record);
        let opened = if look_only {
            inspect(disk, directory(), identity(), visit).map(|found| (None, found))
        } else {
            Journal::open(Arc::new(disk.clone()), directory(), (self.config)(), identity(), visit)
                .map(|(journal, found)| (Some(journal), found))
        };
        let (journal, found) = opened.map_err(|error| error.to_string())?;
        if let Some(wrong) = compare.wrong {
            return Err(wrong);
        }
        if !found.damage.is_empty() {
            return Err(format!("damage: {:?}", found.damage));
        }
        let (acknowledged, all) = (promised.acknowledged, promised.records.len());
        let nothing = Delivered { first: acknowledged, end: acknowledged };
        let delivered = compare.delivered.unwrap_or(nothing);
        if delivered.first > promised.unneeded {
            return Err(format!("{delivered:?}, but only {} were not needed", promised.unneeded));
        }
        if let Some(journal) = &journal {
            read_history(journal, promised, delivered.first)?;
        }
        if delivered.end < acknowledged {
            return Err(format!("{delivered:?}, but {acknowledged} were acknowledged"));
        }
        if self.whole && delivered.end != acknowledged && delivered.end != all {
            return Err(format!("{delivered:?}: a part of the commit {acknowledged}..{all}"));
        }
        Ok((delivered, journal))
    }

    /// Recovers, and then finds the same once more.
    fn recover_twice(self, disk: &MemoryDisk, promised: &Promised) -> Result<Delivered, String> {
        let (first, journal) = self.recover(disk, promised, false)?;
        drop(journal);
        let (second, _) =
            self.recover(disk, promised, true).map_err(|wrong| format!("second time: {wrong}"))?;
        if first == second { Ok(first) } else { Err(format!("first {first:?}, then {second:?}")) }
    }

    /// As [`recover_twice`](Scenario::recover_twice); and the power goes at each point of the recovery; and after it the journal goes
    /// on. Returns how many second cuts that were.
    pub(in super::super) fn recover_deeply(
        self,
        disk: &MemoryDisk,
        promised: &Promised,
        seed: u64,
    ) -> Result<u64, String> {
        let settled = disk.unsettled().is_empty();
        let whole = disk.fork();
        let before = whole.calls().changes();
        let (first, journal) = self.recover(&whole, promised, false)?;
        let changes = whole.calls().changes() - before;
        let mut cuts = 0;
        for point in 0..changes {
            let stopped = disk.fork();
            stopped.freeze_after(point);
            drop(self.recover(&stopped, promised, false));
            cuts += AGAIN
                .each(&stopped, seed + point, |left| match self.recover_twice(&left, promised)? {
                    other if settled && other != first => {
                        Err(format!("{other:?}, and {first:?} undisturbed"))
                    }
                    _ => Ok(()),
                })
                .map_err(|wrong| format!("cut again after {point} changes of the recovery: {wrong}"))?
                .states;
        }
        drop(journal);
        self.go_on(&whole, promised, first).map_err(|wrong| format!("going on: {wrong}"))?;
        Ok(cuts)
    }

    /// What recovery delivered is durable by then, and the journal goes on from there.
    fn go_on(self, disk: &MemoryDisk, promised: &Promised, delivered: Delivered) -> Result<(), String> {
        let (_, journal) = self.recover(disk, promised, false)?;
        let Some(mut journal) = journal else { return Ok(()) };
        let mut promised = Promised { acknowledged: delivered.end, ..promised.clone() };
        let mut batch = promised.attempt(&(self.config)(), [700, 3100].into_iter());
        journal.commit(&mut [&mut batch]).map_err(|error| error.to_string())?;
        drop(journal);
        promised.acknowledged = promised.records.len();
        disk.power_cut(crate::disk::Unsynced::Lost);
        self.recover_twice(disk, &promised).map(|_| ())
    }

    /// All states of one cut.
    fn cut(
        self,
        point: u64,
        points: u64,
        cuts: &PowerCuts,
        deep_every: u64,
    ) -> Result<(Walked, u64), String> {
        let disk = MemoryDisk::new(1);
        let mut promised = Promised::default();
        disk.freeze_after(point);
        let outcome = self.run(&disk, &mut promised);
        if outcome.is_ok() != (point >= points) {
            return Err(format!("the scenario said {outcome:?}"));
        }
        let (mut number, mut again) = (0, 0);
        let walked = cuts.each(&disk, point, |left| {
            number += 1;
            if number % deep_every == 1 {
                again += self.recover_deeply(&left, &promised, number)?;
                return Ok(());
            }
            self.recover_twice(&left, &promised).map(|_| ())
        })?;
        Ok((walked, again))
    }

    /// The changes that an undisturbed run makes.
    fn points(self) -> u64 {
        let disk = MemoryDisk::new(1);
        self.run(&disk, &mut Promised::default()).unwrap();
        disk.calls().changes()
    }

    /// All states of all cuts, on two threads.
    fn all_states(self, cuts: &PowerCuts) -> Result<(u64, Walked, u64), String> {
        let points = self.points();
        let next = AtomicU64::new(0);
        let found = Mutex::new(Ok((Walked::default(), 0)));
        let work = || {
            loop {
                let point = next.fetch_add(1, Ordering::Relaxed);
                if point > points || found.lock().is_err() {
                    return;
                }
                let cut = self.cut(point, points, cuts, DEEP_EVERY);
                let mut found = found.lock();
                match (cut, &mut *found) {
                    (Ok((walked, again)), Ok((all, deep))) => {
                        *all += walked;
                        *deep += again;
                    }
                    (Err(wrong), Ok(_)) => {
                        *found = Err(format!("{}, cut at {point} of {points}: {wrong}", self.name));
                    }
                    (_, Err(_)) => {}
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(work);
            scope.spawn(work);
        });
        let (walked, again) = found.into_inner()?;
        Ok((points + 1, walked, again))
    }
}

/// A part of the states of a scenario, on this thread: to see a planted bug.
pub(in super::super) fn few_states(scenario: Scenario, stride: usize) -> Result<(), String> {
    let points = scenario.points();
    (0..=points).step_by(stride).try_for_each(|point| scenario.cut(point, points, &FEW, 16).map(|_| ()))
}

/// A commit is torn, recovery cuts it off, and the next one, torn as well, takes its place: all of one, and none of the other.
fn states_of_a_retry(second: &PowerCuts) -> Result<u64, String> {
    let points = RETRY.points();
    let disk = MemoryDisk::new(1);
    let mut promised = Promised::default();
    disk.freeze_after(points - 1);
    assert!(RETRY.run(&disk, &mut promised).is_err(), "the last change is the commit");
    let mut states = 0;
    // Of the first attempt only the second block lasts; recovery writes zeros over the first.
    const FIRST: PowerCuts = PowerCuts { exhaustive_max: 0, drawn: 0, torn: 0 };
    FIRST.each(&disk, 1, |left| {
        let (delivered, journal) = RETRY.recover(&left, &promised, false)?;
        let Some(mut journal) = journal else { return Ok(()) };
        let mut promised = Promised { acknowledged: delivered.end, ..promised.clone() };
        let mut batch = promised.attempt(&(RETRY.config)(), aligned());
        left.freeze_after(0);
        assert!(journal.commit(&mut [&mut batch]).is_err());
        drop(journal);
        let walked = second.each(&left, 2, |twice| RETRY.recover_twice(&twice, &promised).map(|_| ()))?;
        states += walked.states;
        Ok(())
    })?;
    Ok(states)
}

pub(in super::super) fn few_states_of_a_retry() -> Result<(), String> {
    states_of_a_retry(&PowerCuts { exhaustive_max: 0, drawn: 100, torn: 4 }).map(|_| ())
}

/// The states of all scenarios; prints how many, and returns it.
fn count(cuts: &PowerCuts) -> u64 {
    let mut states = 0;
    let say = |line: String| {
        // Past the capture of a test's output: the figures are wanted.
        writeln!(std::io::stdout(), "crash states of the journal{line}").unwrap();
    };
    for scenario in [DENSE, MIXED] {
        let (points, walked, again) = scenario.all_states(cuts).unwrap();
        say(format!(
            ", {}: {} at {points} cuts ({} exhausted, {} sampled), and {again} of a second cut while recovering",
            scenario.name, walked.states, walked.exhausted, walked.sampled
        ));
        assert!(again > 2_000, "{again}");
        states += walked.states + again;
    }
    let twice = states_of_a_retry(&PowerCuts { exhaustive_max: 0, ..*cuts }).unwrap();
    say(format!(", retry: {twice} of two torn commits at one place"));
    states += twice;
    say(format!(": {states} in all"));
    states
}

#[test]
fn crash_states_at_every_cut_recover() {
    let states = count(&MANY);
    assert!(states >= 40_000, "{states}");
}

#[test]
#[ignore = "takes both cores for a minute; .ci/run has it"]
fn every_crash_state_recovers() {
    let states = count(&ALL);
    assert!(states >= 2_000_000, "{states}");
}
