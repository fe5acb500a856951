//! What a machine is told when it is opened.

use std::sync::Arc;

use thermocline_paxos::NodeId;
use thermocline_routing_table::{
    BucketCount, GroupCount, Machine as Member, NodeId as MemberId, Placement, ReplicaCount, Table, Zone,
};
use thermocline_tiers::hot::journal::JournalConfig;
use thermocline_tiers::hot::state::StateConfig;

use crate::error::Error;
use crate::node::route::Route;

/// The settings of a machine: one group, in which every node holds every bucket.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// Which node.
    pub node: u16,
    /// All nodes of the group, this one included: 1, 3 or 5.
    pub nodes: Vec<u16>,
    /// How many buckets there are: a power of two from 1,024 on.
    pub buckets: u32,
    /// How many parts the state is split into.
    pub parts: u32,
    /// How many workers the node has; the same at all nodes.
    pub workers: u32,
    /// Length of a journal segment, in bytes.
    pub segment_bytes: u32,
    /// How many bytes of the journal are kept for peers that were away.
    pub retain_bytes: u64,
    /// How many bytes a part keeps in memory before it writes them.
    pub memtable_bytes: usize,
    /// The span of a window, in milliseconds.
    pub window_span_ms: u64,
    /// At most so many unanswered calls a worker.
    pub calls_max: usize,
    /// At most so many bytes of writes in one slot.
    pub command_bytes_max: usize,
    /// See [`Config`](crate::Config).
    pub hedge_ms: u64,
    /// See [`Config`](crate::Config).
    pub resend_ms: u64,
    /// At most so many buckets are fetched at the same time.
    pub fetches_max: usize,
    /// When so many buckets wait to be fetched, they get what they lack as a stream.
    pub stream_from: usize,
    /// About so much of the journal is read for each part of a stream, in bytes.
    pub stream_bytes: u32,
    /// About so much of the journal a start has to replay at most, in bytes.
    pub replay_bytes: u64,
}

impl MachineConfig {
    /// A node alone with everything small, so that segments roll, memtables are written and runs merged all the time.
    #[must_use]
    pub fn small() -> Self {
        Self {
            node: 1,
            nodes: vec![1],
            buckets: 1024,
            parts: 2,
            workers: 1,
            segment_bytes: 64 << 10,
            retain_bytes: 256 << 10,
            memtable_bytes: 8 << 10,
            window_span_ms: 1000,
            calls_max: 1000,
            command_bytes_max: 8 << 10,
            hedge_ms: 25,
            resend_ms: 100,
            fetches_max: 64,
            stream_from: 4,
            stream_bytes: 8 << 10,
            replay_bytes: 64 << 10,
        }
    }

    /// The routing of the group.
    pub(super) fn route(&self) -> Result<Arc<Route>, Error> {
        let replicas = match self.nodes.len() {
            1 => ReplicaCount::One,
            3 => ReplicaCount::Three,
            5 => ReplicaCount::Five,
            other => return Err(Error::invalid("nodes", other.to_string(), "1, 3 or 5")),
        };
        let members: Vec<Member> =
            self.nodes.iter().map(|node| Member { node: MemberId(*node), zone: Zone(*node) }).collect();
        let impossible =
            |what: &str, error: String| Error::invalid(what, error, "a possible group of machines");
        let placement =
            Placement::new(&members, replicas).map_err(|error| impossible("nodes", error.to_string()))?;
        let buckets =
            BucketCount::new(self.buckets).map_err(|error| impossible("buckets", error.to_string()))?;
        let one = GroupCount::new(1).map_err(|error| impossible("groups", error.to_string()))?;
        let map = Table::for_groups(one, buckets);
        Ok(Arc::new(Route::new(&map, &[placement])))
    }

    pub(super) fn journal(&self) -> JournalConfig {
        JournalConfig { segments_max: 4096, ..JournalConfig::with_segment_bytes(self.segment_bytes) }
    }

    pub(super) fn state(&self) -> StateConfig {
        StateConfig {
            window_span_ms: self.window_span_ms,
            outcome_slots: crate::token::OUTCOME_SLOTS,
            sinks: false,
            memtable_bytes: self.memtable_bytes,
            block_bytes: 1 << 10,
            index_cache_bytes: 64 << 10,
            block_cache_bytes: 16 << 10,
            ..StateConfig::default()
        }
    }

    pub(super) fn others(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().filter(|node| **node != self.node).map(|node| NodeId(*node))
    }
}
