//! The storage tier: the journal that makes a node's votes durable, and the state that its chosen commands build.

pub mod journal;
pub mod state;

/// One slice of the hash space of entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(pub u32);

/// A position in one bucket's log, from 1; 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);
