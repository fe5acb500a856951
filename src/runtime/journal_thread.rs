//! The one thread that writes the journal: whatever waits goes into the next commit (group commit).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use thermocline_tiers::disk::Lock;
use thermocline_tiers::hot::journal::{Journal, JournalBatch, JournalError, Preparer};

use super::announced::Announced;
use super::mailbox::{Input, Mailbox};
use crate::error::{Error, StorageKind};
use crate::node::effects::Submission;
use crate::node::reclaim;

/// A full journal is tried again after so long.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// An idle journal writes a witness after so long, so that a damaged last commit is not taken for a torn one.
const IDLE: Duration = Duration::from_millis(500);

/// What the workers and the journal share.
pub(super) struct JournalGate {
    /// Whether the disk has no room for the journal: new writes are refused.
    pub(super) full: Announced,
    /// Whether the journal failed for good.
    pub(super) failed: AtomicBool,
    /// Whether the thread is to end, and does not wait for room on the disk any more.
    ending: AtomicBool,
    /// Whether it is to end where it is.
    killed: AtomicBool,
    /// Bytes synced since the start.
    pub(super) synced: AtomicU64,
    /// For each worker, the oldest segment that it needs for recovery.
    pub(super) needed: Vec<AtomicU64>,
}

impl JournalGate {
    pub(super) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            full: Announced::new(false),
            failed: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            synced: AtomicU64::new(0),
            needed: (0..workers).map(|_| AtomicU64::new(0)).collect(),
        })
    }
}

