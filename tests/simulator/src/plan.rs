//! What a seed draws: the cluster, how its network and disks are by nature, and the schedule of faults.
//!
//! Swarm testing (Groce and others, 2012): each seed has some kinds of faults and not others, some weak and some strong, so
//! that one kind does not always hide behind another.

use thermocline::machine::MachineConfig;

use crate::atlas::Atlas;
use crate::fault::{Fault, Kind, Scheduled};
use crate::queue::Time;
use crate::random::Random;

const MS: Time = 1_000;
const SECOND: Time = 1_000_000;

/// What is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bias {
    /// Everything that can go wrong, now and then.
    #[default]
    None,
    /// Disks are lost, put back and damaged in each run, while old frames come late; other things go wrong as well.
    Losses,
}

/// The draw of a seed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The seed.
    pub(crate) seed: u64,
    /// The settings of each node, but for its number.
    pub(crate) machine: MachineConfig,
    /// How long the phase with faults lasts.
    pub(crate) duration: Time,
    /// How many operations the clients aim at in it.
    pub(crate) operations: u64,
    /// How many clients there are.
    pub(crate) clients: usize,
    /// How many entities they share that are registers or series.
    pub(crate) entities: u64,
    /// And how many logs.
    pub(crate) logs: u64,
    /// How the network is all the time.
    pub(crate) network: Network,
    /// How the disks are all the time.
    pub(crate) disks: Disks,
    /// How each node's clock is.
    pub(crate) clocks: Vec<Clock>,
    /// What goes wrong, and when.
    pub(crate) faults: Vec<Scheduled>,
}

/// How a network is by nature.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// The least and the most that a frame takes.
    pub(crate) delay: (Time, Time),
    /// How many frames in a million are late, and by how much at most.
    pub(crate) tail: (u64, Time),
    /// How many frames in a million are lost.
    pub(crate) loss: u64,
    /// How many frames in a million come again, and how late at most.
    pub(crate) doubling: (u64, Time),
    /// Whether a frame may overtake another of its link.
    pub(crate) reorder: bool,
}

/// How disks are by nature.
#[derive(Clone, Debug)]
pub(crate) struct Disks {
    /// The least and the most that a commit takes.
    pub(crate) commit: (Time, Time),
    /// The least and the most that a job takes.
    pub(crate) job: (Time, Time),
    /// How often the journal's segments are looked after.
    pub(crate) upkeep: Time,
}

/// How a clock is by nature.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// By how much the wall clock is off, in milliseconds.
    pub(crate) skew_ms: i64,
    /// How many microseconds it counts in a second.
    pub(crate) rate: u64,
}

/// When faults of some kinds begin, and how long they last.
struct Timing {
    /// They begin in this tenth of the run at the latest.
    latest_tenth: u64,
    /// They last for this part of the run at most.
    longest_part: u64,
}

const FIRST: Timing = Timing { latest_tenth: 9, longest_part: 2 };
/// A disk that was lost needs time to come back.
const LATER: Timing = Timing { latest_tenth: 8, longest_part: 4 };

/// Some clusters catch up bucket by bucket, others by streams; some starts replay little. This was thought of later, and has a stream of draws of its own.
fn with_later_thoughts(machine: MachineConfig, random: &mut Random) -> MachineConfig {
    let (fetches_max, stream_from) = *random.pick(&[(64, 1_000), (64, 4), (4, 2), (2, 1)]);
    let stream_bytes = *random.pick(&[64 << 10, 256 << 10, 1 << 20]);
    let replay_bytes = *random.pick(&[64 << 10, 512 << 10, 64 << 20]);
    MachineConfig { fetches_max, stream_from, stream_bytes, replay_bytes, ..machine }
}

/// Every second run has some. They were thought of later, too.
fn draw_logs(random: &mut Random) -> u64 {
    if random.coin() { random.between(1, 2) } else { 0 }
}

impl Plan {
    /// Draws a plan.
    pub(crate) fn new(seed: u64, bias: Bias) -> Self {
        let mut random = Random::new(seed, 1);
        let nodes = if random.below(4) == 0 { 5 } else { 3 };
        let machine = MachineConfig {
            nodes: (1..=nodes).collect(),
            workers: random.between(1, 2) as u32,
            parts: 2,
            segment_bytes: *random.pick(&[16 << 10, 32 << 10, 64 << 10]),
            // Most clusters keep what a peer may miss; where they do not, it is copied whole.
            retain_bytes: *random.pick(&[256 << 10, 8 << 20, 8 << 20, 8 << 20]),
            memtable_bytes: *random.pick(&[4 << 10, 8 << 10, 32 << 10]),
            command_bytes_max: 4 << 10,
            hedge_ms: random.spread(5, 100),
            resend_ms: random.spread(20, 300),
            ..MachineConfig::small()
        };
        let machine = with_later_thoughts(machine, &mut Random::new(seed, 8));
        let nodes = usize::from(nodes);
        let duration = random.spread(2 * SECOND, 20 * SECOND);
        let mut plan = Self {
            seed,
            machine,
            duration,
            operations: 200,
            clients: random.between(2, 8) as usize,
            entities: random.between(2, 6),
            logs: draw_logs(&mut Random::new(seed, 9)),
            network: Network::draw(&mut random),
            disks: Disks::draw(&mut random),
            clocks: (0..nodes).map(|_| Clock::draw(&mut random)).collect(),
            faults: Vec::new(),
        };
        plan.draw_faults(&mut random, nodes);
        plan.draw_losses(&mut Random::new(seed, 6), nodes, bias);
        plan.draw_misreads(&mut Random::new(seed, 7), nodes, bias);
        plan
    }

