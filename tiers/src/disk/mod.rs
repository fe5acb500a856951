//! The only door to files.
//!
//! Everything below the runtime that touches a file does it through [`Disk`], so that the very same code runs on a
//! real disk and on one in memory that loses, tears, corrupts, fails and fills up on cue.
//!
//! **Nothing else in this crate imports `std::fs`.**

mod aligned;
mod memory;
mod real;

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

pub use self::aligned::AlignedBuffer;
pub use self::memory::{Call, Calls, Fate, MemoryDisk, PowerCuts, Unsettled, Unsynced, Walked};
pub use self::real::RealDisk;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; fails with [`io::ErrorKind::NotFound`] when it does not exist.
    Read,
    /// For reading and writing; must exist.
    ReadWrite,
    /// For reading and writing; must not exist yet, fails with [`io::ErrorKind::AlreadyExists`] otherwise.
    CreateNew,
}

/// A directory tree of files. Paths are relative to the root that the implementation was made with.
///
/// A create, rename or remove is durable only after [`Disk::sync_directory`] of its parent.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Opens an existing file whose every write is durable when it returns, past the page cache where the medium allows it.
    /// Offsets, lengths and buffer addresses of its reads and writes must be multiples of [`DIRECT_ALIGNMENT`]
    /// (an [`AlignedBuffer`] has such an address); fails with [`io::ErrorKind::InvalidInput`] otherwise.
    fn open_direct(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Renames a file over another one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and its parents; an existing one is fine.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// The names of the files (not directories) directly in a directory, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes the creates, renames and removes in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// For how many bytes more there is room in a directory, as far as it knows: others may write there, too.
    fn room(&self, path: &Path) -> io::Result<u64>;
    /// Takes the directory for this process until the guard is dropped; [`io::ErrorKind::WouldBlock`] when another has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

/// What a direct file's offsets, lengths and buffer addresses are multiples of, in bytes.
pub const DIRECT_ALIGNMENT: usize = 4096;

/// Whether a call found no room on the disk, which is no failure of what is already written.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// An open file. Positioned reads and writes only; usable from several threads.
pub trait File: Send + Sync {
    /// Fills the whole buffer from `offset`; [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes the whole buffer at `offset`, growing the file where needed.
    fn write_all_at(&self, buffer: &[u8], offset: u64) -> io::Result<()>;
    /// Makes everything written so far durable (data and length; not the directory entry).
    fn sync(&self) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Cuts or extends (with zeros) to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A directory held by this process; released when dropped.
pub trait Lock: Send + Sync {}

/// The path without `.` parts; refuses what would leave the root.
fn relative(path: &Path) -> io::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::ParentDir => {
                let message = format!("{} is not a path below the disk's root", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        }
    }
    Ok(clean)
}

/// Checks what a direct read or write must fulfil, so that every kind of disk refuses the same mistakes.
fn check_alignment(buffer: &[u8], offset: u64) -> io::Result<()> {
    let aligned = buffer.as_ptr().addr().is_multiple_of(DIRECT_ALIGNMENT)
        && buffer.len().is_multiple_of(DIRECT_ALIGNMENT)
        && offset.is_multiple_of(DIRECT_ALIGNMENT as u64);
    if aligned {
        return Ok(());
    }
    let message =
        format!("direct access of {} bytes at {offset} is not aligned to {DIRECT_ALIGNMENT}", buffer.len());
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}
