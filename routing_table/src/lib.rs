#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]
//! Where a record lives: entity, to bucket, to group, to the machines of the group in order.
//!
//! Every step is pure arithmetic over a hard-coded table, so any two nodes with the same [`TableId`], the same number
//! of buckets and groups and the same machines route alike, without asking anyone.
//!
//! 1. [`entity_hash`] hashes the entity, and the top bits of the hash are its [`Bucket`]. A bucket is a contiguous
//!    slice of the hash space; it is whole for ever and moves whole.
//! 2. [`Table::for_groups`] expands the hard-coded table into a [`Map`]: which [`Group`] owns each bucket when a given
//!    number of groups exists, for every number from 1 to 1,000. Growing moves buckets only to the new groups, and
//!    the largest group never has more than one bucket more than the smallest.
//! 3. [`Placement`] orders a group's machines for each of its buckets: replicas in different zones, each machine
//!    preferred equally often, a dead machine's share falling evenly on the others.
//!
//! Sizes of groups therefore differ by nothing or by one bucket, for every bucket count and every number of groups.
//! Relative to the mean that is most at 1,000 groups: 0.1 % with 2^20 buckets, 0.8 % with 2^17, 1.5 % with the default
//! of 2^16 (under 1 % up to 655 groups), 3.1 % with 2^15, and as much as the mean itself with 2^10. A cluster that may
//! grow past `n` groups stays under 2 % with at least `50 n` buckets.
//!
//! ```
//! use thermocline_routing_table::{BucketCount, GroupCount, Machine, NodeId, Placement, ReplicaCount, Table, Zone};
//!
//! let map = Table::for_groups(GroupCount::new(12)?, BucketCount::DEFAULT);
//! let seat = map.seat_of(b"inbox:alice");
//! assert_eq!(seat.bucket, BucketCount::DEFAULT.bucket_of(b"inbox:alice"));
//!
//! // Six machines in three zones serve that group.
//! let machines: Vec<Machine> =
//!     (1..=6).map(|id| Machine { node: NodeId(id), zone: Zone(id % 3) }).collect();
//! let placement = Placement::new(&machines, ReplicaCount::Three)?;
//! let replicas = placement.replicas(seat.rank);
//! assert_eq!(replicas.len(), 3);
//! println!("ask node {} first, then {} and {}", replicas[0], replicas[1], replicas[2]);
//!
//! // A thirteenth group takes its share from the others; nothing else moves.
//! let grown = Table::for_groups(GroupCount::new(13)?, BucketCount::DEFAULT);
//! assert!(map.moves_to(&grown)?.all(|step| step.to.index() == 12));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

extern crate alloc;
#[cfg(test)]
extern crate std;

mod bucket;
mod group;
mod hash;
mod map;
mod placement;
mod table;

pub mod generate;

pub use bucket::{Bucket, BucketCount, BucketCountError, BucketOutOfRange};
pub use group::{Group, GroupCount, GroupCountError};
pub use hash::{ENTITY_HASH_SEED, entity_hash};
pub use map::{BucketCountsDiffer, Map, Move, Rank, Seat};
pub use placement::{MACHINES_MAX, Machine, NodeId, Placement, PlacementError, ReplicaCount, Zone};
pub use table::{Table, TableId};
