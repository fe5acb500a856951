//! How workers come to the journal.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use parking_lot::Mutex;
use thermocline_tiers::hot::journal::{Journal, JournalBatch};

use super::committer::Committer;
use super::gate::JournalGate;
use crate::node::effects::Submission;

/// At most so many bytes are committed on a worker's thread: more take longer to write than a thread to wake.
const HERE_BYTES_MAX: u64 = 64 << 10;

/// Whoever commits holds the lock while it writes. The journal's thread waits for it, and nobody else. It is empty when that thread is gone.
pub(super) type Shared = Arc<Mutex<Option<Committer>>>;

/// What the journal's thread is told.
pub(super) enum Message {
    Write(usize, Submission),
    /// A worker has written the first commit after a witness: another one is to be written some time.
    Unwitnessed,
    Stop,
}

/// Takes submissions from workers.
#[derive(Clone)]
pub(in crate::runtime) struct JournalQueue {
    pub(super) sender: Sender<Message>,
    pub(super) gate: Arc<JournalGate>,
    pub(super) shared: Shared,
}

impl JournalQueue {
    /// Has the journal's thread commit; [`Input::Synced`](crate::runtime::mailbox::Input::Synced) says when that is done.
    pub(in crate::runtime) fn submit(&self, worker: usize, submission: Submission) {
        // When the thread is gone the node is stopping, and nobody waits for the records.
        let _ = self.sender.send(Message::Write(worker, submission));
    }

    /// Commits on the caller's thread, with one write of not many bytes, and says whether it has: all of the submissions are synced then. Does
    /// nothing if another thread is committing, if the disk has lately been slow, or if the journal must do more for it than write.
    ///
    /// Nothing that the same worker has [submitted](JournalQueue::submit) may be under way: its records keep their order.
    pub(in crate::runtime) fn commit_here(&self, submissions: &mut [Submission]) -> bool {
        let bytes: u64 = submissions.iter().map(|submission| submission.batch.byte_len() as u64).sum();
        let Some(mut shared) = self.shared.try_lock() else { return false };
        let is_for_here = |committer: &mut Committer| {
            bytes <= HERE_BYTES_MAX && committer.is_quick() && committer.journal.takes_at_once(bytes)
        };
        if self.gate.failed.load(Ordering::Relaxed) || self.gate.killed.load(Ordering::Acquire) {
            return false;
        }
        // Should it panic, nobody finds the journal any more.
        let Some(mut committer) = shared.take_if(is_for_here) else { return false };
        let was_witnessed = committer.until_witness().is_none();
        let mut batches: Vec<&mut JournalBatch> =
            submissions.iter_mut().map(|submission| &mut submission.batch).collect();
        let committed = committer.commit(&mut batches, Journal::commit);
        if let Err(error) = &committed {
            committer.fail(error);
        }
        *shared = Some(committer);
        drop(shared);
        let Ok(commit) = committed else { return false };
        self.gate.commits_by_workers.fetch_add(1, Ordering::Relaxed);
        submissions.iter_mut().for_each(|submission| submission.place(commit));
        if was_witnessed {
            let _ = self.sender.send(Message::Unwitnessed);
        }
        true
    }

    pub(in crate::runtime) fn stop(&self) {
        self.gate.ending.store(true, Ordering::Release);
        let _ = self.sender.send(Message::Stop);
    }

    /// Has the thread end after the write that is under way.
    pub(in crate::runtime) fn kill(&self) {
        self.gate.killed.store(true, Ordering::Release);
        self.stop();
    }
}
