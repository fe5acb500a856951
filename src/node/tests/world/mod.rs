//! Whole nodes without a runtime: workers, disks in memory, frames that are lost, late, doubled and out of order, disks that are
//! lost, put back and damaged, all from one seed.

mod calls;
mod disks;
mod network;
mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thermocline_paxos::Slot;
use thermocline_routing_table::{BucketCount, GroupCount, Machine, Placement, ReplicaCount, Table, Zone};
use thermocline_tiers::disk::MemoryDisk;

use crate::node::route::Route;
use crate::node::worker::Worker;
use crate::request::Outcome;
use network::Frame;
use node::{Node, Running};

pub(super) use calls::{get, put, put_dated};
pub(super) use disks::Copy;

pub(super) const BUCKETS: u32 = 1024;

/// How a world is made.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) nodes: usize,
    /// Of 100 frames, so many are lost, doubled, or overtaken.
    pub(super) trouble: u64,
    /// So small, by default, that flushes and merges go on all the time.
    pub(super) memtable_bytes: usize,
    /// How much of the journal is kept for peers.
    pub(super) journal_retain_bytes: u64,
}

/// A network whose every misfortune comes from a seed.
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) route: Arc<Route>,
    /// Frames under way.
    frames: Vec<Frame>,
    /// Frames that are held up, and until when.
    late: Vec<(u64, Frame)>,
    /// Who does not reach whom.
    cuts: BTreeSet<(usize, usize)>,
    /// Between these, in this direction, each frame takes so long, in milliseconds.
    held_up: BTreeMap<(usize, usize), u64>,
    pub(super) now: u64,
    random: u64,
    pub(super) shape: Shape,
    pub(super) replies: BTreeMap<u64, Outcome>,
    next_call: u64,
    starts: u64,
    /// Every start so far, as ballots name it.
    boots: BTreeSet<(u64, u32)>,
}

impl Default for Shape {
    fn default() -> Self {
        Self { nodes: 3, trouble: 0, memtable_bytes: 64 << 10, journal_retain_bytes: u64::MAX }
    }
}

impl World {
    pub(super) fn new(seed: u64, trouble: u64) -> Self {
        Self::of(seed, Shape { trouble, ..Shape::default() })
    }

    pub(super) fn of(seed: u64, shape: Shape) -> Self {
        #[cfg(feature = "plant")]
        super::plants::plant_what_is_wanted();
        let machines: Vec<Machine> = (1..=shape.nodes as u16)
            .map(|node| Machine { node: thermocline_routing_table::NodeId(node), zone: Zone(node) })
            .collect();
        let replicas = match shape.nodes {
            1 => ReplicaCount::One,
            5 => ReplicaCount::Five,
            _ => ReplicaCount::Three,
        };
        let placement = Placement::new(&machines, replicas).unwrap();
        let map = Table::for_groups(GroupCount::new(1).unwrap(), BucketCount::new(BUCKETS).unwrap());
        let node = |index: u64| Node {
            disk: Arc::new(MemoryDisk::new(seed * 10 + index)),
            running: None,
            disk_id: (index + 1) * 100,
            damage: 0,
        };
        let mut world = Self {
            nodes: (0..shape.nodes as u64).map(node).collect(),
            route: Arc::new(Route::new(&map, &[placement])),
            frames: Vec::new(),
            late: Vec::new(),
            cuts: BTreeSet::new(),
            held_up: BTreeMap::new(),
            now: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            shape: Shape { trouble: 0, ..shape },
            replies: BTreeMap::new(),
            next_call: 0,
            starts: 0,
            boots: BTreeSet::new(),
        };
        for node in 0..shape.nodes {
            world.start(node);
        }
        world.step_until("the group is founded", |world| {
            world.running().all(|running| running.worker.founded)
        });
        world.shape = shape;
        world
    }

    pub(super) fn draw(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % bound
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &Running> {
        self.nodes.iter().filter_map(|node| node.running.as_ref())
    }

    pub(super) fn worker(&mut self, index: usize) -> &mut Worker {
        &mut self.nodes[index].running.as_mut().unwrap().worker
    }

    pub(super) fn step(&mut self) {
        self.now += 1;
        for index in 0..self.nodes.len() {
            self.turn(index);
        }
        self.deliver();
        for index in 0..self.nodes.len() {
            // A slow disk now and then.
            if self.shape.trouble == 0 || self.draw(4) > 0 {
                self.sync(index);
            }
        }
    }

    pub(super) fn steps(&mut self, count: u64) {
        for _ in 0..count {
            self.step();
        }
    }

    /// Steps until something is so.
    pub(super) fn step_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = self.now;
        while !is_so(self) {
            assert!(self.now < begun + 20_000, "{what}: not after 20,000 ms\n{}", self.summary());
            self.step();
        }
    }

    /// Whether every replica of every bucket votes, and nothing is left to be learned.
    pub(super) fn is_well(&self) -> bool {
        self.running().count() == self.nodes.len()
            && self.running().all(|running| running.worker.votes().1 == 0 && running.worker.is_whole())
    }

    /// How often peers have told a node in this start that it has forgotten something.
    pub(super) fn amnesias(&self, index: usize) -> u64 {
        self.nodes[index].running.as_ref().map_or(0, |running| running.worker.counters().amnesias)
    }

    /// Whether a node takes what another one says in the life that it leads.
    pub(super) fn hears(&mut self, index: usize, other: usize) -> bool {
        let life = self.worker(other).kept.life.id;
        let peer = self.worker(index).peers.iter().find(|peer| usize::from(peer.node.0) == other + 1);
        peer.and_then(|peer| peer.known.as_ref()?.heard()) == Some(life)
    }

    fn summary(&self) -> String {
        let of = |running: &Running| {
            let worker = &running.worker;
            format!("founded {}, votes {:?}, {:?}\n", worker.founded, worker.votes(), worker.counters())
        };
        self.running().map(of).collect()
    }

    /// How an entity's bucket is at each node.
    pub(super) fn describe(&self, entity: &str) -> String {
        let bucket = self.route.bucket(crate::node::entity_hash(entity.as_bytes()));
        let of = |running: &Running| {
            let worker = &running.worker;
            let applied = worker.applied(bucket);
            let held: Vec<u64> = (1..=applied.0)
                .filter(|slot| {
                    let slot = Slot(*slot);
                    !worker.index.chosen(bucket, slot, slot, 1).is_empty()
                })
                .collect();
            format!(
                "{:?}\n {:?}, applied {}, indexed {held:?}, fetches {}, {:?}\n",
                worker.core.status(bucket),
                worker.core.fresh(bucket),
                applied.0,
                worker.fetches,
                worker.counters(),
            )
        };
        self.running().map(of).collect()
    }
}
