//! How many commands the core gets chosen per second on one core of a machine, and how often it asks for memory.
//!
//! Three replicas of each of 1,024 buckets, at three nodes, all stepped in this one thread: whatever one command costs its
//! group, on all three nodes together, is paid here. Disks and network are free: a record is synced and a message is there
//! when its node has its turn. Payloads are 100 bytes, each in memory of its own.
//!
//! ```text
//! cargo bench -p thermocline-paxos --bench choose [-- seconds]
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use thermocline_paxos::{
    Boot, Bucket, Core, Event, Limits, NodeId, Originator, Output, ProposalOutcome, Restored, Send, Vote,
};

const BUCKETS: u32 = 1024;
const NODES: usize = 3;
const PAYLOAD_BYTES: usize = 100;
/// Figures are taken over so many rounds at a time.
const WINDOW_ROUNDS: usize = 64;
/// So many buckets have a command under way at a time: what one sync and one frame carry under load.
const TOGETHER: usize = 128;

/// Counts what the system's allocator is asked for.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Bytes handed out and not given back. Wraps below zero never: what is freed was counted.
static LIVE_BYTES: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; counting does not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        LIVE_BYTES.fetch_add(layout.size() as u64, Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        LIVE_BYTES.fetch_add(size as u64, Relaxed);
        LIVE_BYTES.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Who proposes.
#[derive(Clone, Copy, Debug)]
enum Load {
    /// The owner of each bucket: fast accept, one round trip.
    Owner,
    /// Each node in turn: every command needs both phases.
    Rotating,
}

struct Group {
    cores: Vec<Core>,
    /// What each core wants.
    outputs: Vec<Output>,
    sends: Vec<Send>,
    chosen: u64,
    messages: u64,
    records: u64,
    ended: u64,
    failed: u64,
}

impl Group {
    fn new() -> Self {
        let members: Vec<NodeId> = (1..=NODES as u16).map(NodeId).collect();
        let cores = members
            .iter()
            .map(|node| {
                let boot = Boot { disk: u64::from(node.0), count: 1 };
                let mut core = Core::new(Originator { node: *node, boot }, 0, Limits::default());
                for bucket in 0..BUCKETS {
                    let restored = Restored { vote: Vote::Voting, ..Restored::default() };
                    core.open(Bucket(bucket), &members, restored).expect("three members, and this is one");
                }
                core
            })
            .collect();
        Self {
            cores,
            outputs: vec![Output::default(); NODES],
            sends: Vec::new(),
            chosen: 0,
            messages: 0,
            records: 0,
            ended: 0,
            failed: 0,
        }
    }

    /// Syncs what a core has written, and delivers what it has sent. Returns whether there was anything.
    fn turn(&mut self, node: usize) -> bool {
        let output = &mut self.outputs[node];
        if output.is_empty() {
            return false;
        }
        self.records += output.persist.len() as u64;
        let through = output.persist.last().map(|persist| persist.ticket);
        black_box(&output.persist).iter().for_each(drop);
        output.persist.clear();
        for event in output.events.drain(..) {
            match event {
                Event::Chosen { .. } => self.chosen += 1,
                Event::ProposalEnded { outcome: ProposalOutcome::ChosenAt(_), .. } => self.ended += 1,
                Event::ProposalEnded { .. } | Event::Backoff { .. } | Event::Behind { .. } => {
                    self.failed += 1
                }
                Event::PeerBehind { .. } | Event::VotingFrom { .. } => {}
            }
        }
        std::mem::swap(&mut self.sends, &mut output.send);
        if let Some(through) = through {
            self.cores[node].persisted(through, output);
        }
        self.messages += self.sends.len() as u64;
        let from = NodeId(node as u16 + 1);
        for send in self.sends.drain(..) {
            let to = usize::from(send.to.0) - 1;
            self.cores[to].receive(from, send.message, &mut self.outputs[to]);
        }
        true
    }

    /// One command in each bucket, some buckets at a time, each through to the last message.
    fn round(&mut self, round: usize, load: Load) {
        for first in (0..BUCKETS as usize).step_by(TOGETHER) {
            for bucket in first..first + TOGETHER {
                let proposer = match load {
                    Load::Owner => bucket % NODES,
                    Load::Rotating => (bucket + round) % NODES,
                };
                let payload = Bytes::copy_from_slice(&[round as u8; PAYLOAD_BYTES]);
                self.cores[proposer]
                    .propose(Bucket(bucket as u32), payload, &mut self.outputs[proposer])
                    .expect("nothing is under way");
            }
            loop {
                let mut busy = false;
                for node in 0..NODES {
                    busy |= self.turn(node);
                }
                if !busy {
                    break;
                }
            }
        }
    }
}

/// Seconds that this thread has been on a core, where the system tells, so that other work on the machine counts less.
fn now() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let busy: Option<u64> = text.and_then(|text| text.split(' ').next()?.parse().ok());
    busy.map_or_else(|| START.get_or_init(Instant::now).elapsed().as_secs_f64(), |busy| busy as f64 / 1e9)
}

static START: OnceLock<Instant> = OnceLock::new();

fn measure(load: Load, time: Duration) {
    let mut group = Group::new();
    // Every bucket finds its owner, and every list its size.
    for round in 0..50 {
        group.round(round, load);
    }
    let (allocations, before) = (ALLOCATIONS.load(Relaxed), (group.ended, group.messages, group.records));
    let mut rounds = 0;
    let mut windows = Vec::with_capacity(1 << 16);
    let mut clocks = vec![now()];
    clocks.reserve(1 << 16);
    let warm = LIVE_BYTES.load(Relaxed);
    let begun = Instant::now();
    while begun.elapsed() < time {
        for _ in 0..WINDOW_ROUNDS {
            group.round(rounds, load);
            rounds += 1;
        }
        clocks.push(now());
    }
    let (asked, live) = (ALLOCATIONS.load(Relaxed) - allocations, LIVE_BYTES.load(Relaxed));
    let commands = (group.ended - before.0) as f64;
    let per = |count: u64| count as f64 / commands;
    let in_window = f64::from(BUCKETS) * WINDOW_ROUNDS as f64;
    windows.extend(clocks.windows(2).map(|pair| in_window / (pair[1] - pair[0])));
    windows.sort_unstable_by(f64::total_cmp);
    println!(
        "{load:?}: {:.0} commands per second of a core (median; best {:.0}); for each: {:.2} messages, {:.2} records, \
         {:.2} allocations; {} bytes more after {rounds} rounds",
        windows[windows.len() / 2],
        windows[windows.len() - 1],
        per(group.messages - before.1),
        per(group.records - before.2),
        per(asked),
        live as i64 - warm as i64,
    );
    assert_eq!(group.failed, 0, "nobody is in anybody's way here");
    assert_eq!(group.chosen, NODES as u64 * group.ended, "every replica knows every command");
    // Nothing is under way between two rounds, so what is alive after many of them was alive before.
    assert!(live <= warm, "the core's memory grows");
}

fn main() {
    // `cargo bench` passes flags of its own.
    let seconds = std::env::args().filter_map(|argument| argument.parse().ok()).next_back().unwrap_or(3.0);
    for load in [Load::Owner, Load::Rotating] {
        measure(load, Duration::from_secs_f64(seconds));
    }
}
