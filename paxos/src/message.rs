//! The one protocol message.

use crate::{Ballot, Bucket, Command, CommandId, Slot};

/// A replica's own record of a slot, sent to another replica of the bucket, with what it last knew of the receiver's.
///
/// It is a request and an answer in one. The receiver promises `promised` and accepts `accepted` where its own promise
/// lets it, counts the sender's vote if it is `durable`, and answers if its own record is then newer than `known`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Which log.
    pub bucket: Bucket,
    /// Which slot of it.
    pub slot: Slot,
    /// The highest ballot that the sender has promised; [`Ballot::ZERO`] for none.
    pub promised: Ballot,
    /// What the sender has accepted last, or knows to be chosen.
    pub accepted: Option<Accepted>,
    /// Whether `promised` and `accepted` are synced at the sender. If not, they are a request, and not a vote.
    pub durable: bool,
    /// Whether `accepted` is chosen.
    pub chosen: bool,
    /// Whether the sender was sent a value by its name only, and does not hold it.
    pub missing: bool,
    /// What the sender knows of the receiver's record of the slot.
    pub known: Known,
    /// The highest slot that the sender knows to be chosen.
    pub chosen_through: Slot,
}

/// A value at a ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Accepted {
    /// The ballot.
    pub ballot: Ballot,
    /// The command's name; `None` for a no-op.
    pub id: Option<CommandId>,
    /// The command; `None` when the receiver is known, or was sent, to hold it.
    pub command: Option<Command>,
}

/// What is known of another replica's durable record of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Known {
    /// The highest ballot it has promised.
    pub promised: Ballot,
    /// The ballot of what it accepted last.
    pub accepted: Ballot,
}
