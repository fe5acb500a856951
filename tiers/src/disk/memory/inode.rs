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

    pub(super) fn persist(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.current.len()).min(self.durable.len());
        if start < end {
            Arc::make_mut(&mut self.durable)[start..end].copy_from_slice(&self.current[start..end]);
        }
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

/// The sectors that a range of bytes touches.
pub(super) fn sectors(start: usize, end: usize) -> std::ops::Range<usize> {
    if start >= end { 0..0 } else { start / SECTOR..end.div_ceil(SECTOR) }
}
