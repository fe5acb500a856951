//! Which nodes a cluster has, where they are, and who shares a group with whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thermocline_routing_table::{BucketCount, GroupCount, MACHINES_MAX};

use crate::config::bounds;
use crate::error::{Error, quoted};

mod address;

/// A cluster: its name, its nodes, its groups. Every node and every client of a cluster has the same one.
///
/// ```
/// use thermocline::Topology;
/// let topology = Topology::from_toml(
///     r#"
///     cluster = "example"                      # 1 to 64 of a to z, 0 to 9 and -
///     epoch = 1                                # optional: the version of this file
///     replicas = 3                             # 1, 3 or 5
///     buckets = 65536                          # optional: fixed when the cluster is made
///     window_ms = 86400000                     # optional: fixed when the cluster is made
///
///     [[node]]
///     id = 1                                   # 1 to 65535
///     zone = "a"                               # replicas of a bucket lie in different zones
///     group = 0                                # optional
///     address = "127.0.0.1:7201"               # for the other nodes
///     redis = "127.0.0.1:7101"                 # optional: for Redis clients
///     directory = "/var/lib/thermocline/1"     # optional
///
///     [[node]]
///     id = 2
///     zone = "b"
///     address = "127.0.0.1:7202"
///
///     [[node]]
///     id = 3
///     zone = "c"
///     address = "127.0.0.1:7203"
///     "#,
/// )?;
/// assert_eq!((topology.groups(), topology.nodes_of(0).count()), (1, 3));
/// # Ok::<(), thermocline::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Topology {
    /// The cluster's name: 1 to 64 of `a` to `z`, `0` to `9` and `-`.
    pub cluster: String,
    /// The version of the topology, from 1.
    #[serde(default = "one")]
    pub epoch: u64,
    /// How many nodes have a copy of each bucket: 1, 3 or 5.
    pub replicas: u32,
    /// How many buckets the cluster has: a power of two from 2^10 to 2^20.
    #[serde(default = "default_buckets")]
    pub buckets: u32,
    /// How long a window of time is, in milliseconds: 1 minute to 366 days.
    #[serde(default = "default_window_ms")]
    pub window_ms: u64,
    /// The nodes.
    #[serde(default, rename = "node")]
    pub nodes: Vec<TopologyNode>,
}

/// One node of a [`Topology`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TopologyNode {
    /// Its number: 1 to 65,535, each once.
    pub id: u16,
    /// What it fails together with.
    pub zone: String,
    /// The group that it belongs to, from 0.
    #[serde(default)]
    pub group: u16,
    /// Where its peers reach it, `host:port`.
    pub address: String,
    /// Where Redis clients reach it, `host:port`.
    #[serde(default)]
    pub redis: Option<String>,
    /// Where it keeps its data.
    #[serde(default)]
    pub directory: Option<PathBuf>,
}

fn one() -> u64 {
    1
}

fn default_buckets() -> u32 {
    BucketCount::DEFAULT.get()
}

fn default_window_ms() -> u64 {
    bounds::WINDOW_SPAN_MS_DEFAULT
}

