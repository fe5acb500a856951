//! What a slot decides, and what a replica makes durable about it.

use bytes::Bytes;

use crate::{Ballot, Originator, Slot};

/// Names a command: a node numbers its commands within each of its starts, so equal ids mean equal commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId {
    /// Who first proposed it.
    pub originator: Originator,
    /// Its number there.
    pub sequence: u64,
}

/// What one slot decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// Its name; `None` for a no-op, which has no originator. All no-ops are equal.
    pub id: Option<CommandId>,
    /// Who owns the next slot, if that is not the originator: a bucket is handed over with a command (F1). `None` for a no-op.
    pub heir: Option<Originator>,
    /// The driver's bytes; opaque here. Empty for a no-op.
    pub payload: Bytes,
}

impl Command {
    /// The command that changes nothing.
    #[must_use]
    pub const fn no_op() -> Self {
        Self { id: None, heir: None, payload: Bytes::new() }
    }

    /// Who first proposed it.
    #[must_use]
    pub fn originator(&self) -> Option<Originator> {
        self.id.map(|id| id.originator)
    }

    /// Who may use fast accept in the slot after the one that decides this: its heir, or else its originator (F1).
    #[must_use]
    pub fn next_owner(&self) -> Option<Originator> {
        self.heir.or(self.originator())
    }
}

/// A change of a replica's durable state. Records of a bucket are written, and replayed, in the order they were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// Nothing below `ballot` will be accepted.
    Promise {
        /// Where.
        slot: Slot,
        /// What was promised.
        ballot: Ballot,
    },
    /// A vote for a command; promises its ballot too.
    Accept {
        /// Where.
        slot: Slot,
        /// At which ballot.
        ballot: Ballot,
        /// For what.
        command: Command,
    },
    /// The slot is decided, with another command than this replica voted for last.
    Chosen {
        /// Where.
        slot: Slot,
        /// What.
        command: Command,
    },
    /// This replica lost its memory, and votes only from this slot on.
    Floor {
        /// The first slot that it may vote in.
        slot: Slot,
    },
    /// The state through this slot comes whole from another replica: all of these slots are decided, and what was recorded of them before counts
    /// for nothing.
    Installed {
        /// The last slot that came.
        slot: Slot,
    },
}

impl Record {
    /// Where it belongs.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        match self {
            Self::Promise { slot, .. }
            | Self::Accept { slot, .. }
            | Self::Chosen { slot, .. }
            | Self::Floor { slot }
            | Self::Installed { slot } => *slot,
        }
    }
}
