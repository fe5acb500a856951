//! How a store is set up: where it is, who its peers are, and its limits.

use std::path::{Path, PathBuf};

use thermocline_routing_table::BucketCount;

use crate::error::Error;
use crate::topology::{Topology, TopologyNode};

pub(crate) mod bounds;
mod file;

/// What a write has beside its values: an entity, a token, and a position and a condition for each change.
const WRITE_OVERHEAD_BYTES_MAX: u32 = 64 << 10;

/// When a write counts as durable.
///
/// ```
/// use thermocline::{Config, Sync};
/// // A cache, or a test: fast, and gone with the power.
/// let config = Config::embedded("cache").sync(Sync::None);
/// # config.validate()?;
/// # Ok::<(), thermocline::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// When it is synced to the disks of a majority of the replicas.
    #[default]
    Disk,
    /// When the operating systems of a majority of the replicas have taken it. **Loses acknowledged writes on power
    /// loss**; they survive the end of the process. For tests and caches.
    None,
}

/// How a store is set up. Every setting has a default; [`Store::open`](crate::Store::open) checks all of them once.
///
/// ```
/// use thermocline::Config;
/// let config = Config::embedded("data").workers(2).deadline_default_ms(800);
/// config.validate()?;
/// let refused = Config::embedded("data").workers(0).validate().unwrap_err();
/// assert_eq!(refused.to_string(), "invalid workers: 0; must be 1 to 64");
/// # Ok::<(), thermocline::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) topology: Topology,
    pub(crate) node_id: u16,
    /// Whether the topology was made here: then its numbers may be changed here.
    pub(crate) embedded: bool,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) buckets: Option<u32>,
    pub(crate) window_span_ms: Option<u64>,
    pub(crate) workers: u32,
    pub(crate) parts: u32,
    pub(crate) memtable_bytes: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) journal_retain_bytes: u64,
    pub(crate) journal_replay_bytes: u64,
    pub(crate) calls_max: u32,
    pub(crate) command_bytes_max: u32,
    pub(crate) value_bytes_max: u32,
    pub(crate) batch_bytes_max: u32,
    pub(crate) deadline_default_ms: u32,
    pub(crate) hedge_ms: u32,
    pub(crate) resend_ms: u32,
    pub(crate) peer_buffer_bytes_max: u64,
    pub(crate) transfer_bytes_s_max: u64,
    pub(crate) audit_every_s: u32,
    pub(crate) sync: Sync,
}

