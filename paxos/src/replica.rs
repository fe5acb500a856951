//! One replica of one bucket: what it knows, and how what it knows becomes messages.
//!
//! The roles work on it in files of their own: `acceptor.rs` votes, `proposer.rs` proposes, `learner.rs` finds out what is
//! chosen, `floor.rs` comes back from amnesia.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::output::{Output, Persist, Send};
use crate::plant::{self, Plant};
use crate::proposer::Proposal;
use crate::{
    Accepted, Ballot, Bucket, Command, CommandId, Known, Message, NodeId, Originator, Record, Restored, Slot,
    Ticket, Vote,
};

/// The most replicas that a bucket can have.
pub(crate) const MEMBERS_MAX: usize = 5;

/// How many of `count` are more than half.
pub(crate) fn majority(count: usize) -> usize {
    count / 2 + usize::from(!plant::on(Plant::QuorumTooSmall))
}

/// A bucket's replicas in their order, in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Members {
    count: u8,
    nodes: [NodeId; MEMBERS_MAX],
}

impl Members {
    pub(crate) fn new(members: &[NodeId]) -> Self {
        assert!(
            (1..=MEMBERS_MAX).contains(&members.len()),
            "a bucket has 1 to 5 replicas, not {}",
            members.len()
        );
        let mut nodes = [NodeId(0); MEMBERS_MAX];
        nodes[..members.len()].copy_from_slice(members);
        Self { count: members.len() as u8, nodes }
    }

    pub(crate) const fn len(&self) -> usize {
        self.count as usize
    }

    pub(crate) fn as_slice(&self) -> &[NodeId] {
        &self.nodes[..self.len()]
    }

    pub(crate) fn index(&self, node: NodeId) -> Option<usize> {
        self.as_slice().iter().position(|member| *member == node)
    }
}

/// One start of a node, and how it numbers what it asks for. Shared by all replicas of a core.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) me: Originator,
    pub(crate) next_ticket: Ticket,
    pub(crate) next_sequence: u64,
    /// Whom fast accepts ask for votes, best first; all, where these are too few.
    pub(crate) asked_first: Vec<NodeId>,
    /// Records that are being written, one for each of the last tickets.
    pub(crate) withheld: VecDeque<Withheld>,
    /// Messages that broke a rule of the protocol: a faulty peer's.
    pub(crate) refused: u64,
}

/// A vote that counts once it is synced (I3). What depends on it waits in its replica until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Withheld {
    pub(crate) bucket: Bucket,
    pub(crate) what: Promised,
}

/// What is promised by a record, once it is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Promised {
    Vote { slot: Slot, known: Known },
    Floor { slot: Slot },
    Nothing,
}

impl Numbers {
    pub(crate) fn command_id(&mut self) -> CommandId {
        let id = CommandId { originator: self.me, sequence: self.next_sequence };
        self.next_sequence += 1;
        id
    }

    /// The ticket of the first record that is being written; the next ticket if there is none.
    pub(crate) fn first_withheld(&self) -> Ticket {
        Ticket(self.next_ticket.0 - self.withheld.len() as u64)
    }

    /// What a core's behaviour depends on. How many tickets were used up, and how many messages refused, does not belong to it: two
    /// cores that differ in that alone do the same for ever, and are equal.
    fn state(&self) -> (Originator, u64, &[NodeId], &VecDeque<Withheld>) {
        let Self { me, next_ticket: _, next_sequence, asked_first, withheld, refused: _ } = self;
        (*me, *next_sequence, asked_first, withheld)
    }
}

impl PartialEq for Numbers {
    fn eq(&self, other: &Self) -> bool {
        self.state() == other.state()
    }
}

impl Eq for Numbers {}

impl Hash for Numbers {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.state().hash(hasher);
    }
}

