//! A node alone in its group, what it is asked to write, and what it must never lose of that.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use thermocline_tiers::disk::{MemoryDisk, Unsynced};

use crate::error::Error;
use crate::key::{Key, Position, Version};
use crate::machine::{Call, Job, Machine, MachineConfig, Reply};
use crate::request::{Expect, Mutation};

const ENTITIES: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// Everything small: segments roll, memtables are written and journals are given back all the time.
fn config() -> MachineConfig {
    MachineConfig {
        segment_bytes: 16 << 10,
        retain_bytes: 16 << 10,
        memtable_bytes: 4 << 10,
        workers: 2,
        ..MachineConfig::small()
    }
}

/// The records of an entity.
pub(super) type Records = BTreeMap<Position, Content>;

/// What a record is, and its version, if its write was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    value: Bytes,
    version: Option<Version>,
}

impl Content {
    /// Whether what was found is this.
    fn is(&self, found: &Self) -> bool {
        self.value == found.value && (self.version.is_none() || self.version == found.version)
    }
}

/// Answers to calls, by their numbers.
type Answers = Vec<(u64, Result<Reply, Error>)>;

/// What was asked of an entity, in order, and the versions of what was acknowledged of it. One write at a time is under way.
#[derive(Clone, Default)]
struct Series {
    asked: Vec<Vec<Mutation>>,
    acknowledged: Vec<Version>,
}

impl Series {
    /// What there is after so many of the writes.
    fn after(&self, writes: usize) -> Records {
        let mut records = Records::new();
        for (number, mutations) in self.asked[..writes].iter().enumerate() {
            let version = self.acknowledged.get(number).copied();
            for mutation in mutations {
                match mutation {
                    Mutation::Put { position, value, .. } => {
                        records.insert(*position, Content { value: value.clone(), version });
                    }
                    Mutation::Delete { position, .. } => drop(records.remove(position)),
                    Mutation::Trim { through } => records.retain(|position, _| match position {
                        Position::Undated => true,
                        Position::Dated { timestamp, .. } => timestamp > through,
                    }),
                }
            }
        }
        records
    }
}

/// What a crash must leave.
#[derive(Clone, Default)]
pub(super) struct Progress {
    series: BTreeMap<&'static str, Series>,
    /// The number of the last start that came through.
    starts: u32,
    /// How many starts were tried: no two draw the same random numbers.
    tries: u64,
    /// How many segments of the journal were given back.
    pub(super) given_back: u64,
}

impl Progress {
    /// Whether this is what was acknowledged, or that and what was under way, whole.
    pub(super) fn check(&self, entity: &'static str, found: &Records) -> Result<(), String> {
        let Some(series) = self.series.get(entity) else {
            return if found.is_empty() {
                Ok(())
            } else {
                Err(format!("{entity} was never written: {found:?}"))
            };
        };
        let holds = |expected: Records| {
            let mut pairs = expected.iter().zip(found);
            expected.len() == found.len() && pairs.all(|(one, other)| one.0 == other.0 && one.1.is(other.1))
        };
        let (acknowledged, asked) = (series.acknowledged.len(), series.asked.len());
        if (acknowledged..=asked).any(|writes| holds(series.after(writes))) {
            return Ok(());
        }
        let expected = series.after(acknowledged);
        Err(format!(
            "{entity} has {found:?}, and after {acknowledged} to {asked} writes should have {expected:?}"
        ))
    }
}

/// What ends a scenario before its end.
#[derive(Debug)]
pub(super) enum End {
    /// The power is off.
    Cut,
    /// Something is wrong.
    Wrong(String),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Wrong(error.to_string())
    }
}

/// A running node, driven by hand.
pub(super) struct Node {
    machine: Machine,
    disk: MemoryDisk,
    now: u64,
    next_call: u64,
    jobs: Vec<Job>,
}

impl Node {
    /// Starts on what the disk has.
    pub(super) fn start(disk: &MemoryDisk, progress: &mut Progress) -> Result<Self, End> {
        let cut = |error: Error| if disk.is_frozen() { End::Cut } else { End::from(error) };
        progress.tries += 1;
        let mut random = (progress.tries << 32)..;
        let opened =
            Machine::open(&config(), Arc::new(disk.clone()), &mut || random.next().unwrap_or_default());
        let mut machine = opened.map_err(cut)?;
        machine.begin(0).map_err(cut)?;
        if !machine.damage().is_empty() {
            return Err(End::Wrong(format!("damage: {:?}", machine.damage())));
        }
        if machine.votes().1 > 0 {
            return Err(End::Wrong(format!("{} buckets only learn", machine.votes().1)));
        }
        let starts = machine.boot().count;
        if starts <= progress.starts {
            return Err(End::Wrong(format!("start {starts} comes after start {}", progress.starts)));
        }
        progress.starts = starts;
        Ok(Self { machine, disk: disk.clone(), now: 0, next_call: 0, jobs: Vec::new() })
    }

