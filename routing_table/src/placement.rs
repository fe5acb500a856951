//! The machines of a group in order, for each of its buckets.

use alloc::vec::Vec;
use core::fmt;

use crate::map::Rank;

mod pattern;

/// The most machines that one group can have.
pub const MACHINES_MAX: usize = 64;

/// Names a node. The number is the topology's choice; it stays with the node when its address changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names what fails together: a rack, a data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(pub u16);

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One machine of a group. Where zones do not matter, each machine is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    /// The node that runs there.
    pub node: NodeId,
    /// What it fails together with.
    pub zone: Zone,
}

/// How many replicas a bucket has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ReplicaCount {
    /// A single copy: no machine may fail.
    One = 1,
    /// Three replicas: one may fail.
    #[default]
    Three = 3,
    /// Five replicas: two may fail.
    Five = 5,
}

impl ReplicaCount {
    /// The number of replicas.
    #[inline]
    #[must_use]
    pub const fn get(self) -> usize {
        self as usize
    }
}

impl TryFrom<u32> for ReplicaCount {
    type Error = PlacementError;

    fn try_from(count: u32) -> Result<Self, PlacementError> {
        match count {
            1 => Ok(Self::One),
            3 => Ok(Self::Three),
            5 => Ok(Self::Five),
            _ => Err(PlacementError::ReplicaCount { count }),
        }
    }
}

impl fmt::Display for ReplicaCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// A set of machines that cannot serve as a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// Only 1, 3 and 5 replicas are legal.
    #[error("replica count {count} is not 1, 3 or 5")]
    ReplicaCount {
        /// The refused number.
        count: u32,
    },
    /// A group needs a machine.
    #[error("the group has no machines")]
    NoMachines,
    /// A group has at most [`MACHINES_MAX`] machines.
    #[error("the group has {count} machines, more than {MACHINES_MAX}")]
    TooManyMachines {
        /// How many were given.
        count: usize,
    },
    /// The same node was given twice.
    #[error("node {node} is in the group twice")]
    DuplicateNode {
        /// The node.
        node: NodeId,
    },
    /// Each replica of a bucket needs a zone of its own.
    #[error("{replicas} replicas need as many zones, and the group's machines are in {zones}")]
    TooFewZones {
        /// In how many zones the machines are.
        zones: usize,
        /// How many replicas a bucket is to have.
        replicas: ReplicaCount,
    },
}

/// Which machines of a group have a bucket's replicas, and which of them is preferred.
///
/// It depends on nothing but the nodes, which of them share a zone, the number of replicas, and the bucket's
/// [`Rank`](crate::Rank) in its group; not on the order in which the machines are given, nor on what the zones are
/// called. Ranks stay the same while groups join, so a bucket that does not change its group does not change its
/// machines either. And as a group's ranks have no gap, the balance below holds for whatever number of buckets it has
/// at the moment, which an order drawn from the bucket's number would reach only on average.
///
/// For the first `k` ranks of a group, whatever `k` is:
///
/// - how often a machine comes first differs by at most 1 between any two machines;
/// - of the buckets with a certain machine first, how often another comes second differs by at most 1 between any two
///   machines of other zones, so the load of a dead machine falls evenly on all of them (as long as the order has not
///   begun anew, see below);
/// - replicas lie in different zones, and machines have about equally many, unless the zones' sizes forbid it.
///
/// The order begins anew after some thousand ranks, where all these counts are even if they can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    replicas: ReplicaCount,
    /// How many ranks there are until the order begins anew.
    period: u32,
    /// The nodes of rank 0, of rank 1, and so on.
    orders: Vec<NodeId>,
}

impl Placement {
    /// Lays out a group's machines.
    ///
    /// # Errors
    /// [`PlacementError`] if there are no machines or more than [`MACHINES_MAX`], if a node is given twice, or if the
    /// machines are in fewer zones than a bucket has replicas.
    pub fn new(machines: &[Machine], replicas: ReplicaCount) -> Result<Self, PlacementError> {
        let machines = in_turn(machines, replicas)?;
        let zones: Vec<Zone> = machines.iter().map(|machine| machine.zone).collect();
        let orders: Vec<NodeId> =
            pattern::pattern(&zones, replicas.get()).into_iter().map(|at| machines[at].node).collect();
        let period = (orders.len() / replicas.get()) as u32;
        Ok(Self { replicas, period, orders })
    }

    /// The nodes that have a bucket's replicas, the preferred one first.
    #[inline]
    #[must_use]
    pub fn replicas(&self, rank: Rank) -> &[NodeId] {
        let at = (rank.index() % self.period) as usize * self.replicas.get();
        &self.orders[at..at + self.replicas.get()]
    }

    /// How many replicas a bucket has.
    #[must_use]
    pub const fn replica_count(&self) -> ReplicaCount {
        self.replicas
    }
}

/// Checks the machines and sorts them so that neighbours are in different zones where possible: the lowest node of
/// every zone, then the second of every zone, and so on, zones in the order of their lowest nodes.
fn in_turn(machines: &[Machine], replicas: ReplicaCount) -> Result<Vec<Machine>, PlacementError> {
    if machines.is_empty() {
        return Err(PlacementError::NoMachines);
    }
    if machines.len() > MACHINES_MAX {
        return Err(PlacementError::TooManyMachines { count: machines.len() });
    }
    let mut sorted = machines.to_vec();
    sorted.sort_unstable_by_key(|machine| machine.node);
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].node == pair[1].node) {
        return Err(PlacementError::DuplicateNode { node: pair[0].node });
    }
    let place_in_zone = |at: usize| sorted[..at].iter().filter(|other| other.zone == sorted[at].zone).count();
    let lowest_in_zone =
        |zone: Zone| sorted.iter().find(|machine| machine.zone == zone).map(|machine| machine.node);
    let mut turns: Vec<_> = sorted
        .iter()
        .enumerate()
        .map(|(at, &machine)| (place_in_zone(at), lowest_in_zone(machine.zone), machine))
        .collect();
    let zones = turns.iter().filter(|(place, ..)| *place == 0).count();
    if zones < replicas.get() {
        return Err(PlacementError::TooFewZones { zones, replicas });
    }
    turns.sort_unstable_by_key(|&(place, lowest, _)| (place, lowest));
    Ok(turns.into_iter().map(|(.., machine)| machine).collect())
}

#[cfg(test)]
mod tests;
