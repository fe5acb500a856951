//! The state: what a node's chosen commands have built.

mod config;
mod error;
mod job;
mod key;
mod part;
mod read;
mod record;
mod snapshot;
mod write;

pub use config::{Identity, StateConfig};
pub use error::StateError;
pub use job::{Finished, Job, JobKind};
pub use key::{ENTITY_BYTES_MAX, Key, Position, RunSet, Window, check_entity};
pub use part::{Part, Stats};
pub use read::{GetJob, Lookup, Scan, ScanJob};
pub use record::{
    ATTRIBUTE_BYTES_MAX, Attribute, Digest, Outcome, Page, Record, ScanRange, TokenKey, Version,
};
pub use snapshot::{Change, Snapshot, SnapshotItem, SnapshotIter};
pub use write::{Apply, Restore};
