//! All histories of a small group, by depth-first search over hashed states of the real core.
//!
//! A packet that is never delivered is a lost one, so loss needs no step of its own. The network is a set, out of which any
//! packet may come next. A packet is doubled when a delivery leaves it there, as often as the budget allows. A replica that
//! knows `slots_max` slots is not driven any further, and packets that only it, or only later slots, could use are dropped.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use crate::world::World;

/// How often each thing may happen in one history.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// Who has still to propose; a bit for each replica.
    pub(crate) proposers: u8,
    /// How often each replica's timer may run.
    pub(crate) retries: [u8; 5],
    pub(crate) crashes: u8,
    pub(crate) wipes: u8,
    pub(crate) doubles: u8,
}

/// What was explored.
#[derive(Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    /// Whether there is no state left within the budget.
    pub(crate) all: bool,
}

fn fingerprint(world: &World, budget: &Budget) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&world.nodes, &world.history, budget).hash(&mut hasher);
    let packets = world.net.iter().fold(0_u64, |sum, packet| {
        let mut hasher = DefaultHasher::new();
        packet.hash(&mut hasher);
        sum.wrapping_add(hasher.finish())
    });
    packets.hash(&mut hasher);
    hasher.finish()
}

/// Visits up to `states_max` states.
pub(crate) fn explore(
    world: World,
    budget: Budget,
    slots_max: usize,
    states_max: usize,
) -> Result<Explored, String> {
    let mut seen = HashSet::new();
    seen.insert(fingerprint(&world, &budget));
    let mut stack = vec![(world, budget)];
    while let Some((world, budget)) = stack.pop() {
        if seen.len() >= states_max {
            return Ok(Explored { states: seen.len(), all: false });
        }
        let mut visit = |next: Result<World, String>, budget: Budget| -> Result<(), String> {
            let mut next = next?;
            next.prune(slots_max);
            if seen.insert(fingerprint(&next, &budget)) {
                stack.push((next, budget));
            }
            Ok(())
        };
        for index in 0..world.net.len() {
            if world.done(world.receiver(index), slots_max) {
                continue;
            }
            visit(after(&world, |world| world.deliver(index, false)), budget.clone())?;
            if budget.doubles > 0 {
                let left = Budget { doubles: budget.doubles - 1, ..budget.clone() };
                visit(after(&world, |world| world.deliver(index, true)), left)?;
            }
        }
        for node in 0..world.nodes.len() {
            if world.is_dirty(node) && !world.done(node, slots_max) {
                visit(after(&world, |world| world.sync(node, 1)), budget.clone())?;
            }
            if world.done(node, slots_max) {
                continue;
            }
            if budget.proposers & (1 << node) != 0 {
                let left = Budget { proposers: budget.proposers & !(1 << node), ..budget.clone() };
                visit(after(&world, |world| world.propose(node, b"v")), left)?;
            }
            if budget.retries[node] > 0 {
                let mut left = budget.clone();
                left.retries[node] -= 1;
                visit(after(&world, |world| world.retry(node)), left)?;
            }
            if budget.crashes > 0 {
                let left = Budget { crashes: budget.crashes - 1, ..budget.clone() };
                visit(after(&world, |world| world.crash(node, 0, 0)), left)?;
            }
            if budget.wipes > 0 && world.may_wipe(node) {
                let left = Budget { wipes: budget.wipes - 1, ..budget.clone() };
                visit(after(&world, |world| world.wipe(node)), left)?;
            }
        }
    }
    Ok(Explored { states: seen.len(), all: true })
}

fn after(world: &World, step: impl FnOnce(&mut World) -> Result<(), String>) -> Result<World, String> {
    let mut next = world.clone();
    step(&mut next)?;
    Ok(next)
}
