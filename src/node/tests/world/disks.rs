//! Disks that are lost, put back and damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thermocline_tiers::disk::{Disk, MemoryDisk, OpenMode, Unsynced};
use thermocline_tiers::hot::journal::{JournalBatch, JournalConfig, RecordHead};

use super::World;

/// A disk as it once was.
pub(in crate::node::tests) struct Copy {
    pub(in crate::node::tests) index: usize,
    disk: MemoryDisk,
    disk_id: u64,
}

impl World {
    /// The directory is empty, on a new disk. The node must be down.
    pub(in crate::node::tests) fn wipe(&mut self, index: usize) {
        let seed = self.draw(u64::MAX);
        self.nodes[index].disk = Arc::new(MemoryDisk::new(seed));
        self.nodes[index].disk_id = seed;
    }

    /// A copy of a node's disk as it is now, unsynced or not.
    pub(in crate::node::tests) fn copy(&self, index: usize) -> Copy {
        Copy { index, disk: self.nodes[index].disk.fork(), disk_id: self.nodes[index].disk_id }
    }

    /// The node's disk is what it was when it was copied. The node must be down. Says whether it is the same directory still.
    pub(in crate::node::tests) fn put_back(&mut self, copy: &Copy) -> bool {
        let disk = copy.disk.fork();
        disk.power_cut(Unsynced::Lost);
        let node = &mut self.nodes[copy.index];
        node.disk = Arc::new(disk);
        node.disk_id == copy.disk_id
    }

    /// The files of a directory of a node's disk.
    pub(in crate::node::tests) fn files(&self, index: usize, directory: &str) -> Vec<PathBuf> {
        let names = self.nodes[index].disk.list(Path::new(directory)).unwrap();
        names.iter().map(|name| Path::new(directory).join(name.file_name().unwrap())).collect()
    }

    /// Flips a bit somewhere in a file. The node must be down.
    pub(in crate::node::tests) fn damage(&mut self, index: usize, file: &Path) {
        let disk = self.nodes[index].disk.clone();
        let length = disk.open(file, OpenMode::Read).unwrap().len().unwrap();
        if length > 0 {
            let (offset, bit) = (self.draw(length), self.draw(8));
            disk.flip_bits(file, offset, 1 << bit).unwrap();
        }
    }

    /// Writes what one file has over another. The node must be down.
    pub(in crate::node::tests) fn overwrite(&mut self, index: usize, from: &Path, to: &Path) {
        let disk = self.nodes[index].disk.clone();
        let from = disk.open(from, OpenMode::Read).unwrap();
        let mut bytes = vec![0; from.len().unwrap() as usize];
        from.read_exact_at(&mut bytes, 0).unwrap();
        let to = disk.open(to, OpenMode::ReadWrite).unwrap();
        to.write_all_at(&bytes, 0).unwrap();
        to.set_len(bytes.len() as u64).unwrap();
        to.sync().unwrap();
    }

    /// Puts a record into a node's journal that the node itself would not write.
    pub(in crate::node::tests) fn commit(&mut self, index: usize, head: RecordHead, payload: &[u8]) {
        let journal = &mut self.nodes[index].running.as_mut().unwrap().journal;
        let mut batch = JournalBatch::new(&JournalConfig::with_segment_bytes(1 << 20));
        batch.push(head, |writer| writer.put(payload)).unwrap();
        journal.commit(&mut [&mut batch]).unwrap();
    }

    /// Flips a bit in the first bytes of a file; the node may be up.
    pub(in crate::node::tests) fn damage_before(&mut self, index: usize, file: &Path, bytes: u64) {
        let (offset, bit) = (self.draw(bytes), self.draw(8));
        let _ = self.nodes[index].disk.flip_bits(file, offset, 1 << bit);
    }
}
