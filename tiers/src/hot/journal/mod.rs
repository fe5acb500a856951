//! The journal: one append-only series of files per node, and the only place that syncs on the write path.
//!
//! A worker fills a [`JournalBatch`] with records; the one owner of the [`Journal`] lays all waiting batches into one
//! *commit*, writes it with one call, and returns when it is durable. A [`JournalReader`] reads single records from any
//! thread meanwhile. A [`Preparer`] makes files ready before they are needed, and takes back those that are no longer
//! wanted. [`Journal::open`] reads everything back and says what can no longer be trusted.
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//! use thermocline_tiers::disk::MemoryDisk;
//! use thermocline_tiers::hot::journal::{
//!     Journal, JournalBatch, JournalConfig, JournalError, JournalIdentity, RecordHead, RecordKind,
//! };
//! use thermocline_tiers::hot::{Bucket, Slot};
//!
//! # fn main() -> Result<(), JournalError> {
//! let disk = Arc::new(MemoryDisk::new(1));
//! let config = JournalConfig::with_segment_bytes(1 << 20);
//! let identity = JournalIdentity { cluster: 7, node: 1, disk: 0x5eed };
//! let (mut journal, found) =
//!     Journal::open(disk, Path::new("journal"), config.clone(), identity, |_record, _position| {})?;
//! assert!(found.never_used && found.damage.is_empty());
//!
//! let mut batch = JournalBatch::new(&config);
//! let head = RecordHead { bucket: Bucket(3), slot: Slot(1), kind: RecordKind(0) };
//! batch.push(head, |payload| payload.put(b"accepted"))?;
//! journal.commit(&mut [&mut batch])?;
//!
//! let mut buffer = Vec::new();
//! for position in batch.positions() {
//!     assert_eq!(journal.reader().read(position, &mut buffer)?.payload, b"accepted");
//! }
//! # Ok(())
//! # }
//! ```
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
mod numbering;
mod reader;
mod recovery;
mod scan;
mod segment;
mod sync;
mod walk;
mod writer;

#[cfg(any(test, feature = "test-util"))]
pub mod decoders;
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
pub use self::recovery::{
    Damage, DamageReason, DamageScope, HistoryReader, Recovered, Tail, identity_of, inspect,
};
pub use self::segment::{Bookmark, Position, SegmentInfo};
pub use self::writer::{Committed, Journal};

/// What recovery finds, in the order of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A commit begins, and all before it are durable: it was written after them.
    Commit(Sequence),
    /// A record that verifies, and where it lies.
    Record(Record<'a>, Position),
    /// Records may have been here that are lost: what the last record before them says may not be the last word.
    Lost(DamageScope),
}

/// A record as recovery delivers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Whose record it is.
    pub head: RecordHead,
    /// What the caller wrote.
    pub payload: &'a [u8],
}
