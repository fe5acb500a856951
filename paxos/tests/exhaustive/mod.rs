//! All histories of a small group within a bound, by search over the states of the real core.
//!
//! A state is what each replica is and has on its disk, the messages that were ever sent, the history that the checks keep, and what
//! is left of the bound. Of each part there are few, so each is kept once, in a table, and a state is a handful of numbers; and a replica's
//! step depends on that replica alone, so the core takes each step once, and the search looks it up (`steps.rs`).
//!
//! **What the network may do.** Links lose, double, delay and reorder without a bound: of what was sent on a link, the newest `kept` messages
//! can arrive at any time, in any order, as often as they like, or never. Where `kept` has no bound, that is every message ever sent.
//!
//! **What is left out.**
//! - A decision that anybody knows may be learned by anybody who needs it next, in place of the driver's asking and answering, and
//!   in place of the messages about the last slot's decision: that is more than a driver can do.
//! - A reader, and who lost its disk, may ask any peer at any time, in place of a question under way.
//! - A replica that cannot crash any more needs no journal, and hears nothing of slots before the last it knows.
//! - A replica that knows the last slot of the bound, and that neither crash nor loss awaits, is left alone: what it may have told is what
//!   anybody may learn. Its first step in the slot after is made and judged; nothing else of that slot is.

mod net;
mod search;
mod steps;
mod table;

use crate::check::Checked;

/// What a machine has the memory for. A model that came here would not be exhaustive.
pub(crate) const STATES_MAX: usize = 20_000_000;

/// The most replicas there can be.
const REPLICAS_MAX: usize = 5;

/// How often each thing may happen to each replica in one history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Bound {
    /// Commands that its clients propose.
    pub(crate) proposals: [u8; REPLICAS_MAX],
    /// Commands that hand the bucket over to one of the others, as it is then.
    pub(crate) hand_overs: [u8; REPLICAS_MAX],
    /// How often its timer runs.
    pub(crate) retries: [u8; REPLICAS_MAX],
    /// Crashes that lose any end of what is not synced.
    pub(crate) crashes: [u8; REPLICAS_MAX],
    /// Losses of its disk.
    pub(crate) wipes: [u8; REPLICAS_MAX],
    pub(crate) reads: [u8; REPLICAS_MAX],
}

/// A small group, and what may happen to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    /// How many states there are. Any change of what the core says or keeps changes it.
    pub(crate) states: usize,
    pub(crate) replicas: usize,
    /// How many slots are decided.
    pub(crate) slots: u64,
    /// So many of the messages of each link can still arrive: the newest. What is older is lost.
    pub(crate) kept: usize,
    /// Pairs of replicas between which nothing arrives.
    pub(crate) cut: &'static [(usize, usize)],
    /// Whether records are synced as soon as they are written: then nothing happens in between.
    pub(crate) synced_at_once: bool,
    /// Whether owners ask only as many for votes as make a majority.
    pub(crate) thrifty: bool,
    /// What may happen, in one history or another: each bound is a beginning of its own.
    pub(crate) bounds: &'static [Bound],
}

/// What was explored.
#[derive(Clone, Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    /// Steps from one state to another.
    pub(crate) transitions: u64,
    /// Steps that the core made; all others were looked up.
    pub(crate) steps: usize,
    /// Whether every state within the bound was visited.
    pub(crate) all: bool,
    /// What is wrong, and the way there.
    pub(crate) checked: Checked,
}

/// Visits all states, or up to `states_max` of them.
pub(crate) fn explore(model: &Model, states_max: usize) -> Explored {
    search::Search::new(model).run(states_max)
}
