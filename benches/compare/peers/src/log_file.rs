//! A log file whose writes are shared by everything that waits for them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

/// Records of length (u32), CRC-32 (u32) and bytes, staged in memory and written with one `pwrite` and one
/// `fdatasync`.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    staged: Vec<u8>,
    end: u64,
}

impl LogFile {
    /// Creates the file, with `zero_filled_mib` MiB of synced zeros ahead. Within them a sync writes data only;
    /// after them, or with 0, every sync also writes the file's new length.
    pub fn create(path: &Path, zero_filled_mib: u64) -> io::Result<LogFile> {
        let file = File::create_new(path)?;
        let zeros = vec![0; 1 << 20];
        for mib in 0..zero_filled_mib {
            file.write_all_at(&zeros, mib << 20)?;
        }
        file.sync_all()?;
        Ok(LogFile { file, staged: Vec::with_capacity(1 << 20), end: 0 })
    }

    /// Adds a record to what the next [`LogFile::sync`] writes.
    pub fn stage(&mut self, record: &[u8]) {
        self.staged.extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.staged.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
        self.staged.extend_from_slice(record);
    }

    /// Makes everything staged durable; nothing staged costs nothing.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.staged.is_empty() {
            return Ok(());
        }
        self.file.write_all_at(&self.staged, self.end)?;
        self.end += self.staged.len() as u64;
        self.staged.clear();
        self.file.sync_data()
    }
}

type Durable = Box<dyn FnOnce(io::Result<()>) + Send>;

/// A [`LogFile`] with a thread of its own: what is queued while a sync runs goes into the next one.
#[derive(Clone, Debug)]
pub struct GroupCommit {
    queue: mpsc::Sender<Waiting>,
}

struct Waiting {
    record: Vec<u8>,
    durable: Durable,
}

impl GroupCommit {
    /// Starts the thread. It ends when the last clone is dropped, or after the first failed sync.
    pub fn start(mut log: LogFile) -> io::Result<GroupCommit> {
        let (queue, waiting) = mpsc::channel();
        thread::Builder::new().name("log".to_owned()).spawn(move || run(&mut log, &waiting))?;
        Ok(GroupCommit { queue })
    }

    /// Queues `record`; `durable` is called on the log's thread when it is on the disk, or never will be.
    pub fn append(&self, record: Vec<u8>, durable: impl FnOnce(io::Result<()>) + Send + 'static) {
        if let Err(mpsc::SendError(refused)) = self.queue.send(Waiting { record, durable: Box::new(durable) })
        {
            (refused.durable)(Err(io::Error::other("the log has stopped after a failed sync")));
        }
    }

    /// Appends `record` and waits until it is on the disk.
    pub async fn append_and_wait(&self, record: Vec<u8>) -> io::Result<()> {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.append(record, move |outcome| drop(tell.send(outcome)));
        told.await.unwrap_or_else(|_| Err(io::Error::other("the log has stopped")))
    }
}

fn run(log: &mut LogFile, waiting: &mpsc::Receiver<Waiting>) {
    let mut durables = Vec::new();
    while let Ok(first) = waiting.recv() {
        for next in std::iter::once(first).chain(waiting.try_iter()) {
            log.stage(&next.record);
            durables.push(next.durable);
        }
        let outcome = log.sync();
        for durable in durables.drain(..) {
            durable(
                outcome.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string())),
            );
        }
        if outcome.is_err() {
            return;
        }
    }
}
