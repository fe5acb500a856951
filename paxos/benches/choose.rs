//! How many commands the core gets chosen per second on one core of a machine, and how often it asks for memory.
//!
//! Three replicas of each of 1,024 buckets, at three nodes, all stepped in this one thread: whatever one command costs its
//! group, on all three nodes together, is paid here. Disks and network are free: a record is synced and a message is there
//! when the turn of its node is over. Payloads are 100 bytes, each in memory of its own.
//!
//! ```text
//! cargo bench -p thermocline-paxos --bench choose [-- seconds]
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use thermocline_paxos::{
    Boot, Bucket, Core, Event, Limits, Message, NodeId, Originator, Output, ProposalOutcome, Restored, Vote,
};

const BUCKETS: u32 = 1024;
const NODES: usize = 3;
const PAYLOAD_BYTES: usize = 100;

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
    inboxes: Vec<Vec<(NodeId, Message)>>,
    spare: Vec<(NodeId, Message)>,
    out: Output,
    chosen: u64,
    messages: u64,
    records: u64,
    ended: u64,
    failed: u64,
    /// What a driver would hand to its network and disk is only looked at.
    seen: u64,
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
            inboxes: (0..NODES).map(|_| Vec::new()).collect(),
            spare: Vec::new(),
            out: Output::default(),
            chosen: 0,
            messages: 0,
            records: 0,
            ended: 0,
            failed: 0,
            seen: 0,
        }
    }

    /// Hands out what a core wants; what it wants written is synced at the end of it, as one group commit.
    fn drive(&mut self, node: usize) {
        let from = NodeId(node as u16 + 1);
        loop {
            let mut through = None;
            for persist in self.out.persist.drain(..) {
                through = Some(persist.ticket);
                self.records += 1;
                self.seen ^= black_box(&persist).record.slot().0;
            }
            for send in self.out.send.drain(..) {
                self.messages += 1;
                self.inboxes[usize::from(send.to.0) - 1].push((from, send.message));
            }
            for event in self.out.events.drain(..) {
                match event {
                    Event::Chosen { .. } => self.chosen += 1,
                    Event::ProposalEnded { outcome: ProposalOutcome::ChosenAt(_), .. } => self.ended += 1,
                    Event::ProposalEnded { .. } | Event::Backoff { .. } | Event::Behind { .. } => {
                        self.failed += 1
                    }
                    Event::PeerBehind { .. } | Event::VotingFrom { .. } => {}
                }
            }
            match through {
                Some(through) => self.cores[node].persisted(through, &mut self.out),
                None => break,
            }
        }
    }

    /// One command in each bucket, through to the last message.
    fn round(&mut self, round: usize, load: Load) {
        for node in 0..NODES {
            for bucket in 0..BUCKETS as usize {
                let proposer = match load {
                    Load::Owner => bucket % NODES,
                    Load::Rotating => (bucket + round) % NODES,
                };
                if proposer == node {
                    let payload = Bytes::copy_from_slice(&[round as u8; PAYLOAD_BYTES]);
                    self.cores[node]
                        .propose(Bucket(bucket as u32), payload, &mut self.out)
                        .expect("nothing is under way");
                }
            }
            self.drive(node);
        }
        loop {
            let mut quiet = true;
            for node in 0..NODES {
                let mut inbox = std::mem::replace(&mut self.inboxes[node], std::mem::take(&mut self.spare));
                quiet &= inbox.is_empty();
                for (from, message) in inbox.drain(..) {
                    self.cores[node].receive(from, message, &mut self.out);
                }
                self.spare = inbox;
                self.drive(node);
            }
            if quiet {
                return;
            }
        }
    }
}

/// How long this thread has been on a core, where the system tells: other work on the machine does not count then.
fn busy_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = text.split(' ').next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

fn measure(load: Load, time: Duration) {
    let mut group = Group::new();
    // Every bucket finds its owner, and every list its size.
    for round in 0..50 {
        group.round(round, load);
    }
    let warm = LIVE_BYTES.load(Relaxed);
    let (allocations, before) = (ALLOCATIONS.load(Relaxed), (group.ended, group.messages, group.records));
    let (begun, busy) = (Instant::now(), busy_seconds());
    let mut rounds = 50;
    while begun.elapsed() < time {
        group.round(rounds, load);
        rounds += 1;
    }
    let wall = begun.elapsed().as_secs_f64();
    let seconds = busy.zip(busy_seconds()).map_or(wall, |(before, after)| after - before);
    let (asked, live) = (ALLOCATIONS.load(Relaxed) - allocations, LIVE_BYTES.load(Relaxed));
    let commands = (group.ended - before.0) as f64;
    let per = |count: u64| count as f64 / commands;
    println!(
        "{load:?}: {:.0} commands per second of a core ({:.0}% of it was ours); for each: {:.2} messages, {:.2} records, \
         {:.2} allocations; {} bytes more after {} rounds",
        commands / seconds,
        100.0 * seconds / wall,
        per(group.messages - before.1),
        per(group.records - before.2),
        per(asked),
        live as i64 - warm as i64,
        rounds - 50,
    );
    assert_eq!(group.failed, 0, "nobody is in anybody's way here");
    assert_eq!(group.chosen, NODES as u64 * group.ended, "every replica knows every command");
    black_box(group.seen);
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
