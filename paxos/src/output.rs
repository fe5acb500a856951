//! What a core wants from its driver.

use alloc::vec::Vec;

use crate::{Bucket, Command, CommandId, Message, NodeId, Record, Slot, Ticket};

/// Everything that a core asks for and tells, since the driver emptied it. Owned by the driver, so that its memory is reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// To be written to the journal in this order; [`Core::persisted`](crate::Core::persisted) says how far it is synced.
    pub persist: Vec<Persist>,
    /// To be sent. May be lost, doubled, late, and out of order.
    pub send: Vec<Send>,
    /// What happened.
    pub events: Vec<Event>,
}

impl Output {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.persist.is_empty() && self.send.is_empty() && self.events.is_empty()
    }
}

/// A record to be made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persist {
    /// Its number.
    pub ticket: Ticket,
    /// Whose.
    pub bucket: Bucket,
    /// What.
    pub record: Record,
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// To whom.
    pub to: NodeId,
    /// What.
    pub message: Message,
    /// Whether it may wait for others to the same node: it tells a decision, and no proposal of another node follows from it. Those of this
    /// node are sent after it.
    pub can_wait: bool,
}

/// Something that a driver wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A slot is decided. Once for each slot, in the order of the slots of a bucket.
    Chosen {
        /// Which log.
        bucket: Bucket,
        /// Where.
        slot: Slot,
        /// What.
        command: Command,
    },
    /// An own proposal is over.
    ProposalEnded {
        /// Which log.
        bucket: Bucket,
        /// Which command.
        id: CommandId,
        /// How.
        outcome: ProposalOutcome,
    },
    /// `peer` knows slots through `through` to be chosen that this replica lacks: fetch them, and [`learn`](crate::Core::learn) them.
    Behind {
        /// Which log.
        bucket: Bucket,
        /// Who has them.
        peer: NodeId,
        /// The last one it is known to have.
        through: Slot,
    },
    /// `peer` lacks slots that are chosen here.
    PeerBehind {
        /// Which log.
        bucket: Bucket,
        /// Who lacks them.
        peer: NodeId,
        /// The last slot that it may have.
        chosen: Slot,
    },
    /// An own proposal met a higher ballot: wait a short random time, then call [`retry`](crate::Core::retry).
    Backoff {
        /// Which log.
        bucket: Bucket,
        /// How often it was prepared so far.
        attempt: u8,
    },
    /// A replica that lost its memory votes again, from this slot on.
    VotingFrom {
        /// Which log.
        bucket: Bucket,
        /// The vote floor.
        slot: Slot,
    },
}

/// How an own proposal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProposalOutcome {
    /// It was chosen in this slot.
    ChosenAt(Slot),
    /// It was given up, and is chosen nowhere, nor ever will be.
    Contended,
    /// It was given up while a vote for it may be under way: it may still be chosen.
    Unknown,
}
