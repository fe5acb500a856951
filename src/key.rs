//! Keys: who a record belongs to, and where in time it lies.

use std::fmt;

use bytes::Bytes;

use crate::error::Error;

/// The longest entity, in bytes.
pub const ENTITY_BYTES_MAX: usize = 1024;

/// Who a series of records belongs to: a user, an inbox, a device. 1 to [`ENTITY_BYTES_MAX`] bytes.
///
/// Calls take an entity as anything that becomes [`Bytes`] and check it then; with this type a program can check it
/// earlier, where it comes in.
///
/// ```
/// use thermocline::{Entity, Key};
/// let inbox = Entity::new("inbox:alice")?;
/// let key = Key::new(inbox, 1_700_000_000_000, 0);
/// assert_eq!(&key.entity[..], b"inbox:alice");
/// assert!(Entity::new("").is_err());
/// # Ok::<(), thermocline::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity(Bytes);

impl Entity {
    /// Checks the length.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the entity is empty or longer than [`ENTITY_BYTES_MAX`].
    pub fn new(entity: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = entity.into();
        check_entity(&bytes)?;
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

impl From<Entity> for Bytes {
    fn from(entity: Entity) -> Self {
        entity.0
    }
}

impl AsRef<[u8]> for Entity {
    fn as_ref(&self) -> &[u8] {
        &self.0
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

/// Refuses what cannot be an entity.
pub(crate) fn check_entity(entity: &[u8]) -> Result<(), Error> {
    if entity.is_empty() || entity.len() > ENTITY_BYTES_MAX {
        let bound = format!("1 to {ENTITY_BYTES_MAX} bytes");
        return Err(Error::invalid("entity", format!("{} bytes", entity.len()), bound));
    }
    Ok(())
}

/// Where in its entity's series a record lies. Undated comes before every date.
///
/// A pair of timestamp and sequence becomes a dated position:
///
/// ```
/// use thermocline::Position;
/// assert_eq!(Position::from((1_700_000_000_000, 1)), Position::dated(1_700_000_000_000, 1));
/// assert!(Position::Undated < Position::dated(0, 0));
/// ```
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

impl Position {
    /// A date, in milliseconds, and the order within the millisecond.
    #[must_use]
    pub const fn dated(timestamp: u64, sequence: u64) -> Self {
        Self::Dated { timestamp, sequence }
    }
}

impl From<(u64, u64)> for Position {
    fn from((timestamp, sequence): (u64, u64)) -> Self {
        Self::Dated { timestamp, sequence }
    }
}

/// `undated`, or `timestamp-sequence` in decimal.
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
    /// A dated key: the timestamp in milliseconds, the sequence to tell records of one millisecond apart.
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

/// A stored value with its name and its version. Expired records are never returned.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_has_1_to_1024_bytes() {
        assert_eq!(Entity::new(vec![7; 1]).map(|entity| entity.as_bytes().len()), Ok(1));
        assert_eq!(Entity::new(vec![7; 1_024]).map(|entity| entity.to_bytes().len()), Ok(1_024));
        for bytes in [0, 1_025] {
            let expected = Error::invalid("entity", format!("{bytes} bytes"), "1 to 1024 bytes");
            assert_eq!(Entity::new(vec![7; bytes]), Err(expected));
        }
    }

    #[test]
    fn keys_are_ordered_by_entity_then_time_then_sequence() {
        let ordered = [
            Key::undated("a"),
            Key::new("a", 0, 0),
            Key::new("a", 0, u64::MAX),
            Key::new("a", 1, 0),
            Key::undated("ab"),
            Key::undated("b"),
        ];
        assert!(ordered.is_sorted_by(|older, newer| older < newer));
    }

    #[test]
    fn an_entity_of_any_bytes_can_be_shown() {
        assert_eq!(Entity::new(&b"a\n\xff"[..]).unwrap().to_string(), "a\\n\\xff");
    }
}
