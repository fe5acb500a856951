//! What the machine itself takes for the parts of a lone replicated write: a synced write and a round trip.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use loadgen::Latency;
use serde::{Deserialize, Serialize};

use crate::Failure;

const WINDOWS: u32 = 10;
const WINDOW: Duration = Duration::from_millis(100);
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
    /// Of three such writes that begin together, each to a file and by a thread of its own, until the second is done: what a majority of
    /// three nodes takes that share one disk.
    pub(crate) synced_majority: Option<Latency>,
    /// 4 KiB appended to a growing file, then fdatasync.
    pub(crate) append_and_sync: Latency,
    /// 64 bytes there and back over loopback TCP, blocking, both ends on one core.
    pub(crate) round_trip: Latency,
    /// The same with the ends on two cores, which adds waking an idle one; as above where there is but one core.
    pub(crate) round_trip_apart: Latency,
}

impl Floor {
    /// Measures, about four seconds.
    pub(crate) fn measure(round: u32, data: &Path) -> Result<Floor, Failure> {
        let path = data.join("floor");
        let direct = |measured: io::Result<Latency>| match measured {
            Ok(latency) => Ok(Some(latency)),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        };
        let synced_write = direct(synced_writes(&path))?;
        let synced_majority = direct(synced_majorities(&path))?;
        let append_and_sync = appends(&path)?;
        fs::remove_file(&path)?;
        let cores = own_cores()?;
        let one = *cores.first().ok_or("this process may run on no core")?;
        let other = cores.get(1).copied().unwrap_or(one);
        Ok(Floor {
            round,
            synced_write,
            synced_majority,
            append_and_sync,
            round_trip: round_trips(one, one)?,
            round_trip_apart: round_trips(one, other)?,
        })
    }

    /// The least a lone replicated write can take: the leader's and a follower's syncs overlap, so it is one sync and
    /// two round trips (client to node, node to follower), each as short as it was seen.
    pub(crate) fn lone_put_us(&self) -> f64 {
        let sync = self.synced_write.as_ref().unwrap_or(&self.append_and_sync);
        sync.p50_us + 2.0 * self.round_trip.p50_us.min(self.round_trip_apart.p50_us)
    }
}

/// A buffer at an address O_DIRECT accepts.
#[repr(align(4096))]
struct Block([u8; BLOCK]);

/// A file that is written in place, each write synced.
struct Synced {
    file: File,
    block: Box<Block>,
    at: u64,
}

impl Synced {
    fn new(path: &Path) -> io::Result<Self> {
        let zeroed = File::create(path)?;
        let zeros = vec![0; 1 << 20];
        for at in (0..FILE_BYTES).step_by(zeros.len()) {
            zeroed.write_all_at(&zeros, at)?;
        }
        zeroed.sync_all()?;
        let file = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT | libc::O_DSYNC).open(path)?;
        Ok(Self { file, block: Box::new(Block([0x5a; BLOCK])), at: 0 })
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.block.0, self.at)?;
        self.at = (self.at + BLOCK as u64) % FILE_BYTES;
        Ok(())
    }
}

fn synced_writes(path: &Path) -> io::Result<Latency> {
    let mut synced = Synced::new(path)?;
    repeat(|| synced.write())
}

fn synced_majorities(path: &Path) -> io::Result<Latency> {
    let (done, written) = mpsc::channel();
    let mut writers = Vec::new();
    for number in 0..3 {
        let path = path.with_extension(number.to_string());
        let mut synced = Synced::new(&path)?;
        fs::remove_file(&path)?;
        let (go, begin) = mpsc::channel::<()>();
        let done = done.clone();
        writers.push(go);
        // Ends when nobody tells it to write any more.
        thread::spawn(move || begin.iter().all(|()| done.send(synced.write()).is_ok()));
    }
    let gone = || io::Error::other("a writing thread ended");
    repeat_timed(|| {
        let begin = Instant::now();
        for go in &writers {
            go.send(()).map_err(|_| gone())?;
        }
        written.recv().map_err(|_| gone())??;
        written.recv().map_err(|_| gone())??;
        let second = begin.elapsed();
        written.recv().map_err(|_| gone())??;
        Ok(second)
    })
}

fn appends(path: &Path) -> io::Result<Latency> {
    let mut file = File::create(path)?;
    repeat(|| {
        file.write_all(&[0x5a; BLOCK])?;
        file.sync_data()
    })
}

/// Both ends on threads of their own: this one's cores are inherited by every process it starts.
fn round_trips(near: usize, far: usize) -> io::Result<Latency> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let echo = thread::spawn(move || -> io::Result<()> {
        stay_on(far)?;
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut message = [0; MESSAGE];
        while stream.read_exact(&mut message).is_ok() {
            stream.write_all(&message)?;
        }
        Ok(())
    });
    let ask = thread::spawn(move || -> io::Result<Latency> {
        stay_on(near)?;
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut message = [7; MESSAGE];
        repeat(|| {
            stream.write_all(&message)?;
            stream.read_exact(&mut message)
        })
    });
    let latency = ask.join().map_err(|_| io::Error::other("the asking thread panicked"))?;
    echo.join().map_err(|_| io::Error::other("the echo thread panicked"))??;
    latency
}

/// Cores this process may run on.
fn own_cores() -> io::Result<Vec<usize>> {
    // SAFETY: an all-zero set is an empty one, and the kernel writes at most its size into it.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return Err(io::Error::last_os_error());
        }
        set
    };
    // SAFETY: the index is below the number of bits in the set.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect())
}

/// Keeps the calling thread on `core`, one of [`own_cores`].
fn stay_on(core: usize) -> io::Result<()> {
    // SAFETY: `core` is below the number of bits in the set, and the kernel reads no more than its size.
    let outcome = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn repeat(mut step: impl FnMut() -> io::Result<()>) -> io::Result<Latency> {
    repeat_timed(|| {
        let before = Instant::now();
        step()?;
        Ok(before.elapsed())
    })
}

/// The best of some windows: a floor is what the machine can do, not what else it was doing.
fn repeat_timed(mut step: impl FnMut() -> io::Result<Duration>) -> io::Result<Latency> {
    let mut best: Option<Latency> = None;
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(io::Error::other)?;
    for _ in 0..WINDOWS {
        histogram.reset();
        let begin = Instant::now();
        while begin.elapsed() < WINDOW {
            histogram.saturating_record(step()?.as_nanos() as u64);
        }
        best = best.into_iter().chain(Latency::of(&histogram)).min_by(|a, b| a.p50_us.total_cmp(&b.p50_us));
    }
    best.ok_or_else(|| io::Error::other("nothing was measured"))
}
