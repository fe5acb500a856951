//! One file of the series.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::layout::{BLOCK_BYTES, Generation, JournalIdentity, NUMBER_MAX, Seed};
use super::numbering::FirstSequence;
use crate::disk::File;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The segment.
    pub generation: Generation,
    /// Where the record begins in it, in bytes.
    pub offset: u32,
    /// The record's length in bytes, header included.
    pub length: u32,
}

/// Where somebody who reads the journal in its order goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bookmark {
    /// The segment.
    pub generation: Generation,
    /// From where in it, in bytes.
    pub offset: u32,
}

impl From<Position> for Bookmark {
    /// To begin with the record at this position.
    fn from(Position { generation, offset, .. }: Position) -> Self {
        Self { generation, offset }
    }
}

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The segment.
    pub generation: Generation,
    /// Bytes up to the end of its last commit.
    pub bytes: u32,
    /// Records in it.
    pub records: u64,
    /// The file's length in bytes.
    pub capacity: u32,
}

impl SegmentInfo {
    /// Whether no commit is known to be in it.
    pub fn is_empty(&self) -> bool {
        self.bytes <= BLOCK_BYTES
    }
}

/// A segment that can be read, and maybe written.
pub(super) struct Segment {
    pub(super) generation: Generation,
    pub(super) seed: Seed,
    pub(super) capacity: u32,
    /// Whether the file may be used again after its release.
    reusable: AtomicBool,
    pub(super) path: PathBuf,
    /// Through the page cache, at any offset.
    pub(super) file: Arc<dyn File>,
    pub(super) first_sequence: FirstSequence,
    bytes: AtomicU32,
    records: AtomicU64,
}

impl Segment {
    pub(super) fn new(
        identity: JournalIdentity,
        generation: Generation,
        capacity: u32,
        reusable: bool,
        path: PathBuf,
        file: Arc<dyn File>,
    ) -> Segment {
        Segment {
            generation,
            seed: Seed::new(identity, generation),
            capacity,
            reusable: AtomicBool::new(reusable),
            path,
            file,
            first_sequence: FirstSequence::none(),
            bytes: AtomicU32::new(BLOCK_BYTES),
            records: AtomicU64::new(0),
        }
    }

    pub(super) fn info(&self) -> SegmentInfo {
        SegmentInfo {
            generation: self.generation,
            bytes: self.end(),
            records: self.records.load(Ordering::Relaxed),
            capacity: self.capacity,
        }
    }

    pub(super) fn is_reusable(&self) -> bool {
        self.reusable.load(Ordering::Relaxed)
    }

    /// Its file has damage.
    pub(super) fn spoil(&self) {
        self.reusable.store(false, Ordering::Relaxed);
    }

    /// Where its last commit ends.
    pub(super) fn end(&self) -> u32 {
        // Acquire and release, so that whoever learns that a commit is there also sees its bytes.
        self.bytes.load(Ordering::Acquire)
    }

    pub(super) fn set_end(&self, end: u32) {
        self.bytes.store(end, Ordering::Release);
    }

    pub(super) fn add_records(&self, records: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
    }
}

/// What a file's name says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileName {
    Catalog,
    /// A catalog that was not finished.
    NewCatalog,
    Segment(Generation),
    /// Zero-filled or released, waiting to be used.
    Spare(u64),
}

impl FileName {
    pub(super) fn parse(name: &Path) -> Option<FileName> {
        match name.to_str()? {
            "catalog" => Some(FileName::Catalog),
            "catalog-new" => Some(FileName::NewCatalog),
            name => match name.split_once('-')? {
                ("segment", number) => Some(FileName::Segment(Generation(parse_number(number)?))),
                ("spare", number) => Some(FileName::Spare(parse_number(number)?)),
                _ => None,
            },
        }
    }

    pub(super) fn path(self, directory: &Path) -> PathBuf {
        directory.join(match self {
            FileName::Catalog => "catalog".to_owned(),
            FileName::NewCatalog => "catalog-new".to_owned(),
            FileName::Segment(generation) => format!("segment-{:016x}", generation.0),
            FileName::Spare(number) => format!("spare-{number:016x}"),
        })
    }
}

/// Sixteen lower-case hexadecimal digits and nothing else, so that each number has one name.
fn parse_number(digits: &str) -> Option<u64> {
    let number = u64::from_str_radix(digits, 16).ok()?;
    (number <= NUMBER_MAX && format!("{number:016x}") == digits).then_some(number)
}

/// A segment together with the handle that its commits go through.
pub(super) struct Writable {
    pub(super) segment: Arc<Segment>,
    pub(super) direct: Arc<dyn File>,
}