/// A setter, its documentation, and its place.
macro_rules! setters {
    ($($(#[$doc:meta])+ $field:ident: $type:ty,)+) => {
        $($(#[$doc])+
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        })+
    };
}

impl Config {
    /// One process, one replica, one directory, which is made if need be.
    ///
    /// ```
    /// use thermocline::Config;
    /// assert_eq!(Config::embedded("data").topology().replicas, 1);
    /// ```
    pub fn embedded(directory: impl Into<PathBuf>) -> Self {
        let mut config = Self::new(Topology::embedded(), 1, true);
        config.directory = Some(directory.into());
        config
    }

    /// A node of a cluster. Its directory is the topology's, unless [`Config::directory`] says another one.
    ///
    /// ```
    /// use thermocline::{Config, Topology};
    /// let topology = Topology::from_toml(
    ///     r#"
    ///     cluster = "example"
    ///     replicas = 1
    ///     [[node]]
    ///     id = 1
    ///     zone = "a"
    ///     address = "127.0.0.1:7201"
    ///     "#,
    /// )?;
    /// Config::node(topology.clone(), 1).directory("data").validate()?;
    /// assert!(Config::node(topology, 2).directory("data").validate().is_err());
    /// # Ok::<(), thermocline::Error>(())
    /// ```
    pub fn node(topology: Topology, node_id: u16) -> Self {
        Self::new(topology, node_id, false)
    }

    fn new(topology: Topology, node_id: u16, embedded: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            topology,
            node_id,
            embedded,
            directory: None,
            buckets: None,
            window_span_ms: None,
            workers: cores.clamp(1, 64) as u32,
            parts: 16,
            memtable_bytes: 16 << 20,
            segment_bytes: 64 << 20,
            journal_retain_bytes: 1 << 30,
            journal_replay_bytes: 256 << 20,
            calls_max: 65_536,
            command_bytes_max: 256 << 10,
            value_bytes_max: 1 << 20,
            batch_bytes_max: 4 << 20,
            deadline_default_ms: 5_000,
            hedge_ms: 25,
            resend_ms: 100,
            peer_buffer_bytes_max: 16 << 20,
            transfer_bytes_s_max: 64 << 20,
            audit_every_s: 24 * 3_600,
            sync: Sync::Disk,
        }
    }

    /// Where the node keeps its data; the default is the topology's `directory` of the node.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    setters! {
        /// How many buckets the cluster has: a power of two from 2^10 to 2^20, by default 65,536. Fixed when the
        /// directory is made. Of a cluster, the topology says it.
        buckets: u32,
        /// How long a window of time is, in milliseconds: 1 minute to 366 days, by default a day. Fixed when the
        /// directory is made. Of a cluster, the topology says it.
        window_span_ms: u64,
        /// How many worker threads share the buckets: 1 to 64, by default one a core. The node uses the largest number up to this
        /// that divides `parts` (of 16 parts, 5 become 4). Nodes whose numbers differ refuse each other's links.
        workers: u32,
        /// Into how many parts the state is split: 1 to 256, by default 16. Fixed when the directory is made: another
        /// number is refused.
        parts: u32,
        /// How many bytes of applied writes each part keeps in memory before it flushes them: 64 KiB to 1 GiB, by
        /// default 16 MiB. A part that has twice as much takes no write until it is flushed.
        memtable_bytes: u64,
        /// How long a file of the journal is, in bytes: 1 MiB to 1 GiB, by default 64 MiB. Taken as more where the
        /// longest command needs it.
        segment_bytes: u64,
        /// How many bytes of the journal are kept for peers that were away: 0 to 1 TiB, by default 1 GiB; at most half of the room that the disk
        /// has for the journal. A node whose state needs more of the journal than this writes the state; one without peers keeps no more than its state needs.
        journal_retain_bytes: u64,
        /// About how many bytes of the journal a start has to replay at most: 1 MiB to 1 TiB, by default 256 MiB. What the state has in memory for
        /// longer than that is written, a part at a time and in whole files of the journal.
        journal_replay_bytes: u64,
        /// How many calls can be under way at each worker: 1 to 2^20, by default 65,536. Their writes have at most 256 MiB together.
        calls_max: u32,
        /// How many bytes of waiting writes ride in one slot: 1 KiB to 16 MiB, by default 256 KiB. Taken as more where
        /// the longest value or the fullest batch needs it, because each of them rides in one slot.
        command_bytes_max: u32,
        /// The longest value, in bytes: 1 KiB to 16 MiB, by default 1 MiB.
        value_bytes_max: u32,
        /// How many bytes the values of one batch have at most together: 1 KiB to 16 MiB, by default 4 MiB. Taken as
        /// `value_bytes_max` where that is more.
        batch_bytes_max: u32,
        /// How long a call waits unless it says otherwise, in milliseconds: 1 to 600,000, by default 5,000.
        deadline_default_ms: u32,
        /// After how many milliseconds without an answer from the bucket's owner a node proposes by itself: 1 to
        /// 10,000, by default 25.
        hedge_ms: u32,
        /// After how many milliseconds without an answer a protocol message is sent again: 1 to 60,000, by default 100.
        resend_ms: u32,
        /// How many bytes can wait to be sent to one peer: 1 MiB to 1 GiB, by default 16 MiB.
        peer_buffer_bytes_max: u64,
        /// How many bytes a second of whole buckets a node that lost them takes from its peers at most: 64 KiB to 64 GiB, by
        /// default 64 MiB.
        transfer_bytes_s_max: u64,
        /// How often a node compares what lies on the disks of the replicas, by itself and taking its time, in seconds: 0 for never, to
        /// 31,622,400 (a year), by default 86,400 (a day).
        audit_every_s: u32,
        /// When a write counts as durable; the default is [`Sync::Disk`].
        sync: Sync,
    }

    /// Checks every setting, as [`Store::open`](crate::Store::open) does.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first setting that is out of its bounds.
    pub fn validate(&self) -> Result<(), Error> {
        self.clone().validated().map(drop)
    }

    /// Where the data is: as set here, or else in the topology. `None` in a configuration that is refused for it.
    #[must_use]
    pub fn data_directory(&self) -> Option<&Path> {
        self.directory.as_deref().or_else(|| self.topology_node()?.directory.as_deref())
    }

    /// The cluster, of a single node too.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(crate) fn topology_node(&self) -> Option<&TopologyNode> {
        self.topology.node(self.node_id)
    }

    pub(crate) fn bucket_count(&self) -> Result<BucketCount, Error> {
        bounds::buckets(self.topology.buckets)
    }

    /// Checks every setting and brings them together: then `directory` is there, `topology` says the bucket count and
    /// the window span, and a command holds every write that the other limits allow.
    pub(crate) fn validated(mut self) -> Result<Self, Error> {
        self.settle_topology()?;
        self.settle_directory()?;
        bounds::within("workers", self.workers, 1, 64)?;
        bounds::within("parts", self.parts, 1, crate::node::identity::PARTS_MAX)?;
        bounds::within("memtable_bytes", self.memtable_bytes, 64 << 10, 1 << 30)?;
        bounds::within("segment_bytes", self.segment_bytes, 1 << 20, 1 << 30)?;
        bounds::within("journal_retain_bytes", self.journal_retain_bytes, 0, 1 << 40)?;
        bounds::within("journal_replay_bytes", self.journal_replay_bytes, 1 << 20, 1 << 40)?;
        bounds::within("calls_max", self.calls_max, 1, 1 << 20)?;
        bounds::within("command_bytes_max", self.command_bytes_max, 1 << 10, 16 << 20)?;
        bounds::within("value_bytes_max", self.value_bytes_max, 1 << 10, 16 << 20)?;
        bounds::within("batch_bytes_max", self.batch_bytes_max, 1 << 10, 16 << 20)?;
        bounds::within("deadline_default_ms", self.deadline_default_ms, 1, 600_000)?;
        bounds::within("hedge_ms", self.hedge_ms, 1, 10_000)?;
        bounds::within("resend_ms", self.resend_ms, 1, 60_000)?;
        bounds::within("peer_buffer_bytes_max", self.peer_buffer_bytes_max, 1 << 20, 1 << 30)?;
        bounds::within("transfer_bytes_s_max", self.transfer_bytes_s_max, 64 << 10, 64 << 30)?;
        bounds::within("audit_every_s", self.audit_every_s, 0, 366 * 24 * 3_600)?;
        let longest_write = self.value_bytes_max.max(self.batch_bytes_max) + WRITE_OVERHEAD_BYTES_MAX;
        self.command_bytes_max = self.command_bytes_max.max(longest_write);
        Ok(self)
    }

    fn settle_topology(&mut self) -> Result<(), Error> {
        if self.embedded {
            if let Some(buckets) = self.buckets {
                bounds::buckets(buckets)?;
                self.topology.buckets = buckets;
            }
            if let Some(span) = self.window_span_ms {
                bounds::window_span_ms("window_span_ms", span)?;
                self.topology.window_ms = span;
            }
            return Ok(());
        }
        self.topology.validate()?;
        if self.topology_node().is_none() {
            return Err(Error::invalid(
                "node_id",
                self.node_id.to_string(),
                "the id of a node in the topology",
            ));
        }
        let (buckets, span) = (self.topology.buckets, self.topology.window_ms);
        if let Some(other) = self.buckets.filter(|&other| other != buckets) {
            return Err(Error::invalid(
                "buckets",
                other.to_string(),
                format!("{buckets}, as in the topology"),
            ));
        }
        if let Some(other) = self.window_span_ms.filter(|&other| other != span) {
            return Err(Error::invalid(
                "window_span_ms",
                other.to_string(),
                format!("{span}, as in the topology"),
            ));
        }
        Ok(())
    }

    fn settle_directory(&mut self) -> Result<(), Error> {
        let directory = self.data_directory().map(Path::to_path_buf);
        match directory {
            None => Err(Error::invalid("directory", "none", "given here or in the topology")),
            Some(directory) if directory.as_os_str().is_empty() => {
                Err(Error::invalid("directory", "empty", "the path of a directory"))
            }
            Some(directory) => {
                self.directory = Some(directory);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
