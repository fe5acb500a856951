//! What can go wrong, sorted by what the caller can do about it.

use crate::key::Version;
use crate::token::Token;

/// Why a call did not succeed, sorted by what the caller can do about it.
///
/// | kind | of a mutation is known | the caller can |
/// |---|---|---|
/// | [`Invalid`](Self::Invalid) | not applied | mend the argument or the setting that it names |
/// | [`Conflict`](Self::Conflict) | not applied | read again, decide again with the version that it names |
/// | [`Contended`](Self::Contended) | not applied | try again |
/// | [`Overloaded`](Self::Overloaded) | not applied | slow down, then try again |
/// | [`Unavailable`](Self::Unavailable) | not applied | try again; if it lasts, look at the nodes |
/// | [`Unknown`](Self::Unknown) | **nothing** | ask with its token, or send the same again under it |
/// | [`Corrupt`](Self::Corrupt) | not applied | read from another node; have the disk looked at |
/// | [`Storage`](Self::Storage) | not applied | mend the directory or disk that it names |
/// | [`Closed`](Self::Closed) | not applied | open the store again |
///
/// A read has nothing to apply: whatever the error, it can simply be made again.
///
/// ```
/// use thermocline::{Error, Key, Resolution, Store, Version};
///
/// /// Puts a record, and finds out what became of it when that is unclear.
/// async fn put_surely(store: &Store, key: &Key, value: &'static str) -> Result<Option<Version>, Error> {
///     match store.put(key, value).await {
///         Ok(version) => Ok(Some(version)),
///         Err(Error::Unknown(token)) => match store.resolve(&token).await? {
///             Resolution::Committed(version) => Ok(Some(version)),
///             Resolution::NotCommitted => Ok(None),
///             Resolution::Forgotten => Err(Error::Unknown(token)),
///         },
///         Err(error) => Err(error),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument, a setting or a topology is out of bounds. Nothing was done.
    ///
    /// Mend what it names; the same call fails again.
    #[error("invalid {what}: {value}; must be {bound}")]
    Invalid {
        /// The argument or field.
        what: String,
        /// What it was; long text is cut.
        value: String,
        /// What it may be.
        bound: String,
    },
    /// A condition did not hold: [`if_version`](crate::Put::if_version), [`if_absent`](crate::Put::if_absent),
    /// [`if_present`](crate::Put::if_present). Nothing was written.
    ///
    /// Read the record again and decide again.
    #[error("conflict: the version is {}", .current.map_or_else(|| "none".to_owned(), |v| v.to_string()))]
    Conflict {
        /// The record's version, `None` when there is no record.
        current: Option<Version>,
    },
    /// Other writers kept winning the bucket. Not applied.
    ///
    /// Try again at once, or better after a short random pause.
    #[error("contended: other writers kept winning; not applied")]
    Contended,
    /// A bounded queue or a disk is full. Not applied. (A write under a token that its caller brought is refused with
    /// [`Unknown`](Self::Unknown): of earlier attempts a full queue knows nothing.)
    ///
    /// Try again later, with fewer calls under way.
    #[error("overloaded: {what} is full (limit {limit})")]
    Overloaded {
        /// The full thing.
        what: &'static str,
        /// Its limit, with the unit.
        limit: String,
    },
    /// No majority answered within the deadline, or none can. Definitely not applied.
    ///
    /// Try again; when it lasts, more than a minority of some bucket's replicas is down or cut off.
    #[error("unavailable: {reason}; not applied")]
    Unavailable {
        /// What was missing.
        reason: String,
    },
    /// The mutation may or may not have been applied, or may yet be.
    ///
    /// Ask with [`Store::resolve`](crate::Store::resolve), or send the same mutation again under this token: it is
    /// applied at most once, and the answer is that of the first time.
    #[error("unknown outcome of {0}")]
    Unknown(Token),
    /// Bytes on a disk do not match their checksum. They were not used.
    ///
    /// The other replicas have good copies; this disk wants looking at.
    #[error("corrupt: {what}")]
    Corrupt {
        /// File, offset and what was wrong.
        what: String,
    },
    /// The operating system, a disk or the directory refused; `kind` says how.
    ///
    /// Mend what it names, then open the store again.
    #[error("storage: {what}")]
    Storage {
        /// What is to be mended: another process, a setting, a disk without room, a broken disk.
        kind: StorageKind,
        /// The file and the cause.
        what: String,
    },
    /// The store is closed, or closing. Not applied.
    #[error("the store is closed")]
    Closed,
}

