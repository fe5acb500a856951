//! What must hold over all replicas after every event. One file for each property; every harness uses them all.

mod amnesia;
mod ballots;
mod durable;
mod fast;
mod floor_quorum;
mod one_value;
mod reads;

#[allow(unused_imports, reason = "the model check has no use for it")]
pub(crate) use floor_quorum::check_floor_quorum;

use std::collections::{BTreeMap, BTreeSet};

use thermocline_paxos::{Ballot, Command, CommandId, Slot};

/// The history that no replica can see: what was written, synced, said and chosen, by all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// What any replica knows to be chosen.
    pub(crate) chosen: BTreeMap<Slot, Command>,
    slot_of: BTreeMap<CommandId, Slot>,
    contended: BTreeSet<CommandId>,
    /// The one value of each ballot.
    values: BTreeMap<(Slot, Ballot), Option<CommandId>>,
    /// Who has synced a vote for it: a bit for each replica.
    voted: BTreeMap<(Slot, Ballot), u8>,
    /// Per replica and slot, what is synced: promised, accepted.
    synced: BTreeMap<(usize, Slot), (Ballot, Ballot)>,
    /// Through which slot a wiped replica had touched the log.
    lost_through: BTreeMap<usize, Slot>,
    /// How many replicas there are.
    pub(crate) count: usize,
}

impl History {
    /// The highest slot that anybody knows to be chosen.
    pub(crate) fn highest(&self) -> Slot {
        self.chosen.keys().next_back().copied().unwrap_or_default()
    }
}

pub(crate) type Checked = Result<(), String>;
