//! How a node is.

/// A node's state at one moment, as it knows it itself: the answer of [`Store::status`](crate::Store::status). An owned
/// copy, which holds nothing up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The cluster's name.
    pub cluster: String,
    /// The node's number.
    pub node: u16,
    /// How often this directory was opened: grows with each start.
    pub boot: u64,
    /// The random identity of the directory, made with it.
    pub disk_id: u64,
    /// The topology's version.
    pub epoch: u64,
    /// The groups that the node is in.
    pub groups: Vec<u16>,
    /// How many bytes the journal had taken when it was last synced, since the directory was made.
    pub journal_synced: u64,
    /// Buckets in which the node votes.
    pub buckets_voting: u32,
    /// Buckets in which it learns only, because it lost, or may have lost, what it promised.
    pub buckets_learning: u32,
    /// The other nodes of the topology.
    pub peers: Vec<Peer>,
    /// What was counted since the start, by name, in the order of the names.
    pub counters: Vec<(&'static str, u64)>,
}

/// Another node, as seen from here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its number.
    pub node: u16,
    /// Its address.
    pub address: String,
    /// Whether a connection to it is open and greeted.
    pub up: bool,
}
