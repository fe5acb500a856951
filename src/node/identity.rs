//! Who a directory belongs to, and how often it was opened.
//!
//! One small file, replaced whole at every start: its boot counter is raised and synced before anything else is done, so
//! that no two starts ever share a ballot (I4).
//!
//! ```text
//! magic "TCIDENT1" · length u32 · crc32 u32 of the rest · rest: the encoded fields
//! ```

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use thermocline_tiers::disk::{Disk, OpenMode};

use crate::encoding;
use crate::error::{Error, StorageKind};

const MAGIC: &[u8; 8] = b"TCIDENT1";
const FILE: &str = "identity";
const FILE_NEW: &str = "identity.new";
const BYTES_MAX: usize = 1 << 20;

/// What is fixed when a directory is made, and what is remembered from one start to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The nodes and disks that this disk will found its group with, once it has said so. Never changes after that.
    pub(crate) intent: Option<Vec<(u16, u64)>>,
    /// The nodes and disks of the founding of the group, if this disk took part in it or learned of it.
    pub(crate) founding: Option<Vec<(u16, u64)>>,
    /// What was forgotten for certain or possibly, and is not to be voted on below a floor.
    pub(crate) amnesia: Amnesia,
}

/// The buckets in which this disk may have lost what it promised (I6). They stay listed; a floor in the journal lifts each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Amnesia {
    /// All of them.
    pub(crate) everywhere: bool,
    /// These.
    pub(crate) buckets: Vec<u32>,
}

impl Amnesia {
    pub(crate) fn concerns(&self, bucket: u32) -> bool {
        self.everywhere || self.buckets.binary_search(&bucket).is_ok()
    }

    /// Adds a bucket; returns whether it is new.
    pub(crate) fn add(&mut self, bucket: u32) -> bool {
        match self.buckets.binary_search(&bucket) {
            Ok(_) => false,
            Err(at) => {
                self.buckets.insert(at, bucket);
                true
            }
        }
    }
}

impl Identity {
    /// Reads a directory's identity; `None` when it has none.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Storage`], naming the file.
    pub(crate) fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join(FILE);
        let file = match disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file(&path, &error)),
        };
        let corrupt = |what: &str| Error::Corrupt { what: format!("{}: {what}", path.display()) };
        let length = file.len().map_err(|error| Error::file(&path, &error))?;
        if !(16..=BYTES_MAX as u64 + 16).contains(&length) {
            return Err(corrupt(&format!("{length} bytes long")));
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 0).map_err(|error| Error::file(&path, &error))?;
        let (head, rest) = bytes.split_at(16);
        if &head[..8] != MAGIC {
            return Err(corrupt("not an identity, or of an unknown format"));
        }
        let stored = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if stored(8) as usize != rest.len() || stored(12) != crc32fast::hash(rest) {
            return Err(corrupt("checksum"));
        }
        encoding::decode::<BYTES_MAX, Self>(rest).map(Some).map_err(|error| corrupt(&error.to_string()))
    }

    /// Replaces the file, durably.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn write(&self, disk: &dyn Disk, directory: &Path) -> Result<(), Error> {
        let rest = encoding::encode::<BYTES_MAX, Self>(self)
            .map_err(|error| Error::storage(StorageKind::Io, format!("identity: {error}")))?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(rest.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&rest).to_le_bytes());
        bytes.extend_from_slice(&rest);
        let (path, new) = (directory.join(FILE), directory.join(FILE_NEW));
        let replace = || -> io::Result<()> {
            match disk.remove(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = disk.open(&new, OpenMode::CreateNew)?;
            file.write_all_at(&bytes, 0)?;
            file.sync()?;
            disk.rename(&new, &path)?;
            disk.sync_directory(directory)
        };
        replace().map_err(|error| Error::file(&path, &error))
    }

    /// Whether the directory is what the configuration takes it for.
    ///
    /// # Errors
    /// [`Error::Storage`] naming the first thing that differs, with both values.
    pub(crate) fn check(&self, wanted: &Self, directory: &Path) -> Result<(), Error> {
        let differs = |what: &str, found: String, wanted: String| {
            let what = format!("{}: {what} is {found}, configured is {wanted}", shown(directory));
            Err(Error::storage(StorageKind::Foreign, what))
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
        if self.table != wanted.table {
            return differs("the routing table", format!("{:x}", self.table), format!("{:x}", wanted.table));
        }
        Ok(())
    }
}

fn shown(directory: &Path) -> String {
    if directory == Path::new("") { "the directory".into() } else { directory.display().to_string() }
}
