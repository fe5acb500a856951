//! Threads for work that may block on a disk, so that a cold read never delays a hot one.
//!
//! Reads and maintenance have threads of their own: a long merge does not stand in a read's way. Both queues are bounded
//! by what feeds them: reads by the calls that a worker lets in, maintenance by one job a part.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use thermocline_tiers::disk::Lock;
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
        let (upkeep, upkeep_jobs) = channel();
        threads.push(spawn("disk-upkeep", Arc::new(Mutex::new(upkeep_jobs)), reader.clone(), lock.clone())?);
        Ok((Self { reads, upkeep }, threads))
    }

    /// Runs a job; its end goes to the mailbox.
    pub(super) fn submit(&self, mailbox: &Arc<Mailbox>, job: Job) {
        let queue = if matches!(job, Job::State(..)) { &self.upkeep } else { &self.reads };
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
        loop {
            let next = jobs.lock().recv();
            let Ok(Order { mailbox, job }) = next else { return };
            mailbox.push(Input::Done(job.run(&reader)));
        }
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run_all)
        .map_err(|error| Error::storage(StorageKind::System, format!("cannot start a disk thread: {error}")))
}
