//! Small files that are replaced whole: read with their checksum, written so that a crash leaves the old one or the new one.
//!
//! ```text
//! magic, 8 bytes · length u32 · crc32 u32 of the rest · rest
//! ```

use std::io;
use std::path::{Path, PathBuf};

use thermocline_tiers::disk::{Disk, OpenMode};

use crate::error::Error;

/// Which file, and how long what is in it can be.
#[derive(Clone, Copy, Debug)]
pub(super) struct SmallFile {
    pub(super) name: &'static str,
    pub(super) magic: &'static [u8; 8],
    pub(super) bytes_max: usize,
}

impl SmallFile {
    /// What is in it; `None` when it is not there.
    pub(super) fn read(self, disk: &dyn Disk) -> Result<Option<Vec<u8>>, Error> {
        let path = Path::new(self.name);
        let file = match disk.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.storage(&error)),
        };
        let length = file.len().map_err(|error| self.storage(&error))?;
        if !(16..=self.bytes_max as u64 + 16).contains(&length) {
            return Err(self.corrupt(format!("{length} bytes long")));
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 0).map_err(|error| self.storage(&error))?;
        let rest = bytes.split_off(16);
        if bytes[..8] != self.magic[..] {
            return Err(self.corrupt("of an unknown format"));
        }
        let stored = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if stored(8) as usize != rest.len() || stored(12) != crc32fast::hash(&rest) {
            return Err(self.corrupt("wrong checksum"));
        }
        Ok(Some(rest))
    }

    /// Replaces it, durably.
    pub(super) fn write(self, disk: &dyn Disk, rest: &[u8]) -> Result<(), Error> {
        let mut bytes = self.magic.to_vec();
        bytes.extend_from_slice(&(rest.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(rest).to_le_bytes());
        bytes.extend_from_slice(rest);
        let (path, new) = (PathBuf::from(self.name), PathBuf::from(format!("{}.new", self.name)));
        let replace = || -> io::Result<()> {
            match disk.remove(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = disk.open(&new, OpenMode::CreateNew)?;
            file.write_all_at(&bytes, 0)?;
            file.sync()?;
            disk.rename(&new, &path)?;
            disk.sync_directory(Path::new(""))
        };
        replace().map_err(|error| self.storage(&error))
    }

    pub(super) fn corrupt(self, what: impl std::fmt::Display) -> Error {
        Error::Corrupt { what: format!("{}: {what}", self.name) }
    }

    fn storage(self, error: &io::Error) -> Error {
        Error::file(Path::new(self.name), error)
    }
}
