//! Where a bucket lives: its group by the hard-coded table, its replicas by placement, its worker by number.

use thermocline_paxos::{Bucket, NodeId};
use thermocline_routing_table::{BucketCount, Group, Map, Placement};

/// The most replicas a bucket can have.
pub(crate) const REPLICAS_MAX: usize = 5;

/// The routing of one topology, expanded so that a lookup is one array access.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    buckets: BucketCount,
    replicas: Vec<Replicas>,
}

/// A bucket's replicas in order, in place.
#[derive(Debug, Clone, Copy)]
struct Replicas {
    count: u8,
    nodes: [NodeId; REPLICAS_MAX],
}

impl Route {
    /// Expands the table for a set of groups; `placements` in the order of the groups.
    pub(crate) fn new(map: &Map, placements: &[Placement]) -> Self {
        let replicas = map
            .seats()
            .map(|seat| {
                let nodes = placements[group_index(seat.group)].replicas(seat.rank);
                let mut replicas = Replicas { count: nodes.len() as u8, nodes: [NodeId(0); REPLICAS_MAX] };
                for (place, node) in replicas.nodes.iter_mut().zip(nodes) {
                    *place = NodeId(node.0);
                }
                replicas
            })
            .collect();
        Self { buckets: map.buckets(), replicas }
    }

    /// How many buckets there are.
    pub(crate) fn buckets(&self) -> u32 {
        self.buckets.get()
    }

    /// The bucket of an entity, by the entity's hash.
    pub(crate) fn bucket(&self, entity_hash: u64) -> Bucket {
        Bucket(self.buckets.bucket_of_hash(entity_hash).index())
    }

    /// The nodes that hold a bucket, the preferred one first.
    pub(crate) fn replicas(&self, bucket: Bucket) -> &[NodeId] {
        let replicas = &self.replicas[bucket.0 as usize];
        &replicas.nodes[..usize::from(replicas.count)]
    }

    /// Whether a bucket has no second replica.
    pub(crate) fn has_one_replica(&self, bucket: Bucket) -> bool {
        self.replicas(bucket).len() == 1
    }

    /// Whether a node holds a bucket.
    pub(crate) fn holds(&self, node: NodeId, bucket: Bucket) -> bool {
        self.replicas(bucket).contains(&node)
    }
}

fn group_index(group: Group) -> usize {
    usize::from(group.index())
}

/// How a node's buckets are dealt to its parts, and its parts to its workers. The number of parts is fixed when the
/// directory is made; the number of workers may change with every start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dealing {
    pub(crate) parts: u32,
    pub(crate) workers: u32,
}

impl Dealing {
    /// At most `workers`, and so many that each owns as many parts as the others. Then a bucket's worker is its number modulo
    /// the workers, whatever the number of parts: nodes with as many workers deal alike, and talk worker to worker.
    pub(crate) fn new(parts: u32, workers: u32) -> Self {
        let workers =
            (1..=workers.min(parts)).rev().find(|workers| parts.is_multiple_of(*workers)).unwrap_or(1);
        Self { parts, workers }
    }

    /// The part of a bucket. Neighbouring buckets lie in different parts, because a group owns stretches of them.
    pub(crate) fn part(self, bucket: Bucket) -> u32 {
        bucket.0 % self.parts
    }

    /// The worker that owns a part.
    pub(crate) fn worker_of_part(self, part: u32) -> u32 {
        part % self.workers
    }

    /// The worker that owns a bucket.
    pub(crate) fn worker(self, bucket: Bucket) -> u32 {
        self.worker_of_part(self.part(bucket))
    }

    /// Where the bucket's part stands among its worker's parts.
    pub(crate) fn place(self, bucket: Bucket) -> usize {
        (self.part(bucket) / self.workers) as usize
    }
}
