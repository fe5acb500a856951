//! Threads for work that may block on a disk, so that a cold read never delays a hot one.
//!
//! Reads, what is read for other nodes, audits, and maintenance have threads of their own: neither a long merge nor a node that has much to
//! catch up with stands in a read's way, nor does an audit in that node's. The queues are bounded by what feeds them: reads by the calls that a worker lets in, what others
//! ask for by `FETCH_JOBS_MAX` and its like, maintenance by one job a part.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use thermocline_tiers::disk::{AlignedBuffer, Lock};
use thermocline_tiers::hot::journal::JournalReader;

use super::mailbox::{Input, Mailbox};
use crate::error::{Error, StorageKind};
use crate::node::effects::Job;

/// How many threads read.
const READERS: usize = 2;

/// Takes jobs. Its threads end when the last copy is dropped and what waits is done.
#[derive(Clone)]
pub(super) struct DiskPool {
    reads: Sender<Order>,
    help: Sender<Order>,
    audits: Sender<Order>,
    upkeep: Sender<Order>,
}

/// A job, and where its end is to be told.
struct Order {
    mailbox: Arc<Mailbox>,
    job: Job,
}

impl DiskPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(super) fn start(
        reader: &JournalReader,
        lock: &Arc<dyn Lock>,
    ) -> Result<(Self, Vec<JoinHandle<()>>), Error> {
        let (reads, read_jobs) = channel();
        let read_jobs = Arc::new(Mutex::new(read_jobs));
        let mut threads = Vec::new();
        for _ in 0..READERS {
            threads.push(spawn("disk-read", read_jobs.clone(), reader.clone(), lock.clone())?);
        }
        let mut alone = |name| {
            let (jobs, queue) = channel();
            threads.push(spawn(name, Arc::new(Mutex::new(queue)), reader.clone(), lock.clone())?);
            Ok::<_, Error>(jobs)
        };
        let (help, audits, upkeep) = (alone("disk-help")?, alone("disk-audit")?, alone("disk-upkeep")?);
        Ok((Self { reads, help, audits, upkeep }, threads))
    }

    /// Runs a job; its end goes to the mailbox.
    pub(super) fn submit(&self, mailbox: &Arc<Mailbox>, job: Job) {
        let queue = match job {
            Job::State(..) => &self.upkeep,
            Job::Fetch { .. } | Job::Stream(_) | Job::Copy { .. } => &self.help,
            Job::Audit { .. } => &self.audits,
            _ => &self.reads,
        };
        // Threads end only when every sender is gone.
        let _ = queue.send(Order { mailbox: mailbox.clone(), job });
    }
}

fn spawn(
    name: &str,
    jobs: Arc<Mutex<Receiver<Order>>>,
    reader: JournalReader,
    lock: Arc<dyn Lock>,
) -> Result<JoinHandle<()>, Error> {
    let run_all = move || {
        // The directory is not free as long as a job may write to it.
        let _lock = lock;
        let mut buffer = AlignedBuffer::new();
        loop {
            let next = jobs.lock().recv();
            let Ok(Order { mailbox, job }) = next else { return };
            if matches!(job, Job::State(..)) && mailbox.is_closed() {
                // Nobody would take what it has written for written.
                continue;
            }
            mailbox.push(Input::Done(job.run(&reader, &mut buffer)));
        }
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run_all)
        .map_err(|error| Error::storage(StorageKind::System, format!("cannot start a disk thread: {error}")))
}
