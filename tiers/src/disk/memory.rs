//! A disk in memory that loses, tears, corrupts, fails and fills up on cue.

mod cuts;
mod files;
mod inode;
mod misread;
mod power;
mod random;
mod world;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::cuts::{PowerCuts, Walked};
use self::files::{MemoryFile, MemoryLock};
use self::world::{FailRule, World};
use super::{Disk, File, Lock, OpenMode, relative};

/// A [`Disk`] in memory, deterministic: the same calls with the same seed give the same bytes.
///
/// Every file has two contents: what a reader sees now, and what would still be there after a power cut. A write
/// changes the first in units of 512-byte sectors, a sync copies them to the second; a direct write does both at once.
/// Clones are the same disk; [`fork`](MemoryDisk::fork) is an independent copy.
///
/// What it does not model: several unsynced versions of one sector (only the newest may survive, or none).
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    world: Arc<Mutex<World>>,
}

/// A kind of call that can be counted or made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A read of a file.
    Read,
    /// A write to a file, direct or not, or a change of its length.
    Write,
    /// A sync of a file or a directory.
    Sync,
    /// A create, rename or remove.
    Entry,
    /// Any of them.
    Any,
}

/// How many calls a disk has seen, refused ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Reads of files.
    pub reads: u64,
    /// Writes to files, direct or not, and changes of length.
    pub writes: u64,
    /// Syncs of files and directories.
    pub syncs: u64,
    /// Creates, renames and removes.
    pub entries: u64,
    /// Of all these, those that were made to fail by [`MemoryDisk::fail`].
    pub failed: u64,
    /// Of all these, those that [`MemoryDisk::set_capacity`] left no room for.
    pub without_room: u64,
    /// Of the reads, those that [`MemoryDisk::misdirect_read`] gave other bytes.
    pub misread: u64,
}

impl Calls {
    /// The calls that change something, which is what [`MemoryDisk::freeze_after`] counts.
    pub fn changes(&self) -> u64 {
        self.writes + self.syncs + self.entries
    }
}

/// What a power cut does with everything that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// All of it is lost.
    Lost,
    /// All of it had reached the medium.
    Kept,
    /// Each sector, each length and each directory change is kept or lost by a coin of this seed, and the last write may
    /// end in the middle of a sector.
    Mixed(u64),
}

/// A change that is not synced: a power cut keeps or loses it, whatever becomes of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsettled {
    /// A create, rename or remove.
    Entry,
    /// A file's length.
    Length,
    /// A sector of a file.
    Sector,
    /// A sector of the write that was made last, which may also be torn.
    LastSector,
}

/// What a power cut does with one [`Unsettled`] change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never happened.
    Lost,
    /// It had reached the medium.
    Kept,
    /// Of a sector, so many bytes had.
    Torn(usize),
}

impl MemoryDisk {
    /// An empty disk. The seed decides how much of a failing write lands.
    pub fn new(seed: u64) -> MemoryDisk {
        MemoryDisk { world: Arc::new(Mutex::new(World::new(seed))) }
    }

    /// An independent copy with the same contents, faults and counters, and with no handle open and no lock held.
    pub fn fork(&self) -> MemoryDisk {
        let mut world = self.world.lock().clone();
        world.forget_process();
        MemoryDisk { world: Arc::new(Mutex::new(world)) }
    }

    /// Cuts the power and switches it on again: unsynced changes go as `unsynced` says, open handles and locks die, a
    /// frozen disk thaws. Failures that are still due stay due.
    pub fn power_cut(&self, unsynced: Unsynced) {
        self.world.lock().power_cut(unsynced);
    }

    /// The changes that are not synced and can be told from what they replace.
    pub fn unsettled(&self) -> Vec<Unsettled> {
        self.world.lock().unsettled()
    }

    /// As [`power_cut`](MemoryDisk::power_cut), with a fate for each of the [`unsettled`](MemoryDisk::unsettled) changes by its
    /// number. Says whether everything kept made a difference: if not, some choice of fewer changes leaves the same.
    pub fn power_cut_choosing(&self, mut fate: impl FnMut(usize) -> Fate) -> bool {
        self.world.lock().power_cut_choosing(&mut fate)
    }

