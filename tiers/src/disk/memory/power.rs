//! What a power cut keeps and what it loses.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::inode::{Inode, SECTOR, sectors};
use super::random::Random;
use super::world::{Entry, World};
use super::{Fate, Unsettled, Unsynced};

/// Where an unsynced change lies.
#[derive(Clone, Copy)]
enum Place {
    /// Its number among the directory changes.
    Entry(usize),
    Length(u64),
    Sector(u64, usize),
}

impl World {
    pub(super) fn unsettled(&self) -> Vec<Unsettled> {
        let last = self.last_write.unwrap_or_default();
        let kind = |place| match place {
            Place::Entry(_) => Unsettled::Entry,
            Place::Length(_) => Unsettled::Length,
            Place::Sector(inode, sector) if last.0 == inode && sectors(last.1, last.2).contains(&sector) => {
                Unsettled::LastSector
            }
            Place::Sector(..) => Unsettled::Sector,
        };
        self.places().into_iter().map(kind).collect()
    }

    /// The unsynced changes that can be seen: a sector that says what it said before is none.
    fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = (0..self.unsynced.len()).map(Place::Entry).collect();
        for (id, inode) in &self.inodes {
            if inode.length_dirty && inode.current.len() != inode.durable.len() {
                places.push(Place::Length(*id));
            }
            let differing = inode.dirty.iter().filter(|sector| inode.differs(**sector));
            places.extend(differing.map(|sector| Place::Sector(*id, *sector)));
        }
        places
    }

    pub(super) fn power_cut(&mut self, unsynced: Unsynced) {
        let mut random = Random(match unsynced {
            Unsynced::Mixed(seed) => seed,
            Unsynced::Lost | Unsynced::Kept => 0,
        });
        let mut kept = || match unsynced {
            Unsynced::Lost => false,
            Unsynced::Kept => true,
            Unsynced::Mixed(_) => random.coin(),
        };
        for change in std::mem::take(&mut self.unsynced) {
            if kept() {
                change.apply(&mut self.durable_names);
            }
        }
        for inode in self.inodes.values_mut() {
            if inode.length_dirty && kept() {
                inode.persist_length();
            }
            for sector in std::mem::take(&mut inode.dirty) {
                if kept() {
                    inode.persist(sector);
                }
            }
        }
        if let (Unsynced::Mixed(_), Some((inode, start, end))) = (unsynced, self.last_write) {
            self.tear(&mut random, inode, start, end);
        }
        self.power_on();
    }

    /// Ends the last write in the middle of a sector, in every second power cut.
    fn tear(&mut self, random: &mut Random, inode: u64, start: usize, end: usize) {
        if !random.coin() || start >= end {
            return;
        }
        let cut = start + random.below(end - start);
        if let Some(inode) = self.inodes.get_mut(&inode) {
            let sector = cut / SECTOR * SECTOR;
            let from = sector.max(start);
            if cut <= inode.durable.len() && cut <= inode.current.len() {
                Arc::make_mut(&mut inode.durable)[from..cut].copy_from_slice(&inode.current[from..cut]);
            }
        }
    }

    /// Each change of [`unsettled`](World::unsettled) has its own fate. Whether all that was kept can be seen: bytes of a file
    /// that nobody finds, or past its end, cannot.
    pub(super) fn power_cut_choosing(&mut self, fate: &mut dyn FnMut(usize) -> Fate) -> bool {
        let places = self.places();
        let changes = std::mem::take(&mut self.unsynced);
        let mut visible = true;
        let mut touched = BTreeSet::new();
        for (index, place) in places.into_iter().enumerate() {
            let fate = fate(index);
            if fate == Fate::Lost {
                continue;
            }
            match place {
                Place::Entry(change) => visible &= changes[change].apply(&mut self.durable_names),
                Place::Length(id) => {
                    touched.insert(id);
                    self.inodes.entry(id).and_modify(Inode::persist_length);
                }
                Place::Sector(id, sector) => {
                    touched.insert(id);
                    let Some(inode) = self.inodes.get_mut(&id) else { continue };
                    visible &= match fate {
                        Fate::Torn(bytes) => inode.persist_start(sector, bytes),
                        Fate::Kept | Fate::Lost => inode.persist(sector),
                    };
                }
            }
        }
        for inode in self.inodes.values_mut() {
            inode.dirty.clear();
        }
        self.power_on();
        visible && touched.iter().all(|id| self.inodes.contains_key(id))
    }

    /// What is on the medium is what there is from now on.
    fn power_on(&mut self) {
        for inode in self.inodes.values_mut() {
            inode.length_dirty = false;
            inode.current = Arc::clone(&inode.durable);
        }
        self.last_write = None;
        // An entry whose directory did not survive is gone with it.
        let lost = |world: &World, path: &Path| {
            !path.ancestors().skip(1).all(|parent| world.durable_names.get(parent) == Some(&Entry::Directory))
        };
        let orphans: Vec<_> = self.durable_names.keys().filter(|path| lost(self, path)).cloned().collect();
        for orphan in orphans {
            self.durable_names.remove(&orphan);
        }
        self.names.clone_from(&self.durable_names);
        self.thaw();
        self.forget_process();
    }
}
