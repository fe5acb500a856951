//! The files of a journal: which are in use, which are ready, which can be used again.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use super::catalog::Catalog;
use super::config::JournalConfig;
use super::error::{JournalError, Poison};
use super::layout::{BLOCK_BYTES, CatalogLabel, Generation, JournalIdentity, LABEL_BYTES, SegmentLabel};
use super::numbering::{NextSequence, first_kept};
use super::recovery::ReplayedFrom;
use super::segment::{FileName, Segment, SegmentInfo, Writable};
use crate::disk::{AlignedBuffer, Disk, OpenMode, is_full};
use crate::plant::{Plant, on};

/// How much of a new file is zero-filled with one write: small enough not to keep a commit waiting behind it for long.
const FILL_BYTES: u32 = 1 << 20;

/// What the writer, the readers and the preparer of one journal share.
pub(super) struct Directory {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
    pub(super) config: JournalConfig,
    pub(super) identity: JournalIdentity,
    /// All segments that hold records or may soon; never held across I/O.
    pub(super) segments: RwLock<BTreeMap<Generation, Arc<Segment>>>,
    /// Held while files are prepared or released. A commit takes it only when it needs another segment, and then has to
    /// wait for one anyway.
    pub(super) files: Mutex<Files>,
    /// The segment that commits go to; those below it are closed. Changes under `files` only.
    pub(super) active: AtomicU64,
    pub(super) next_sequence: NextSequence,
    /// What lies before is only there to be read.
    pub(super) replayed_from: ReplayedFrom,
    pub(super) poison: OnceLock<Arc<Poison>>,
}

pub(super) struct Files {
    pub(super) catalog: Catalog,
    /// Labelled and named, with no commit in them yet.
    pub(super) prepared: VecDeque<Writable>,
    pub(super) spares: Vec<u64>,
    pub(super) next_spare: u64,
    pub(super) buffer: AlignedBuffer,
}

impl Files {
    fn ready(&self) -> usize {
        self.prepared.len() + self.spares.len()
    }
}

impl Directory {
    pub(super) fn check_poison(&self) -> Result<(), JournalError> {
        match self.poison.get() {
            Some(_) if on(Plant::PoisonForgotten) => Ok(()),
            Some(poison) => Err(JournalError::Poisoned(Arc::clone(poison))),
            None => Ok(()),
        }
    }

    /// Ends the journal; the first cause is the one that is kept.
    pub(super) fn poison(&self, action: &'static str, path: &Path, source: io::Error) -> JournalError {
        let poison = Arc::new(Poison { action, path: path.to_path_buf(), source });
        JournalError::Poisoned(Arc::clone(self.poison.get_or_init(|| poison)))
    }

    fn full(&self) -> JournalError {
        JournalError::Full { segments: self.segments.read().len() as u32, bytes: self.config.segment_bytes }
    }

    /// Sees to it that so many files are ready for commits.
    pub(super) fn ensure_ready(&self, files: &mut Files, wanted: usize) -> Result<(), JournalError> {
        while files.ready() < wanted {
            let in_use = self.segments.read().len() + files.spares.len();
            if in_use >= self.config.segments_max as usize {
                return Err(self.full());
            }
            self.create_spare(files)?;
        }
        Ok(())
    }

    /// Makes a zero-filled file: an overwrite of what is allocated needs no change to the file system's own structures.
    fn create_spare(&self, files: &mut Files) -> Result<(), JournalError> {
        let number = files.next_spare;
        files.next_spare += 1;
        let path = FileName::Spare(number).path(&self.path);
        match self.fill(files, &path) {
            Ok(()) => {
                files.spares.push(number);
                Ok(())
            }
            Err(error) if is_full(&error) => {
                // Whether this succeeds or not: what stays behind is removed at the next start.
                let _ = self.disk.remove(&path);
                Err(self.full())
            }
            Err(error) => Err(self.poison("fill", &path, error)),
        }
    }

    fn fill(&self, files: &mut Files, path: &Path) -> io::Result<()> {
        drop(self.disk.open(path, OpenMode::CreateNew)?);
        let file = self.disk.open_direct(path)?;
        let total = self.config.segment_bytes;
        let chunk = FILL_BYTES.min(total);
        files.buffer.resize(chunk as usize).fill(0);
        let mut offset = 0;
        while offset < total {
            let bytes = chunk.min(total - offset);
            file.write_all_at(&files.buffer.as_slice()[..bytes as usize], offset.into())?;
            offset += bytes;
        }
        file.sync()
    }

