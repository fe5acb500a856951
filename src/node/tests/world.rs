//! Whole nodes without a runtime: workers, disks in memory, frames that are lost, late, doubled and out of order, disks that are
//! lost, put back and damaged, all from one seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thermocline_paxos::NodeId;
use thermocline_routing_table::{BucketCount, GroupCount, Machine, Placement, ReplicaCount, Table, Zone};
use thermocline_tiers::disk::{Disk, MemoryDisk, OpenMode, Unsynced};
use thermocline_tiers::hot::journal::{Journal, JournalBatch, JournalConfig, JournalReader};
use thermocline_tiers::hot::state::StateConfig;

use crate::error::Error;
use crate::key::Key;
use crate::node::effects::{Job, Submission};
use crate::node::founding::{Founder, Told};
use crate::node::identity::{Amnesia, Identity};
use crate::node::recovery::{Plan, recover};
use crate::node::route::{Dealing, Route};
use crate::node::worker::{Settings, Worker};
use crate::request::{Answer, Ask, Consistency, Expect, Mutation, Outcome, Request};

pub(super) const BUCKETS: u32 = 1024;

/// A node: its worker, its journal, and what its disk has.
pub(super) struct Node {
    pub(super) disk: Arc<MemoryDisk>,
    pub(super) running: Option<Running>,
    /// The random number of its next new directory.
    disk_id: u64,
}

/// A disk as it once was.
pub(super) struct Copy {
    pub(super) index: usize,
    disk: MemoryDisk,
    disk_id: u64,
}

pub(super) struct Running {
    pub(super) worker: Worker,
    journal: Journal,
    reader: JournalReader,
    founder: Founder,
    /// Submissions that are on their way to the disk.
    writing: VecDeque<Submission>,
}

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

impl Default for Shape {
    fn default() -> Self {
        Self { nodes: 3, trouble: 0, memtable_bytes: 64 << 10, journal_retain_bytes: u64::MAX }
    }
}

/// A network whose every misfortune comes from a seed.
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) route: Arc<Route>,
    /// Frames under way: to, from, body.
    frames: Vec<Frame>,
    /// Frames that are held up, and until when.
    late: Vec<(u64, Frame)>,
    pub(super) now: u64,
    random: u64,
    pub(super) shape: Shape,
    pub(super) replies: BTreeMap<u64, Outcome>,
    next_call: u64,
    starts: u64,
    /// Every start so far, as ballots name it.
    boots: BTreeSet<(u64, u32)>,
}

