//! Seeded random histories: a network that loses, doubles, reorders and delays; crashes that lose what is not synced; disks that are
//! wiped, or put back to an earlier state, two of five at a time; clients everywhere; then, when the faults have stopped, progress within a bound.

use crate::check::Checked;
use crate::world::World;
use crate::world::node::BUCKET;

/// xorshift64*: a seed is a history.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

/// What may become of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disks {
    /// It is lost, or put back to an earlier state.
    Lost,
    /// That, or some records of its journal cannot be read any more.
    Damaged,
}

/// What a history went through.
#[derive(Default, Debug, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) slots: u64,
    pub(crate) events: u64,
    pub(crate) crashes: u64,
    pub(crate) wipes: u64,
    pub(crate) rollbacks: u64,
    pub(crate) holes: u64,
    /// Disks that were lost while another replica had not come back from that.
    pub(crate) together: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.slots += other.slots;
        self.events += other.events;
        self.crashes += other.crashes;
        self.wipes += other.wipes;
        self.rollbacks += other.rollbacks;
        self.holes += other.holes;
        self.together += other.together;
    }
}

const NET_MAX: usize = 60;
/// More messages than any quiet group has need of.
const STORM: usize = 2000;

/// Runs the history of a seed.
pub(crate) fn run(seed: u64, count: usize, steps: usize, disks: Disks) -> Result<Tally, String> {
    let mut random = Random::new(seed);
    // In every other history, owners ask only as many as make a majority.
    let thrifty = seed % 2 == 1;
    let mut world = World::new(count, thrifty);
    let mut tally = Tally::default();
    // Each history has a temper of its own: some never crash, some never lose, some sync late.
    let (loss, doubling) = (random.below(25), random.below(25));
    let crashes = random.below(3) * 6;
    let losses = random.below(3) * 3;
    let sync = 40 + random.below(200);
    for _ in 0..steps {
        tally.events += 1;
        let node = random.below(count);
        let draw = random.below(1000);
        let mut edge = 0;
        let mut within = |width: usize| {
            edge += width;
            draw < edge
        };
        if within(45) {
            world.propose(node)?;
        } else if within(15) {
            world.propose_for(node, random.below(count))?;
        } else if thrifty && within(30) {
            world.widen(node)?;
        } else if within(50) {
            world.retry(node)?;
        } else if within(30) {
            world.read(node)?;
        } else if within(20) {
            world.renew(node)?;
        } else if within(crashes) {
            tally.crashes += 1;
            world.crash(node, random.below(3), random.below(4) as u64)?;
        } else if within(losses) {
            for other in world.others(node) {
                world.sync(other, usize::MAX)?;
            }
            if world.may_lose(node) {
                tally.together += u64::from(world.others(node).any(|other| !world.nodes[other].votes()));
                if disks == Disks::Damaged && random.below(3) > 0 {
                    tally.holes += 1;
                    let from = random.below(world.nodes[node].records() + 1);
                    world.damage(node, from, 1 + random.below(6))?;
                    continue;
                }
                let kept =
                    if random.below(2) == 0 { 0 } else { random.below(world.nodes[node].records() + 1) };
                *(if kept == 0 { &mut tally.wipes } else { &mut tally.rollbacks }) += 1;
                world.lose(node, kept)?;
            }
        } else if within(10) {
            world.fetch(node);
        } else if within(sync) {
            let many = if random.below(2) == 0 { 1 } else { usize::MAX };
            world.sync(node, many)?;
        } else if !world.net.is_empty() {
            // Any packet may come next; the oldest linger. Past the bound, one is lost.
            let index = random.below(world.net.len());
            if random.below(100) < loss || world.net.len() > NET_MAX {
                world.net.swap_remove(index);
            } else {
                world.deliver(index, random.below(100) < doubling)?;
            }
        }
    }
    heal(&mut world, &mut random)?;
    tally.slots = world.history.highest().0;
    Ok(tally)
}

/// The faults stop: every replica must catch up, vote again, and get a command of its own chosen.
fn heal(world: &mut World, random: &mut Random) -> Checked {
    world.net.clear();
    let goal = world.history.highest().0 + 3;
    for round in 0..400 {
        let turn = round % world.nodes.len();
        for node in 0..world.nodes.len() {
            if node == turn {
                world.propose(node)?;
                world.retry(node)?;
            }
            world.fetch(node);
            if world.nodes[node].core.needs_floor(BUCKET) {
                world.retry(node)?;
            }
        }
        for _ in 0..2000 {
            for node in 0..world.nodes.len() {
                world.sync(node, usize::MAX)?;
            }
            if world.net.is_empty() {
                break;
            }
            if world.net.len() > STORM {
                return Err(format!("I16: {STORM} messages under way when nothing is lost any more"));
            }
            let index = random.below(world.net.len());
            world.deliver(index, false)?;
        }
        let voting = world.nodes.iter().all(|node| node.votes());
        if world.agree() && voting && world.history.highest().0 >= goal {
            return Ok(());
        }
    }
    let states: Vec<_> = world.nodes.iter().map(|node| node.core.status(BUCKET)).collect();
    Err(format!("no progress after the faults stopped: {states:?}"))
}
