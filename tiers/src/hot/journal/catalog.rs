//! The catalog: a small file that says which segments there must be.
//!
//! It is what tells a missing segment from a released one, at both ends of the series. It holds two equal copies, written
//! one after the other, each in a block of its own, so that neither a torn write nor one rotten copy costs anything.

use std::path::Path;
use std::sync::Arc;
use std::{io, path::PathBuf};

use super::error::{JournalError, cannot};
use super::layout::{BLOCK_BYTES, CatalogLabel, FORMAT_VERSION, JournalIdentity, LABEL_BYTES, LabelFault};
use super::segment::FileName;
use crate::disk::{AlignedBuffer, Disk, File, OpenMode};
use crate::plant::{Plant, on};

const COPIES: [u64; 2] = [0, BLOCK_BYTES as u64];

/// What a directory's catalog says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CatalogState {
    Absent,
    /// No copy of it can be trusted.
    Corrupt,
    /// `stale`: where the copy is that does not say it.
    Present {
        label: CatalogLabel,
        stale: Option<u64>,
    },
}

pub(super) struct Catalog {
    label: CatalogLabel,
    /// The copy that is to be written first, because the other one is the only good one.
    stale: Option<u64>,
    path: PathBuf,
    file: Arc<dyn File>,
    buffer: AlignedBuffer,
}

impl Catalog {
    /// Reads without changing anything.
    pub(super) fn read(
        disk: &dyn Disk,
        directory: &Path,
        identity: JournalIdentity,
    ) -> Result<CatalogState, JournalError> {
        let path = FileName::Catalog.path(directory);
        let file = match disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(CatalogState::Absent),
            Err(error) => return Err(cannot("open", &path)(error)),
        };
        let mut copies = [None; COPIES.len()];
        for (copy, offset) in copies.iter_mut().zip(COPIES) {
            let mut bytes = [0; LABEL_BYTES];
            if file.read_exact_at(&mut bytes, offset).is_err() {
                continue;
            }
            match CatalogLabel::decode(&bytes) {
                Ok(label) if label.identity != identity => {
                    return Err(JournalError::Foreign { path, found: label.identity, expected: identity });
                }
                Ok(label) => *copy = Some(label),
                Err(LabelFault::Version(found)) => {
                    return Err(JournalError::UnsupportedVersion { path, found, supported: FORMAT_VERSION });
                }
                Err(LabelFault::Corrupt) => {}
            }
        }
        // Of two with the same revision, which no crash leaves, the first counts.
        let newest = copies.iter().flatten().rev().max_by_key(|label| label.revision);
        let Some(label) = newest.copied() else { return Ok(CatalogState::Corrupt) };
        let stale = copies.iter().zip(COPIES).find(|(copy, _)| **copy != Some(label));
        Ok(CatalogState::Present { label, stale: stale.map(|(_, offset)| offset) })
    }

    /// Opens the catalog that [`read`](Catalog::read) found.
    pub(super) fn open(
        disk: &dyn Disk,
        directory: &Path,
        label: CatalogLabel,
        stale: Option<u64>,
    ) -> Result<Catalog, JournalError> {
        let path = FileName::Catalog.path(directory);
        let file = disk.open_direct(&path).map_err(cannot("open", &path))?;
        Ok(Catalog { label, stale, path, file, buffer: AlignedBuffer::new() })
    }

    /// Writes a catalog beside whatever is there, and puts it in its place: there is always an old one or a new one.
    pub(super) fn create(
        disk: &dyn Disk,
        directory: &Path,
        label: CatalogLabel,
    ) -> Result<Catalog, JournalError> {
        let new = FileName::NewCatalog.path(directory);
        match disk.remove(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(cannot("remove", &new)(error));
            }
            _ => {}
        }
        drop(disk.open(&new, OpenMode::CreateNew).map_err(cannot("create", &new))?);
        let file = disk.open_direct(&new).map_err(cannot("open", &new))?;
        let mut catalog = Catalog { label, stale: None, path: new, file, buffer: AlignedBuffer::new() };
        catalog.write().map_err(cannot("write", &catalog.path))?;
        catalog.file.sync().map_err(cannot("sync", &catalog.path))?;
        let path = FileName::Catalog.path(directory);
        disk.rename(&catalog.path, &path).map_err(cannot("rename", &catalog.path))?;
        disk.sync_directory(directory).map_err(cannot("sync", directory))?;
        catalog.path = path;
        Ok(catalog)
    }

    pub(super) fn label(&self) -> &CatalogLabel {
        &self.label
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Changes it, durably.
    pub(super) fn update(&mut self, change: impl FnOnce(&mut CatalogLabel)) -> io::Result<()> {
        change(&mut self.label);
        self.label.revision += 1;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let block = self.buffer.resize(BLOCK_BYTES as usize);
        block.fill(0);
        block[..LABEL_BYTES].copy_from_slice(&self.label.encode());
        let mut copies = COPIES;
        if self.stale.take() == Some(COPIES[1]) {
            copies.reverse();
        }
        for (written, offset) in copies.into_iter().enumerate() {
            if on(Plant::OneCatalog) && written > 0 {
                break;
            }
            self.file.write_all_at(self.buffer.as_slice(), offset)?;
        }
        Ok(())
    }
}
