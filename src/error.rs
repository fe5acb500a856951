//! What can go wrong, sorted by what the caller can do about it.

use crate::key::Version;
use crate::token::Token;

/// Why a call did not succeed. Three of the kinds differ in what is known of a mutation: [`Error::Unknown`] may or may
/// not have been applied; every other kind means that it was definitely not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's argument or configuration is out of bounds; nothing was done.
    #[error("invalid {what}: {value}; must be {bound}")]
    Invalid {
        /// The argument or field.
        what: String,
        /// What it was.
        value: String,
        /// What it may be.
        bound: String,
    },
    /// A condition on a version did not hold; nothing was written.
    #[error("conflict: the version is {}", .current.map_or_else(|| "none".to_owned(), |v| v.to_string()))]
    Conflict {
        /// The record's version, `None` when there is no record.
        current: Option<Version>,
    },
    /// Other writers kept winning the bucket; not applied. Try again.
    #[error("contended: other writers kept winning; not applied")]
    Contended,
    /// A bounded queue or disk is full; not applied. Try again later.
    #[error("overloaded: {what} is full (limit {limit})")]
    Overloaded {
        /// The full thing.
        what: &'static str,
        /// Its limit, with the unit.
        limit: String,
    },
    /// No majority answered in time, or none can; definitely not applied. Try again.
    #[error("unavailable: {reason}; not applied")]
    Unavailable {
        /// What was missing.
        reason: String,
    },
    /// The mutation may or may not have been applied: ask with [`Store::resolve`](crate::Store::resolve), or retry with the same token.
    #[error("unknown outcome of {0}")]
    Unknown(Token),
    /// Bytes on a disk do not match their checksum; they were not used.
    #[error("corrupt: {what}")]
    Corrupt {
        /// File, offset and what was wrong.
        what: String,
    },
    /// The disk refused: directory in use, foreign, unreadable, out of order.
    #[error("storage: {what}")]
    Storage {
        /// The file and the cause.
        what: String,
    },
    /// The store is closed, or closing.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// An [`Error::Invalid`].
    pub(crate) fn invalid(what: impl Into<String>, value: impl Into<String>, bound: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), value: value.into(), bound: bound.into() }
    }

    /// Whether the same call can succeed later without a change by the caller. For [`Error::Unknown`] retry with its token.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Contended | Self::Overloaded { .. } | Self::Unavailable { .. } | Self::Unknown(_))
    }
}
