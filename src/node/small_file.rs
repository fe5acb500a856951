//! Small files that are replaced whole: read with their checksum, written so that a crash leaves the old one or the new one.
//!
//! ```text
//! magic, 8 bytes · length u32 · crc32 u32 of the rest · rest
//! ```
//!
//! A node that cannot write one cannot start, or cannot hear a peer, and it has to be able to on a full disk: that is when it is started again. So
//! a file named `reserve` holds the room for one. It gives way when there is no other, and takes the room that the file before leaves.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thermocline_tiers::disk::{Disk, OpenMode, is_full};

use crate::encoding;
use crate::error::{Error, StorageKind};
use crate::plant::{self, Plant};

/// Which file. What is in it has at most `BYTES_MAX` bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct SmallFile<const BYTES_MAX: usize> {
    pub(super) name: &'static str,
    pub(super) magic: &'static [u8; 8],
}

impl<const BYTES_MAX: usize> SmallFile<BYTES_MAX> {
    /// What is in it; `None` when it is not there.
    pub(super) fn read<T: DeserializeOwned>(self, disk: &dyn Disk) -> Result<Option<T>, Error> {
        let Some(rest) = self.read_bytes(disk)? else { return Ok(None) };
        encoding::decode::<BYTES_MAX, T>(&rest).map(Some).map_err(|error| self.corrupt(error))
    }

    /// Replaces it, durably.
    pub(super) fn write(self, disk: &dyn Disk, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        let rest = encoding::encode::<BYTES_MAX, _>(&value)
            .map_err(|error| Error::storage(StorageKind::Io, format!("{}: {error}", self.name)))?;
        self.write_bytes(disk, &rest)
    }

    fn read_bytes(self, disk: &dyn Disk) -> Result<Option<Vec<u8>>, Error> {
        let path = Path::new(self.name);
        let file = match disk.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.storage(&error)),
        };
        let length = file.len().map_err(|error| self.storage(&error))?;
        if !(16..=BYTES_MAX as u64 + 16).contains(&length) {
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

    fn write_bytes(self, disk: &dyn Disk, rest: &[u8]) -> Result<(), Error> {
        let mut bytes = self.magic.to_vec();
        bytes.extend_from_slice(&(rest.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(rest).to_le_bytes());
        bytes.extend_from_slice(rest);
        let (path, new) = (PathBuf::from(self.name), PathBuf::from(format!("{}.new", self.name)));
        let mut written = replace(disk, &path, &new, &bytes);
        if written.as_ref().is_err_and(is_full) && give_way(disk).is_ok() {
            written = replace(disk, &path, &new, &bytes);
        }
        written.map_err(|error| self.storage(&error))?;
        keep_reserve(disk);
        Ok(())
    }

    pub(super) fn corrupt(self, what: impl std::fmt::Display) -> Error {
        Error::Corrupt { what: format!("{}: {what}", self.name) }
    }

    fn storage(self, error: &io::Error) -> Error {
        Error::file(Path::new(self.name), error)
    }
}

fn replace(disk: &dyn Disk, path: &Path, new: &Path, bytes: &[u8]) -> io::Result<()> {
    match disk.remove(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(new, OpenMode::CreateNew)?;
    file.write_all_at(bytes, 0)?;
    if !plant::on(Plant::SmallFileNotSynced) {
        file.sync()?;
    }
    disk.rename(new, path)?;
    if plant::on(Plant::SmallFileNameNotSynced) {
        return Ok(());
    }
    disk.sync_directory(Path::new(""))
}

/// The file that keeps room, and its bytes: for a list of some thousands of buckets.
const RESERVE: &str = "reserve";
const RESERVE_BYTES: usize = 16 << 10;

/// Gives up the room that is kept. It can be used once the directory says so.
fn give_way(disk: &dyn Disk) -> io::Result<()> {
    disk.remove(Path::new(RESERVE))?;
    disk.sync_directory(Path::new(""))
}

/// Keeps room again, if there is any: it is needed when there is none, and then it was taken before.
fn keep_reserve(disk: &dyn Disk) {
    let path = Path::new(RESERVE);
    let Ok(file) = disk.open(path, OpenMode::CreateNew) else { return };
    if let Err(error) = file.write_all_at(&[0; RESERVE_BYTES], 0) {
        tracing::debug!(%error, "no room is kept for the next small file");
        let _ = disk.remove(path);
    }
}

#[cfg(test)]
mod tests {
    use thermocline_tiers::disk::MemoryDisk;

    use super::*;

    const FILE: SmallFile<1024> = SmallFile { name: "small", magic: b"TCSMALL0" };

    #[test]
    fn a_small_file_is_written_on_a_full_disk_again_and_again() {
        let disk = MemoryDisk::new(1);
        FILE.write_bytes(&disk, &[1; 100]).unwrap();
        let rest = disk.open(Path::new("rest"), OpenMode::CreateNew).unwrap();
        rest.write_all_at(&[0; 5000], 0).unwrap();
        disk.set_capacity(Some(5000 + RESERVE_BYTES as u64 + 116));
        assert!(rest.write_all_at(&[0], 5000).is_err_and(|error| is_full(&error)));
        for round in 2..20 {
            FILE.write_bytes(&disk, &[round; 100]).unwrap();
            assert_eq!(FILE.read_bytes(&disk).unwrap(), Some(vec![round; 100]));
        }
        disk.remove(Path::new(RESERVE)).unwrap();
        disk.set_capacity(Some(5000 + 116));
        assert!(matches!(FILE.write_bytes(&disk, &[1; 100]), Err(Error::Storage { .. })));
        assert_eq!(FILE.read_bytes(&disk).unwrap(), Some(vec![19; 100]), "the old one is still there");
    }
}
