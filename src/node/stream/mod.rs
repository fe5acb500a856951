//! Streaming: a replica that lacks slots of many buckets gets them in the order of a peer's journal.
//!
//! Who was away lacks the same stretch of time in all its buckets. Asked for bucket by bucket (`catch_up.rs`), its peer would look for
//! each of their records by itself, all over that stretch. Here it reads the stretch once, from the oldest record that is wanted on, and
//! sends those that are, in numbered parts (`outgoing.rs`). It sends a part when it is asked for it, so that who catches up sets the pace
//! (`incoming.rs`); parts that do not come are asked for again, from the first one that is missing on.
//!
//! **What is sent was chosen.** The last record of a slot is what was chosen there, once all is synced that was recorded until the slot was
//! known to be chosen. So only what was chosen when a stream was asked for is sent, once all that was recorded until then is synced; and of
//! the records of a slot only the last, which is where the journal's index says.

mod commands;
mod incoming;
mod outgoing;

use std::collections::BTreeMap;

use thermocline_paxos::{Bucket, NodeId, Slot};

use self::incoming::Incoming;
use self::outgoing::Outgoing;

pub(crate) use self::commands::{Commands, Streamed};
pub(crate) use self::outgoing::{Stretch, StretchWanted};

/// So many parts are asked for ahead of the one that is taken in: a question and its answer each wait for a turn at both nodes, and for a
/// read.
pub(crate) const PARTS_AHEAD: u32 = 8;

/// A part is closed when it has so many bytes of commands, or so much of the journal was read for it. So all that is under way fits the
/// buffer of a link, beside what is fetched bucket by bucket. A smaller one would wait longer for its turns than it takes to be read.
pub(crate) const PART_BYTES: usize = 256 << 10;

/// So much of the journal is read for a part at most, about, in bytes; and so much at a time.
pub(crate) const STRETCH_BYTES: u32 = 4 << 20;
pub(crate) const READ_BYTES: u32 = 512 << 10;

/// A source remembers where so many parts begin that it has sent: more than can be asked for again.
const SENT_MAX: u32 = 2 * PARTS_AHEAD;

/// The streams of a worker.
#[derive(Default)]
pub(super) struct Streams {
    /// The one that this replica catches up by.
    incoming: Option<Incoming>,
    /// Those that others catch up by, by the node and the number that it has given them.
    outgoing: BTreeMap<(NodeId, u64), Outgoing>,
    /// How many others have begun.
    begun: u64,
    /// Memory that is used again.
    some: Vec<Streamed>,
}

/// A part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamPart {
    pub(crate) stream: u64,
    /// Which one it is, from 0.
    pub(crate) part: u32,
    pub(crate) commands: Commands,
    /// Whether it is the last one.
    pub(crate) ended: bool,
}

impl Streams {
    /// Whether nothing comes by a stream.
    pub(super) fn is_idle(&self) -> bool {
        self.incoming.is_none()
    }

    /// Whether something has come that is to be taken in.
    pub(super) fn has_come(&self) -> bool {
        self.incoming.as_ref().is_some_and(Incoming::has_come)
    }

    /// How many buckets wait for something that a stream is to bring, or were to.
    pub(super) fn left(&self) -> usize {
        self.incoming.as_ref().map_or(0, Incoming::buckets)
    }

    /// Through which slot a stream is to bring what this bucket lacks, or was to.
    pub(super) fn through(&self, bucket: Bucket) -> Option<Slot> {
        self.incoming.as_ref()?.through(bucket)
    }

    /// Whether a stream is to bring what this bucket lacks; then it is known to lack all through this slot.
    pub(super) fn brings(&mut self, bucket: Bucket, through: Slot) -> bool {
        self.incoming.as_mut().is_some_and(|incoming| incoming.brings(bucket, through))
    }
}
