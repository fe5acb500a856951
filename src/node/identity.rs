//! Who a directory belongs to, how often it was opened, and what it may have forgotten.
//!
//! One small file, replaced whole at every start: its boot counter is raised and synced before anything else is done, so
//! that no two starts ever share a ballot (I4).

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thermocline_tiers::disk::Disk;

use super::lives::{Lives, Reach};
use super::small_file::SmallFile;
use crate::error::{Error, StorageKind};
use crate::plant::{self, Plant};

const BYTES_MAX: usize = 1 << 20;
const FILE: SmallFile<BYTES_MAX> = SmallFile { name: "identity", magic: b"TCIDENT3" };

/// The state is in at most so many parts.
pub(crate) const PARTS_MAX: u32 = 256;

/// A list of more buckets than this is not worth its bytes: then all of them are taken to be concerned.
const LISTED_MAX: usize = 200_000;

/// What is fixed when a directory is made, and what is remembered from one start to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The cluster's name.
    pub(crate) cluster: String,
    pub(crate) node: u16,
    /// Random: no two directories share it.
    pub(crate) disk: u64,
    pub(crate) buckets: u32,
    pub(crate) window_span_ms: u64,
    pub(crate) table: u64,
    /// How many parts the state is split into.
    pub(crate) parts: u32,
    /// How often the directory was opened.
    pub(crate) boots: u32,
    /// The lives of this directory that it accounts for, and the one that it leads.
    pub(crate) lives: Lives,
    /// The nodes and disks that this disk will found its group with, once it has said so. Never changes after that.
    #[serde(deserialize_with = "crate::encoding::optional_list")]
    pub(crate) intent: Option<Vec<(u16, u64)>>,
    /// The nodes and disks of the founding of the group, if this disk took part in it or learned of it.
    #[serde(deserialize_with = "crate::encoding::optional_list")]
    pub(crate) founding: Option<Vec<(u16, u64)>>,
    /// What was forgotten for certain or possibly, and is not to be voted on below a floor.
    pub(crate) amnesia: Amnesia,
}

/// The buckets in which this disk may have lost what it promised (I6). A floor in the journal lifts each; they stay listed until the
/// state of all of them is durable beyond their floors, because then the floors may go with the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Amnesia {
    /// All of them.
    pub(crate) everywhere: bool,
    /// These.
    #[serde(deserialize_with = "crate::encoding::list")]
    pub(crate) buckets: Vec<u32>,
    /// Floors in the journal up to here are older than the loss, and do not count.
    pub(crate) behind: Reach,
}

impl Amnesia {
    pub(crate) fn is_empty(&self) -> bool {
        !self.everywhere && self.buckets.is_empty()
    }

    pub(crate) fn concerns(&self, bucket: u32) -> bool {
        self.everywhere || self.buckets.binary_search(&bucket).is_ok()
    }

    /// Adds a bucket.
    pub(crate) fn add(&mut self, bucket: u32) {
        if self.everywhere {
            return;
        }
        if let Err(at) = self.buckets.binary_search(&bucket) {
            self.buckets.insert(at, bucket);
        }
        if self.buckets.len() > LISTED_MAX {
            self.add_all();
        }
    }

    pub(crate) fn add_all(&mut self) {
        self.everywhere = true;
        self.buckets.clear();
    }

    /// Takes buckets off, of all that this disk holds.
    fn lift(&mut self, lifted: &[u32], held: impl Iterator<Item = u32>) {
        if std::mem::take(&mut self.everywhere) {
            self.buckets = held.collect();
        }
        let lifted: std::collections::HashSet<&u32> = lifted.iter().collect();
        self.buckets.retain(|bucket| !lifted.contains(bucket));
        if self.buckets.len() > LISTED_MAX {
            self.add_all();
        }
    }
}

impl Identity {
    /// Whether the group was founded with this disk alone.
    pub(crate) fn is_only_replica(&self) -> bool {
        self.founding.as_ref().is_some_and(|members| members.len() == 1)
    }

    /// Reads a directory's identity; `None` when it has none.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Storage`], naming the file.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Option<Self>, Error> {
        let Some(identity) = FILE.read::<Self>(disk)? else { return Ok(None) };
        identity.check_bounds()?;
        Ok(Some(identity))
    }

    /// A checksum proves that it was written so, and not that it can be used.
    fn check_bounds(&self) -> Result<(), Error> {
        if !(1..=PARTS_MAX).contains(&self.parts) {
            return Err(FILE.corrupt(format!("the state has {} parts, of 1 to {PARTS_MAX}", self.parts)));
        }
        let listed = &self.amnesia.buckets;
        if let Some(two) = listed.windows(2).find(|two| two[0] >= two[1]) {
            return Err(FILE.corrupt(format!("bucket {} is listed behind bucket {}", two[1], two[0])));
        }
        match listed.last() {
            Some(last) if *last >= self.buckets => {
                Err(FILE.corrupt(format!("bucket {last} is listed, of {} buckets", self.buckets)))
            }
            _ => Ok(()),
        }
    }

    /// Replaces the file, durably.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn write(&self, disk: &dyn Disk) -> Result<(), Error> {
        FILE.write(disk, self)
    }

    /// Whether the directory is what the configuration takes it for.
    ///
    /// # Errors
    /// [`Error::Storage`] naming the first thing that differs, with both values.
    pub(crate) fn check(&self, wanted: &Self) -> Result<(), Error> {
        let differs = |what: &str, found: String, wanted: String| {
            Err(Error::storage(StorageKind::Foreign, format!("{what} is {found}, configured is {wanted}")))
        };
        if self.cluster != wanted.cluster {
            return differs("the cluster", self.cluster.clone(), wanted.cluster.clone());
        }
        if self.node != wanted.node {
            return differs("the node", self.node.to_string(), wanted.node.to_string());
        }
        if self.buckets != wanted.buckets {
            return differs("the number of buckets", self.buckets.to_string(), wanted.buckets.to_string());
        }
        if self.window_span_ms != wanted.window_span_ms {
            return differs(
                "the window span",
                format!("{} ms", self.window_span_ms),
                format!("{} ms", wanted.window_span_ms),
            );
        }
        if self.parts != wanted.parts {
            return differs("the number of parts", self.parts.to_string(), wanted.parts.to_string());
        }
        if self.table != wanted.table {
            return differs("the routing table", format!("{:x}", self.table), format!("{:x}", wanted.table));
        }
        Ok(())
    }
}

