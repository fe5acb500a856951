//! The upkeep of a worker's parts: when they are flushed and merged, and what happens when that fails.

use thermocline_tiers::hot::state::{Job as StateJob, Part, StateError};

use super::effects::Job;
use super::journal_index::JournalIndex;
use super::worker::Worker;
use crate::error::StorageKind;
use crate::plant::{self, Plant};

/// How it is with a part's jobs.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Whether one is under way.
    busy: bool,
    /// How many failed one after the other, and when the next may begin.
    failures: u32,
    not_before: u64,
    /// Nothing is written to the part any more.
    ended: bool,
    /// From which segment of the journal on there are, about, records that the part has in memory alone.
    unwritten_from: u64,
    /// From which on there will be once the flush that is under way has ended, and whether that began because the journal was long.
    flushing_from: Option<u64>,
    is_early: bool,
    /// The last job was a flush: a small merge goes before the next one.
    has_flushed: bool,
}

impl Upkeep {
    /// Of parts that have begun with what the journal has.
    pub(super) fn of_parts(count: usize, index: &JournalIndex) -> Vec<Self> {
        // A journal begins with segment 1.
        let unwritten_from = index.oldest_needed().unwrap_or_else(|| index.newest()).max(1);
        (0..count).map(|_| Self { unwritten_from, ..Self::default() }).collect()
    }
}

/// How far a part's last flush is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastFlush {
    Wanted,
    Begun,
    /// It is written, or cannot be.
    Ended,
}

/// A node that ends writes what its state has in memory, if a worker has so many bytes: less is soon replayed.
const LAST_FLUSH_BYTES: usize = 4 << 20;

/// After a failure a part's next job waits so long, in milliseconds; twice as long after each further one, up to the bound.
const PAUSE_MS: u64 = 50;
const PAUSE_MS_MAX: u64 = 2_000;

impl Worker {
    /// Flushes and merges a part when it wants to.
    pub(super) fn maintain_part(&mut self, now: u64, part: usize) {
        if !self.may_begin(now, part) || !self.last_flush.is_empty() {
            return;
        }
        let is_early = self.keeps_journal(now, part);
        let state = &mut self.parts[part];
        if is_early || state.wants_flush() {
            // Flushes that follow each other without a pause leave a run a window each; merges keep pace with them.
            if self.upkeep[part].has_flushed
                && !state.is_full()
                && let Some(job) = state.choose_small_merge()
            {
                return self.hold_state_job(part, job);
            }
            if let Some(job) = self.freeze(part) {
                self.upkeep[part].is_early = is_early;
                return self.hold_state_job(part, job);
            }
        }
        let state = &mut self.parts[part];
        if let Some(job) = state.choose_merge().or_else(|| state.sweep()) {
            self.hold_state_job(part, job);
        }
    }

    /// Whether a part is to be written because the next start would have to replay too much for it. The one that is furthest behind, and no other
    /// meanwhile: so they become due one after the other, too.
    fn keeps_journal(&self, now: u64, part: usize) -> bool {
        let from = |part: usize| self.upkeep[part].unwritten_from;
        self.is_far_behind(from(part))
            && !self.upkeep.iter().any(|upkeep| upkeep.is_early)
            && (0..self.parts.len()).all(|other| from(other) >= from(part) || !self.may_begin(now, other))
    }

    /// Whether a start would replay more than it is to if it began with this segment.
    pub(super) fn is_far_behind(&self, segment: u64) -> bool {
        let segments = (self.settings.replay_bytes / u64::from(self.effects.segment_bytes())).max(1);
        self.active_segment().saturating_sub(segment) >= segments
    }

    /// Sets aside what a part has in memory, to be written.
    fn freeze(&mut self, part: usize) -> Option<StateJob> {
        let next = self.goes_on_in();
        let upkeep = &mut self.upkeep[part];
        let job = self.parts[part].freeze();
        match job {
            Some(_) => upkeep.flushing_from = Some(next),
            None => upkeep.unwritten_from = next,
        }
        job
    }

    /// Asks every part to write what it has in memory, so that the journal can be shortened.
    pub(crate) fn flush_parts(&mut self) {
        for part in 0..self.parts.len() {
            self.flush_part(part);
        }
    }

