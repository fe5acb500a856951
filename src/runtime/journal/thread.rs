//! The one thread that waits for the disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use thermocline_tiers::disk::Lock;
use thermocline_tiers::hot::journal::{Journal, JournalBatch, JournalError, Sequence};

use super::committer::Committer;
use super::gate::JournalGate;
use super::preparing;
use super::queue::{JournalQueue, Message, Shared};
use crate::error::{Error, StorageKind};
use crate::node::effects::Submission;
use crate::node::journal_index::History;
use crate::node::reclaim::Retained;
use crate::runtime::mailbox::{Input, Mailbox};

/// A full journal is tried again after so long.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// Starts the thread.
///
/// # Errors
/// When no thread can be made.
pub(in crate::runtime) fn start(
    journal: Journal,
    mailboxes: Vec<Arc<Mailbox>>,
    gate: Arc<JournalGate>,
    retain: Retained,
    history: Option<History>,
    lock: Arc<dyn Lock>,
) -> Result<(JournalQueue, JoinHandle<()>), Error> {
    let (sender, receiver) = channel();
    let preparer = journal.preparer();
    let (preparing, preparer) = preparing::spawn(preparer, mailboxes.clone(), gate.clone(), retain, history)?;
    let committer = Committer::new(journal, gate.clone(), mailboxes, preparing);
    let shared: Shared = Arc::new(Mutex::new(Some(committer)));
    let queue = JournalQueue { sender, gate, shared: shared.clone() };
    let thread = std::thread::Builder::new()
        .name("journal".into())
        .spawn(move || {
            let end = End(shared);
            run(&end.0, &receiver);
            drop(end);
            let _ = preparer.join();
            // The disk threads hold the other copies: when the last of them ends, the directory is free.
            drop(lock);
        })
        .map_err(|error| {
            Error::storage(StorageKind::System, format!("cannot start the journal's thread: {error}"))
        })?;
    Ok((queue, thread))
}

/// Dropped when the thread ends, however it does: from then on no worker commits either.
struct End(Shared);

impl Drop for End {
    fn drop(&mut self) {
        drop(self.0.lock().take());
    }
}

/// Commits whatever waits until it is told to stop.
fn run(shared: &Shared, receiver: &Receiver<Message>) {
    let mut waiting = Vec::new();
    loop {
        let until_witness = shared.lock().as_ref().and_then(Committer::until_witness);
        let message = match until_witness {
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(left) => receiver.recv_timeout(left),
        };
        let mut shared = shared.lock();
        let Some(committer) = shared.as_mut() else { return };
        match message {
            Ok(_) if committer.gate.killed.load(Ordering::Acquire) => return,
            Ok(message) => {
                let stops =
                    std::iter::once(message).chain(receiver.try_iter()).any(|message| match message {
                        Message::Write(worker, submission) => {
                            waiting.push((worker, submission));
                            false
                        }
                        Message::Unwitnessed => false,
                        Message::Stop => true,
                    });
                committer.commit_all(&mut waiting);
                if stops {
                    committer.witness();
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                // A worker may have committed meanwhile.
                if committer.until_witness() == Some(Duration::ZERO) {
                    committer.witness();
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Committer {
    /// Commits what waits, of all workers, and tells them; waits for room if need be.
    fn commit_all(&mut self, waiting: &mut Vec<(usize, Submission)>) {
        if self.gate.failed.load(Ordering::Relaxed) {
            waiting.clear();
        }
        if waiting.is_empty() {
            return;
        }
        let mut batches: Vec<&mut JournalBatch> =
            waiting.iter_mut().map(|(_, submission)| &mut submission.batch).collect();
        match self.commit_with_room(&mut batches) {
            Ok(Some(commit)) => {
                for (worker, mut submission) in waiting.drain(..) {
                    submission.place(commit);
                    self.mailboxes[worker].push(Input::Synced(submission));
                }
            }
            Ok(None) => waiting.clear(),
            Err(error) => {
                waiting.clear();
                self.fail(&error);
            }
        }
    }

    /// Commits as soon as there is room; `None` if it is to end before.
    fn commit_with_room(
        &mut self,
        batches: &mut [&mut JournalBatch],
    ) -> Result<Option<Sequence>, JournalError> {
        loop {
            match self.commit(batches, Journal::commit) {
                Err(JournalError::Full { .. }) => {}
                other => return other.map(Some),
            }
            // Nothing was written. New writes are refused until segments are given back. What waits may use the headroom: the
            // state can only be flushed, and segments be given back, when it is synced.
            self.gate.set_full(true, &self.mailboxes);
            for mailbox in &self.mailboxes {
                mailbox.push(Input::Shorten);
            }
            let _ = self.preparing.send(());
            match self.commit(batches, Journal::commit_from_headroom) {
                Err(JournalError::Full { .. }) => {}
                other => return other.map(Some),
            }
            if self.gate.ending.load(Ordering::Acquire) || self.gate.failed.load(Ordering::Acquire) {
                return Ok(None);
            }
            std::thread::sleep(FULL_PAUSE);
        }
    }
}
