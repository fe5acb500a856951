//! Threads for work that may block on a disk, so that a cold read never delays a hot one.
//!
//! Reads and maintenance have threads of their own: a long merge does not stand in a read's way. Both queues are bounded
//! by what feeds them: reads by the calls that a worker lets in, maintenance by one job a part.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use parking_lot::Mutex;
use thermocline_paxos::{Command, Record, Slot};
use thermocline_tiers::hot::journal::{JournalReader, Position};

use super::mailbox::{Input, Mailbox};
use crate::error::Error;
use crate::node::effects::{Done, Job};
use crate::node::record_codec;

/// How many threads read.
const READERS: usize = 2;

/// Takes jobs; stops its threads when the last copy is dropped.
#[derive(Clone)]
pub(super) struct DiskPool {
    reads: Sender<(Arc<Mailbox>, Job)>,
    upkeep: Sender<(Arc<Mailbox>, Job)>,
}

impl DiskPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(super) fn start(reader: &JournalReader) -> Result<Self, Error> {
        let (reads, read_jobs) = channel();
        let read_jobs = Arc::new(Mutex::new(read_jobs));
        for _ in 0..READERS {
            spawn("disk-read", read_jobs.clone(), reader.clone())?;
        }
        let (upkeep, upkeep_jobs) = channel();
        spawn("disk-upkeep", Arc::new(Mutex::new(upkeep_jobs)), reader.clone())?;
        Ok(Self { reads, upkeep })
    }

    /// Runs a job; its end goes to the mailbox.
    pub(super) fn submit(&self, mailbox: &Arc<Mailbox>, job: Job) {
        let queue = if matches!(job, Job::State(..)) { &self.upkeep } else { &self.reads };
        // Threads end only when every sender is gone.
        let _ = queue.send((mailbox.clone(), job));
    }
}

fn spawn(
    name: &str,
    jobs: Arc<Mutex<Receiver<(Arc<Mailbox>, Job)>>>,
    reader: JournalReader,
) -> Result<(), Error> {
    let run_all = move || {
        loop {
            let next = jobs.lock().recv();
            let Ok((mailbox, job)) = next else { return };
            mailbox.push(Input::Done(run(job, &reader)));
        }
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run_all)
        .map(drop)
        .map_err(|error| Error::Storage { what: format!("cannot start a disk thread: {error}") })
}

/// Does a job, blocking.
fn run(job: Job, reader: &JournalReader) -> Done {
    match job {
        Job::Get(key, get) => Done::Got(key, get.run()),
        Job::Scan(key, scan) => Done::Scanned(key, scan.run()),
        Job::State(part, job) => Done::State(part, job.run()),
        Job::Fetch { to, bucket, from, places, bytes_max } => {
            let commands = read_commands(reader, &places, bytes_max);
            Done::Fetched { to, bucket, from, commands }
        }
    }
}

/// Reads commands until one is missing or damaged, or the bytes are enough.
fn read_commands(reader: &JournalReader, places: &[Position], bytes_max: usize) -> Vec<Command> {
    let mut commands = Vec::new();
    let (mut buffer, mut bytes) = (Vec::new(), 0);
    for place in places {
        let record = match reader.read(*place, &mut buffer) {
            Ok(record) => record,
            Err(error) => {
                tracing::debug!(%error, "a command for a peer could not be read");
                break;
            }
        };
        let slot = Slot(record.head.slot.0);
        let payload = Bytes::copy_from_slice(record.payload);
        bytes += payload.len();
        match record_codec::decode(record.head.kind.0, slot, payload) {
            Ok(Record::Accept { command, .. } | Record::Chosen { command, .. }) => commands.push(command),
            _ => break,
        }
        if bytes >= bytes_max {
            break;
        }
    }
    commands
}
