//! What clients saw.

mod edn;
mod event;
mod json_lines;

use std::collections::BTreeMap;

pub use edn::{read_edn, write_edn};
pub use event::NotAHistory;
pub use json_lines::{read_json_lines, write_json_lines};

/// The operations of some clients on some keys, in any order.
pub type History = Vec<Operation>;

/// One operation: what was asked, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked. A process does one thing at a time; one that does not know what became of its operation asks nothing more.
    pub process: u64,
    /// What it is about: a register, or an entity with its records. Keys are independent of each other.
    pub key: u64,
    /// What was asked.
    pub call: Call,
    /// When it was asked, in nanoseconds of a clock that all processes share.
    pub invoked: u64,
    /// What came of it.
    pub outcome: Outcome,
    /// The token under which the store can say later what became of it.
    pub token: Option<Box<str>>,
}

/// What is asked of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// The value of a register, or of a counter.
    Read,
    /// A register is set.
    Write(u64),
    /// A register is set if it has this value; `None`: if it has none.
    CompareAndSet {
        /// What it must hold.
        expected: Option<u64>,
        /// What it is set to.
        value: u64,
    },
    /// A register is set if it has this version; 0: if it has no value.
    CompareAndSetVersion {
        /// The version that it must have.
        expected: u64,
        /// What it is set to.
        value: u64,
    },
    /// A register loses its value.
    Delete,
    /// The record of an entity at a position.
    ReadRecord {
        /// Where.
        position: u64,
    },
    /// Records of an entity change, all or none.
    Change(Vec<Change>),
    /// Elements are added to a grow-only set, all or none.
    Add(Vec<u64>),
    /// Elements are put behind the end of a list, all or none.
    Append(Vec<u64>),
    /// The records of an entity, the elements of a set or of a list.
    Scan,
    /// A number is added to a counter.
    Increment(i64),
    /// What became of the write with this token.
    Resolve(Box<str>),
}

/// A change to one record of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The record at a position is set.
    Put {
        /// Where.
        position: u64,
        /// To what.
        value: u64,
    },
    /// The record at a position goes.
    Remove {
        /// Where.
        position: u64,
    },
    /// All records below a position go.
    Trim {
        /// The first position that stays.
        below: u64,
    },
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, or it looked at the key and was refused.
    Ok {
        /// When the answer came.
        at: u64,
        /// The answer.
        reply: Reply,
    },
    /// It was not applied and will not be, and the answer tells nothing of the key.
    Failed {
        /// When the answer came.
        at: u64,
    },
    /// It may have been applied, may be applied later, or never.
    Unknown,
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The change was made, and has this version if the store told it.
    Done {
        /// The version that the change has.
        version: Option<u64>,
    },
    /// The condition was not met, and nothing changed.
    Refused {
        /// The version that the key had, if the store told it; 0: it had no value.
        current: Option<u64>,
    },
    /// What a register or a position of an entity holds.
    Value {
        /// The value; `None`: there is none.
        value: Option<u64>,
        /// The version of the value, if the store told it.
        version: Option<u64>,
    },
    /// The elements of a set or of a list, in the order in which they were shown.
    Elements(Vec<u64>),
    /// The records of an entity: positions and values, in the order in which they were shown.
    Records(Vec<(u64, u64)>),
    /// What a counter stands at.
    Count(i64),
    /// The write with the token was applied, and has this version.
    Committed(u64),
    /// The write with the token was not applied and never will be.
    NotCommitted,
    /// The store does not remember the token.
    Forgotten,
}

impl Operation {
    /// When it ended; `None` if nobody knows.
    #[must_use]
    pub fn ended(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Ok { at, .. } | Outcome::Failed { at } => Some(at),
            Outcome::Unknown => None,
        }
    }

    /// The answer, if it is one that tells something.
    #[must_use]
    pub fn reply(&self) -> Option<&Reply> {
        match &self.outcome {
            Outcome::Ok { reply, .. } => Some(reply),
            Outcome::Failed { .. } | Outcome::Unknown => None,
        }
    }

    /// Whether it changes something when it is applied.
    #[must_use]
    pub fn changes(&self) -> bool {
        !matches!(self.call, Call::Read | Call::ReadRecord { .. } | Call::Scan | Call::Resolve(_))
    }

    /// Whether it changed something for certain.
    #[must_use]
    pub fn acknowledged(&self) -> bool {
        self.changes() && matches!(self.reply(), Some(Reply::Done { .. }))
    }

    /// Whether it changed something, or may have or may yet.
    #[must_use]
    pub fn possible(&self) -> bool {
        self.changes() && (self.acknowledged() || self.outcome == Outcome::Unknown)
    }

    /// The version that its reply gave to what it wrote.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        match self.reply() {
            Some(Reply::Done { version }) => *version,
            _ => None,
        }
    }

    /// The value that it would give a register.
    #[must_use]
    pub fn written(&self) -> Option<u64> {
        match self.call {
            Call::Write(value)
            | Call::CompareAndSet { value, .. }
            | Call::CompareAndSetVersion { value, .. } => Some(value),
            _ => None,
        }
    }
}

/// The operations of each key, by their places in the history.
pub fn by_key(history: &[Operation]) -> BTreeMap<u64, Vec<usize>> {
    let mut keys: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (place, operation) in history.iter().enumerate() {
        keys.entry(operation.key).or_default().push(place);
    }
    keys
}