/// A replica. Between two slots `accepted`, `promised`, `durable`, `views`, `best`, `owed` and `sent_value` start afresh: they
/// speak of the open slot, which is the one after `chosen` (I2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Replica {
    pub(crate) bucket: Bucket,
    pub(crate) members: Members,
    pub(crate) me: u8,
    pub(crate) vote: Vote,
    /// The floor that is being written, and the peers' answers until there are enough.
    pub(crate) floor_asked: bool,
    pub(crate) floor_answers: [Option<Slot>; MEMBERS_MAX],
    /// The highest slot known to be chosen, and all below it.
    pub(crate) chosen: Slot,
    /// The name of what was chosen there, and at which ballot this replica knows it.
    pub(crate) last: Option<(Ballot, Option<CommandId>)>,
    /// Who owns the open slot: the heir or originator of what was chosen before it (F1).
    pub(crate) owner: Option<Originator>,

    pub(crate) promised: Ballot,
    pub(crate) accepted: Option<(Ballot, Command)>,
    /// How much of `promised` and `accepted` is synced.
    pub(crate) durable: Known,
    /// The durable records of the others, as far as they told.
    pub(crate) views: [Known; MEMBERS_MAX],
    /// The value at the highest ballot that anybody told of, if that is higher than what is accepted.
    pub(crate) best: Option<(Ballot, Command)>,
    /// Members that are to hear this replica's record as soon as it is synced; a bit for each.
    pub(crate) owed: u8,
    /// Members that were sent the value in `accepted`; a bit for each.
    pub(crate) sent_value: u8,
    /// Members that said that they lack it.
    pub(crate) wants_value: u8,
    /// Members that were told that the slot at `chosen` is decided, and whose vote there has not come yet; a bit for each.
    pub(crate) late: u8,
    pub(crate) proposal: Option<Proposal>,
}

/// Whether a replica that votes so votes in this slot (I6).
pub(crate) fn votes(vote: Vote, slot: Slot) -> bool {
    match vote {
        Vote::Voting => true,
        Vote::LearnerOnly => plant::on(Plant::LearnerVotes),
        Vote::From(floor) => slot >= floor,
    }
}

impl Replica {
    pub(crate) fn new(bucket: Bucket, members: Members, me: Originator, restored: Restored) -> Self {
        let index = members.index(me.node).expect("a replica is opened at one of its bucket's members only");
        let mut replica = Self {
            me: index as u8,
            vote: restored.vote,
            chosen: restored.chosen,
            owner: restored.owner,
            promised: restored.promised,
            durable: Known {
                promised: restored.promised,
                accepted: restored.accepted.as_ref().map_or(Ballot::ZERO, |(ballot, _)| *ballot),
            },
            accepted: restored.accepted,
            ..Self::at_rest(bucket, members)
        };
        if restored.founder {
            replica.found(me);
        }
        replica
    }

    /// A replica that knows nothing, and in which nothing is under way.
    pub(crate) fn at_rest(bucket: Bucket, members: Members) -> Self {
        Self {
            bucket,
            members,
            me: 0,
            vote: Vote::default(),
            floor_asked: false,
            floor_answers: [None; MEMBERS_MAX],
            chosen: Slot(0),
            last: None,
            owner: None,
            promised: Ballot::ZERO,
            accepted: None,
            durable: Known::default(),
            views: [Known::default(); MEMBERS_MAX],
            best: None,
            owed: 0,
            sent_value: 0,
            wants_value: 0,
            late: 0,
            proposal: None,
        }
    }

