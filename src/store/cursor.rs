//! Where a scan goes on: a name for a place between two records that outlives processes.
//!
//! ```text
//! byte 0        version, 1
//! byte 1        0 oldest first, 1 newest first
//! bytes 2..10   hash of the entity
//! bytes 10..18  timestamp of the last record, ms
//! bytes 18..26  sequence of the last record
//! bytes 26..30  CRC-32 of bytes 0..26
//! ```
//! All numbers are little-endian. The text is the bytes in lower-case hexadecimal.

use std::fmt;
use std::str::FromStr;

use thermocline_routing_table::entity_hash;

use crate::error::{Error, quoted};
use crate::key::{Key, Position, check_entity};

/// How many bytes a [`Cursor`] has.
pub const CURSOR_BYTES: usize = 30;
const CHECKED_BYTES: usize = CURSOR_BYTES - 4;
const VERSION: u8 = 1;

/// In which order a scan returns records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// From the oldest to the newest.
    #[default]
    OldestFirst,
    /// From the newest to the oldest.
    NewestFirst,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OldestFirst => "oldest first",
            Self::NewestFirst => "newest first",
        })
    }
}

/// A place in an entity's records behind which a scan goes on.
///
/// It names the last record that was read, not a state of the store: it stays good across restarts, across nodes, and
/// when the record is deleted or moves to another tier. It can be kept as text or as bytes; what was changed in between
/// is refused. It holds a hash of the entity, not the entity, and is no secret and no proof of anything.
///
/// ```
/// use thermocline::{Cursor, Key, Order};
/// // A consumer that has handled this record goes on behind it.
/// let handled = Key::new("alice", 1_700_000_000_000, 7);
/// let cursor = Cursor::at(&handled, Order::OldestFirst)?;
/// let text = cursor.to_string();
/// assert_eq!(text.parse::<Cursor>()?, cursor);
/// assert_eq!(Cursor::from_bytes(&cursor.to_bytes())?, cursor);
/// # Ok::<(), thermocline::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    order: Order,
    entity_hash: u64,
    timestamp: u64,
    sequence: u64,
}

impl Cursor {
    /// The place behind a dated key, whether or not there is a record of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an undated key, and for an entity out of bounds.
    pub fn at(key: &Key, order: Order) -> Result<Self, Error> {
        check_entity(&key.entity)?;
        match key.position {
            Position::Dated { timestamp, sequence } => {
                Ok(Self { order, entity_hash: entity_hash(&key.entity), timestamp, sequence })
            }
            Position::Undated => Err(Error::invalid("cursor", "an undated key", "a dated key")),
        }
    }

    /// As [`CURSOR_BYTES`] bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; CURSOR_BYTES] {
        let mut bytes = [0; CURSOR_BYTES];
        bytes[0] = VERSION;
        bytes[1] = match self.order {
            Order::OldestFirst => 0,
            Order::NewestFirst => 1,
        };
        bytes[2..10].copy_from_slice(&self.entity_hash.to_le_bytes());
        bytes[10..18].copy_from_slice(&self.timestamp.to_le_bytes());
        bytes[18..26].copy_from_slice(&self.sequence.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..CHECKED_BYTES]);
        bytes[CHECKED_BYTES..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// From the bytes of [`Cursor::to_bytes`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for any others.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let invalid = |what: String| Error::invalid("cursor", what, "the bytes of a cursor, unchanged");
        let bytes: &[u8; CURSOR_BYTES] =
            bytes.try_into().map_err(|_| invalid(format!("{} bytes, not {CURSOR_BYTES}", bytes.len())))?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let checksum = u32::from_le_bytes(std::array::from_fn(|i| bytes[CHECKED_BYTES + i]));
        if checksum != crc32fast::hash(&bytes[..CHECKED_BYTES]) {
            return Err(invalid("wrong checksum".to_owned()));
        }
        if bytes[0] != VERSION {
            return Err(invalid(format!("version {}, not {VERSION}", bytes[0])));
        }
        let order = match bytes[1] {
            0 => Order::OldestFirst,
            1 => Order::NewestFirst,
            other => return Err(invalid(format!("order {other}, not 0 or 1"))),
        };
        Ok(Self { order, entity_hash: number(2), timestamp: number(10), sequence: number(18) })
    }

    /// The order of the scan that it belongs to.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// The first place behind it; `None` when there is none.
    pub(super) fn next(&self, entity: &[u8], order: Order) -> Result<Option<(u64, u64)>, Error> {
        if self.entity_hash != entity_hash(entity) {
            return Err(Error::invalid(
                "cursor",
                "of another entity",
                "a cursor of the entity that is scanned",
            ));
        }
        if self.order != order {
            let bound = format!("a cursor of a scan {order}");
            return Err(Error::invalid("cursor", format!("of a scan {}", self.order), bound));
        }
        let (timestamp, sequence) = (self.timestamp, self.sequence);
        Ok(match order {
            Order::OldestFirst => match sequence.checked_add(1) {
                Some(sequence) => Some((timestamp, sequence)),
                None => timestamp.checked_add(1).map(|timestamp| (timestamp, 0)),
            },
            Order::NewestFirst => match sequence.checked_sub(1) {
                Some(sequence) => Some((timestamp, sequence)),
                None => timestamp.checked_sub(1).map(|timestamp| (timestamp, u64::MAX)),
            },
        })
    }
}

/// 60 lower-case hexadecimal digits.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// # Errors
    /// [`Error::Invalid`] for what [`Display`](fmt::Display) does not write.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = |what: String| {
            Error::invalid("cursor", what, format!("{} lower-case hexadecimal digits", 2 * CURSOR_BYTES))
        };
        if text.len() != 2 * CURSOR_BYTES {
            return Err(invalid(format!("{} bytes of text", text.len())));
        }
        let mut bytes = [0; CURSOR_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (high, low) = (digit(pair[0]), digit(pair[1]));
            let (Some(high), Some(low)) = (high, low) else {
                return Err(invalid(quoted(text)));
            };
            *byte = high << 4 | low;
        }
        Self::from_bytes(&bytes)
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
