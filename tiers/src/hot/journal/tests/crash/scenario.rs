//! What a journal is doing when the power goes, and what it has promised by then.

use super::super::super::*;
use super::super::scene::*;
use crate::disk::MemoryDisk;

/// What a run promised before the power went. Record `n` has slot `n + 1`.
#[derive(Clone, Default)]
pub(in super::super) struct Promised {
    /// All records, in order: head and payload. Those of the commit that was running are the last.
    pub(super) records: Vec<(RecordHead, Vec<u8>)>,
    /// So many of them were acknowledged.
    pub(super) acknowledged: usize,
    /// So many are not needed to start from; they may not be replayed.
    pub(super) unneeded: usize,
    /// So many were given up; they may be gone.
    pub(super) reclaimed: usize,
    /// Which attempt this is: no two write the same under one slot.
    pub(super) attempts: u64,
}

impl Promised {
    /// Adds records of these lengths to what is attempted.
    pub(super) fn attempt(
        &mut self,
        config: &JournalConfig,
        lengths: impl Iterator<Item = usize>,
    ) -> JournalBatch {
        self.records.truncate(self.acknowledged);
        self.attempts += 1;
        let first = self.records.len();
        for length in lengths {
            let slot = self.records.len() as u64 + 1;
            let bucket = (slot % 4) as u32;
            self.records.push((head(bucket, slot), payload(bucket, slot ^ self.attempts << 32, length)));
        }
        let mut batch = JournalBatch::new(config);
        for (head, payload) in &self.records[first..] {
            batch.push(*head, |into| into.put(payload)).unwrap();
        }
        batch
    }
}

/// A script, and the limits it is played with.
#[derive(Clone, Copy)]
pub(in super::super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) config: fn() -> JournalConfig,
    script: fn(Scenario, &MemoryDisk, &mut Promised) -> Result<(), JournalError>,
    /// Whether each of its batches is one commit, and so there as a whole or not at all.
    pub(super) whole: bool,
}

/// Commits of many sizes, split over several writes, with rolling, preparing, recycling and restarts in between.
pub(in super::super) const MIXED: Scenario = Scenario { name: "mixed", config, script: mixed, whole: false };

/// The smallest segments, which are full after two commits and used again soon: what a commit of two blocks writes over is
/// never what it writes.
pub(in super::super) const DENSE: Scenario =
    Scenario { name: "dense", config: small, script: dense, whole: true };

/// A commit after which the next one, of the same layout, takes its place if the power goes while it is written.
pub(in super::super) const RETRY: Scenario =
    Scenario { name: "retry", config: small, script: retry, whole: true };

impl Scenario {
    /// Plays it until it ends, or until the disk refuses.
    pub(in super::super) fn run(
        self,
        disk: &MemoryDisk,
        promised: &mut Promised,
    ) -> Result<(), JournalError> {
        (self.script)(self, disk, promised)
    }

    fn open(self, disk: &MemoryDisk) -> Result<Journal, JournalError> {
        try_open_with(disk, (self.config)(), identity()).map(|opened| opened.journal)
    }
}

fn small() -> JournalConfig {
    JournalConfig {
        segments_max: 6,
        headroom_segments: 0,
        ..JournalConfig::with_segment_bytes(SEGMENT_BYTES_MIN)
    }
}

/// One commit; the generation it begins in is noted, for what is reclaimed later.
fn step(
    journal: &mut Journal,
    promised: &mut Promised,
    places: &mut Vec<(Generation, usize)>,
    lengths: impl Iterator<Item = usize>,
) -> Result<Committed, JournalError> {
    let mut batch = promised.attempt(&journal.config().clone(), lengths);
    let committed = journal.commit(&mut [&mut batch])?;
    places.extend(batch.position(0).map(|first| (first.generation, promised.acknowledged)));
    promised.acknowledged = promised.records.len();
    Ok(committed)
}

/// Of so many records the first ones lie in segments below `keep`.
fn below(places: &[(Generation, usize)], keep: Generation) -> Option<usize> {
    places.iter().find(|(generation, _)| *generation >= keep).map(|(_, index)| *index)
}

/// Says that nobody starts from what lies in segments below `keep`.
fn replay_from(
    journal: &Journal,
    promised: &mut Promised,
    places: &[(Generation, usize)],
    keep: Generation,
) -> Result<(), JournalError> {
    promised.unneeded = below(places, keep).unwrap_or(promised.unneeded);
    journal.preparer().replay_from(keep)
}

/// Gives up what lies in segments below `keep`.
fn reclaim(
    journal: &Journal,
    promised: &mut Promised,
    places: &[(Generation, usize)],
    keep: Generation,
) -> Result<(), JournalError> {
    promised.reclaimed = below(places, keep).unwrap_or(promised.reclaimed);
    promised.unneeded = promised.unneeded.max(promised.reclaimed);
    journal.preparer().reclaim(keep).map(|_| ())
}

fn mixed(scenario: Scenario, disk: &MemoryDisk, promised: &mut Promised) -> Result<(), JournalError> {
    let mut places = Vec::new();
    for run in 0..3 {
        let mut journal = scenario.open(disk)?;
        for round in 0..14 {
            if round % 6 == 5 {
                journal.witness()?;
            }
            let first = promised.acknowledged + 1;
            let lengths =
                (0..1 + (round * 7 + run) % 5).map(|index| ((first + index) * 977 + index * 131) % 4200);
            let committed = step(&mut journal, promised, &mut places, lengths)?;
            if committed.rolled && round % 2 == 0 {
                journal.preparer().prepare_next()?;
            }
            let Some(active) = journal.active_generation() else { continue };
            if round % 4 == 2 {
                replay_from(&journal, promised, &places, active)?;
            }
            if round % 5 == 4 {
                reclaim(&journal, promised, &places, Generation(active.0.saturating_sub(2)))?;
            }
        }
        if run == 1 {
            journal.close()?;
        }
    }
    Ok(())
}

fn dense(scenario: Scenario, disk: &MemoryDisk, promised: &mut Promised) -> Result<(), JournalError> {
    let mut places = Vec::new();
    for run in 0..4 {
        let mut journal = scenario.open(disk)?;
        for round in 0..14 {
            // Two blocks and one block by turns: the three that a segment has.
            let lengths = if round % 2 == 0 { [1500, 2500, 3990 + run] } else { [700, 1200, 2040] };
            let committed = step(&mut journal, promised, &mut places, lengths.into_iter())?;
            if round % 6 == 3 {
                journal.preparer().prepare_next()?;
            }
            if committed.rolled
                && let Some(active) = journal.active_generation()
                && active.0 > 3
            {
                replay_from(&journal, promised, &places, Generation(active.0 - round as u64 % 2))?;
                reclaim(&journal, promised, &places, Generation(active.0 - 2))?;
            }
        }
    }
    Ok(())
}

fn retry(scenario: Scenario, disk: &MemoryDisk, promised: &mut Promised) -> Result<(), JournalError> {
    let mut journal = scenario.open(disk)?;
    let mut places = Vec::new();
    step(&mut journal, promised, &mut places, [2000].into_iter())?;
    step(&mut journal, promised, &mut places, aligned()).map(|_| ())
}

/// A commit of two blocks whose records begin and end where sectors do.
pub(super) fn aligned() -> impl Iterator<Item = usize> {
    let records = RECORD_HEADER_BYTES as usize;
    let header = layout::COMMIT_HEADER_BYTES as usize;
    std::iter::once(512 - header - records).chain(std::iter::repeat_n(512 - records, 15))
}
