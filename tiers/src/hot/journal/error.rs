//! What a journal refuses, and why.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::{Generation, JournalIdentity};

/// Why a call to a journal was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A configuration field or a size is out of its bounds.
    #[error("{field} is {value}, must be {min} to {max}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The least value allowed.
        min: u64,
        /// The largest value allowed.
        max: u64,
    },
    /// A configuration field is not a multiple of what it must be one of.
    #[error("{field} is {value}, must be a multiple of {alignment}")]
    Unaligned {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What it must be a multiple of.
        alignment: u64,
    },
    /// The batch has no room for this record; commit it first.
    #[error("the batch would be {bytes} bytes long, at most {max} are allowed")]
    BatchFull {
        /// The length it would have had.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// Another process, or another journal of this one, has the directory.
    #[error("{} is in use", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory belongs to another node, cluster or disk.
    #[error("{} belongs to {found}, not to {expected}", path.display())]
    Foreign {
        /// The file that says so.
        path: PathBuf,
        /// Whose it is.
        found: JournalIdentity,
        /// Who asked.
        expected: JournalIdentity,
    },
    /// A file was written in a format this code does not know.
    #[error("{} has format version {found}, this is version {supported}", path.display())]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// The version known here.
        supported: u16,
    },
    /// There is no room. Nothing was written; the same call works again once segments have been reclaimed or the disk has room.
    #[error("the journal is full: {segments} segments of {bytes} bytes are in use")]
    Full {
        /// Segments in use, waiting ones included.
        segments: u32,
        /// Length of one.
        bytes: u32,
    },
    /// A write or sync failed, in this call or an earlier one. What the failing call was to write may or may not be there;
    /// the journal refuses everything from now on.
    #[error("the journal is poisoned: {0}")]
    Poisoned(Arc<Poison>),
    /// The segment was reclaimed; its records are no longer here.
    #[error("segment {0} is gone")]
    Gone(Generation),
    /// The position is none that this journal has given out.
    #[error("segment {generation} has no record of {length} bytes at {offset}")]
    NoSuchRecord {
        /// The segment.
        generation: Generation,
        /// The offset asked for.
        offset: u32,
        /// The length asked for.
        length: u32,
    },
    /// The bytes of a record do not match their checksum.
    #[error("{} is corrupt at {offset}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
    },
    /// The disk failed where nothing had been promised: while opening or reading.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

/// The failure that ended a journal.
#[derive(Debug)]
pub struct Poison {
    /// What was attempted.
    pub action: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What the disk said.
    pub source: io::Error,
}

impl fmt::Display for Poison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot {} {}: {}", self.action, self.path.display(), self.source)
    }
}

/// Makes an [`JournalError::Io`] of a disk's answer.
pub(super) fn cannot(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    move |source| JournalError::Io { action, path: path.to_path_buf(), source }
}