    fn ask(&mut self, call: Call) -> u64 {
        self.next_call += 1;
        self.machine.call(self.now, self.next_call, call, 60_000);
        self.next_call
    }

    /// A turn of each worker, a commit of what they wrote, and one job for the disk.
    fn step(&mut self) -> Result<Answers, End> {
        self.now += 1;
        let mut replies = self.turn();
        if self.machine.begin_commit() {
            let synced = self.machine.end_commit();
            self.look_at_power()?;
            self.machine.synced(self.now, synced?);
            replies.extend(self.turn());
        }
        Ok(replies)
    }

    fn turn(&mut self) -> Answers {
        let mut replies = Vec::new();
        for worker in 0..self.machine.workers() {
            self.machine.tick(self.now, worker);
            let turn = self.machine.turn(self.now, worker);
            self.jobs.extend(turn.jobs);
            replies.extend(turn.replies);
        }
        replies
    }

    /// The disk does the oldest thing that it is to do for the state.
    fn work(&mut self) -> Result<(), End> {
        if !self.jobs.is_empty() {
            let done = self.machine.run(self.jobs.remove(0));
            self.look_at_power()?;
            self.machine.done(self.now, done);
        }
        Ok(())
    }

    /// Segments are made ready and given back, and an idle journal says so.
    fn look_after(&mut self, progress: &mut Progress) -> Result<(), End> {
        progress.given_back += self.machine.upkeep();
        self.look_at_power()?;
        let witnessed = self.machine.witness();
        self.look_at_power()?;
        Ok(witnessed?)
    }

    fn look_at_power(&self) -> Result<(), End> {
        if self.disk.is_frozen() { Err(End::Cut) } else { Ok(()) }
    }

    /// One answer; the disk works meanwhile.
    fn answer(&mut self, call: u64) -> Result<Reply, End> {
        for _ in 0..1000 {
            let mut replies = self.step()?.into_iter();
            if let Some((_, reply)) = replies.find(|(number, _)| *number == call) {
                return Ok(reply?);
            }
            self.work()?;
        }
        Err(End::Wrong("a call is not answered".into()))
    }

    /// What the node has, if that is what it must have.
    pub(super) fn read(&mut self, progress: &Progress) -> Result<Vec<Records>, End> {
        let mut all = Vec::new();
        for entity in ENTITIES {
            let mut records = Records::new();
            let undated = self.ask(Call::Get(Key::undated(entity)));
            if let Reply::Got(Some(record)) = self.answer(undated)? {
                records.insert(Position::Undated, content(record.value, record.version));
            }
            let scan = self.ask(Call::Scan {
                entity: Bytes::from(entity),
                from: Position::Dated { timestamp: 0, sequence: 0 },
                to: Position::Dated { timestamp: u64::MAX, sequence: u64::MAX },
                newest_first: false,
                limit: 10_000,
            });
            let Reply::Page(page, true) = self.answer(scan)? else {
                return Err(End::Wrong(format!("{entity} is not one page")));
            };
            let records_of =
                page.into_iter().map(|found| (found.key.position, content(found.value, found.version)));
            records.extend(records_of);
            progress.check(entity, &records).map_err(End::Wrong)?;
            all.push(records);
        }
        Ok(all)
    }

    /// It goes on: a write is acknowledged, and read.
    pub(super) fn write(&mut self, progress: &mut Progress) -> Result<(), End> {
        // What was under way has its outcome by now, which nobody was told: a write of another entity is told.
        let entity = "frank";
        let put = change(Position::Undated, b"the last one".to_vec().into());
        let call = self.ask(write(entity, vec![put.clone()]));
        let Reply::Written(version) = self.answer(call)? else {
            return Err(End::Wrong("a write is answered otherwise".into()));
        };
        let series = progress.series.entry(entity).or_default();
        series.asked.push(vec![put]);
        series.acknowledged.push(version);
        let read = self.ask(Call::Get(Key::undated(entity)));
        match self.answer(read)? {
            Reply::Got(Some(record)) if record.version == version => Ok(()),
            other => Err(End::Wrong(format!("what was written is read as {other:?}"))),
        }
    }
}