    /// Turns a spare file into the next segment. There must be one.
    fn label_spare(&self, files: &mut Files) -> Result<Writable, JournalError> {
        let number = *files.spares.last().unwrap_or_else(|| unreachable!("a spare file was made sure of"));
        let spare = FileName::Spare(number).path(&self.path);
        let generation = Generation(files.catalog.label().newest.0 + 1);
        let path = FileName::Segment(generation).path(&self.path);
        let writable = match self.name_segment(files, &spare, &path, generation) {
            Ok(writable) => writable,
            // The file has kept its name, and can be tried again.
            Err(Naming::NoRoom) => return Err(self.full()),
            Err(Naming::Failed(error)) => return Err(self.poison("prepare", &path, error)),
        };
        files.spares.pop();
        if let Err(error) = files.catalog.update(|label| label.newest = generation) {
            return Err(self.poison("write", files.catalog.path(), error));
        }
        self.segments.write().insert(generation, Arc::clone(&writable.segment));
        Ok(writable)
    }

    fn name_segment(
        &self,
        files: &mut Files,
        spare: &Path,
        path: &Path,
        generation: Generation,
    ) -> Result<Writable, Naming> {
        let direct = self.disk.open_direct(spare)?;
        let capacity = self.config.segment_bytes;
        let label = SegmentLabel { identity: self.identity, generation, segment_bytes: capacity };
        let block = files.buffer.resize(BLOCK_BYTES as usize);
        block.fill(0);
        block[..LABEL_BYTES].copy_from_slice(&label.encode());
        direct.write_all_at(files.buffer.as_slice(), 0)?;
        match self.disk.rename(spare, path) {
            Err(error) if is_full(&error) => return Err(Naming::NoRoom),
            renamed => renamed?,
        }
        if !on(Plant::SegmentNameNotSynced) {
            self.disk.sync_directory(&self.path)?;
        }
        let file = self.disk.open(path, OpenMode::Read)?;
        let segment = Segment::new(self.identity, generation, capacity, true, path.to_path_buf(), file);
        Ok(Writable { segment: Arc::new(segment), direct })
    }

    /// The next segment to commit to, which becomes the active one. There must be a file ready.
    pub(super) fn take_next(&self, files: &mut Files) -> Result<Writable, JournalError> {
        let next = match files.prepared.pop_front() {
            Some(next) => next,
            None => self.label_spare(files)?,
        };
        self.active.store(next.segment.generation.0, Ordering::SeqCst);
        Ok(next)
    }

    /// Writes down which segments are released and from which one the next opening replays. Neither ever falls.
    fn raise_floors(
        &self,
        files: &mut Files,
        floor: Generation,
        replay_from: Generation,
    ) -> Result<(), JournalError> {
        let old = *files.catalog.label();
        let mut label = CatalogLabel { floor: floor.max(old.floor), ..old };
        if replay_from > old.replay_from {
            let segments = self.segments.read();
            let firsts = segments.range(replay_from..).map(|(_, segment)| &segment.first_sequence);
            label.replay_sequence = first_kept(&self.next_sequence, firsts);
            label.replay_from = replay_from;
        }
        if label.suspect < label.floor {
            label.suspect = Generation(0);
        }
        if label == old {
            return Ok(());
        }
        let written = files.catalog.update(|old| *old = label);
        written.map_err(|error| self.poison("write", files.catalog.path(), error))
    }

    pub(super) fn infos(&self) -> Vec<SegmentInfo> {
        self.segments.read().values().map(|segment| segment.info()).collect()
    }