    /// Ends the process alone: open handles and locks die, nothing written is lost.
    pub fn kill(&self) {
        let mut world = self.world.lock();
        world.forget_process();
        world.thaw();
    }

    /// Lets `changes` more writes, syncs and directory changes happen and loses everything after them. The first one
    /// after is caught in the act: it fails, and leaves what it wrote unsynced, to be kept or lost by the power cut.
    pub fn freeze_after(&self, changes: u64) {
        self.world.lock().freeze_after(changes);
    }

    /// Whether a frozen disk has refused something.
    pub fn is_frozen(&self) -> bool {
        self.world.lock().is_frozen()
    }

    /// Makes the `nth` call of a kind from now (1 = the next one) fail with `error`. A failing write lands in part; a
    /// failing sync leaves its data unsynced but looking clean, so that a later sync succeeds without it.
    pub fn fail(&self, call: Call, nth: u64, error: io::ErrorKind) {
        self.world.lock().rules.push(FailRule { call, due_in: nth, error });
    }

    /// How many calls of a kind are still to fail.
    pub fn failures_due(&self, call: Call) -> usize {
        self.world.lock().rules.iter().filter(|rule| rule.call == call).count()
    }

    /// Forgets all failures and misdirected reads that are still due.
    pub fn heal(&self) {
        let mut world = self.world.lock();
        world.rules.clear();
        world.misreads.clear();
    }

    /// Bounds the sum of all files' lengths; past it, writes fail with [`io::ErrorKind::StorageFull`]. `None` lifts it.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.world.lock().capacity = bytes;
    }

    /// Flips the bits of `mask` in the byte at `offset`, for readers and on the medium.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or [`io::ErrorKind::UnexpectedEof`] past the end of the file.
    pub fn flip_bits(&self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        self.world.lock().flip_bits(&relative(path)?, offset, mask)
    }

    /// Makes reads that touch the byte at `offset` fail, until it is written again.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`].
    pub fn break_sector(&self, path: &Path, offset: u64) -> io::Result<()> {
        self.world.lock().break_sector(&relative(path)?, offset)
    }

    /// Makes the next read that touches the page of 4 KiB around `offset` find there what stands now in the page around
    /// `source_offset` of `source`, as far as that goes. The reads after it find what is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`].
    pub fn misdirect_read(
        &self,
        path: &Path,
        offset: u64,
        source: &Path,
        source_offset: u64,
    ) -> io::Result<()> {
        let (path, source) = (relative(path)?, relative(source)?);
        self.world.lock().misdirect_read((&path, offset), (&source, source_offset))
    }

    /// The calls so far.
    pub fn calls(&self) -> Calls {
        self.world.lock().calls
    }

    /// The sum of all files' lengths, in bytes.
    pub fn used_bytes(&self) -> u64 {
        self.world.lock().used_bytes()
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let path = relative(path)?;
        let mut world = self.world.lock();
        let inode = match mode {
            OpenMode::Read | OpenMode::ReadWrite => world.find(&path)?,
            OpenMode::CreateNew => world.create(&path)?,
        };
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(MemoryFile::new(&self.world, &mut world, inode, writable, false)))
    }

    fn open_direct(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let path = relative(path)?;
        let mut world = self.world.lock();
        let inode = world.find(&path)?;
        Ok(Arc::new(MemoryFile::new(&self.world, &mut world, inode, true, true)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.world.lock().rename(&relative(from)?, &relative(to)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.world.lock().remove(&relative(path)?)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.world.lock().create_directory(&relative(path)?)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.world.lock().list(&relative(path)?)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.world.lock().sync_directory(&relative(path)?)
    }

    fn room(&self, _: &Path) -> io::Result<u64> {
        Ok(self.world.lock().room())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let path = relative(path)?;
        let process = self.world.lock().take_lock(&path)?;
        Ok(Box::new(MemoryLock { world: Arc::clone(&self.world), path, process }))
    }
}

#[cfg(test)]
mod tests;
