//! Keys: who a record belongs to, and where in time it lies.

use std::fmt;

use bytes::Bytes;

use crate::error::Error;

/// The longest entity, in bytes.
pub const ENTITY_BYTES_MAX: usize = 1024;

/// Who a series of records belongs to: a user, an inbox, a device. 1 to [`ENTITY_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity(Bytes);

impl Entity {
    /// Checks the length.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the entity is empty or longer than [`ENTITY_BYTES_MAX`].
    pub fn new(entity: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = entity.into();
        if bytes.is_empty() || bytes.len() > ENTITY_BYTES_MAX {
            return Err(Error::invalid("entity", format!("{} bytes", bytes.len()), "1 to 1024 bytes"));
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Where in its entity's series a record lies. Undated comes before every date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// The one record of the entity without a date.
    Undated,
    /// A date, and a sequence that tells records of the same millisecond apart.
    Dated {
        /// Milliseconds since the Unix epoch, or of any other time line that the caller keeps to.
        timestamp: u64,
        /// Order within the millisecond.
        sequence: u64,
    },
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undated => f.write_str("undated"),
            Self::Dated { timestamp, sequence } => write!(f, "{timestamp}-{sequence}"),
        }
    }
}

/// The name of one record: entity + timestamp + sequence, ordered in that order.
///
/// Nothing is checked when a key is made; every call that takes one checks it first.
///
/// ```
/// use thermocline::Key;
/// let first = Key::new("alice", 1_700_000_000_000, 0);
/// let second = Key::new("alice", 1_700_000_000_000, 1);
/// assert!(first < second);
/// assert!(Key::undated("alice") < first);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Who the record belongs to.
    pub entity: Bytes,
    /// Where in the entity's series it lies.
    pub position: Position,
}

impl Key {
    /// A dated key.
    #[must_use]
    pub fn new(entity: impl Into<Bytes>, timestamp: u64, sequence: u64) -> Self {
        Self { entity: entity.into(), position: Position::Dated { timestamp, sequence } }
    }

    /// The key of an entity's one undated record.
    #[must_use]
    pub fn undated(entity: impl Into<Bytes>) -> Self {
        Self { entity: entity.into(), position: Position::Undated }
    }
}

/// Which write a record comes from: grows for ever within a bucket and never repeats for a key, not even after a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A stored value with its name and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub key: Key,
    /// What was put.
    pub value: Bytes,
    /// The write that put it.
    pub version: Version,
    /// When it expires, in milliseconds since the Unix epoch; `None` is never.
    pub expires_at: Option<u64>,
}