    /// Gives up a file: it waits to be used again, or is removed. Durable with the next sync of the directory.
    pub(super) fn retire(&self, files: &mut Files, path: &Path, reusable: bool) -> io::Result<()> {
        let wanted = (self.config.headroom_segments + self.config.spare_segments_max) as usize;
        if !reusable || files.ready() >= wanted {
            return self.disk.remove(path);
        }
        let number = files.next_spare;
        files.next_spare += 1;
        match self.disk.rename(path, &FileName::Spare(number).path(&self.path)) {
            Ok(()) => files.spares.push(number),
            // A disk that has no room even for a name: the file's own room helps more than the file.
            Err(error) if is_full(&error) => self.disk.remove(path)?,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Why a file did not become a segment.
enum Naming {
    /// The disk had no room for its name.
    NoRoom,
    /// Something else failed, and it is open under which name the file is.
    Failed(io::Error),
}

impl From<io::Error> for Naming {
    fn from(error: io::Error) -> Naming {
        Naming::Failed(error)
    }
}

/// What [`Preparer::reclaim`] released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Segments released.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
}

/// Makes files ready ahead of need and takes back those no longer wanted; usable from any thread, beside commits.
#[derive(Clone)]
pub struct Preparer {
    pub(super) directory: Arc<Directory>,
}

impl Preparer {
    /// Makes the next segment and the headroom ready, if they are not. Call it once after opening and after each commit
    /// that says [`rolled`](super::Committed::rolled); without it, the commit that needs a segment makes it itself.
    ///
    /// # Errors
    /// [`JournalError::Full`] when there is no room, which harms nothing; [`JournalError::Poisoned`].
    pub fn prepare_next(&self) -> Result<(), JournalError> {
        let directory = &*self.directory;
        directory.check_poison()?;
        let mut files = directory.files.lock();
        directory.ensure_ready(&mut files, 1 + directory.config.headroom_segments as usize)?;
        if files.prepared.is_empty() {
            let next = directory.label_spare(&mut files)?;
            files.prepared.push_back(next);
        }
        Ok(())
    }

    /// Releases all segments below `oldest_needed` but the one being written to. The caller warrants that every record in
    /// them is applied, durable in the state, and wanted by nobody.
    ///
    /// # Errors
    /// [`JournalError::Poisoned`].
    pub fn reclaim(&self, oldest_needed: Generation) -> Result<Released, JournalError> {
        let directory = &*self.directory;
        directory.check_poison()?;
        let mut files = directory.files.lock();
        let floor = Generation(oldest_needed.0.min(directory.active.load(Ordering::SeqCst)));
        let released: Vec<Arc<Segment>> =
            directory.segments.read().range(..floor).map(|(_, segment)| Arc::clone(segment)).collect();
        if floor <= files.catalog.label().floor {
            return Ok(Released::default());
        }
        if on(Plant::ReleaseBeforeCatalog) {
            for segment in &released {
                let _ = directory.disk.remove(&segment.path);
            }
        }
        // From here on the segments are gone for ever, whatever happens to their files.
        directory.raise_floors(&mut files, floor, floor)?;
        // Readers let go before a file gets its next life.
        directory.segments.write().retain(|generation, _| *generation >= floor);
        for segment in &released {
            if let Err(error) = directory.retire(&mut files, &segment.path, segment.is_reusable()) {
                return Err(directory.poison("release", &segment.path, error));
            }
        }
        if let Err(error) = directory.disk.sync_directory(&directory.path) {
            return Err(directory.poison("sync", &directory.path, error));
        }
        let records = released.iter().map(|segment| segment.info().records).sum();
        Ok(Released { segments: released.len() as u64, records })
    }

    /// Notes durably that opening has to replay no segment below `oldest_needed`, but for the one being written to. They stay, to be
    /// [read](super::JournalReader) until they are [reclaimed](Preparer::reclaim). The caller warrants that every record in them is applied, and durable in
    /// the state. Does nothing if that is noted already.
    ///
    /// # Errors
    /// [`JournalError::Poisoned`].
    pub fn replay_from(&self, oldest_needed: Generation) -> Result<(), JournalError> {
        let directory = &*self.directory;
        directory.check_poison()?;
        let mut files = directory.files.lock();
        let replay_from = Generation(oldest_needed.0.min(directory.active.load(Ordering::SeqCst)));
        let floor = files.catalog.label().floor;
        directory.raise_floors(&mut files, floor, replay_from)
    }

    /// For how many bytes more there is room where the journal is; `None` when the disk does not say.
    pub fn room(&self) -> Option<u64> {
        self.directory.disk.room(&self.directory.path).ok()
    }

    /// The segment that commits go to. What is committed after this has returned lies in it or a later one.
    pub fn active_generation(&self) -> Generation {
        Generation(self.directory.active.load(Ordering::SeqCst))
    }

    /// What the segments hold, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.directory.infos()
    }
}
