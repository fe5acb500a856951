//! The core: one worker's replicas of many buckets. All that can happen to it, and all that can be asked of it, on one page.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::output::Output;
use crate::proposer::Phase;
use crate::read::Freshness;
use crate::replica::{Members, Numbers, Replica};
use crate::seat::{Seat, Spare, View};
use crate::{Ballot, Bucket, Command, CommandId, Message, NodeId, Originator, Restored, Slot, Ticket, Vote};

/// Bounds of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The longest payload that is proposed, in bytes; 17 MiB.
    pub payload_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload_bytes_max: 17 << 20 }
    }
}

/// One worker's replicas: a pure, single-threaded state machine.
///
/// Events go in through its methods; what it wants comes out in the [`Output`] that each of them is given. What it asks to
/// be sent may be lost, doubled, late and out of order. What it asks to be persisted must be written in order; until
/// [`persisted`](Self::persisted) says that it is synced, the core keeps back every message that depends on it (I3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Core {
    numbers: Numbers,
    limits: Limits,
    seats: Vec<Seat>,
    spare: Spare,
}

/// So many replicas whose records are synced are brought into the processor's caches at a time.
const WITHHELD_AT_ONCE: usize = 32;

/// Why a replica cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// A bucket has 1, 3 or 5 replicas.
    Members {
        /// How many were given.
        count: usize,
    },
    /// This node is none of them.
    NotAMember,
}

/// Why a command is not proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// Another proposal of this replica is under way in the bucket.
    Busy,
    /// This replica lost its memory, and does not vote in the open slot (I6).
    LearnerOnly,
    /// There is no replica of the bucket here.
    NoReplica,
    /// The payload is too long.
    TooLarge {
        /// The bound, in bytes.
        max: usize,
    },
}

/// A replica at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The highest slot that is known to be chosen; all below it are too.
    pub chosen: Slot,
    /// Who owns the open slot, by the command chosen there, if anybody does and it is known.
    pub owner: Option<Originator>,
    /// The highest ballot promised in the open slot.
    pub promised: Ballot,
    /// The ballot of what is accepted in the open slot.
    pub accepted: Ballot,
    /// In which slots it votes.
    pub vote: Vote,
    /// Whether an own proposal is under way.
    pub proposing: bool,
    /// Whether that proposal waits for [`Core::retry`].
    pub backed_off: bool,
}

impl Core {
    /// A core without replicas. `worker` tells several cores of one start of a node apart, so that no two commands share an id.
    #[must_use]
    pub fn new(me: Originator, worker: u16, limits: Limits) -> Self {
        let numbers = Numbers {
            me,
            next_ticket: Ticket(1),
            next_sequence: u64::from(worker) << 48,
            asked_first: Vec::new(),
            withheld: VecDeque::new(),
            refused: 0,
        };
        Self { numbers, limits, seats: Vec::new(), spare: Spare::default() }
    }

