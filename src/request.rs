//! What a node can be asked, and what it answers: the one border between the facade, the node and its peers.

use bytes::Bytes;

use crate::error::Error;
use crate::key::{Key, Position, Record, Version};
use crate::token::{Resolution, Token};

/// How fresh a read must be.
///
/// ```
/// use thermocline::Consistency;
/// assert_eq!(Consistency::default(), Consistency::Linearizable);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Sees every write that was acknowledged before the read began, wherever it was made.
    #[default]
    Linearizable,
    /// What the asked node has applied, without asking anyone. May be old; never corrupt; says its version.
    Stale,
}

/// What must hold of the record for a mutation to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    Any,
    /// There is no record.
    Absent,
    /// There is a record, whatever its version.
    Present,
    /// The record has this version.
    Version(Version),
}

/// One change to one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Stores a value.
    Put {
        /// Where.
        position: Position,
        /// What.
        value: Bytes,
        /// Until when, in milliseconds since the Unix epoch.
        expires_at: Option<u64>,
        /// On what condition.
        expect: Expect,
    },
    /// Removes a record; removing none is fine.
    Delete {
        /// Where.
        position: Position,
        /// On what condition.
        expect: Expect,
    },
    /// Removes every dated record up to and including a timestamp.
    Trim {
        /// The newest timestamp that goes, in milliseconds.
        through: u64,
    },
}

impl Mutation {
    /// On what condition.
    pub(crate) fn expect(&self) -> Expect {
        match self {
            Self::Put { expect, .. } | Self::Delete { expect, .. } => *expect,
            Self::Trim { .. } => Expect::Any,
        }
    }
}

/// A range scan over one entity's dated records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScanQuery {
    /// Whose records.
    pub(crate) entity: Bytes,
    /// The oldest position wanted, inclusive.
    pub(crate) from: Position,
    /// The newest position wanted, inclusive.
    pub(crate) to: Position,
    /// Newest first, or oldest first.
    pub(crate) newest_first: bool,
    /// At most so many records.
    pub(crate) limit_records: u32,
    /// At most so many bytes of values; the first record comes whatever its size.
    pub(crate) limit_bytes: u32,
}

/// What a node is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Apply all mutations to the entity, or none.
    Write {
        /// Whose records.
        entity: Bytes,
        /// The changes, at most one a position.
        mutations: Vec<Mutation>,
        /// The token of an earlier attempt, if this is a retry.
        token: Option<Token>,
    },
    /// One record.
    Get(Key),
    /// A page of records.
    Scan(ScanQuery),
    /// What became of a mutation.
    Resolve(Token),
    /// A token for a mutation of an entity that is still to be made.
    NewToken {
        /// Whose records it will change.
        entity: Bytes,
    },
}

impl Ask {
    /// The token that the caller of a write brought.
    pub(crate) fn given_token(&self) -> Option<Token> {
        match self {
            Self::Write { token, .. } => *token,
            _ => None,
        }
    }
}

/// A question with its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The question.
    pub(crate) ask: Ask,
    /// How long the caller waits, in milliseconds from now.
    pub(crate) deadline_ms: u32,
    /// How fresh a read must be.
    pub(crate) consistency: Consistency,
}

/// What a node answers: always the kind that fits the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The write was applied with this version.
    Written(Version),
    /// The record, if there is one.
    Got(Option<Record>),
    /// The records of a page, and whether the range is exhausted.
    Page {
        /// The records in the order asked for.
        records: Vec<Record>,
        /// Nothing lies behind the last one.
        end: bool,
    },
    /// What became of the mutation.
    Resolved(Resolution),
    /// A fresh token.
    Token(Token),
    /// A forwarded write came too many slots after its token's birth; no copy of it ever applies. Nodes say this to one another only.
    Expired {
        /// A slot that is chosen in the bucket.
        chosen: u64,
    },
    /// A forwarded write's token was taken out of use; no copy of it was or will be applied. Nodes say this to one another only.
    Burned,
}

/// The outcome of a request.
pub(crate) type Outcome = Result<Answer, Error>;
