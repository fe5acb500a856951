//! Request tokens: what makes a mutation safe to send twice.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// How many slots after its birth a mutation may still be applied. Past them a copy of it that turns up is refused.
pub(crate) const TOKEN_SLOTS: u64 = 64;

/// How many slots an outcome is remembered after the slot that decided it. At least [`TOKEN_SLOTS`], so that no copy
/// of a mutation can be applied after its outcome was forgotten.
pub(crate) const OUTCOME_SLOTS: u64 = 128;

/// Names one mutation, at every node and for every retry.
///
/// A token is bound to a bucket and to a place in the bucket's log (its *birth*): the mutation is applied within 64
/// slots of it or never. That bound is what lets outcomes be forgotten without ever applying a mutation twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    /// Who made it: random for each open [`Store`](crate::Store).
    pub(crate) client: u64,
    /// Counts the client's mutations.
    pub(crate) counter: u64,
    /// The bucket that the mutation belongs to.
    pub(crate) bucket: u32,
    /// A slot that was chosen in the bucket when the token was made.
    pub(crate) born: u64,
}

/// What became of a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It was applied, with this version.
    Committed(crate::Version),
    /// It was not applied and never will be.
    NotCommitted,
    /// Its outcome is older than what the bucket remembers.
    Forgotten,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:x}-{:x}-{:x}", self.client, self.counter, self.bucket, self.born)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::invalid("token", text.escape_debug().to_string(), "client-counter-bucket-born in hexadecimal");
        let mut parts = text.split('-').map(|part| u64::from_str_radix(part, 16).map_err(|_| invalid()));
        let mut next = || parts.next().unwrap_or_else(|| Err(invalid()));
        let (client, counter, bucket, born) = (next()?, next()?, next()?, next()?);
        let bucket = u32::try_from(bucket).map_err(|_| invalid())?;
        if parts.next().is_some() {
            return Err(invalid());
        }
        Ok(Self { client, counter, bucket, born })
    }
}