type Frame = (usize, usize, Bytes);

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
        let replicas = if shape.nodes == 5 { ReplicaCount::Five } else { ReplicaCount::Three };
        let placement = Placement::new(&machines, replicas).unwrap();
        let map = Table::for_groups(GroupCount::new(1).unwrap(), BucketCount::new(BUCKETS).unwrap());
        let node = |index: u64| Node {
            disk: Arc::new(MemoryDisk::new(seed * 10 + index)),
            running: None,
            disk_id: (index + 1) * 100,
        };
        let mut world = Self {
            nodes: (0..shape.nodes as u64).map(node).collect(),
            route: Arc::new(Route::new(&map, &[placement])),
            frames: Vec::new(),
            late: Vec::new(),
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

    pub(super) fn start(&mut self, index: usize) {
        self.try_start(index).unwrap();
    }

    pub(super) fn try_start(&mut self, index: usize) -> Result<(), Error> {
        let node = index as u16 + 1;
        let disk: Arc<dyn Disk> = self.nodes[index].disk.clone();
        self.starts += 1;
        let identity = Identity {
            cluster: "sim".into(),
            node,
            disk: self.nodes[index].disk_id,
            buckets: BUCKETS,
            window_span_ms: 1000,
            table: 1,
            parts: 2,
            boots: 0,
            era: 0,
            intent: None,
            founding: None,
            amnesia: Amnesia::default(),
        };
        let settings = Settings {
            me: NodeId(node),
            index: 0,
            dealing: Dealing { parts: 1, workers: 1 },
            client: 0,
            seed: self.random,
            calls_max: 10_000,
            command_bytes_max: 1 << 16,
            hedge_ms: 25,
            resend_ms: 100,
            transfer_bytes_s_max: 64 << 20,
            audit_every_ms: 0,
            address: None,
        };
        let all = 1..=self.nodes.len() as u16;
        let others: Vec<u16> = all.filter(|peer| *peer != node).collect();
        let plan = Plan {
            disk,
            identity,
            workers: 1,
            journal: JournalConfig { segments_max: 65_536, ..JournalConfig::with_segment_bytes(1 << 20) },
            state: StateConfig {
                window_span_ms: 1000,
                sinks: false,
                memtable_bytes: self.shape.memtable_bytes,
                ..StateConfig::default()
            },
            route: self.route.clone(),
            peers: others.iter().copied().map(NodeId).collect(),
            settings,
            clients: vec![u64::from(node) << 32 | self.starts],
        };
        let mut recovered = recover(plan)?;
        recovered.journal.witness().unwrap();
        let boot = recovered.boot();
        assert!(self.boots.insert((boot.disk, boot.count)), "a boot is repeated");
        let mut founder = Founder::new(recovered.identity, others);
        let Told { founding, late } = founder.begin().unwrap();
        let mut worker = recovered.workers.remove(0);
        worker.found(self.now, founding, late);
        let reader = recovered.journal.reader();
        self.nodes[index].running =
            Some(Running { worker, journal: recovered.journal, reader, founder, writing: VecDeque::new() });
        for other in 0..self.nodes.len() {
            if other != index && self.nodes[other].running.is_some() {
                let now = self.now;
                self.worker(other).peer_up(now, NodeId(index as u16 + 1));
                self.worker(index).peer_up(now, NodeId(other as u16 + 1));
            }
        }
        Ok(())
    }

    /// Power off: what was not synced may be gone, and what was sent may still come.
    pub(super) fn crash(&mut self, index: usize) {
        self.nodes[index].running = None;
        let seed = self.random;
        self.nodes[index].disk.power_cut(Unsynced::Mixed(seed));
        let under_way = std::mem::take(&mut self.frames);
        for frame in under_way {
            match (frame.0 == index, frame.1 == index) {
                (true, _) => {}
                (_, true) if self.shape.trouble > 0 => {
                    let due = self.now + self.draw(600);
                    self.late.push((due, frame));
                }
                (_, true) => {}
                _ => self.frames.push(frame),
            }
        }
        for other in 0..self.nodes.len() {
            if let Some(running) = &mut self.nodes[other].running {
                running.worker.peer_down(self.now, NodeId(index as u16 + 1));
            }
        }
    }

    /// All links break and come back: each node tells the others how far it is.
    pub(super) fn relink(&mut self) {
        let now = self.now;
        for node in 0..self.nodes.len() {
            for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
                self.worker(node).peer_down(now, NodeId(peer as u16 + 1));
                self.worker(node).peer_up(now, NodeId(peer as u16 + 1));
            }
        }
    }

    /// The directory is empty, on a new disk. The node must be down.
    pub(super) fn wipe(&mut self, index: usize) {
        let seed = self.draw(u64::MAX);
        self.nodes[index].disk = Arc::new(MemoryDisk::new(seed));
        self.nodes[index].disk_id = seed;
    }

    /// A copy of a node's disk as it is now, unsynced or not.
    pub(super) fn copy(&self, index: usize) -> Copy {
        Copy { index, disk: self.nodes[index].disk.fork(), disk_id: self.nodes[index].disk_id }
    }

    /// The node's disk is what it was when it was copied. The node must be down. Says whether it is the same directory still.
    pub(super) fn put_back(&mut self, copy: &Copy) -> bool {
        let disk = copy.disk.fork();
        disk.power_cut(Unsynced::Lost);
        let node = &mut self.nodes[copy.index];
        node.disk = Arc::new(disk);
        node.disk_id == copy.disk_id
    }

    /// The files of a directory of a node's disk.
    pub(super) fn files(&self, index: usize, directory: &str) -> Vec<PathBuf> {
        let names = self.nodes[index].disk.list(Path::new(directory)).unwrap();
        names.iter().map(|name| Path::new(directory).join(name.file_name().unwrap())).collect()
    }

    /// Flips a bit somewhere in a file. The node must be down.
    pub(super) fn damage(&mut self, index: usize, file: &Path) {
        let disk = self.nodes[index].disk.clone();
        let length = disk.open(file, OpenMode::Read).unwrap().len().unwrap();
        if length > 0 {
            let (offset, bit) = (self.draw(length), self.draw(8));
            disk.flip_bits(file, offset, 1 << bit).unwrap();
        }
    }

    /// Flips a bit in the first bytes of a file; the node may be up.
    pub(super) fn damage_before(&mut self, index: usize, file: &Path, bytes: u64) {
        let (offset, bit) = (self.draw(bytes), self.draw(8));
        let _ = self.nodes[index].disk.flip_bits(file, offset, 1 << bit);
    }

    pub(super) fn ask(&mut self, index: usize, ask: Ask) -> u64 {
        let call = self.next_call;
        self.next_call += 1;
        let hash = match &ask {
            Ask::Write { entity, .. } | Ask::NewToken { entity } => crate::node::entity_hash(entity),
            Ask::Get(key) => crate::node::entity_hash(&key.entity),
            Ask::Scan(query) => crate::node::entity_hash(&query.entity),
            Ask::Resolve(_) => 0,
        };
        let request = Request { ask, deadline_ms: 2_000, consistency: Consistency::Linearizable };
        let now = self.now;
        if let Some(running) = &mut self.nodes[index].running {
            running.worker.call(now, call, hash, request);
        }
        call
    }

    /// One turn of one node: what it wants is done, or is on its way.
    fn turn(&mut self, index: usize) {
        let now = self.now;
        let Some(running) = &mut self.nodes[index].running else { return };
        running.worker.tick(now);
        running.worker.flush(now);
        let effects = running.worker.effects();
        running.writing.extend(effects.take_submissions());
        self.replies.extend(effects.replies.drain(..));
        let jobs: Vec<Job> = effects.jobs.drain(..).collect();
        let heard: Vec<_> = effects.founding.drain(..).collect();
        for (from, founding) in heard {
            for told in running.founder.hear(from.0, founding).unwrap() {
                running.worker.found(now, told.founding, told.late);
            }
        }
        for job in jobs {
            let done = job.run(&running.reader);
            running.worker.job_done(now, done);
        }
        let mut sent = Vec::new();
        for peer in running.worker.peers() {
            for body in peer.bodies() {
                sent.push((usize::from(peer.node.0) - 1, index, Bytes::copy_from_slice(body)));
            }
            peer.out.clear();
        }
        for frame in sent {
            self.send(frame);
        }
    }

    fn send(&mut self, frame: Frame) {
        if self.draw(100) < self.shape.trouble {
            match self.draw(4) {
                0 => return,
                1 => self.frames.push(frame.clone()),
                2 => {
                    let due = self.now + self.draw(300);
                    self.late.push((due, frame));
                    return;
                }
                _ => {
                    let at = self.draw(self.frames.len() as u64 + 1) as usize;
                    self.frames.insert(at, frame);
                    return;
                }
            }
        }
        self.frames.push(frame);
    }

    /// The disk syncs what waits, and gives back what nobody needs.
    fn sync(&mut self, index: usize) {
        let now = self.now;
        let retain = self.shape.journal_retain_bytes;
        let Some(running) = &mut self.nodes[index].running else { return };
        let mut writing: Vec<Submission> = running.writing.drain(..).collect();
        if writing.is_empty() {
            return;
        }
        let mut batches: Vec<&mut JournalBatch> =
            writing.iter_mut().map(|submission| &mut submission.batch).collect();
        let rolled = running.journal.commit(&mut batches).unwrap().rolled;
        for mut submission in writing {
            for (record, position) in submission.records.iter_mut().zip(submission.batch.positions()) {
                record.position = Some(position);
            }
            running.worker.journal_synced(now, submission);
        }
        if rolled && retain != u64::MAX {
            running.reclaim(retain);
        }
    }

    fn deliver(&mut self) {
        let mut frames = std::mem::take(&mut self.frames);
        let now = self.now;
        frames.extend(self.late.extract_if(.., |(due, _)| *due <= now).map(|(_, frame)| frame));
        for (to, from, body) in frames {
            if let Some(running) = &mut self.nodes[to].running {
                running.worker.frame(now, NodeId(from as u16 + 1), body);
            }
        }
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
                    let slot = thermocline_paxos::Slot(*slot);
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

    /// Steps until a call is answered.
    pub(super) fn answer(&mut self, call: u64) -> Outcome {
        for _ in 0..4_000 {
            if let Some(outcome) = self.replies.remove(&call) {
                return outcome;
            }
            self.step();
        }
        panic!("call {call} was not answered in 4,000 ms, now {}", self.now);
    }

    pub(super) fn put(&mut self, index: usize, entity: &str, value: &str) -> Outcome {
        let call = self.ask(index, put(entity, value, Expect::Any));
        self.answer(call)
    }

    pub(super) fn get(&mut self, index: usize, entity: &str) -> Option<String> {
        let call = self.ask(index, get(entity));
        match self.answer(call) {
            Ok(Answer::Got(record)) => record.map(|record| String::from_utf8(record.value.to_vec()).unwrap()),
            other => panic!("{entity} at node {index}: {other:?}\n{}", self.describe(entity)),
        }
    }
}

