//! What the clients did, and what they were told.

use bytes::Bytes;
use thermocline::machine::Reply;
use thermocline::{Mutation, Position, Version};

/// One operation of a client, all its attempts together.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Who: a client, until it does not know what became of an operation; then it is another.
    pub(crate) process: u64,
    /// What.
    pub(crate) action: Action,
    /// When it was first sent, on a clock that never shows the same twice.
    pub(crate) invoked: u64,
    /// When its outcome was known; `None` while it is not.
    pub(crate) completed: Option<u64>,
    /// Its outcome.
    pub(crate) outcome: Outcome,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A change of one entity, whole or not at all.
    Write {
        /// Which entity.
        entity: u64,
        /// The changes.
        mutations: Vec<Mutation>,
    },
    /// One record.
    Get {
        /// Which entity.
        entity: u64,
        /// Which record.
        position: Position,
    },
    /// All dated records of an entity, up to a limit.
    Scan {
        /// Which entity.
        entity: u64,
        /// Newest first, or oldest first.
        newest_first: bool,
        /// At most so many.
        limit: u32,
    },
}

/// A record as it was read.
pub(crate) type Read = (Position, Version, Bytes);

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing, or that nobody knows: a write may have been applied, or may yet be.
    Unknown,
    /// That it was not applied.
    NotApplied,
    /// That a condition did not hold, and which version there was instead.
    Conflict(Option<Version>),
    /// That it was applied.
    Written(Version),
    /// The record.
    Got(Option<Read>),
    /// The records of a page, and whether there are no more.
    Page(Vec<Read>, bool),
}

impl Outcome {
    /// What a reply says to a reader.
    pub(crate) fn of_read(reply: Reply) -> Option<Self> {
        let read = |record: thermocline::Record| (record.key.position, record.version, record.value);
        match reply {
            Reply::Got(record) => Some(Self::Got(record.map(read))),
            Reply::Page(records, end) => Some(Self::Page(records.into_iter().map(read).collect(), end)),
            _ => None,
        }
    }
}

/// What a write leaves at one position, if it is applied.
#[derive(Clone, Debug)]
pub(crate) struct Change<'a> {
    /// Where.
    pub(crate) position: Position,
    /// The value; `None` for a delete.
    pub(crate) value: Option<&'a Bytes>,
}

/// The changes of a write, position by position.
pub(crate) fn changes(mutations: &[Mutation]) -> impl Iterator<Item = Change<'_>> {
    mutations.iter().filter_map(|mutation| match mutation {
        Mutation::Put { position, value, .. } => Some(Change { position: *position, value: Some(value) }),
        Mutation::Delete { position, .. } => Some(Change { position: *position, value: None }),
        Mutation::Trim { .. } => None,
    })
}

/// What is done to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A few records are read and changed, each for itself.
    Registers,
    /// Records are added and never changed.
    Series,
    /// Records are added, changed, removed and trimmed away; some have expired when they are put.
    Log,
}

/// The first entity that is a log.
pub(crate) const LOGS: u64 = 1_000;

/// What is done to an entity of this number.
pub(crate) fn kind(entity: u64) -> Kind {
    match entity {
        LOGS.. => Kind::Log,
        _ if entity % 2 == 1 => Kind::Series,
        _ => Kind::Registers,
    }
}

/// When a record expires that nobody is ever to see.
pub(crate) const EXPIRED_MS: u64 = 1;

/// The name of an entity.
pub(crate) fn entity(number: u64) -> Bytes {
    Bytes::from(format!("entity-{number}"))
}