    /// Whether the open slot is untouched and nothing is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.proposal.is_none()
            && !self.promised.is_some()
            && self.accepted.is_none()
            && self.best.is_none()
            && (self.owed, self.sent_value, self.wants_value) == (0, 0, 0)
            && self.durable == Known::default()
            && self.views == [Known::default(); MEMBERS_MAX]
            && !self.floor_asked
            && self.floor_answers == [None; MEMBERS_MAX]
    }

    /// The group is founded in this start: its first member owns slot 1.
    pub(crate) fn found(&mut self, me: Originator) {
        if self.chosen == Slot(0) && self.me == 0 {
            self.owner = Some(me);
        }
    }

    pub(crate) fn open_slot(&self) -> Slot {
        self.chosen.next()
    }

    /// Whether this replica votes in the open slot (I6).
    pub(crate) fn votes(&self) -> bool {
        votes(self.vote, self.open_slot())
    }

    pub(crate) fn accepted_ballot(&self) -> Ballot {
        self.accepted.as_ref().map_or(Ballot::ZERO, |(ballot, _)| *ballot)
    }

    /// The value at the highest ballot that this replica knows of.
    pub(crate) fn highest_told(&self) -> Option<&(Ballot, Command)> {
        self.best.as_ref().or(self.accepted.as_ref())
    }

    pub(crate) fn current(&self) -> Known {
        Known { promised: self.promised, accepted: self.accepted_ballot() }
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.durable == self.current() || plant::on(Plant::AnswerBeforeDurable)
    }

    pub(crate) fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let me = usize::from(self.me);
        (0..self.members.len()).filter(move |index| *index != me)
    }

    /// Asks for a record to be written. What it promises counts when [`synced`](Self::synced) is called for it.
    pub(crate) fn persist(
        &mut self,
        record: Record,
        what: Promised,
        numbers: &mut Numbers,
        out: &mut Output,
    ) {
        let ticket = numbers.next_ticket;
        numbers.next_ticket = Ticket(ticket.0 + 1);
        numbers.withheld.push_back(Withheld { bucket: self.bucket, what });
        out.persist.push(Persist { ticket, bucket: self.bucket, record });
    }

    /// Writes the open slot's record down.
    pub(crate) fn persist_vote(&mut self, record: Record, numbers: &mut Numbers, out: &mut Output) {
        let what = Promised::Vote { slot: self.open_slot(), known: self.current() };
        self.persist(record, what, numbers, out);
    }

    /// A record is synced: what it promises counts now, and what waited for it leaves.
    pub(crate) fn synced(&mut self, what: Promised, numbers: &mut Numbers, out: &mut Output) {
        match what {
            Promised::Nothing => {}
            Promised::Floor { slot } => self.floor_synced(slot, out),
            Promised::Vote { slot, known } => {
                if slot != self.open_slot() {
                    return;
                }
                self.durable.promised = self.durable.promised.max(known.promised);
                self.durable.accepted = self.durable.accepted.max(known.accepted);
                if self.is_durable() {
                    self.pay(out);
                }
                self.conclude(numbers, out);
            }
        }
    }

    /// Sends this replica's record to all whom it is owed. It is synced.
    pub(crate) fn pay(&mut self, out: &mut Output) {
        for index in self.others() {
            if self.owed & (1 << index) != 0 {
                self.tell(index, out);
            }
        }
        self.owed = 0;
    }

    /// Sends this replica's record of the open slot to a member, as a request if it is not synced.
    pub(crate) fn tell(&mut self, index: usize, out: &mut Output) {
        let view = self.views[index];
        let accepted = self.accepted.as_ref().map(|(ballot, command)| {
            // The value is left out for who has voted for it at this ballot, whose ballot it is, or who was sent it.
            let held = view.accepted == *ballot
                || self.members.as_slice()[index] == ballot.node
                || self.sent_value & (1 << index) != 0;
            let held = held && self.wants_value & (1 << index) == 0;
            Accepted {
                ballot: *ballot,
                id: command.id,
                command: if held { None } else { Some(command.clone()) },
            }
        });
        self.sent_value |= 1 << index;
        self.wants_value &= !(1 << index);
        out.send.push(Send {
            to: self.members.as_slice()[index],
            message: Message {
                bucket: self.bucket,
                slot: self.open_slot(),
                promised: self.promised,
                accepted,
                durable: self.is_durable() && self.votes(),
                chosen: false,
                missing: false,
                known: view,
                chosen_through: self.chosen,
            },
            can_wait: false,
        });
    }

    /// Tells a member that a slot is chosen. The value is left out: who lacks it asks, and gets it from the driver's journal.
    pub(crate) fn tell_chosen(
        &self,
        index: usize,
        slot: Slot,
        (ballot, id): (Ballot, Option<CommandId>),
        value: Option<&Command>,
        can_wait: bool,
        out: &mut Output,
    ) {
        let command = value.cloned();
        out.send.push(Send {
            to: self.members.as_slice()[index],
            message: Message {
                bucket: self.bucket,
                slot,
                promised: ballot,
                accepted: Some(Accepted { ballot, id, command }),
                durable: false,
                chosen: true,
                missing: false,
                known: Known::default(),
                chosen_through: self.chosen,
            },
            can_wait,
        });
    }
}