/// What stands behind an [`Error::Storage`].
///
/// ```
/// use thermocline::{Config, Error, StorageKind, Store};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let root = tempfile::tempdir()?;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let config = Config::embedded(root.path());
/// let store = Store::open(config.clone()).await?;
/// let second = Store::open(config).await.err();
/// assert!(matches!(second, Some(Error::Storage { kind: StorageKind::Locked, .. })));
/// # store.close().await;
/// # Ok::<(), Error>(())
/// # })?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorageKind {
    /// Another process, or another store of this one, has the directory.
    Locked,
    /// The directory is another node's or another cluster's, was made with other fixed settings, or in a format that this
    /// version does not know.
    Foreign,
    /// The disk or the quota has no room.
    Full,
    /// A write or a sync failed that a promise depends on. It is not tried again: the node takes no part any more until it is
    /// opened anew.
    SyncFailed,
    /// The disk or the file system refused to open, read or write.
    Io,
    /// The operating system refused something else: a thread, an address, random numbers.
    System,
}

impl StorageKind {
    /// What an operating system's error about a file amounts to.
    pub(crate) fn of(error: &std::io::Error) -> Self {
        if thermocline_tiers::disk::is_full(error) { Self::Full } else { Self::Io }
    }
}

/// What an [`Error::Overloaded`] names while the journal's disk has no room.
pub(crate) const JOURNAL_DISK: &str = "the journal's disk";
/// What it names while something else is full. Nodes tell one another which of these it is, by number.
pub(crate) const WRITES_UNDER_WAY: &str = "the memory for writes under way";
pub(crate) const PART_MEMORY: &str = "the memory of a part";
pub(crate) const CALLS: &str = "the queue of calls";

impl Error {
    /// An [`Error::Storage`].
    pub(crate) fn storage(kind: StorageKind, what: impl Into<String>) -> Self {
        Self::Storage { kind, what: what.into() }
    }

    /// The [`Error::Storage`] of a file that the operating system refused.
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::storage(StorageKind::of(error), format!("{}: {error}", path.display()))
    }

    /// The same, of what a data directory holds: its own names begin there.
    pub(crate) fn in_directory(self, directory: &std::path::Path) -> Self {
        let there = |what: String| format!("{}: {what}", directory.display());
        match self {
            Self::Storage { kind, what } => Self::Storage { kind, what: there(what) },
            Self::Corrupt { what } => Self::Corrupt { what: there(what) },
            other => other,
        }
    }

    /// An [`Error::Invalid`].
    pub(crate) fn invalid(
        what: impl Into<String>,
        value: impl Into<String>,
        bound: impl Into<String>,
    ) -> Self {
        Self::Invalid { what: what.into(), value: value.into(), bound: bound.into() }
    }

    /// What a refusal says of a mutation whose caller brought the token: only this attempt was not applied. Of the attempts before
    /// it, which may have been applied, the refusal knows nothing.
    pub(crate) fn of_attempt(self, given: Option<Token>) -> Self {
        given.map_or(self, Self::Unknown)
    }

    /// Whether the same call can succeed later without a change by the caller. Of [`Error::Unknown`] that holds for a
    /// mutation that is sent again *under its token*; without the token it might be applied twice.
    ///
    /// ```
    /// use thermocline::Error;
    /// assert!(Error::Contended.is_retryable());
    /// assert!(!Error::Conflict { current: None }.is_retryable());
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Contended | Self::Overloaded { .. } | Self::Unavailable { .. } | Self::Unknown(_)
        )
    }
}

/// Text from outside as an error shows it: escaped, and cut where it is long.
pub(crate) fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let shown: String = text.chars().take(CHARS_MAX).collect();
    let rest = if shown.len() < text.len() { format!("... ({} bytes)", text.len()) } else { String::new() };
    format!("\"{}\"{rest}", shown.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_escaped_and_cut() {
        assert_eq!(quoted("a\n\"b"), r#""a\n\"b""#);
        let long = "é".repeat(81);
        assert_eq!(quoted(&long), format!("\"{}\"... (162 bytes)", "é".repeat(80)));
    }

    #[test]
    fn an_error_says_what_value_and_bound() {
        let error = Error::invalid("limit", "0 records", "1 to 10000 records");
        assert_eq!(error.to_string(), "invalid limit: 0 records; must be 1 to 10000 records");
        let none = Error::Conflict { current: None };
        assert_eq!(none.to_string(), "conflict: the version is none");
        let some = Error::Conflict { current: Some(Version(7)) };
        assert_eq!(some.to_string(), "conflict: the version is 7");
    }

    #[test]
    fn what_can_be_tried_again_says_so() {
        let token = Token { client: 1, counter: 2, bucket: 3, born: 4 };
        let retryable = [
            Error::Contended,
            Error::Overloaded { what: "queue", limit: "1 call".to_owned() },
            Error::Unavailable { reason: "no majority".to_owned() },
            Error::Unknown(token),
        ];
        assert!(retryable.iter().all(Error::is_retryable));
        let final_ones = [
            Error::invalid("limit", "0", "1"),
            Error::Conflict { current: None },
            Error::Corrupt { what: "block".to_owned() },
            Error::storage(StorageKind::Locked, "directory"),
            Error::Closed,
        ];
        assert!(!final_ones.iter().any(Error::is_retryable));
    }
}
