//! Opening a part.
//!
//! | manifest | run files | |
//! |---|---|---|
//! | none | none | a new part; it is made |
//! | none | some | something is lost: refused |
//! | another identity's, of another format version, or with other fixed settings | any | refused |
//! | corrupt | any | refused |
//! | whole | one that it names is gone | refused |
//! | whole | some that it does not name | left over from a crash: removed |
//! | whole | those that it names | opened |
//!
//! A `manifest.new` is left over from a crash and counts for nothing.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::config::{Identity, StateConfig};
use super::error::StateError;
use super::manifest::{self, Manifest, Marks};
use super::part::Part;
use super::run::{Age, RunId, RunList, RunStore};
use crate::disk::Disk;

impl Part {
    /// Opens a part, or makes it where nothing is. Reads the manifest only; what is stored is not looked at.
    ///
    /// # Errors
    /// [`StateError::Invalid`] settings, [`StateError::Foreign`] directory, [`StateError::Manifest`] damaged or gone, [`StateError::Corrupt`]
    /// when a run is gone, [`StateError::Io`].
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        config: StateConfig,
        identity: Identity,
    ) -> Result<Part, StateError> {
        config.check()?;
        let io = |action| {
            let file = dir.to_path_buf();
            move |source| StateError::Io { action, file, source }
        };
        disk.create_directory(dir).map_err(io("create"))?;
        let found = manifest::read(&*disk, dir)?;
        let files: BTreeSet<RunId> =
            disk.list(dir).map_err(io("list"))?.iter().filter_map(|path| run_of(path)).collect();
        let store = Arc::new(RunStore::new(disk, dir.to_path_buf(), identity, config));
        let path = manifest::path(dir);
        let Some(bytes) = found else {
            if !files.is_empty() {
                return Err(StateError::Manifest {
                    file: path,
                    offset: 0,
                    what: "gone, though runs are there",
                });
            }
            return make(store);
        };
        let Manifest { next_file, next_age, rests_on, runs, marks } =
            manifest::decode(&path, &bytes, identity, &store.config)?;
        let above = files.last().map_or(0, |last| last.0.saturating_add(1));
        store.next_file.store(next_file.max(above), Ordering::Relaxed);
        let runs = manifest::list(&store, runs).map_err(|what| StateError::Manifest {
            file: path,
            offset: 0,
            what,
        })?;
        check_there(&runs, &files)?;
        remove_left_over(&store, &runs, &files)?;
        Ok(Part::new(store, runs, marks, next_age, rests_on))
    }
}

fn make(store: Arc<RunStore>) -> Result<Part, StateError> {
    let (runs, marks, next_age) = (RunList::default(), Marks::new(), Age(1));
    let bytes = manifest::encode(&store, next_age, 0, std::iter::empty(), &marks);
    manifest::replace(&store, &bytes)?;
    // The directory itself may be new, and those above it.
    for above in store.dir.ancestors().skip(1) {
        let io = |source| StateError::Io { action: "sync", file: above.to_path_buf(), source };
        store.disk.sync_directory(above).map_err(io)?;
    }
    Ok(Part::new(store, runs, marks, next_age, 0))
}

fn check_there(runs: &RunList, files: &BTreeSet<RunId>) -> Result<(), StateError> {
    match runs.all().find(|run| !files.contains(&run.meta.id)) {
        Some(run) => Err(run.corrupt(0, "file is gone")),
        None => Ok(()),
    }
}

fn remove_left_over(store: &RunStore, runs: &RunList, files: &BTreeSet<RunId>) -> Result<(), StateError> {
    let live: BTreeSet<RunId> = runs.all().map(|run| run.meta.id).collect();
    for orphan in files.difference(&live) {
        remove(&*store.disk, &store.path(*orphan))?;
    }
    remove(&*store.disk, &manifest::new_path(&store.dir))
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), StateError> {
    match disk.remove(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StateError::Io { action: "remove", file: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}

/// The number of a run file.
fn run_of(path: &Path) -> Option<RunId> {
    let number = path.file_name()?.to_str()?.strip_suffix(".run")?;
    if number.len() != 16 { None } else { u64::from_str_radix(number, 16).ok().map(RunId) }
}

/// The manifest goes last, so that what is left of a half destroyed part is a whole one with missing runs, or nothing.
pub(super) fn destroy(disk: &dyn Disk, dir: &Path) -> Result<(), StateError> {
    let io = |action| {
        let file = dir.to_path_buf();
        move |source| StateError::Io { action, file, source }
    };
    let files = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        files => files.map_err(io("list"))?,
    };
    for file in files.iter().filter(|file| run_of(file).is_some()) {
        remove(disk, &dir.join(file.file_name().unwrap_or_default()))?;
    }
    disk.sync_directory(dir).map_err(io("sync"))?;
    remove(disk, &manifest::new_path(dir))?;
    remove(disk, &manifest::path(dir))?;
    disk.sync_directory(dir).map_err(io("sync"))
}