fn content(value: Bytes, version: Version) -> Content {
    Content { value, version: Some(version) }
}

fn change(position: Position, value: Bytes) -> Mutation {
    Mutation::Put { position, value, expires_at: None, expect: Expect::Any }
}

fn write(entity: &'static str, mutations: Vec<Mutation>) -> Call {
    Call::Write { entity: Bytes::from(entity), mutations, token: None }
}

/// What the `number`-th round asks of an entity: one record or several, a deletion, a trim.
fn mutations(number: u64, of: usize) -> Vec<Mutation> {
    let seed = number * 7 + of as u64 * 3;
    let value =
        |more: u64| Bytes::from(vec![(seed + more) as u8; 40 + (seed * 97 + more * 31) as usize % 600]);
    let dated = |at: u64| Position::Dated { timestamp: at * 400, sequence: at % 3 };
    match seed % 9 {
        0 => vec![Mutation::Trim { through: number.saturating_sub(6) * 400 }],
        1 => vec![
            Mutation::Delete { position: dated(number.saturating_sub(1)), expect: Expect::Any },
            change(Position::Undated, value(1)),
        ],
        2 | 3 => (0..4).map(|more| change(dated(number + more), value(more))).collect(),
        4 => vec![change(Position::Undated, value(0))],
        _ => vec![change(dated(number), value(0))],
    }
}

/// A node is founded and written to, ended and started again, and again; its state is flushed and merged, its journal given back. Ends
/// with the power.
pub(super) fn scenario(disk: &MemoryDisk, progress: &mut Progress) -> Result<(), End> {
    const ROUNDS: [u64; 3] = [8, 10, 2];
    let mut number = 0;
    for rounds in ROUNDS {
        let mut node = Node::start(disk, progress)?;
        for _ in 0..rounds {
            number += 1;
            let mut under_way = BTreeMap::new();
            for of in 0..3 {
                let entity = ENTITIES[(number as usize * 2 + of) % ENTITIES.len()];
                let mutations = mutations(number, of);
                progress.series.entry(entity).or_default().asked.push(mutations.clone());
                under_way.insert(node.ask(write(entity, mutations)), entity);
            }
            while !under_way.is_empty() {
                for (call, reply) in node.step()? {
                    let (Some(entity), Reply::Written(version)) = (under_way.remove(&call), reply?) else {
                        return Err(End::Wrong("a write is answered otherwise".into()));
                    };
                    progress.series.entry(entity).or_default().acknowledged.push(version);
                }
                node.work()?;
            }
            if number % 3 == 0 {
                node.look_after(progress)?;
            }
        }
        // The process ends; what it has written stays.
        drop(node);
        // What cannot be removed is no failure, so that a cut there is noticed here only.
        if disk.is_frozen() {
            return Err(End::Cut);
        }
    }
    Ok(())
}

/// Starts, and reads all there is.
pub(super) fn start_and_read(disk: &MemoryDisk, progress: &mut Progress) -> Result<(), End> {
    Node::start(disk, progress)?.read(progress).map(drop)
}

/// Starts on what a crash has left, reads, and starts again: the second finds what the first did. Then it goes on, and
/// what it acknowledges is there at a third start.
pub(super) fn recover(disk: &MemoryDisk, progress: &Progress) -> Result<(), End> {
    let mut progress = progress.clone();
    let mut node = Node::start(disk, &mut progress)?;
    let first = node.read(&progress)?;
    drop(node);
    disk.power_cut(Unsynced::Lost);
    let mut node = Node::start(disk, &mut progress).map_err(|end| at("the second start", end))?;
    let second = node.read(&progress).map_err(|end| at("the second start", end))?;
    if first != second {
        return Err(End::Wrong(format!("the first start finds {first:?}, the second {second:?}")));
    }
    node.write(&mut progress)?;
    drop(node);
    disk.power_cut(Unsynced::Lost);
    let mut node = Node::start(disk, &mut progress).map_err(|end| at("the third start", end))?;
    node.read(&progress).map_err(|end| at("the third start", end)).map(drop)
}

fn at(what: &str, end: End) -> End {
    match end {
        End::Cut => End::Cut,
        End::Wrong(wrong) => End::Wrong(format!("{what}: {wrong}")),
    }
}
