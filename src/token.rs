//! Request tokens: what makes a mutation safe to send twice.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, quoted};

/// How many slots after its birth a mutation may still be applied. Past them a copy of it that turns up is refused.
pub(crate) const TOKEN_SLOTS: u64 = 64;

/// How many slots an outcome is remembered after the slot that decided it. At least [`TOKEN_SLOTS`], so that no copy
/// of a mutation can be applied after its outcome was forgotten.
pub(crate) const OUTCOME_SLOTS: u64 = 128;

/// Names one mutation, at every node and for every retry.
///
/// A token is bound to a bucket and to a place in the bucket's log (its *birth*): the mutation is applied within 64
/// slots of it or never. That bound is what lets outcomes be forgotten without ever applying a mutation twice.
///
/// Every mutation has one, made for it or given by the caller. It comes from [`Store::new_token`](crate::Store::new_token)
/// before the mutation or from [`Error::Unknown`] after it, can be kept as text, and goes into
/// [`Store::resolve`](crate::Store::resolve) or into the same mutation sent again.
///
/// ```
/// use thermocline::Token;
/// let token: Token = "00000000000000ab-1-2f-9".parse()?;
/// assert_eq!(token.to_string(), "00000000000000ab-1-2f-9");
/// assert!("ab-1-2f".parse::<Token>().is_err());
/// # Ok::<(), thermocline::Error>(())
/// ```
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

/// What became of a mutation; the answer of [`Store::resolve`](crate::Store::resolve).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It was applied, with this version.
    Committed(crate::Version),
    /// It was not applied and never will be.
    NotCommitted,
    /// Its outcome is older than what the bucket remembers: it may have been applied long ago, and will not be applied
    /// from now on.
    Forgotten,
}

/// Client, counter, bucket and birth in hexadecimal, with hyphens between them.
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

    /// # Errors
    /// [`Error::Invalid`] for what [`Display`](fmt::Display) does not write.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::invalid("token", quoted(text), "client-counter-bucket-born in hexadecimal");
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            digits.then(|| u64::from_str_radix(part, 16).ok()).flatten().ok_or_else(invalid)
        };
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or_else(invalid).and_then(number);
        let (client, counter, bucket, born) = (next()?, next()?, next()?, next()?);
        let bucket = u32::try_from(bucket).map_err(|_| invalid())?;
        if parts.next().is_some() {
            return Err(invalid());
        }
        Ok(Self { client, counter, bucket, born })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_as_text() {
        for token in [
            Token { client: 0, counter: 0, bucket: 0, born: 0 },
            Token { client: 0xab, counter: 1, bucket: 0x2f, born: 9 },
            Token { client: u64::MAX, counter: u64::MAX, bucket: u32::MAX, born: u64::MAX },
        ] {
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    #[test]
    fn text_that_is_no_token_is_refused() {
        let huge = "f".repeat(100_000);
        for text in [
            "",
            "-",
            "1",
            "1-2-3",
            "1-2-3-",
            "-1-2-3-4",
            "1-2-3-4-5",
            "1-2-3-4-",
            "1--2-3-4",
            "+1-2-3-4",
            "1-2-3-x",
            " 1-2-3-4",
            "1-2-3-4\n",
            "1-2-100000000-4",
            "10000000000000000-2-3-4",
            "1-2-3-é",
            &huge,
        ] {
            let Err(Error::Invalid { what, value, .. }) = text.parse::<Token>() else {
                panic!("{} was taken", quoted(text));
            };
            assert_eq!((what.as_str(), value), ("token", quoted(text)));
        }
    }
}
