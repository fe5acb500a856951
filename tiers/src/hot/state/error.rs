//! What can go wrong with a part.

use std::io;
use std::path::PathBuf;

use super::key::RunSet;
use crate::hot::Bucket;

/// Why a part could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The caller's input is out of bounds; nothing was done.
    #[error("{field} is {value}, its bound is {bound}")]
    Invalid {
        /// What is out of bounds.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The bound that it breaks.
        bound: u64,
    },
    /// Bytes on disk are not what was written. What they should have said concerns at most the named buckets.
    #[error("{} is corrupt at offset {offset} ({what}); {set:?}, buckets {first:?} to {last:?}", file.display())]
    Corrupt {
        /// The run file.
        file: PathBuf,
        /// The offset of the damaged piece in it, in bytes.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
        /// Which window the run belongs to.
        set: RunSet,
        /// The first bucket that may be concerned.
        first: Bucket,
        /// The last bucket that may be concerned.
        last: Bucket,
    },
    /// The manifest is not what was written, or is gone while runs are there. Every bucket of the part is concerned.
    #[error("{} is corrupt at offset {offset}: {what}", file.display())]
    Manifest {
        /// The manifest file.
        file: PathBuf,
        /// The offset of the damaged piece in it, in bytes.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The directory is another store's or another part's, or was made with other fixed settings.
    #[error("{} was made with {field} {found}, not {expected}", file.display())]
    Foreign {
        /// The manifest file.
        file: PathBuf,
        /// Which setting differs.
        field: &'static str,
        /// What the file says.
        found: String,
        /// What the caller says.
        expected: String,
    },
    /// The disk refused.
    #[error("{action} {}", file.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        file: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A bound of the part is reached; a flush or a merge makes room.
    #[error("{what} has reached its bound of {bound}")]
    Full {
        /// What is full.
        what: &'static str,
        /// Its bound.
        bound: u64,
    },
    /// An earlier failure left open which manifest a crash would find. Nothing is written any more; opening anew decides it.
    #[error("writing stopped after a failed change of the manifest")]
    Poisoned,
}
