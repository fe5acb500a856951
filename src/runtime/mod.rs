//! Drives the deterministic node with real sockets, files, threads and clocks.
//!
//! Threads: one for each worker (its calls, buckets, links and timers), two for the journal, five for disk work. What
//! they say to one another goes through [`mailbox`]es and queues; no lock is held across I/O but the journal's own.

mod alarm;
mod announced;
mod clock;
mod disk_pool;
mod gathering;
mod journal;
mod mailbox;
mod open;
mod open_files;
mod sync;
mod worker_thread;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::error::{Error, JOURNAL_DISK, StorageKind};
use crate::node::route::{Dealing, Route};
use crate::request::{Ask, Outcome, Request};
use crate::status::Status;
use crate::transport::Counts;
use crate::verify::VerifyReport;
use journal::{JournalGate, JournalQueue};
use mailbox::{Input, Mailbox};

/// A running node.
pub(crate) struct Runtime {
    config: Config,
    route: Arc<Route>,
    dealing: Dealing,
    mailboxes: Vec<Arc<Mailbox>>,
    /// The workers' tokio runtimes.
    handles: Vec<tokio::runtime::Handle>,
    journal: JournalQueue,
    gate: Arc<JournalGate>,
    boot: u32,
    disk_id: u64,
    counts: Arc<Counts>,
    threads: Arc<Mutex<Threads>>,
    /// Held while the node runs: ends the listener and the founding when dropped.
    stop: Mutex<Option<mpsc::Sender<()>>>,
    #[cfg(feature = "server")]
    next: std::sync::atomic::AtomicUsize,
}

impl Runtime {
    /// Recovers the directory and starts the threads. A node with peers may not be able to serve yet: calls wait for them, at
    /// most until their deadline.
    pub(crate) async fn open(config: Config) -> Result<Self, Error> {
        open::open(config).await
    }

    /// Asks the node; the answer of a mutation comes even if the future is dropped, to nobody.
    pub(crate) async fn call(&self, request: Request) -> Outcome {
        let given = request.ask.given_token();
        self.ask(request).await.unwrap_or_else(|refusal| Err(refusal.of_attempt(given)))
    }

    /// The outcome, or why the node did not take the question.
    async fn ask(&self, request: Request) -> Result<Outcome, Error> {
        let (worker, hash) = self.place(&request);
        if self.gate.failed.load(Ordering::Relaxed) {
            let what = "writing failed; this node takes no calls any more (its log says why)";
            return Err(Error::storage(StorageKind::SyncFailed, what));
        }
        if self.gate.full.get() && matches!(request.ask, Ask::Write { .. }) {
            return Err(Error::Overloaded { what: JOURNAL_DISK, limit: "no room is left".into() });
        }
        let (reply, answer) = oneshot::channel();
        self.mailboxes[worker].push_call(request, hash, reply, self.config.calls_max as usize)?;
        answer.await.map_err(worker_thread::closed)
    }

    /// The worker of a request, and its entity's hash.
    fn place(&self, request: &Request) -> (usize, u64) {
        let entity: &Bytes = match &request.ask {
            Ask::Write { entity, .. } | Ask::NewToken { entity } => entity,
            Ask::Get(key) => &key.entity,
            Ask::Scan(query) => &query.entity,
            Ask::Resolve(token) => {
                let bucket = thermocline_paxos::Bucket(token.bucket);
                return (self.dealing.worker(bucket) as usize, 0);
            }
        };
        let hash = crate::node::entity_hash(entity);
        (self.dealing.worker(self.route.bucket(hash)) as usize, hash)
    }

    /// A worker thread's tokio runtime, one after the other: for connections that are to run beside the workers.
    #[cfg(feature = "server")]
    pub(crate) fn next_handle(&self) -> tokio::runtime::Handle {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.handles[next % self.handles.len()].clone()
    }

    /// Compares what lies on the disks of the replicas; `first_only`: of the buckets of which this node is the first replica.
    pub(crate) async fn verify(&self, first_only: bool) -> Result<VerifyReport, Error> {
        let mut answers = Vec::new();
        for mailbox in &self.mailboxes {
            let (reply, answer) = oneshot::channel();
            mailbox.push(Input::Audit { first_only, reply });
            answers.push(answer);
        }
        let mut report = VerifyReport::default();
        for answer in answers {
            report.add(answer.await.map_err(worker_thread::closed)?);
        }
        Ok(report)
    }