impl Running {
    /// As the runtime does it.
    fn reclaim(&mut self, retain_bytes: u64) {
        let preparer = self.journal.preparer();
        let needed = self.worker.needed_segment(!self.writing.is_empty());
        let plan = crate::node::reclaim::plan(&preparer.segments(), retain_bytes, needed);
        if let Some(first) = plan.first
            && preparer.reclaim(first).is_ok()
        {
            self.worker.segments_reclaimed(first.0);
        }
        self.worker.flush_parts();
    }
}

pub(super) fn put(entity: &str, value: &str, expect: Expect) -> Ask {
    let mutation = Mutation::Put {
        position: crate::key::Position::Undated,
        value: Bytes::copy_from_slice(value.as_bytes()),
        expires_at: None,
        expect,
    };
    Ask::Write { entity: Bytes::copy_from_slice(entity.as_bytes()), mutations: vec![mutation], token: None }
}

pub(super) fn get(entity: &str) -> Ask {
    Ask::Get(Key::undated(entity.to_owned()))
}

/// A record of a series, as long as one likes.
pub(super) fn put_dated(entity: &str, timestamp: u64, value: &str) -> Ask {
    let mutation = Mutation::Put {
        position: crate::key::Position::Dated { timestamp, sequence: 0 },
        value: Bytes::copy_from_slice(value.as_bytes()),
        expires_at: None,
        expect: Expect::Any,
    };
    Ask::Write { entity: Bytes::copy_from_slice(entity.as_bytes()), mutations: vec![mutation], token: None }
}
