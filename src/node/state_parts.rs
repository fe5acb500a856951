//! Opening the parts of the state. One that cannot be read is emptied: its buckets learn, and are copied from other replicas. Where there are no
//! others it is left as it is, and the store does not open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thermocline_tiers::disk::{Disk, OpenMode};
use thermocline_tiers::hot::state::{Identity as StateIdentity, Part, StateConfig, StateError};

use super::identity::{Identity, IdentityFile};
use crate::error::Error;

/// The parts, and what was wrong with those that had to be emptied.
pub(super) struct Opened {
    pub(super) parts: Vec<Part>,
    pub(super) damage: Vec<String>,
}

/// Opens all parts, or makes them.
///
/// # Errors
/// [`Error::Storage`] when the disk fails, or a part was made with other settings; [`Error::Corrupt`] when a part is lost and this is the only
/// replica.
pub(super) fn open(disk: &Arc<dyn Disk>, config: &StateConfig, file: &IdentityFile) -> Result<Opened, Error> {
    let identity = file.read();
    let store = u128::from(identity.disk) << 16 | u128::from(identity.node);
    let mut opened = Opened { parts: Vec::new(), damage: Vec::new() };
    for part in 0..identity.parts {
        let directory = PathBuf::from(format!("state/{part:03}"));
        let open = || Part::open(disk.clone(), &directory, config.clone(), StateIdentity { store, part });
        // A founded node has made all its parts before it took part in anything.
        let lost = if identity.founding.is_some() && !has_manifest(&**disk, &directory)? {
            Err(format!("{} is gone", directory.display()))
        } else {
            match open() {
                Ok(part) => Ok(part),
                // Another part's manifest of this very store was put here by a write that went astray.
                Err(
                    error @ (StateError::Manifest { .. }
                    | StateError::Corrupt { .. }
                    | StateError::Foreign { field: "part", .. }),
                ) => Err(error.to_string()),
                Err(error) => return Err(super::state_error(&error)),
            }
        };
        opened.parts.push(match lost {
            Ok(part) => part,
            Err(what) if identity.is_only_replica() => {
                // What is left of it is all that there is.
                let way = "they have no other replica: put the directory back as it was, from a copy";
                let what = format!("part {part} of the state, with the records of many entities, is damaged: {what}; {way}");
                return Err(Error::Corrupt { what });
            }
            Err(what) => {
                tracing::error!(part, %what, "a part of the state is lost: its buckets learn, and are copied from other replicas");
                opened.damage.push(what);
                // Written down first: without its state a bucket looks like one in which nothing was ever promised.
                file.update(|identity| forget(identity, part))?;
                Part::destroy(&**disk, &directory).map_err(|error| super::state_error(&error))?;
                open().map_err(|error| super::state_error(&error))?
            }
        });
    }
    Ok(opened)
}

fn forget(identity: &mut Identity, part: u32) {
    for bucket in (part..identity.buckets).step_by(identity.parts as usize) {
        identity.amnesia.add(bucket);
    }
}

fn has_manifest(disk: &dyn Disk, directory: &Path) -> Result<bool, Error> {
    let path = directory.join("manifest");
    match disk.open(&path, OpenMode::Read) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::file(&path, &error)),
    }
}