impl JournalGate {
    /// Says whether the disk has room for the journal, to callers at once and to the workers.
    fn set_full(&self, is_full: bool, mailboxes: &[Arc<Mailbox>]) {
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

/// Takes submissions from workers.
#[derive(Clone)]
pub(super) struct JournalQueue {
    sender: Sender<Message>,
    gate: Arc<JournalGate>,
}

enum Message {
    Write(usize, Submission),
    Stop,
}

impl JournalQueue {
    pub(super) fn submit(&self, worker: usize, submission: Submission) {
        // When the thread is gone the node is stopping, and nobody waits for the records.
        let _ = self.sender.send(Message::Write(worker, submission));
    }

    pub(super) fn stop(&self) {
        self.gate.ending.store(true, Ordering::Release);
        let _ = self.sender.send(Message::Stop);
    }

    /// Has the thread end after the write that is under way.
    pub(super) fn kill(&self) {
        self.gate.killed.store(true, Ordering::Release);
        self.stop();
    }
}

/// Starts the thread.
///
/// # Errors
/// When no thread can be made.
pub(super) fn start(
    journal: Journal,
    mailboxes: Vec<Arc<Mailbox>>,
    gate: Arc<JournalGate>,
    retain_bytes: u64,
    lock: Arc<dyn Lock>,
) -> Result<(JournalQueue, JoinHandle<()>), Error> {
    let (sender, receiver) = channel();
    let preparer = journal.preparer();
    let (preparing, preparer) = spawn_preparer(preparer, mailboxes.clone(), gate.clone(), retain_bytes)?;
    let queue = JournalQueue { sender, gate: gate.clone() };
    let mut writer = Writer { journal, mailboxes, gate, preparing, waiting: Vec::new() };
    let thread = std::thread::Builder::new()
        .name("journal".into())
        .spawn(move || {
            writer.run(&receiver);
            drop(writer);
            let _ = preparer.join();
            // The disk threads hold the other copies: when the last of them ends, the directory is free.
            drop(lock);
        })
        .map_err(|error| {
            Error::storage(StorageKind::System, format!("cannot start the journal's thread: {error}"))
        })?;
    Ok((queue, thread))
}

struct Writer {
    journal: Journal,
    mailboxes: Vec<Arc<Mailbox>>,
    gate: Arc<JournalGate>,
    /// Wakes the thread that prepares and reclaims segments.
    preparing: Sender<()>,
    waiting: Vec<(usize, Submission)>,
}

impl Writer {
    fn run(&mut self, receiver: &Receiver<Message>) {
        let mut witnessed = true;
        loop {
            let first = if witnessed {
                receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                receiver.recv_timeout(IDLE)
            };
            match first {
                Ok(_) if self.gate.killed.load(Ordering::Acquire) => return,
                Ok(message) => {
                    if self.take(message) || receiver.try_iter().any(|message| self.take(message)) {
                        self.commit();
                        let _ = self.journal.witness();
                        return;
                    }
                    self.commit();
                    witnessed = false;
                }
                Err(RecvTimeoutError::Timeout) => {
                    // A failure shows at the next commit.
                    let _ = self.journal.witness();
                    witnessed = true;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Queues a submission; says whether it was the order to stop.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Write(worker, submission) => {
                self.waiting.push((worker, submission));
                false
            }
            Message::Stop => true,
        }
    }

    fn commit(&mut self) {
        if self.gate.failed.load(Ordering::Relaxed) {
            self.waiting.clear();
        }
        if self.waiting.is_empty() {
            return;
        }
        loop {
            let mut batches: Vec<&mut JournalBatch> =
                self.waiting.iter_mut().map(|(_, submission)| &mut submission.batch).collect();
            match self.journal.commit(&mut batches) {
                Ok(committed) => {
                    self.gate.synced.fetch_add(committed.bytes, Ordering::Relaxed);
                    if committed.rolled {
                        let _ = self.preparing.send(());
                    }
                    break;
                }
                Err(JournalError::Full { .. }) => {
                    // Nothing was written. New writes are refused until segments are given back. What waits may use the
                    // headroom: the state can only be flushed, and segments be given back, when it is synced.
                    self.gate.set_full(true, &self.mailboxes);
                    for mailbox in &self.mailboxes {
                        mailbox.push(Input::Flush);
                    }
                    let _ = self.preparing.send(());
                    match self.journal.commit_from_headroom(&mut batches) {
                        Ok(committed) => {
                            self.gate.synced.fetch_add(committed.bytes, Ordering::Relaxed);
                            break;
                        }
                        Err(JournalError::Full { .. }) => {}
                        Err(error) => return self.fail(&error),
                    }
                    if self.gate.ending.load(Ordering::Acquire) {
                        self.waiting.clear();
                        return;
                    }
                    std::thread::sleep(FULL_PAUSE);
                }
                Err(error) => return self.fail(&error),
            }
        }
        for (worker, mut submission) in self.waiting.drain(..) {
            submission.place();
            self.mailboxes[worker].push(Input::Synced(submission));
        }
    }

    /// Nothing is retried: what was not synced never counts.
    fn fail(&mut self, error: &JournalError) {
        tracing::error!(%error, "the journal failed; this node takes no part in consensus any more");
        self.gate.failed.store(true, Ordering::Relaxed);
        self.waiting.clear();
        for mailbox in &self.mailboxes {
            mailbox.push(Input::JournalFailed(error.to_string()));
        }
    }
}

/// Makes segments ready ahead of need, and gives back those that nobody needs.
fn spawn_preparer(
    preparer: Preparer,
    mailboxes: Vec<Arc<Mailbox>>,
    gate: Arc<JournalGate>,
    retain_bytes: u64,
) -> Result<(Sender<()>, JoinHandle<()>), Error> {
    let (sender, receiver) = channel::<()>();
    let thread = std::thread::Builder::new()
        .name("journal-prepare".into())
        .spawn(move || {
            loop {
                match preparer.prepare_next() {
                    // The next segment and the headroom are there: that is room enough, also after somebody else made it.
                    Ok(()) => gate.set_full(false, &mailboxes),
                    Err(error) => tracing::debug!(%error, "no further journal segment could be made ready"),
                }
                reclaim(&preparer, &mailboxes, &gate, retain_bytes);
                match receiver.recv_timeout(Duration::from_secs(1)) {
                    Ok(()) | Err(RecvTimeoutError::Timeout) => while receiver.try_recv().is_ok() {},
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })
        .map_err(|error| {
            Error::storage(StorageKind::System, format!("cannot start the journal's second thread: {error}"))
        })?;
    Ok((sender, thread))
}

fn reclaim(preparer: &Preparer, mailboxes: &[Arc<Mailbox>], gate: &JournalGate, retain_bytes: u64) {
    // What is kept for peers that were away gives way when its room is wanted.
    let retain_bytes = if gate.full.get() { 0 } else { retain_bytes };
    let needed = gate.needed.iter().map(|needed| needed.load(Ordering::Acquire)).min().unwrap_or(0);
    let plan = reclaim::plan(&preparer.segments(), retain_bytes, needed);
    if let Some(first) = plan.first {
        match preparer.reclaim(first) {
            Ok(_) => {
                mailboxes.iter().for_each(|mailbox| mailbox.push(Input::Reclaimed(first.0)));
            }
            Err(error) => tracing::debug!(%error, "segments could not be reclaimed"),
        }
    }
    if plan.flush {
        mailboxes.iter().for_each(|mailbox| mailbox.push(Input::Flush));
    }
}

#[cfg(test)]
mod tests;
