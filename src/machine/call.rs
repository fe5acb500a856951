//! What a machine can be asked, and what it answers.

use bytes::Bytes;

use crate::error::Error;
use crate::key::{Key, Position, Record, Version};
use crate::request::{Answer, Ask, Consistency, Expect, Mutation, Outcome, Request, ScanQuery};
use crate::token::{Resolution, Token};

/// A question to a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Apply all mutations to the entity, or none.
    Write {
        /// Whose records.
        entity: Bytes,
        /// The changes.
        mutations: Vec<Mutation>,
        /// The token of an earlier attempt, or one that was asked for.
        token: Option<Token>,
    },
    /// One record.
    Get(Key),
    /// A page of an entity's dated records between two positions.
    Scan {
        /// Whose records.
        entity: Bytes,
        /// The oldest position, inclusive.
        from: Position,
        /// The newest position, inclusive.
        to: Position,
        /// Newest first, or oldest first.
        newest_first: bool,
        /// At most so many records.
        limit: u32,
    },
    /// What became of a mutation.
    Resolve(Token),
    /// A token for a mutation of an entity.
    NewToken {
        /// Whose records it will change.
        entity: Bytes,
    },
}

/// An answer of a machine: always the kind that fits the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The write was applied.
    Written(Version),
    /// The record, if there is one.
    Got(Option<Record>),
    /// The records of a page, and whether the range is exhausted.
    Page(Vec<Record>, bool),
    /// What became of the mutation.
    Resolved(Resolution),
    /// A fresh token.
    Token(Token),
}

impl Call {
    /// Puts a record, whatever is there.
    #[must_use]
    pub fn put(key: &Key, value: impl Into<Bytes>) -> Self {
        let put = Mutation::Put {
            position: key.position,
            value: value.into(),
            expires_at: None,
            expect: Expect::Any,
        };
        Self::Write { entity: key.entity.clone(), mutations: vec![put], token: None }
    }

    /// The entity's hash, and the request.
    pub(super) fn into_request(self, deadline_ms: u32, consistency: Consistency) -> (u64, Request) {
        let hash = match &self {
            Self::Write { entity, .. } | Self::NewToken { entity } | Self::Scan { entity, .. } => {
                crate::node::entity_hash(entity)
            }
            Self::Get(key) => crate::node::entity_hash(&key.entity),
            Self::Resolve(_) => 0,
        };
        let ask = match self {
            Self::Write { entity, mutations, token } => Ask::Write { entity, mutations, token },
            Self::Get(key) => Ask::Get(key),
            Self::Scan { entity, from, to, newest_first, limit } => Ask::Scan(ScanQuery {
                entity,
                from,
                to,
                newest_first,
                limit_records: limit,
                limit_bytes: 1 << 20,
            }),
            Self::Resolve(token) => Ask::Resolve(token),
            Self::NewToken { entity } => Ask::NewToken { entity },
        };
        (hash, Request { ask, deadline_ms, consistency })
    }
}

/// An outcome, as a test sees it.
pub(super) fn reply(outcome: Outcome) -> Result<Reply, Error> {
    outcome.map(|answer| match answer {
        Answer::Written(version) => Reply::Written(version),
        Answer::Got(record) => Reply::Got(record),
        Answer::Page { records, end } => Reply::Page(records, end),
        Answer::Resolved(resolution) => Reply::Resolved(resolution),
        Answer::Token(token) => Reply::Token(token),
        Answer::Expired { .. } | Answer::Burned => unreachable!("nodes say this to one another only"),
    })
}
