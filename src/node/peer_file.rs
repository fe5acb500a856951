//! What this node remembers of the others, durably: one small file, shared by all workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use thermocline_tiers::disk::Disk;

use super::lives::{Life, Lived};
use super::small_file::SmallFile;
use super::witnessed::{Judgement, Witnessed, judge};
use crate::error::{Error, StorageKind};

const BYTES_MAX: usize = 1 << 20;
const FILE: SmallFile<BYTES_MAX> = SmallFile { name: "peers", magic: b"TCPEERS3" };

/// The file and what is in it.
pub(crate) struct PeerFile {
    disk: Arc<dyn Disk>,
    /// Held while the file is written.
    writing: Mutex<()>,
    /// What is in the file. Never held while it is written: workers look here between frames.
    nodes: Mutex<BTreeMap<u16, Witnessed>>,
    /// Raised when anything in it has changed.
    version: AtomicU64,
}

impl PeerFile {
    /// Reads it. A damaged one is as good as none: what it protects is the others' memory, and they have their own.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn open(disk: Arc<dyn Disk>) -> Result<Arc<Self>, Error> {
        let nodes = match FILE.read(&*disk) {
            Ok(found) => found.unwrap_or_default(),
            Err(Error::Corrupt { what }) => {
                tracing::warn!(%what, "what was remembered of the other nodes is lost");
                BTreeMap::new()
            }
            Err(error) => return Err(error),
        };
        let (writing, version) = (Mutex::default(), AtomicU64::new(0));
        Ok(Arc::new(Self { disk, writing, nodes: Mutex::new(nodes), version }))
    }

    /// Grows with every change: a worker that has seen a lower one is to look again. A lock would be too much for each frame.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// What is remembered of a node.
    pub(crate) fn of(&self, node: u16) -> Option<Witnessed> {
        self.nodes.lock().get(&node).cloned()
    }

    /// The lives of this node that others are known to remember.
    pub(crate) fn heard_lives(&self) -> Vec<u64> {
        self.nodes.lock().values().map(|known| known.hears).filter(|life| *life != 0).collect()
    }

    /// Remembers a life of a node, durably, unless it does not account for what is remembered. Returns what is remembered then.
    ///
    /// # Errors
    /// [`Error::Storage`]; then nothing is remembered that was not before.
    pub(crate) fn remember(
        &self,
        node: u16,
        life: &Life,
        accounts: &[Lived],
        founder: Option<u64>,
    ) -> Result<Witnessed, Error> {
        self.change(node, |known| match judge(known, life, accounts) {
            Judgement::Unaccounted => known.cloned(),
            Judgement::New => Some(Witnessed::after(known, life, founder).accounted(accounts)),
            Judgement::Current => known.cloned().map(|mut known| {
                if let Some(head) = known.reach_mut(life) {
                    head.synced = head.synced.max(life.synced);
                }
                if life.hears != 0 {
                    known.hears = life.hears;
                }
                known
            }),
        })
    }

    /// Remembers what a third node remembers of a node, too.
    ///
    /// # Errors
    /// [`Error::Storage`]; then nothing is remembered that was not before.
    pub(crate) fn hear_of(
        &self,
        node: u16,
        told: &Witnessed,
        founder: Option<u64>,
    ) -> Result<Witnessed, Error> {
        self.change(node, |known| Some(Witnessed::hearing(known, told, founder)))
    }

    /// Remembers where a node said that it can be reached.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn remember_address(&self, node: u16, epoch: u64, address: &str) -> Result<Witnessed, Error> {
        self.change(node, |known| {
            let mut known = known.cloned()?;
            if known.address.as_ref().is_none_or(|(earlier, _)| *earlier <= epoch) {
                known.address = Some((epoch, address.to_owned()));
            }
            Some(known)
        })
    }

    fn change(
        &self,
        node: u16,
        change: impl FnOnce(Option<&Witnessed>) -> Option<Witnessed>,
    ) -> Result<Witnessed, Error> {
        let _writing = self.writing.lock();
        let mut all = self.nodes.lock().clone();
        let known = all.get(&node);
        let Some(changed) = change(known) else {
            return Err(Error::storage(StorageKind::Io, format!("nothing is remembered of node {node}")));
        };
        if known != Some(&changed) {
            all.insert(node, changed.clone());
            FILE.write(&*self.disk, &all)?;
            *self.nodes.lock() = all;
            self.version.fetch_add(1, Ordering::Release);
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::lives::Reach;
    use thermocline_tiers::disk::{MemoryDisk, Unsynced};

    #[test]
    fn a_replaced_disk_is_not_new_to_who_was_told_of_it() {
        let file = PeerFile::open(Arc::new(MemoryDisk::new(1))).unwrap();
        let old = Life { disk: 7, id: 1, ..Life::default() };
        let new = Life { disk: 8, id: 2, ..Life::default() };
        let told = Witnessed::after(Some(&Witnessed::after(None, &old, None)), &new, None);
        let known = file.hear_of(2, &told, None).unwrap();
        assert_eq!((known.disk, &known.retired[..]), (8, &[7][..]));
        assert_eq!(file.remember(2, &old, &[], None).unwrap(), known);
        // Who remembers the disk itself learns from the third what it replaced.
        file.remember(3, &new, &[], None).unwrap();
        assert_eq!(file.hear_of(3, &told, None).unwrap().retired, [7]);
    }

    #[test]
    fn what_is_remembered_survives_a_power_cut_and_a_later_life_is_not_replaced_by_an_earlier() {
        let disk = Arc::new(MemoryDisk::new(1));
        let file = PeerFile::open(disk.clone()).unwrap();
        let later = Life { disk: 7, id: 30, parent: 20, ..Life::default() };
        let known = file.remember(2, &later, &[], None).unwrap();
        assert_eq!(file.remember(2, &Life { id: 20, parent: 10, ..later }, &[], None).unwrap(), known);
        let synced = Reach { generation: 1, offset: 9 };
        file.remember(2, &Life { synced, hears: 5, ..later }, &[], None).unwrap();
        file.remember_address(2, 1, "there:1").unwrap();
        file.remember_address(2, 0, "elsewhere:1").unwrap();
        disk.power_cut(Unsynced::Lost);
        let heads = vec![Lived { id: 30, synced }];
        let expected = Witnessed { heads, hears: 5, address: Some((1, "there:1".into())), ..known };
        let file = PeerFile::open(disk).unwrap();
        assert_eq!((file.of(2), file.heard_lives()), (Some(expected), vec![5]));
    }
}
