//! What everybody may know of the journal without asking its thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::runtime::announced::Announced;
use crate::runtime::mailbox::{Input, Mailbox};

/// What the workers and the journal share.
pub(in crate::runtime) struct JournalGate {
    /// Whether the disk has no room for the journal: new writes are refused.
    pub(in crate::runtime) full: Announced,
    /// Whether the journal failed for good, or the state, or a worker: nothing is written any more.
    pub(in crate::runtime) failed: AtomicBool,
    /// Whether the thread is to end, and does not wait for room on the disk any more.
    pub(super) ending: AtomicBool,
    /// Whether it is to end where it is.
    pub(super) killed: AtomicBool,
    /// Bytes synced since the start.
    pub(in crate::runtime) synced: AtomicU64,
    /// Commits since the start, and how many of them workers have made for themselves.
    pub(in crate::runtime) commits: AtomicU64,
    pub(in crate::runtime) commits_by_workers: AtomicU64,
    /// Whether a peer waits for what the start has left unread in the journal.
    pub(in crate::runtime) past_wanted: AtomicBool,
    /// The segment that was written to a moment ago.
    pub(in crate::runtime) active: AtomicU64,
    /// For each worker, the oldest segment that it needs for recovery.
    pub(in crate::runtime) needed: Vec<AtomicU64>,
    /// And the oldest one that the next start should replay.
    pub(in crate::runtime) replayed: Vec<AtomicU64>,
}

impl JournalGate {
    pub(in crate::runtime) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            full: Announced::new(false),
            failed: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            synced: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            commits_by_workers: AtomicU64::new(0),
            past_wanted: AtomicBool::new(false),
            active: AtomicU64::new(0),
            needed: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            replayed: (0..workers).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// Nothing is written any more, whatever failed: callers and the journal see it at once, and the workers are told.
    pub(in crate::runtime) fn fail(&self, cause: &str, mailboxes: &[Arc<Mailbox>]) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            mailboxes.iter().for_each(|mailbox| mailbox.push(Input::Failed(cause.to_owned())));
        }
    }

    /// Says whether the disk has room for the journal, to callers at once and to the workers.
    pub(super) fn set_full(&self, is_full: bool, mailboxes: &[Arc<Mailbox>]) {
        self.full.set(is_full, || {
            if is_full {
                tracing::warn!("the journal's disk is full; writes are refused until there is room");
            } else {
                tracing::info!("the journal's disk has room again");
            }
            mailboxes.iter().for_each(|mailbox| mailbox.push(Input::JournalRoom));
        });
    }
}