    /// Faults that were thought of later, from a stream of their own.
    fn draw_losses(&mut self, random: &mut Random, nodes: usize, bias: Bias) {
        let mut kinds: Vec<Kind> = Kind::LATER.into_iter().filter(|_| random.below(30) == 0).collect();
        let mut count = random.between(1, 3);
        if bias == Bias::Losses {
            kinds = [Kind::Wipe, Kind::RollBack, Kind::Rot, Kind::StateRot, Kind::Misdirected]
                .into_iter()
                .filter(|kind| matches!(kind, Kind::Wipe | Kind::RollBack) || random.coin())
                .collect();
            count = random.between(2, 5);
            // What leaves a disk before it is lost arrives long after, more often than not.
            self.network.doubling = (random.spread(5_000, 200_000), 10 * SECOND);
            self.faults.retain(|scheduled| !scheduled.fault.kind.is_of_disks());
        }
        count = count.min(kinds.len() as u64 * 2);
        self.schedule(random, nodes, &kinds, count, &LATER);
    }

    /// Reads that go astray.
    fn draw_misreads(&mut self, random: &mut Random, nodes: usize, bias: Bias) {
        let one_in = if bias == Bias::Losses { 6 } else { 30 };
        if random.below(one_in) == 0 {
            let count = random.between(1, 3);
            self.schedule(random, nodes, &[Kind::LAST], count, &LATER);
        }
    }

    /// So many more faults of these kinds, as far as what is scheduled leaves room for them.
    fn schedule(&mut self, random: &mut Random, nodes: usize, kinds: &[Kind], count: u64, time: &Timing) {
        let mut atlas = Atlas::new(nodes);
        for scheduled in &self.faults {
            atlas.admits(&scheduled.fault);
        }
        for _ in 0..count {
            let kind = *random.pick(kinds);
            let at = random.between(self.duration / 20, self.duration / 10 * time.latest_tenth);
            let lasts = random.spread(MS, self.duration / time.longest_part);
            let fault = Fault::draw(kind, random, nodes);
            if atlas.admits(&fault) {
                self.faults.push(Scheduled { fault, at, lasts });
            }
        }
    }

    fn draw_faults(&mut self, random: &mut Random, nodes: usize) {
        // A disk that forgets has every idle bucket pushed over its vote floor: such runs take twenty times as long.
        let one_in = |kind: &Kind| match kind {
            Kind::Rot | Kind::BrokenSector | Kind::Wipe => 20,
            _ => 4,
        };
        let first = Kind::ALL.into_iter().filter(|kind| !Kind::LATER.contains(kind) && *kind != Kind::LAST);
        let kinds: Vec<Kind> = first.filter(|kind| random.below(one_in(kind)) == 0).collect();
        if kinds.is_empty() {
            return;
        }
        let count = random.between(1, 10);
        self.schedule(random, nodes, &kinds, count, &FIRST);
    }
}

impl Network {
    fn draw(random: &mut Random) -> Self {
        let least = random.spread(20, MS);
        let mut rate = |one_in: u64, most: u64| {
            if random.below(one_in) == 0 { random.spread(1000, most) } else { 0 }
        };
        let (tail, loss, doubling) = (rate(2, 100_000), rate(2, 200_000), rate(2, 200_000));
        Self {
            delay: (least, least + random.spread(10, 2 * MS)),
            tail: (tail, random.spread(5 * MS, 2 * SECOND)),
            loss,
            doubling: (doubling, random.spread(MS, 10 * SECOND)),
            reorder: random.below(3) == 0,
        }
    }
}

impl Disks {
    fn draw(random: &mut Random) -> Self {
        let least = random.spread(30, MS);
        Self {
            commit: (least, least + random.spread(10, 5 * MS)),
            job: (100, random.spread(200, 50 * MS)),
            upkeep: random.spread(20 * MS, SECOND),
        }
    }
}

impl Clock {
    fn draw(random: &mut Random) -> Self {
        let hour_ms = 3_600_000;
        let skew_ms = if random.coin() { random.below(2 * hour_ms) as i64 - hour_ms as i64 } else { 0 };
        let rate = if random.below(3) == 0 { random.between(500_000, 2_000_000) } else { 1_000_000 };
        Self { skew_ms, rate }
    }
}