/// The identity of a running node, for all that change it.
pub(crate) struct IdentityFile {
    disk: Arc<dyn Disk>,
    identity: Mutex<Identity>,
}

impl IdentityFile {
    pub(crate) fn new(disk: Arc<dyn Disk>, identity: Identity) -> Arc<Self> {
        Arc::new(Self { disk, identity: Mutex::new(identity) })
    }

    /// As it is now.
    pub(crate) fn read(&self) -> Identity {
        self.identity.lock().clone()
    }

    /// Changes it, durably. The lock is held while the disk works, and taken by nobody in a hurry.
    ///
    /// # Errors
    /// [`Error::Storage`]; then it is as it was.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Identity)) -> Result<Identity, Error> {
        let mut identity = self.identity.lock();
        let mut changed = identity.clone();
        change(&mut changed);
        if changed != *identity {
            changed.write(&*self.disk)?;
            *identity = changed.clone();
        }
        Ok(changed)
    }

    /// Admits lives that peers remember and this directory does not account for, now that everything is forgotten that its journal says up to
    /// `behind`. What peers `remember` besides stays accounted for.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn admit(&self, admitted: &[u64], behind: Reach, remember: &[u64]) -> Result<Lives, Error> {
        let identity = self.update(|identity| {
            identity.lives.admit(admitted, remember);
            if !plant::on(Plant::AdmissionIsNoAmnesia) {
                identity.amnesia.add_all();
                identity.amnesia.behind = identity.amnesia.behind.max(behind);
            }
        })?;
        Ok(identity.lives)
    }

    /// The state of these buckets is durable beyond their floors; unless something was forgotten since that life began, that is the end of
    /// it.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn lift(
        &self,
        life: u64,
        lifted: &[u32],
        held: impl Iterator<Item = u32>,
    ) -> Result<(), Error> {
        self.update(|identity| {
            if identity.lives.now() == life {
                identity.amnesia.lift(lifted, held);
            }
        })
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lifted_is_gone_and_the_rest_is_listed() {
        let mut amnesia = Amnesia::default();
        amnesia.add_all();
        amnesia.lift(&[1, 3], 0..5);
        assert_eq!((amnesia.everywhere, amnesia.buckets.as_slice()), (false, &[0, 2, 4][..]));
        amnesia.lift(&[0, 4, 2], 0..5);
        assert!(amnesia.is_empty());
    }

    #[test]
    fn numbers_that_cannot_be_are_corrupt_though_the_checksum_is_right() {
        let good = Identity {
            cluster: "c".into(),
            node: 1,
            disk: 7,
            buckets: 1024,
            window_span_ms: 1000,
            table: 1,
            parts: 2,
            boots: 1,
            lives: Lives::default(),
            intent: None,
            founding: None,
            amnesia: Amnesia { buckets: vec![3, 9, 1023], ..Amnesia::default() },
        };
        let listing = |buckets: &[u32]| {
            let amnesia = Amnesia { buckets: buckets.to_vec(), ..Amnesia::default() };
            Identity { amnesia, ..good.clone() }
        };
        let read = |identity: &Identity| {
            let disk = thermocline_tiers::disk::MemoryDisk::new(1);
            identity.write(&disk).unwrap();
            Identity::read(&disk)
        };
        assert_eq!(read(&good).unwrap(), Some(good.clone()));
        for (bad, named) in [
            (Identity { parts: 0, ..good.clone() }, "0 parts"),
            (Identity { parts: 257, ..good.clone() }, "257 parts"),
            (listing(&[3, 1024]), "bucket 1024"),
            (listing(&[9, 3]), "bucket 3 is listed behind bucket 9"),
            (listing(&[3, 3]), "bucket 3 is listed behind bucket 3"),
        ] {
            let error = read(&bad).unwrap_err();
            assert!(matches!(&error, Error::Corrupt { what } if what.contains(named)), "{error}");
        }
    }

    #[test]
    fn very_many_buckets_are_all_of_them() {
        let mut amnesia = Amnesia::default();
        (0..=LISTED_MAX as u32).for_each(|bucket| amnesia.add(bucket));
        assert!(amnesia.everywhere && amnesia.buckets.is_empty() && amnesia.concerns(u32::MAX));
    }
}
