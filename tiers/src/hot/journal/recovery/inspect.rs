//! Looking at a journal without opening it.

use std::path::Path;

use super::super::catalog::{Catalog, CatalogState};
use super::super::error::JournalError;
use super::super::layout::{JournalIdentity, Sequence};
use super::super::segment::Position;
use super::super::{Found, Record};
use super::Recovered;
use super::replay::replay;
use super::survey::Survey;
use crate::disk::Disk;

/// Whose journal a directory holds, as its catalog says; `None` when no catalog can be read.
///
/// # Errors
/// [`JournalError::UnsupportedVersion`], [`JournalError::Io`].
pub fn identity_of(disk: &dyn Disk, directory: &Path) -> Result<Option<JournalIdentity>, JournalError> {
    // Asking as nobody is answered with whose it is.
    let nobody = JournalIdentity { cluster: 0, node: 0, disk: 0 };
    match Catalog::read(disk, directory, nobody) {
        Ok(CatalogState::Present { label, .. }) => Ok(Some(label.identity)),
        Ok(CatalogState::Absent | CatalogState::Corrupt) => Ok(None),
        Err(JournalError::Foreign { found, .. }) => Ok(Some(found)),
        Err(error) => Err(error),
    }
}

/// Finds what [`Journal::open`](super::Journal::open) would find, and changes nothing: no lock, no file, no byte. While the
/// journal is open elsewhere, what is being written may look torn, and what is being released may fail to be read.
///
/// # Errors
/// As [`Journal::open`](super::Journal::open), but for [`JournalError::InUse`].
pub fn inspect(
    disk: &dyn Disk,
    directory: &Path,
    identity: JournalIdentity,
    mut visit: impl FnMut(Record<'_>, Position),
) -> Result<Recovered, JournalError> {
    let mut survey = Survey::new(disk, directory, identity)?;
    let mut replayed = replay(disk, &survey, identity, Sequence(0), &mut |found| {
        if let Found::Record(record, position) = found {
            visit(record, position);
        }
    });
    Ok(Recovered::new(&mut survey, &mut replayed))
}
