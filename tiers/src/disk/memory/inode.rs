//! The contents of one file: what readers see, and what a power cut would leave of it.

use std::collections::BTreeSet;
use std::sync::Arc;

/// What a medium writes whole or not at all, in bytes.
pub(super) const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// Shared between forks of the disk until one of them writes, and with `durable` after a power cut.
    pub(super) current: Arc<Vec<u8>>,
    pub(super) durable: Arc<Vec<u8>>,
    /// Sectors that a sync would copy from `current` to `durable`.
    pub(super) dirty: BTreeSet<usize>,
    pub(super) length_dirty: bool,
    pub(super) broken: BTreeSet<usize>,
    pub(super) handles: u32,
}

impl Inode {
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if end > self.current.len() {
            self.set_len(end);
        }
        Arc::make_mut(&mut self.current)[offset..end].copy_from_slice(bytes);
        for sector in sectors(offset, end) {
            self.dirty.insert(sector);
            self.broken.remove(&sector);
        }
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let old = self.current.len();
        Arc::make_mut(&mut self.current).resize(len, 0);
        self.length_dirty |= old != len;
        // What lies past a cut may not come back when the file grows again.
        self.dirty.extend(sectors(old.min(len), old.max(len)));
    }

    pub(super) fn persist_length(&mut self) {
        Arc::make_mut(&mut self.durable).resize(self.current.len(), 0);
        self.length_dirty = false;
    }

    /// Whether there was anything of it to persist.
    pub(super) fn persist(&mut self, sector: usize) -> bool {
        self.persist_start(sector, SECTOR)
    }

    /// Persists the first bytes of a sector.
    pub(super) fn persist_start(&mut self, sector: usize, bytes: usize) -> bool {
        let start = sector * SECTOR;
        let end = (start + bytes.min(SECTOR)).min(self.current.len()).min(self.durable.len());
        if start < end {
            Arc::make_mut(&mut self.durable)[start..end].copy_from_slice(&self.current[start..end]);
        }
        start < end
    }

    /// Whether a sector is not what a power cut would leave if it lost it.
    pub(super) fn differs(&self, sector: usize) -> bool {
        let (new, old) = (bytes_of(&self.current, sector), bytes_of(&self.durable, sector));
        let common = new.len().min(old.len());
        new[..common] != old[..common] || new[common..].iter().chain(&old[common..]).any(|byte| *byte != 0)
    }

    pub(super) fn persist_all(&mut self) {
        if self.length_dirty {
            self.persist_length();
        }
        for sector in std::mem::take(&mut self.dirty) {
            self.persist(sector);
        }
    }

    /// What a failed sync does: nothing reaches the medium, and nothing looks as if it still had to.
    pub(super) fn look_clean(&mut self) {
        self.dirty.clear();
        self.length_dirty = false;
    }
}

fn bytes_of(file: &[u8], sector: usize) -> &[u8] {
    let start = (sector * SECTOR).min(file.len());
    &file[start..(start + SECTOR).min(file.len())]
}

/// The sectors that a range of bytes touches.
pub(super) fn sectors(start: usize, end: usize) -> std::ops::Range<usize> {
    if start >= end { 0..0 } else { start / SECTOR..end.div_ceil(SECTOR) }
}