    /// Adds a replica. `members` in the bucket's replica order.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&mut self, bucket: Bucket, members: &[NodeId], restored: Restored) -> Result<(), OpenError> {
        if !matches!(members.len(), 1 | 3 | 5) {
            return Err(OpenError::Members { count: members.len() });
        }
        if !members.contains(&self.numbers.me.node) {
            return Err(OpenError::NotAMember);
        }
        let index = bucket.0 as usize;
        if self.seats.len() <= index {
            self.seats.resize(index + 1, Seat::Vacant);
        }
        self.seats[index] = Seat::of(Replica::new(bucket, Members::new(members), self.numbers.me, restored));
        Ok(())
    }

    /// The group of a learner-only replica is founded in this start: if `voting`, it has nothing to remember, and votes.
    pub fn found(&mut self, bucket: Bucket, voting: bool) {
        let me = self.numbers.me;
        self.with(bucket, |replica, _| {
            if voting && replica.vote == Vote::LearnerOnly && replica.chosen == Slot(0) {
                replica.vote = Vote::Voting;
                replica.found(me);
            }
        });
    }

    /// Sets out to have a command chosen in the next slot that is free. Its end comes as
    /// [`Event::ProposalEnded`](crate::Event::ProposalEnded).
    ///
    /// # Errors
    /// [`ProposeError`]; nothing was done then.
    pub fn propose(
        &mut self,
        bucket: Bucket,
        payload: Bytes,
        out: &mut Output,
    ) -> Result<CommandId, ProposeError> {
        self.propose_command(bucket, None, payload, out)
    }

    /// As [`propose`](Self::propose), and hands the bucket over: the slot after the command's belongs to `heir`, who must be
    /// a replica's present start and is best one that votes; any other leaves the slot to the slow path.
    ///
    /// # Errors
    /// [`ProposeError`]; nothing was done then.
    pub fn propose_and_hand_over(
        &mut self,
        bucket: Bucket,
        heir: Originator,
        payload: Bytes,
        out: &mut Output,
    ) -> Result<CommandId, ProposeError> {
        self.propose_command(bucket, Some(heir), payload, out)
    }

    fn propose_command(
        &mut self,
        bucket: Bucket,
        heir: Option<Originator>,
        payload: Bytes,
        out: &mut Output,
    ) -> Result<CommandId, ProposeError> {
        let max = self.limits.payload_bytes_max;
        let proposed = self.with(bucket, |replica, numbers| {
            if replica.proposal.is_some() {
                return Err(ProposeError::Busy);
            }
            if !replica.votes() {
                return Err(ProposeError::LearnerOnly);
            }
            if payload.len() > max {
                return Err(ProposeError::TooLarge { max });
            }
            let id = numbers.command_id();
            replica.propose(Command { id: Some(id), heir, payload }, numbers, out);
            Ok(id)
        });
        proposed.unwrap_or(Err(ProposeError::NoReplica))
    }

    /// Sees to it that the open slot is decided: with what may have been chosen there already, else with a no-op. Does nothing
    /// while a proposal is under way, or when this replica does not vote.
    pub fn propose_no_op(&mut self, bucket: Bucket, out: &mut Output) {
        self.with(bucket, |replica, numbers| {
            if replica.proposal.is_none() && replica.votes() {
                replica.propose(Command::no_op(), numbers, out);
            }
        });
    }

    /// A message of another node. Messages of strangers, and for buckets without a replica here, are ignored.
    pub fn receive(&mut self, from: NodeId, mut message: Message, out: &mut Output) {
        self.with(message.bucket, |replica, numbers| {
            let Some(index) = replica.members.index(from) else { return };
            if index != usize::from(replica.me) && message.slot > Slot(0) {
                replica.receive(index, &mut message, numbers, out);
            }
        });
    }

    /// Every record up to this ticket is synced.
    pub fn persisted(&mut self, through: Ticket, out: &mut Output) {
        let mut warmed = 0;
        while self.numbers.first_withheld() <= through
            && let Some(withheld) = self.numbers.withheld.pop_front()
        {
            if warmed == 0 {
                warmed = WITHHELD_AT_ONCE;
                self.warm(self.numbers.withheld.iter().take(warmed).map(|withheld| withheld.bucket));
            }
            warmed -= 1;
            self.with(withheld.bucket, |replica, numbers| replica.synced(withheld.what, numbers, out));
        }
    }

    /// A command that was chosen, from a peer's journal. One that is known already, or not the next, is ignored.
    pub fn learn(&mut self, bucket: Bucket, slot: Slot, command: Command, out: &mut Output) {
        self.with(bucket, |replica, numbers| {
            if slot == replica.open_slot() {
                replica.learn(Ballot::ZERO, Some(command), false, numbers, out);
            }
        });
    }

    /// The driver took over the state of another replica through this slot: all slots up to it are decided. Ignored when that is
    /// known. An own proposal ends as unknown, because it may have been chosen in a slot that was passed over.
    pub fn install(&mut self, bucket: Bucket, slot: Slot, out: &mut Output) {
        self.with(bucket, |replica, numbers| {
            if slot > replica.chosen {
                replica.install(slot, numbers, out);
            }
        });
    }

    /// This replica turned out to have lost, perhaps, what it promised: from now on it only learns (I6).
    pub fn forget(&mut self, bucket: Bucket, out: &mut Output) {
        self.with(bucket, |replica, _| replica.forget(out));
    }

    /// A node turned out to have forgotten something, perhaps: what it has told of its votes and for vote floors does not count, until it
    /// tells it again.
    pub fn disregard(&mut self, node: NodeId) {
        for seat in &mut self.seats {
            // One that rests has heard nothing.
            if let Seat::Awake(replica) = seat {
                if let Some(index) = replica.members.index(node) {
                    replica.disregard(index);
                }
                seat.settle(&mut self.spare);
            }
        }
    }

    /// The operator gives up what a majority has lost: a replica that [is silent](Self::is_silent) votes at once, from the slot after the highest
    /// that it, or whoever could still be asked (`chosen`), knows to be chosen. Says which one that is, unless the replica votes already.
    /// **Breaks I6: acknowledged commands may be decided anew.**
    pub fn vote_in_spite_of_loss(&mut self, bucket: Bucket, chosen: Slot, out: &mut Output) -> Option<Slot> {
        self.with(bucket, |replica, numbers| replica.vote_in_spite_of_loss(chosen, numbers, out))?
    }

    /// The driver's timer: goes on after a backoff; otherwise tells the open slot's record to whoever is not known to have it.
    pub fn retry(&mut self, bucket: Bucket, out: &mut Output) {
        self.with(bucket, |replica, numbers| replica.retry(numbers, out));
    }

    /// From now on fast accepts ask only as many of the others for their votes as make a majority, and these nodes first, the first of them
    /// before all. Where too few of them are members, everybody is asked, as before any call of this.
    pub fn ask_first(&mut self, nodes: impl Iterator<Item = NodeId>) {
        self.numbers.asked_first.clear();
        self.numbers.asked_first.extend(nodes);
    }

    /// The driver's timer: asks whoever was not asked yet for a vote on the own proposal, and says who was asked and has not voted.
    pub fn widen(&mut self, bucket: Bucket, out: &mut Output) -> Vec<NodeId> {
        self.with(bucket, |replica, _| replica.widen(out)).unwrap_or_default()
    }

    /// The buckets in whose open slot this replica, voting, has promised or accepted something, and how many bytes the payload has that it has
    /// accepted.
    pub fn undecided(&self) -> impl Iterator<Item = (Bucket, usize)> + '_ {
        let seats = (0..).map(Bucket).zip(&self.seats);
        seats.filter_map(|(bucket, seat)| Some((bucket, seat.view()?.undecided()?)))
    }

    /// Whether that is so in a bucket.
    #[must_use]
    pub fn is_undecided(&self, bucket: Bucket) -> bool {
        self.view(bucket).is_some_and(|view| view.undecided().is_some())
    }

    /// Writes down again what this replica, voting, has promised and accepted in the open slot. Once that is synced, no record of that slot from before
    /// this call is needed any more. No message follows from it.
    pub fn renew(&mut self, bucket: Bucket, out: &mut Output) {
        self.with(bucket, |replica, numbers| replica.renew(numbers, out));
    }

    /// Who this core proposes as.
    #[must_use]
    pub const fn me(&self) -> Originator {
        self.numbers.me
    }

    /// How a replica is; the default where there is none.
    #[must_use]
    pub fn status(&self, bucket: Bucket) -> Status {
        self.view(bucket).map_or_else(Status::default, |view| Status {
            chosen: view.chosen,
            owner: view.owner,
            promised: view.promised(),
            accepted: view.accepted_ballot(),
            vote: view.vote,
            proposing: view.proposal().is_some(),
            backed_off: view.proposal().is_some_and(|proposal| proposal.phase == Phase::BackedOff),
        })
    }

    /// Who can probably propose without a first phase: the owner of the open slot; before slot 1, the first member. A hint.
    #[must_use]
    pub fn owner(&self, bucket: Bucket) -> Option<NodeId> {
        let View { chosen, owner, members, .. } = self.view(bucket)?;
        match owner {
            Some(owner) => Some(owner.node),
            None if chosen == Slot(0) => members.as_slice().first().copied(),
            None => None,
        }
    }

    /// Whether a proposal now would need no first phase.
    #[must_use]
    pub fn may_fast(&self, bucket: Bucket) -> bool {
        self.view(bucket).is_some_and(|view| view.may_fast(&self.numbers))
    }

    /// This replica's answer to a read probe. Only synced votes are in it: nobody has counted another one yet.
    #[must_use]
    pub fn fresh(&self, bucket: Bucket) -> Freshness {
        match self.view(bucket) {
            Some(view) => Freshness {
                chosen: view.chosen,
                accepted_next: view.durable().accepted.is_some(),
                voting: view.votes(),
            },
            None => Freshness { chosen: Slot(0), accepted_next: false, voting: false },
        }
    }

    /// The highest slot that this replica has touched: its answer to a learner's floor question. `None` when it does not vote.
    #[must_use]
    pub fn touched(&self, bucket: Bucket) -> Option<Slot> {
        self.view(bucket)?.touched()
    }

    /// Whether a learner-only replica still needs answers to its floor question.
    #[must_use]
    pub fn needs_floor(&self, bucket: Bucket) -> bool {
        self.view(bucket).is_some_and(|view| view.needs_floor())
    }

    /// Whether a replica does not vote in its open slot, and no floor is being recorded that would have it vote sooner. Without the others it stays so.
    #[must_use]
    pub fn is_silent(&self, bucket: Bucket) -> bool {
        self.view(bucket).is_some_and(|view| view.is_silent())
    }

    /// Brings replicas into the processor's caches, several at a time: to be called with the buckets of what is about to come in.
    pub fn warm(&self, buckets: impl Iterator<Item = Bucket>) {
        for bucket in buckets {
            if let Some(seat) = self.seats.get(bucket.0 as usize) {
                seat.look();
            }
        }
    }

    /// Another member's answer to this learner's floor question.
    pub fn floor_answer(&mut self, bucket: Bucket, from: NodeId, touched: Slot, out: &mut Output) {
        self.with(bucket, |replica, numbers| {
            if let Some(index) = replica.members.index(from) {
                replica.floor_answer(index, touched, numbers, out);
            }
        });
    }

    /// How many messages broke a rule of the protocol, and were ignored.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.numbers.refused
    }

    fn view(&self, bucket: Bucket) -> Option<View<'_>> {
        self.seats.get(bucket.0 as usize)?.view()
    }

    /// Does something with a replica, if there is one.
    fn with<T>(&mut self, bucket: Bucket, act: impl FnOnce(&mut Replica, &mut Numbers) -> T) -> Option<T> {
        let seat = self.seats.get_mut(bucket.0 as usize)?;
        let done = act(seat.wake(bucket, &mut self.spare)?, &mut self.numbers);
        seat.settle(&mut self.spare);
        Some(done)
    }
}