impl Topology {
    /// Reads a topology from TOML, and checks it.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field, its value and its bound: unknown, missing, of the wrong type, or impossible.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let topology: Self =
            toml::from_str(text).map_err(|error| bounds::toml_error("topology", text, &error))?;
        topology.validate()?;
        Ok(topology)
    }

    /// Reads a topology from a file, and checks it.
    ///
    /// # Errors
    /// [`Error::Storage`] when the file cannot be read, and those of [`Topology::from_toml`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::from_toml(&bounds::read_text("topology", path.as_ref())?)
    }

    /// The topology of a store that is its own only replica.
    pub(crate) fn embedded() -> Self {
        let node = TopologyNode {
            id: 1,
            zone: "embedded".to_owned(),
            group: 0,
            address: String::new(),
            redis: None,
            directory: None,
        };
        Self {
            cluster: "embedded".to_owned(),
            epoch: 1,
            replicas: 1,
            buckets: default_buckets(),
            window_ms: default_window_ms(),
            nodes: vec![node],
        }
    }

    /// A node by its number.
    #[must_use]
    pub fn node(&self, id: u16) -> Option<&TopologyNode> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The nodes of a group, in the order of the file.
    pub fn nodes_of(&self, group: u16) -> impl Iterator<Item = &TopologyNode> {
        self.nodes.iter().filter(move |node| node.group == group)
    }

    /// How many groups there are.
    #[must_use]
    pub fn groups(&self) -> u16 {
        self.nodes.iter().map(|node| node.group.saturating_add(1)).max().unwrap_or(0)
    }

    /// Checks everything that [`Topology::from_toml`] checks, after a change of the fields.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field, its value and its bound.
    pub fn validate(&self) -> Result<(), Error> {
        let name_ok = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if !(1..=64).contains(&self.cluster.len()) || !self.cluster.bytes().all(name_ok) {
            return Err(Error::invalid("cluster", quoted(&self.cluster), "1 to 64 of a to z, 0 to 9 and -"));
        }
        bounds::within("epoch", self.epoch, 1, u64::MAX)?;
        if !matches!(self.replicas, 1 | 3 | 5) {
            return Err(Error::invalid("replicas", self.replicas.to_string(), "1, 3 or 5"));
        }
        bounds::buckets(self.buckets)?;
        bounds::window_span_ms("window_ms", self.window_ms)?;
        if self.nodes.is_empty() {
            return Err(Error::invalid("node", "none", "at least one [[node]]"));
        }
        self.validate_nodes()?;
        self.validate_groups()
    }

    fn validate_nodes(&self) -> Result<(), Error> {
        let (mut ids, mut addresses) = (BTreeSet::new(), BTreeMap::new());
        for node in &self.nodes {
            let id = node.id;
            if id == 0 {
                return Err(Error::invalid("node id", "0", "1 to 65535"));
            }
            if !ids.insert(id) {
                return Err(Error::invalid("node id", format!("{id}, twice"), "of one node only"));
            }
            if node.zone.is_empty() || node.zone.len() > 64 {
                let value = format!("{} bytes", node.zone.len());
                return Err(Error::invalid(format!("zone of node {id}"), value, "1 to 64 bytes"));
            }
            let named = [("address", Some(&node.address)), ("redis", node.redis.as_ref())];
            for (field, address) in named {
                let Some(address) = address else { continue };
                let what = format!("{field} of node {id}");
                address::check(&what, address)?;
                if let Some(other) = addresses.insert(address.as_str(), what.clone()) {
                    return Err(Error::invalid(
                        what,
                        format!("{}, also the {other}", quoted(address)),
                        "used once",
                    ));
                }
            }
            if node.directory.as_ref().is_some_and(|directory| directory.as_os_str().is_empty()) {
                return Err(Error::invalid(format!("directory of node {id}"), "empty", "a path"));
            }
        }
        Ok(())
    }

    fn validate_groups(&self) -> Result<(), Error> {
        let groups_max = GroupCount::MAX.get();
        let mut zones_of: BTreeMap<u16, (usize, BTreeSet<&str>)> = BTreeMap::new();
        for node in &self.nodes {
            if node.group >= groups_max {
                let what = format!("group of node {}", node.id);
                return Err(Error::invalid(what, node.group.to_string(), format!("0 to {}", groups_max - 1)));
            }
            let (machines, zones) = zones_of.entry(node.group).or_default();
            *machines += 1;
            zones.insert(&node.zone);
        }
        for (group, (&named, (machines, zones))) in (0..).zip(&zones_of) {
            if named != group {
                let value = format!("{named}, but no node is in group {group}");
                return Err(Error::invalid("group", value, "0, 1, 2, ... without a gap"));
            }
            if *machines > MACHINES_MAX {
                let bound = format!("at most {MACHINES_MAX} nodes");
                return Err(Error::invalid(format!("group {group}"), format!("{machines} nodes"), bound));
            }
            if zones.len() < self.replicas as usize {
                let bound = format!("nodes in at least {} zones, one for each replica", self.replicas);
                return Err(Error::invalid(
                    format!("group {group}"),
                    format!("nodes in {} zones", zones.len()),
                    bound,
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
