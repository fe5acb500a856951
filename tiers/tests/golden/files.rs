//! Files that are kept in the repository, and directories of a disk in memory.

use std::path::{Path, PathBuf};

use thermocline_tiers::disk::{Disk, MemoryDisk, OpenMode};

/// The files of one format, and where they lie on the disk.
pub(crate) struct Golden<'a> {
    /// The folder beside this file.
    pub(crate) folder: &'a str,
    pub(crate) directory: &'a Path,
    pub(crate) names: &'a [&'a str],
}

impl Golden<'_> {
    fn path(&self, name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(self.folder).join(name)
    }

    /// What was written to the disk is what is kept, byte for byte.
    pub(crate) fn assert_same(&self, disk: &MemoryDisk) {
        for name in self.names {
            let path = self.path(name);
            let file = disk.open(&self.directory.join(name), OpenMode::Read).unwrap();
            let mut found = vec![0; file.len().unwrap() as usize];
            file.read_exact_at(&mut found, 0).unwrap();
            if std::env::var_os("WRITE_GOLDEN").is_some() && !path.exists() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &found).unwrap();
            }
            let expected = std::fs::read(&path).unwrap();
            let difference = expected.iter().zip(&found).position(|(old, new)| old != new);
            assert!(expected == found, "{name} differs, first at {difference:?}");
        }
    }

    /// A disk with what is kept.
    pub(crate) fn disk(&self) -> MemoryDisk {
        let disk = MemoryDisk::new(0);
        disk.create_directory(self.directory).unwrap();
        for name in self.names {
            let file = disk.open(&self.directory.join(name), OpenMode::CreateNew).unwrap();
            file.write_all_at(&std::fs::read(self.path(name)).unwrap(), 0).unwrap();
        }
        disk
    }
}
