//! Files of the operating system.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock, statvfs};
use rustix::io::{Errno, retry_on_intr};

use super::{Disk, File, Lock, OpenMode, check_alignment, relative};

/// A directory of the operating system as a [`Disk`].
#[derive(Clone, Debug)]
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// A disk below `root`, which is created durably when it does not exist.
    ///
    /// # Errors
    /// Whatever the operating system says about the directory.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<RealDisk> {
        let root = std::path::absolute(root.into())?;
        let missing: Vec<&Path> = root.ancestors().take_while(|part| !part.exists()).collect();
        fs::create_dir_all(&root)?;
        for parent in missing.iter().filter_map(|part| part.parent()) {
            fs::File::open(parent)?.sync_all()?;
        }
        Ok(RealDisk { root })
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let path = relative(path)?;
        // Joining an empty path would add a trailing separator, which is no file's name.
        Ok(if path.as_os_str().is_empty() { self.root.clone() } else { self.root.join(path) })
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        let file = options.open(self.resolve(path)?)?;
        Ok(Arc::new(RealFile { file }))
    }

    fn open_direct(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let path = self.resolve(path)?;
        let open = |flags: OFlags| {
            fs::OpenOptions::new().read(true).write(true).custom_flags(flags.bits() as i32).open(&path)
        };
        let file = match open(PAST_THE_CACHE.union(OFlags::DSYNC)) {
            // The file system knows no O_DIRECT (tmpfs, some overlays): through the page cache then, just as durable.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => open(OFlags::DSYNC)?,
            other => other?,
        };
        Ok(Arc::new(DirectFile { file: RealFile { file } }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(self.resolve(from)?, self.resolve(to)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.resolve(path)?)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(self.resolve(path)?)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.resolve(path)?)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(PathBuf::from(entry.file_name()));
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let path = self.resolve(path)?;
        patiently(|| fs::File::open(&path))?.sync_all()
    }

    fn room(&self, path: &Path) -> io::Result<u64> {
        let path = self.resolve(path)?;
        let disk = retry_on_intr(|| statvfs(&path))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let directory = fs::File::open(self.resolve(path)?)?;
        lock_exclusively(&directory)?;
        Ok(Box::new(RealLock { _directory: directory }))
    }
}

#[cfg(target_os = "linux")]
const PAST_THE_CACHE: OFlags = OFlags::DIRECT;
#[cfg(not(target_os = "linux"))]
const PAST_THE_CACHE: OFlags = OFlags::empty();

struct RealFile {
    file: fs::File,
}

impl File for RealFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, buffer: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}

/// Opened with O_DSYNC, and with O_DIRECT where the file system takes it.
struct DirectFile {
    file: RealFile,
}

impl File for DirectFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        check_alignment(buffer, offset)?;
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, buffer: &[u8], offset: u64) -> io::Result<()> {
        check_alignment(buffer, offset)?;
        self.file.write_all_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}

/// Closing the descriptor releases the lock, also when the process dies.
struct RealLock {
    _directory: fs::File,
}

impl Lock for RealLock {}

fn lock_exclusively(file: &fs::File) -> io::Result<()> {
    retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive)).map_err(io::Error::from)
}

/// How long it is waited for a descriptor that the process or the system does not have at this moment, and how often it is tried meanwhile.
const DESCRIPTOR_WAIT: Duration = Duration::from_secs(5);
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(20);

/// Opens something without which nobody could say whether what was done before is durable: that there is no descriptor at this moment is no failed
/// sync, and must not be taken for one.
fn patiently<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let begun = Instant::now();
    loop {
        match open() {
            Err(error) if has_no_descriptor(&error) && begun.elapsed() < DESCRIPTOR_WAIT => {
                std::thread::sleep(DESCRIPTOR_PAUSE);
            }
            other => return other,
        }
    }
}

