//! What the state holds and hands out.

use bytes::Bytes;

use super::key::Position;
use crate::hot::Slot;

/// The slot that wrote a record. Grows for ever within a bucket, never repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl From<Slot> for Version {
    fn from(slot: Slot) -> Version {
        Version(slot.0)
    }
}

/// A live record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it lies within its entity.
    pub position: Position,
    /// What was put.
    pub value: Bytes,
    /// The slot that wrote it.
    pub version: Version,
    /// When it expires, in absolute milliseconds. Records past it are returned all the same: the state has no clock.
    pub expires_ms: Option<u64>,
}

/// Which records of an entity a scan returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanRange {
    /// The lowest position, inclusive.
    pub from: Position,
    /// The highest position, inclusive.
    pub to: Position,
    /// Whether the page starts at `to` and goes down; otherwise it starts at `from` and goes up.
    pub newest_first: bool,
    /// At most this many records; at least 1.
    pub limit_records: usize,
    /// At most this many bytes of values, though always at least one record; at least 1.
    pub limit_bytes: usize,
}

/// A stretch of an entity's records, in the order that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The records. May be fewer than the limit even when there are more to come.
    pub records: Vec<Record>,
    /// Where the next page starts, inclusive: the new `from`, or the new `to` of a scan newest first. `None`: that was all.
    pub next: Option<Position>,
}

/// Which request an outcome belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenKey {
    /// Who asked.
    pub client: u64,
    /// Which of its requests.
    pub counter: u64,
}

/// How a request with a token ended. All but `slot` is opaque to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The slot that decided it.
    pub slot: Slot,
    /// Set by the caller.
    pub status: u8,
    /// Set by the caller.
    pub detail: u64,
    /// Set by the caller.
    pub born: u64,
}

/// A bucket's running digest: a fold, in order, over every effect its log had on the state. Replicas at equal slots have equal digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub u128);

/// The name of opaque bytes kept with a bucket, such as one window's cold link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attribute {
    /// What it is; the caller's choice.
    pub kind: u8,
    /// Which of them, for example a window.
    pub index: u64,
}

/// The longest value of an attribute, in bytes.
pub const ATTRIBUTE_BYTES_MAX: usize = 64 * 1024;
