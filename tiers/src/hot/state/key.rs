//! Keys: an entity and a position in it.

use super::error::StateError;

/// The longest entity, in bytes.
pub const ENTITY_BYTES_MAX: usize = 1024;

/// Where a record lies within its entity. Undated comes first, then by timestamp, then by sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// The one record of an entity that has no timestamp; it is in no window and never sinks.
    Undated,
    /// A record of a series.
    Dated {
        /// Milliseconds.
        timestamp_ms: u64,
        /// Tells records of one millisecond apart.
        sequence: u64,
    },
}

impl Position {
    /// The first position there is.
    pub const FIRST: Position = Position::Undated;
    /// The last position there is.
    pub const LAST: Position = Position::Dated { timestamp_ms: u64::MAX, sequence: u64::MAX };

    /// The position right after this one; `None` after [`Position::LAST`].
    pub fn next(self) -> Option<Position> {
        match self {
            Position::Undated => Some(Position::Dated { timestamp_ms: 0, sequence: 0 }),
            Position::Dated { timestamp_ms, sequence: u64::MAX } => {
                Some(Position::Dated { timestamp_ms: timestamp_ms.checked_add(1)?, sequence: 0 })
            }
            Position::Dated { timestamp_ms, sequence } => {
                Some(Position::Dated { timestamp_ms, sequence: sequence + 1 })
            }
        }
    }

    /// The position right before this one; `None` before [`Position::FIRST`].
    pub fn previous(self) -> Option<Position> {
        match self {
            Position::Undated => None,
            Position::Dated { timestamp_ms: 0, sequence: 0 } => Some(Position::Undated),
            Position::Dated { timestamp_ms, sequence: 0 } => {
                Some(Position::Dated { timestamp_ms: timestamp_ms - 1, sequence: u64::MAX })
            }
            Position::Dated { timestamp_ms, sequence } => {
                Some(Position::Dated { timestamp_ms, sequence: sequence - 1 })
            }
        }
    }
}

/// A record's key within its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key<'a> {
    entity: &'a [u8],
    position: Position,
}

impl<'a> Key<'a> {
    /// A key; [`StateError::Invalid`] unless the entity has 1 to [`ENTITY_BYTES_MAX`] bytes.
    pub fn new(entity: &'a [u8], position: Position) -> Result<Key<'a>, StateError> {
        check_entity(entity)?;
        Ok(Key { entity, position })
    }

    /// Whose record it is.
    pub fn entity(&self) -> &'a [u8] {
        self.entity
    }

    /// Which of the entity's records it is.
    pub fn position(&self) -> Position {
        self.position
    }
}

/// [`StateError::Invalid`] unless `entity` has 1 to [`ENTITY_BYTES_MAX`] bytes.
pub fn check_entity(entity: &[u8]) -> Result<(), StateError> {
    if entity.is_empty() {
        return Err(StateError::Invalid { field: "entity", value: 0, bound: 1 });
    }
    if entity.len() > ENTITY_BYTES_MAX {
        let (value, bound) = (entity.len() as u64, ENTITY_BYTES_MAX as u64);
        return Err(StateError::Invalid { field: "entity", value, bound });
    }
    Ok(())
}

/// A slice of time: timestamp / window span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window(pub u64);

/// What a run holds: it belongs to exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunSet {
    /// Token outcomes and bucket attributes.
    Meta,
    /// Undated records and trim marks.
    Undated,
    /// The dated records of one window.
    Window(Window),
}

/// Where an entry lies within its entity: like [`Position`], with the trim marks of the entity before its records,
/// the furthest reaching mark first (so that one pass sees which marks others make redundant).
///
/// Kept as (tag, major, minor) so that comparing is comparing three integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    tag: u8,
    major: u64,
    minor: u64,
}

impl Place {
    pub(super) const FIRST: Place = Place { tag: 0, major: 0, minor: 0 };
    pub(super) const UNDATED: Place = Place { tag: 1, major: 0, minor: 0 };

    pub(super) fn trim(through_ms: u64) -> Place {
        Place { tag: 0, major: !through_ms, minor: 0 }
    }

    pub(super) fn dated(timestamp_ms: u64, sequence: u64) -> Place {
        Place { tag: 2, major: timestamp_ms, minor: sequence }
    }

    pub(super) fn trim_through(self) -> Option<u64> {
        (self.tag == 0).then_some(!self.major)
    }

    pub(super) fn is_dated(self) -> bool {
        self.tag == 2
    }

    pub(super) fn position(self) -> Option<Position> {
        match self.tag {
            0 => None,
            1 => Some(Position::Undated),
            _ => Some(Position::Dated { timestamp_ms: self.major, sequence: self.minor }),
        }
    }

    /// Tag, major, minor.
    pub(super) fn parts(self) -> (u8, u64, u64) {
        (self.tag, self.major, self.minor)
    }

    /// The set of runs that holds this place (not for meta entries, which are in a set of their own).
    pub(super) fn run_set(self, window_span_ms: u64) -> RunSet {
        if self.is_dated() { RunSet::Window(Window(self.major / window_span_ms)) } else { RunSet::Undated }
    }
}

impl From<Position> for Place {
    fn from(position: Position) -> Place {
        match position {
            Position::Undated => Place::UNDATED,
            Position::Dated { timestamp_ms, sequence } => Place::dated(timestamp_ms, sequence),
        }
    }
}
