//! Whole clusters of real nodes under one seed.
//!
//! Everything around the nodes is simulated: time, network, disks, processes, clocks, clients. A seed is a history: the same
//! one runs the same way on every machine, as its trace hash proves. A run has two phases. In the first, faults happen, and
//! nothing that must never be may be. In the second there are none, and all must be well within a bound.
//!
//! ```text
//! cargo sim 42                  runs one seed and prints what happens
//! cargo sim --seeds 5000        explores, on all cores
//! cargo sim --seeds 5000 --losses   the same, and each run loses disks
//! cargo sim --plants            puts bugs in, one after the other, and says what notices them: a seed, or else a test
//! ```
//!
//! `plan` says what a seed draws, `fault` what can go wrong, `atlas` what is promised to be survived; `world` lets it happen;
//! `invariants` looks on after every event, `judge` at what the clients saw.

mod atlas;
mod clients;
mod disks;
pub mod explore;
mod fault;
mod faults;
mod heal;
mod history;
mod invariants;
mod judge;
mod links;
#[cfg(feature = "plant")]
pub mod named;
mod network;
mod node;
mod pages;
mod plan;
#[cfg(feature = "plant")]
pub mod plants;
mod queue;
mod random;
pub mod tally;
mod trace;
mod world;

pub use crate::plan::Bias;
use crate::plan::Plan;
use crate::tally::Tally;
use crate::world::World;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// What it went through.
    pub tally: Tally,
    /// The hash of everything that happened.
    pub hash: u64,
    /// The first thing that must not be.
    pub failure: Option<String>,
}

/// Runs a seed; `shown` prints what happens.
#[must_use]
pub fn run(seed: u64, bias: Bias, shown: bool) -> Run {
    run_plan(Plan::new(seed, bias), shown)
}

/// Runs a plan.
fn run_plan(plan: Plan, shown: bool) -> Run {
    let seed = plan.seed;
    let mut world = World::new(plan, shown);
    let failure = world.run().err();
    Run { seed, hash: world.trace.hash(), tally: world.tally, failure }
}
