//! The handles of a disk in memory.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::world::World;
use crate::disk::{File, Lock, check_alignment};

pub(super) struct MemoryFile {
    world: Arc<Mutex<World>>,
    inode: u64,
    /// Which life of the process opened it: a handle does not outlive a power cut.
    process: u64,
    writable: bool,
    direct: bool,
}

impl MemoryFile {
    pub(super) fn new(
        shared: &Arc<Mutex<World>>,
        world: &mut World,
        inode: u64,
        writable: bool,
        direct: bool,
    ) -> MemoryFile {
        world.handle_opened(inode);
        MemoryFile { world: Arc::clone(shared), inode, process: world.process, writable, direct }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened for reading"))
    }
}

impl File for MemoryFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.direct {
            check_alignment(buffer, offset)?;
        }
        self.world.lock().read(self.process, self.inode, buffer, offset)
    }

    fn write_all_at(&self, buffer: &[u8], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        if self.direct {
            check_alignment(buffer, offset)?;
        }
        self.world.lock().write(self.process, self.inode, buffer, offset, self.direct)
    }

    fn sync(&self) -> io::Result<()> {
        self.world.lock().sync(self.process, self.inode)
    }

    fn len(&self) -> io::Result<u64> {
        self.world.lock().len(self.process, self.inode)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.world.lock().set_len(self.process, self.inode, len)
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        self.world.lock().handle_closed(self.process, self.inode);
    }
}

pub(super) struct MemoryLock {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) path: PathBuf,
    pub(super) process: u64,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.world.lock().release_lock(self.process, &self.path);
    }
}