    /// Asks a part to write what it has in memory.
    pub(super) fn flush_part(&mut self, part: usize) {
        if self.may_begin(self.last_tick, part)
            && let Some(job) = self.freeze(part)
        {
            self.hold_state_job(part, job);
        }
    }

    /// The node ends: from now on all that the state has in memory by now is written, so that the next start has nothing to replay.
    pub(crate) fn begin_last_flush(&mut self) {
        let bytes: usize = self.parts.iter().map(Part::memory_bytes).sum();
        if bytes >= LAST_FLUSH_BYTES {
            self.last_flush = vec![LastFlush::Wanted; self.parts.len()];
        }
    }

    /// It ends without that.
    pub(crate) fn end_last_flush(&mut self) {
        self.last_flush.clear();
    }

    /// Goes on with that; says whether it is over.
    pub(crate) fn go_on_with_last_flush(&mut self) -> bool {
        for part in 0..self.last_flush.len() {
            if self.upkeep[part].busy {
                continue;
            }
            if self.last_flush[part] == LastFlush::Wanted {
                self.flush_part(part);
            }
            let begun = self.last_flush[part] == LastFlush::Wanted && self.upkeep[part].busy;
            self.last_flush[part] = if begun { LastFlush::Begun } else { LastFlush::Ended };
        }
        let is_over = self.last_flush.iter().all(|flush| *flush == LastFlush::Ended);
        if is_over {
            // Then the next start needs no floors.
            self.lift_if_durable();
        }
        is_over
    }

    /// Whether a part of the state cannot be written any more.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.upkeep.iter().any(|upkeep| upkeep.ended)
    }

    fn may_begin(&self, now: u64, part: usize) -> bool {
        let upkeep = &self.upkeep[part];
        !upkeep.busy && !upkeep.ended && now >= upkeep.not_before
    }

    /// A job has ended. A disk that is full may have room later; a run that is damaged is left out by the part itself.
    pub(super) fn upkeep_ended(&mut self, now: u64, part: usize, installed: Result<(), StateError>) {
        let upkeep = &mut self.upkeep[part];
        upkeep.busy = false;
        upkeep.is_early = false;
        let flushing_from = upkeep.flushing_from.take();
        upkeep.has_flushed = flushing_from.is_some();
        let Err(error) = installed else {
            upkeep.failures = 0;
            upkeep.unwritten_from = flushing_from.unwrap_or(upkeep.unwritten_from);
            return;
        };
        let pause = (PAUSE_MS << upkeep.failures.min(10)).min(PAUSE_MS_MAX);
        upkeep.failures += 1;
        upkeep.not_before = now + pause;
        upkeep.ended = matches!(error, StateError::Poisoned);
        self.counters.upkeep_errors += 1;
        tracing::error!(part, failures = upkeep.failures, error = %super::described(&error), "a flush or merge failed");
        if matches!(error, StateError::Poisoned) {
            // Nothing of this part will be written any more: the journal would grow for ever, and writes be refused as if that might pass.
            self.stop_taking_part(
                StorageKind::SyncFailed,
                &format!("the state's part {part} cannot be written any more: {error}"),
            );
        }
    }

    /// A job of a part begins when all that was recorded before it is synced: so the state on the disk is never ahead of the
    /// journal, and the journal has no gaps after a crash.
    fn hold_state_job(&mut self, part: usize, job: StateJob) {
        self.upkeep[part].busy = true;
        self.held_jobs.push_back((self.last_ticket, part, job));
        self.release_state_jobs();
    }

    pub(super) fn release_state_jobs(&mut self) {
        let early = plant::on(Plant::FlushAheadOfJournal);
        while self.held_jobs.front().is_some_and(|(after, ..)| *after <= self.synced || early) {
            if let Some((_, part, mut job)) = self.held_jobs.pop_front() {
                // A start whose journal ends before that knows by it that the end is lost.
                if self.settings.is_durable {
                    job.rest_on(self.synced_commit.0);
                }
                self.effects.jobs.push(Job::State(part, job));
            }
        }
    }
}
