//! The state: what a node's chosen commands have built.

mod arena;
mod cache;
mod choose;
mod config;
mod content;
mod cursor;
mod digest;
mod entry;
mod error;
mod filter;
mod fold;
mod job;
mod key;
mod manifest;
mod memtable;
mod merge;
mod meta;
#[cfg(any(test, feature = "test-util"))]
mod model;
mod open;
mod page;
mod part;
mod read;
mod record;
mod run;
mod scan;
mod search;
mod series;
mod snapshot;
#[cfg(any(test, feature = "test-util"))]
mod steps;
mod tokens;
mod write;
mod writer;

pub use config::{Identity, StateConfig};
pub use content::Content;
pub use error::StateError;
pub use job::{Finished, Job, JobKind};
pub use key::{ENTITY_BYTES_MAX, Key, Position, RunSet, Window, check_entity};
pub use part::{Located, Part, Stats};
pub use read::{GetJob, Lookup};
pub use record::{
    ATTRIBUTE_BYTES_MAX, Attribute, Digest, Outcome, Page, Record, ScanRange, TokenKey, Version,
};
pub use scan::{Scan, ScanJob};
pub use snapshot::{Change, Snapshot, SnapshotItem, SnapshotIter};
pub use write::{Apply, Restore};

#[cfg(any(test, feature = "test-util"))]
pub mod decoders;
#[cfg(test)]
mod tests;
