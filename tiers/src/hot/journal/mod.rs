//! The journal: one append-only series of files per node, and the only place that syncs on the write path.
//!
//! A worker fills a [`JournalBatch`] with records; the one owner of the [`Journal`] lays all waiting batches into one
//! *commit*, writes it with one call, and returns when it is durable. A [`JournalReader`] reads single records from any
//! thread meanwhile. A [`Preparer`] makes files ready before they are needed, and takes back those that are no longer
//! wanted. [`Journal::open`] reads everything back and says what can no longer be trusted.
//!
//! The bytes, the recovery table and its reasons stand in `FORMAT.md` beside this crate's manifest.
//!
//! **Nothing here starts a thread, reads a clock or asks for randomness**, so the simulator runs the very same code.
//! **Nothing here retries a write or a sync**: the first one that fails poisons the journal.

mod batch;
mod catalog;
mod config;
mod directory;
mod error;
mod layout;
mod reader;
mod recovery;
mod scan;
mod segment;
mod writer;

#[cfg(test)]
mod planted;
#[cfg(test)]
mod tests;

pub use self::batch::{JournalBatch, PayloadWriter};
pub use self::config::{JournalConfig, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use self::directory::{Preparer, Released};
pub use self::error::{JournalError, Poison};
pub use self::layout::{
    FORMAT_VERSION, Generation, JournalIdentity, RECORD_HEADER_BYTES, RecordHead, RecordKind, Sequence,
};
pub use self::reader::JournalReader;
pub use self::recovery::{Damage, DamageReason, DamageScope, Recovered, Tail, identity_of, inspect};
pub use self::segment::{Position, SegmentInfo};
pub use self::writer::{Committed, Journal};

/// A record as recovery delivers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Whose record it is.
    pub head: RecordHead,
    /// What the caller wrote.
    pub payload: &'a [u8],
}
