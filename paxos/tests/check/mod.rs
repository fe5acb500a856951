//! What must hold over all replicas after every event. One file for each property; every harness uses them all.
//!
//! A replica's step is judged by what the replica itself did before ([`Memory`]), and by what all of them did ([`History`]), which is
//! told the step's [`Fact`]s.

mod amnesia;
mod ballots;
mod chosen_stays;
mod durable;
mod fast;
mod one_value;
mod reads;

use std::collections::{BTreeMap, BTreeSet};

use thermocline_paxos::{Ballot, Command, CommandId, Message, Originator, ProposalOutcome, Record, Slot};

pub(crate) type Checked = Result<(), String>;

/// What a step of one replica means for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fact {
    /// It says that a slot is decided.
    Chosen { slot: Slot, command: Command },
    /// So its journal says after a start.
    Replayed { slot: Slot, command: Command },
    /// After a start it knows through which slot it knows what is chosen, and who owns the next.
    Restored { slot: Slot, owner: Originator },
    /// It promises, or votes, in a slot.
    Opened { slot: Slot },
    /// It writes or tells a value at a ballot.
    Valued { slot: Slot, ballot: Ballot, id: Option<CommandId> },
    /// Its vote is synced.
    Voted { slot: Slot, ballot: Ballot },
    /// It says how its proposal ended.
    Ended { id: CommandId, outcome: ProposalOutcome },
}

/// What one replica has synced, and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    /// Per slot: the highest promise, the highest vote.
    synced: BTreeMap<Slot, (Ballot, Ballot)>,
    /// The highest slot with any of that.
    touched: Slot,
    /// All votes that were ever synced, whatever was lost since.
    voted: BTreeSet<(Slot, Ballot)>,
    /// Through which slot a lost self had touched the log.
    lost_through: Slot,
}

/// The history that no replica can see: what was said and chosen, by all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// The first member, in the start in which it founded the bucket: it owns slot 1.
    pub(crate) founder: Originator,
    /// What any replica knows to be chosen.
    pub(crate) chosen: BTreeMap<Slot, Command>,
    slot_of: BTreeMap<CommandId, Slot>,
    contended: BTreeSet<CommandId>,
    /// The one value of each ballot.
    values: BTreeMap<(Slot, Ballot), Option<CommandId>>,
}

impl History {
    /// Of a bucket that was founded so.
    pub(crate) fn founded_by(founder: Originator) -> Self {
        Self { founder, ..Self::default() }
    }

    /// The highest slot that anybody knows to be chosen.
    pub(crate) fn highest(&self) -> Slot {
        self.chosen.keys().next_back().copied().unwrap_or_default()
    }

    /// Judges a fact, and remembers it. `true` when it is news that the votes have to agree with.
    pub(crate) fn note(&mut self, node: usize, fact: &Fact) -> Result<bool, String> {
        match fact {
            Fact::Chosen { slot, command } => self.check_one_value(node, *slot, command),
            Fact::Replayed { slot, command } => self.check_replayed(node, *slot, command).map(|()| false),
            Fact::Restored { slot, owner } => self.check_owner(node, *slot, *owner).map(|()| false),
            Fact::Opened { slot } => self.check_sequence(*slot).map(|()| false),
            Fact::Valued { slot, ballot, id } => {
                self.check_fast(*slot, *ballot)?;
                self.check_ballot(*slot, *ballot, *id)
            }
            Fact::Voted { .. } => Ok(true),
            Fact::Ended { id, outcome } => self.check_outcome(*id, *outcome).map(|()| false),
        }
    }

    /// Judges a fact that was noted by who has voted.
    pub(crate) fn check_votes(&self, fact: &Fact, votes: &Votes<'_>) -> Checked {
        match fact {
            Fact::Chosen { slot, .. } => self.check_majority(*slot, votes),
            Fact::Valued { slot, ballot, .. } | Fact::Voted { slot, ballot } => {
                self.check_chosen_stays(*slot, *ballot, votes)
            }
            _ => Ok(()),
        }
    }
}

/// The memories of all replicas.
pub(crate) struct Votes<'a>(pub(crate) Vec<&'a Memory>);

impl Votes<'_> {
    /// Whether a majority has voted, durably, at a ballot.
    fn are_enough(&self, slot: Slot, ballot: Ballot) -> bool {
        let voters = self.0.iter().filter(|memory| memory.voted.contains(&(slot, ballot))).count();
        voters > self.0.len() / 2
    }
}

/// The facts in a record that is written.
pub(crate) fn written(record: &Record, facts: &mut Vec<Fact>) {
    if let Record::Promise { slot, .. } | Record::Accept { slot, .. } = record {
        facts.push(Fact::Opened { slot: *slot });
    }
    if let Record::Accept { slot, ballot, command } = record {
        facts.push(Fact::Valued { slot: *slot, ballot: *ballot, id: command.id });
    }
}

/// The fact in a message that leaves, if there is one.
pub(crate) fn told(message: &Message) -> Option<Fact> {
    let accepted = message.accepted.as_ref().filter(|_| !message.chosen)?;
    Some(Fact::Valued { slot: message.slot, ballot: accepted.ballot, id: accepted.id })
}
