//! Commits to the journal, whoever's thread that is on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use thermocline_tiers::hot::journal::{Committed, Journal, JournalBatch, JournalError, Sequence};

use super::gate::JournalGate;
use crate::runtime::mailbox::Mailbox;

/// A commit is quick if it takes no longer: a turn of a worker may wait as long.
const QUICK: Duration = Duration::from_millis(1);

/// After so many quick commits, one after the other, the next is taken to be quick as well.
const QUICK_COMMITS: u32 = 16;

/// An idle journal writes a witness after so long, so that a damaged last commit is not taken for a torn one.
const IDLE: Duration = Duration::from_millis(500);

/// The journal, and what is to be told of it. One thread at a time has it.
pub(super) struct Committer {
    pub(super) journal: Journal,
    pub(super) gate: Arc<JournalGate>,
    pub(super) mailboxes: Vec<Arc<Mailbox>>,
    /// Wakes the thread that prepares and reclaims segments.
    pub(super) preparing: Sender<()>,
    /// How many commits have been quick since the last that was not.
    quick: u32,
    /// When the last commit was written, if no witness says so yet.
    unwitnessed: Option<Instant>,
}

impl Committer {
    pub(super) fn new(
        journal: Journal,
        gate: Arc<JournalGate>,
        mailboxes: Vec<Arc<Mailbox>>,
        preparing: Sender<()>,
    ) -> Self {
        Self { journal, gate, mailboxes, preparing, quick: 0, unwitnessed: None }
    }

    /// Whether the next commit should be quick.
    pub(super) fn is_quick(&self) -> bool {
        self.quick >= QUICK_COMMITS
    }

    /// Writes all records of the batches, durably, by [`Journal::commit`] or its like; the last commit's number.
    pub(super) fn commit(
        &mut self,
        batches: &mut [&mut JournalBatch],
        write: impl FnOnce(&mut Journal, &mut [&mut JournalBatch]) -> Result<Committed, JournalError>,
    ) -> Result<Sequence, JournalError> {
        let begun = Instant::now();
        let committed = write(&mut self.journal, batches)?;
        self.note(begun, &committed);
        Ok(committed.sequence)
    }

    /// What a commit shows of the disk, and is to be told of it.
    pub(super) fn note(&mut self, begun: Instant, committed: &Committed) {
        self.gate.synced.fetch_add(committed.bytes, Ordering::Relaxed);
        self.gate.commits.fetch_add(u64::from(committed.commits), Ordering::Relaxed);
        if committed.rolled {
            let _ = self.preparing.send(());
        }
        let written = Instant::now();
        self.quick = if written - begun <= QUICK { self.quick.saturating_add(1) } else { 0 };
        self.unwitnessed = Some(written);
    }

    /// How long until a witness is due, if the last commit lacks one.
    pub(super) fn until_witness(&self) -> Option<Duration> {
        self.unwitnessed.map(|written| IDLE.saturating_sub(written.elapsed()))
    }

    /// A failure shows at the next commit.
    pub(super) fn witness(&mut self) {
        let _ = self.journal.witness();
        self.unwitnessed = None;
    }

    /// Nothing is retried: what was not synced never counts.
    pub(super) fn fail(&self, error: &JournalError) {
        tracing::error!(%error, "the journal failed; this node takes no part in consensus any more");
        self.gate.fail(&format!("the journal failed: {error}"), &self.mailboxes);
    }
}
