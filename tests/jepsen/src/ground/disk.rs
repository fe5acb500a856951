//! A node's disk: a small file system of its own, whose power can be cut, or a directory.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{has, is_root, run};

/// The size of a node's file system. The image is sparse.
const DISK_BYTES: u64 = 8 << 30;
/// Shuts an ext4 file system down without writing anything back.
const EXT4_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
const NO_LOG_FLUSH: u32 = 2;

/// A node's disk.
pub(crate) enum Disk {
    Directory(PathBuf),
    Mounted { image: PathBuf, mount: PathBuf },
}

impl Disk {
    pub(super) fn make(root: &Path, node: usize, isolated: bool) -> io::Result<Self> {
        let mount = root.join(format!("disk-{}", node + 1));
        fs::create_dir_all(&mount)?;
        if !(isolated && is_root() && has("mkfs.ext4") && has("mount")) {
            return Ok(Self::Directory(mount));
        }
        let image = root.join(format!("disk-{}.img", node + 1));
        File::create(&image)?.set_len(DISK_BYTES)?;
        let made = run("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=1", text(&image)])
            .and_then(|_| run("mount", &["-o", "loop", text(&image), text(&mount)]));
        match made {
            Ok(_) => Ok(Self::Mounted { image, mount }),
            Err(error) => {
                eprintln!("no file systems of their own for the nodes: {error}");
                fs::remove_file(&image)?;
                Ok(Self::Directory(mount))
            }
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        match self {
            Self::Directory(directory) => directory,
            Self::Mounted { mount, .. } => mount,
        }
    }

    pub(crate) fn has_power_switch(&self) -> bool {
        matches!(self, Self::Mounted { .. })
    }

    /// Cuts the power: what was not synced is gone. The node's process must be killed before it is switched on again.
    pub(crate) fn power_off(&self) -> io::Result<()> {
        let directory = File::open(self.directory())?;
        // SAFETY: the request takes a pointer to a number, which outlives the call.
        match unsafe { libc::ioctl(directory.as_raw_fd(), EXT4_IOC_SHUTDOWN, &NO_LOG_FLUSH) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    pub(crate) fn power_on(&self) -> io::Result<()> {
        if let Self::Mounted { image, mount } = self {
            run("umount", &[text(mount)])?;
            run("mount", &["-o", "loop", text(image), text(mount)])?;
        }
        Ok(())
    }

    /// Something that is not synced; gone after a power cut.
    pub(crate) fn leave_unsynced(&self) -> io::Result<PathBuf> {
        let path = self.directory().join("unsynced");
        File::create(&path)?.write_all(b"this must not survive")?;
        Ok(path)
    }

    /// Takes all the room there is; says how much that was.
    pub(crate) fn fill(&self) -> io::Result<u64> {
        let file = File::create(self.directory().join("fill"))?;
        let mut taken = 0;
        let mut step = 1_u64 << 30;
        while step >= 4096 {
            // SAFETY: the descriptor is open, and only numbers are passed.
            match unsafe { libc::fallocate(file.as_raw_fd(), 0, taken as i64, step as i64) } {
                0 => taken += step,
                _ => step /= 2,
            }
        }
        Ok(taken)
    }

    pub(crate) fn free(&self) -> io::Result<()> {
        match fs::remove_file(self.directory().join("fill")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// How much room is left, in bytes.
    pub(crate) fn room(&self) -> io::Result<u64> {
        let path = CString::new(self.directory().as_os_str().as_bytes())?;
        // SAFETY: a structure of numbers, for which zeroes are a value.
        let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the path ends with a zero, and the structure outlives the call.
        match unsafe { libc::statvfs(path.as_ptr(), &mut found) } {
            0 => Ok(found.f_bavail * found.f_frsize),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Mounted { image, mount } = self {
            let _ = run("umount", &["-l", text(mount)]);
            let _ = fs::remove_file(image);
        }
    }
}

/// Paths of a run are made by this program, of plain letters.
fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