fn has_no_descriptor(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::AlignedBuffer;

    fn disk() -> (tempfile::TempDir, RealDisk) {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(directory.path().join("root")).unwrap();
        (directory, disk)
    }

    #[test]
    fn a_descriptor_that_is_not_there_yet_is_waited_for_and_nothing_else() {
        let mut tries = 0;
        let opened = patiently(|| {
            tries += 1;
            if tries < 3 { Err(Errno::MFILE.into()) } else { Ok(tries) }
        });
        assert_eq!(opened.unwrap(), 3);
        let failed: io::Result<()> = patiently(|| {
            tries += 1;
            Err(Errno::IO.into())
        });
        assert_eq!((failed.unwrap_err().raw_os_error(), tries), (Some(Errno::IO.raw_os_error()), 4));
    }

    #[test]
    fn a_file_is_made_written_renamed_listed_and_removed() {
        let (_directory, disk) = disk();
        disk.create_directory(Path::new("a/b")).unwrap();
        assert_eq!(
            disk.open(Path::new("a/x"), OpenMode::Read).err().unwrap().kind(),
            io::ErrorKind::NotFound
        );
        let file = disk.open(Path::new("a/x"), OpenMode::CreateNew).unwrap();
        assert_eq!(
            disk.open(Path::new("a/x"), OpenMode::CreateNew).err().unwrap().kind(),
            io::ErrorKind::AlreadyExists
        );
        file.write_all_at(b"hello", 3).unwrap();
        file.sync().unwrap();
        let mut read = [9; 8];
        file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"\0\0\0hello");
        let past = file.read_exact_at(&mut read, 1).err().unwrap();
        assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);
        file.set_len(4).unwrap();
        assert_eq!(file.len().unwrap(), 4);
        disk.rename(Path::new("a/x"), Path::new("a/y")).unwrap();
        assert_eq!(disk.list(Path::new("a")).unwrap(), [PathBuf::from("y")]);
        disk.remove(Path::new("a/y")).unwrap();
        disk.sync_directory(Path::new("a")).unwrap();
        disk.sync_directory(Path::new("")).unwrap();
        assert!(disk.list(Path::new("a")).unwrap().is_empty());
    }

    #[test]
    fn direct_writes_land_and_unaligned_ones_are_refused() {
        let (_directory, disk) = disk();
        let path = Path::new("direct");
        assert_eq!(disk.open_direct(path).err().unwrap().kind(), io::ErrorKind::NotFound);
        let plain = disk.open(path, OpenMode::CreateNew).unwrap();
        let direct = disk.open_direct(path).unwrap();
        let mut buffer = AlignedBuffer::new();
        buffer.resize(8192).fill(5);
        direct.write_all_at(buffer.as_slice(), 4096).unwrap();
        let mut read = vec![0; 8192];
        plain.read_exact_at(&mut read, 4096).unwrap();
        assert_eq!(read, buffer.as_slice());
        for (bytes, offset) in
            [(&buffer.as_slice()[..100], 0), (&buffer.as_slice()[1..], 0), (buffer.as_slice(), 512)]
        {
            let refused = direct.write_all_at(bytes, offset).err().unwrap();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn it_knows_how_much_room_it_has() {
        let (_directory, disk) = disk();
        // Of a disk that others write to: no more can be said of it.
        let room = disk.room(Path::new("")).unwrap();
        assert!((1..1 << 60).contains(&room), "{room}");
        assert!(disk.room(Path::new("nowhere")).is_err());
    }

    #[test]
    fn a_directory_is_held_once() {
        let (_directory, disk) = disk();
        let held = disk.lock(Path::new("")).unwrap();
        assert_eq!(disk.lock(Path::new("")).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        disk.lock(Path::new("")).unwrap();
    }

    #[test]
    fn no_path_leaves_the_root() {
        let (_directory, disk) = disk();
        for path in ["../x", "/x", "a/../../x"] {
            let refused = disk.open(Path::new(path), OpenMode::CreateNew).err().unwrap();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
