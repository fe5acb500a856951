//! What the machine itself takes for the parts of a lone replicated write: a synced write and a round trip.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use loadgen::Latency;
use serde::{Deserialize, Serialize};

use crate::Failure;

const SPENT: Duration = Duration::from_secs(1);
const BLOCK: usize = 4096;
const FILE_BYTES: u64 = 64 << 20;
const MESSAGE: usize = 64;

/// One measurement of the floor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// Before which round.
    pub(crate) round: u32,
    /// 4 KiB into a zero-filled file, O_DIRECT and O_DSYNC; `None` where the file system has no O_DIRECT.
    pub(crate) synced_write: Option<Latency>,
    /// 4 KiB appended to a growing file, then fdatasync.
    pub(crate) append_and_sync: Latency,
    /// 64 bytes there and back over loopback TCP, blocking.
    pub(crate) round_trip: Latency,
}

impl Floor {
    /// Measures, about three seconds.
    pub(crate) fn measure(round: u32, data: &Path) -> Result<Floor, Failure> {
        let path = data.join("floor");
        let synced_write = match synced_writes(&path) {
            Ok(latency) => Some(latency),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => None,
            Err(error) => return Err(format!("{}: {error}", path.display()).into()),
        };
        let append_and_sync = appends(&path)?;
        fs::remove_file(&path)?;
        Ok(Floor { round, synced_write, append_and_sync, round_trip: round_trips()? })
    }

    /// The least a lone replicated write can take: the leader's and a follower's syncs overlap, so it is one sync and
    /// two round trips (client to node, node to follower).
    pub(crate) fn lone_put_us(&self) -> f64 {
        let sync = self.synced_write.as_ref().unwrap_or(&self.append_and_sync);
        sync.p50_us + 2.0 * self.round_trip.p50_us
    }
}

/// A buffer at an address O_DIRECT accepts.
#[repr(align(4096))]
struct Block([u8; BLOCK]);

fn synced_writes(path: &Path) -> io::Result<Latency> {
    let zeroed = File::create(path)?;
    let zeros = vec![0; 1 << 20];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        zeroed.write_all_at(&zeros, at)?;
    }
    zeroed.sync_all()?;
    let file = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT | libc::O_DSYNC).open(path)?;
    let block = Box::new(Block([0x5a; BLOCK]));
    let mut at = 0;
    repeat(|| {
        file.write_all_at(&block.0, at)?;
        at = (at + BLOCK as u64) % FILE_BYTES;
        Ok(())
    })
}

fn appends(path: &Path) -> io::Result<Latency> {
    let mut file = File::create(path)?;
    repeat(|| {
        file.write_all(&[0x5a; BLOCK])?;
        file.sync_data()
    })
}

fn round_trips() -> io::Result<Latency> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let echo = thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut message = [0; MESSAGE];
        while stream.read_exact(&mut message).is_ok() {
            stream.write_all(&message)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut message = [7; MESSAGE];
    let latency = repeat(|| {
        stream.write_all(&message)?;
        stream.read_exact(&mut message)
    });
    drop(stream);
    echo.join().map_err(|_| io::Error::other("the echo thread panicked"))??;
    latency
}

fn repeat(mut step: impl FnMut() -> io::Result<()>) -> io::Result<Latency> {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(io::Error::other)?;
    let begin = Instant::now();
    while begin.elapsed() < SPENT {
        let before = Instant::now();
        step()?;
        histogram.saturating_record(before.elapsed().as_nanos() as u64);
    }
    Latency::of(&histogram).ok_or_else(|| io::Error::other("nothing was measured"))
}