    /// Gives up what a majority has lost. Returns how many buckets that concerns. Once polled, all workers are told.
    pub(crate) async fn give_up_lost(&self) -> Result<u32, Error> {
        let mut answers = Vec::new();
        for mailbox in &self.mailboxes {
            let (reply, answer) = oneshot::channel();
            mailbox.push(Input::GiveUp(reply));
            answers.push(answer);
        }
        let mut buckets = 0;
        for answer in answers {
            buckets += answer.await.map_err(worker_thread::closed)?;
        }
        Ok(buckets)
    }

    /// Has a worker meet a fault.
    #[cfg(test)]
    pub(crate) fn fault(&self, worker: usize) {
        self.mailboxes[worker].push(Input::Fault);
    }

    /// How the node is.
    pub(crate) async fn status(&self) -> Result<Status, Error> {
        let mut counters = crate::node::counters::Counters::default();
        let mut status = Status {
            cluster: self.config.topology().cluster.clone(),
            node: self.config.node_id,
            boot: u64::from(self.boot),
            disk_id: self.disk_id,
            epoch: self.config.topology().epoch,
            groups: self.config.topology_node().map(|node| node.group).into_iter().collect(),
            journal_synced: self.gate.synced.load(Ordering::Relaxed),
            ..Status::default()
        };
        let mut up = Vec::new();
        for mailbox in &self.mailboxes {
            let (reply, answer) = oneshot::channel();
            mailbox.push(Input::Report(reply));
            let report = answer.await.map_err(worker_thread::closed)?;
            counters.add(&report.counters);
            status.buckets_voting += report.votes.0;
            status.buckets_learning += report.votes.1;
            status.buckets_behind += report.behind;
            status.buckets_lost += report.lost;
            status.learning_ms_left = status.learning_ms_left.max(report.learning_ms_left);
            up.push(report.peers_up);
        }
        let dropped = self.mailboxes.iter().map(|mailbox| mailbox.frames_dropped()).sum();
        let queues = [
            ("frames_dropped_full_queue", dropped),
            ("journal_commits", self.gate.commits.load(Ordering::Relaxed)),
            ("journal_commits_by_workers", self.gate.commits_by_workers.load(Ordering::Relaxed)),
        ];
        status.counters = counters.list().into_iter().chain(self.counts.list()).chain(queues).collect();
        status.counters.sort_unstable();
        status.peers = self
            .config
            .topology()
            .nodes
            .iter()
            .filter(|node| node.id != self.config.node_id)
            .map(|node| crate::status::Peer {
                node: node.id,
                address: node.address.clone(),
                up: up.iter().all(|nodes| nodes.iter().any(|up| up.0 == node.id)),
            })
            .collect();
        Ok(status)
    }

    /// Stops taking calls, ends what is under way, syncs, and frees the directory.
    pub(crate) async fn close(&self) {
        self.stop.lock().take();
        for mailbox in &self.mailboxes {
            mailbox.push(Input::Stop { flush: true });
        }
        let (threads, queue) = (self.threads.clone(), self.journal.clone());
        // Threads are waited for where waiting harms nobody, and by all who close. The journal's outlives those that write to it.
        let _ = tokio::task::spawn_blocking(move || {
            let mut threads = threads.lock();
            let Threads { workers, journal, disk } = std::mem::take(&mut *threads);
            for thread in workers {
                let _ = thread.join();
            }
            queue.stop();
            for thread in journal.into_iter().chain(disk) {
                let _ = thread.join();
            }
        })
        .await;
    }
}

impl Runtime {
    /// Stops as a crash of the process would: nothing more is written or sent, callers are told what is known of their calls, and
    /// nothing is waited for but the threads' end, so that the directory can be opened again.
    pub(crate) async fn kill(&self) {
        self.journal.kill();
        self.stop.lock().take();
        for mailbox in &self.mailboxes {
            mailbox.kill();
        }
        let threads = self.threads.clone();
        let _ = tokio::task::spawn_blocking(move || {
            let mut threads = threads.lock();
            let Threads { workers, journal, disk } = std::mem::take(&mut *threads);
            for thread in workers.into_iter().chain(journal).chain(disk) {
                let _ = thread.join();
            }
        })
        .await;
    }
}

/// The threads that are waited for at the end.
#[derive(Default)]
struct Threads {
    workers: Vec<JoinHandle<()>>,
    journal: Option<JoinHandle<()>>,
    disk: Vec<JoinHandle<()>>,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.stop.lock().take();
        for mailbox in &self.mailboxes {
            mailbox.push(Input::Stop { flush: false });
        }
        self.journal.stop();
    }
}
