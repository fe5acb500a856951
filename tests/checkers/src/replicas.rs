//! Replicas: at equal slots they are equal.

use std::collections::{BTreeMap, BTreeSet};

use crate::plant::{self, Plant};
use crate::verdict::{Verdict, Violation};

/// What a replica says of itself at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Whose replica.
    pub node: u64,
    /// Of what.
    pub bucket: u64,
    /// How far it has applied.
    pub slot: u64,
    /// The digest of what it holds there.
    pub digest: u128,
}

/// Whether replicas that have applied as much hold the same.
#[must_use]
pub fn check(copies: &[Copy]) -> Verdict {
    let mut known: BTreeMap<(u64, u64), Copy> = BTreeMap::new();
    let mut violations = Vec::new();
    for copy in copies {
        let slot = if plant::on(Plant::DigestWithoutSlot) { 0 } else { copy.slot };
        let first = *known.entry((copy.bucket, slot)).or_insert(*copy);
        if first.digest != copy.digest {
            let what = format!("nodes {} and {} differ at slot {}", first.node, copy.node, copy.slot);
            violations.push(Violation::new(copy.bucket, what, []));
        }
    }
    Verdict::of(violations)
}

/// The same at rest: every bucket has a replica at each of `replicas` nodes, and all have applied as much.
#[must_use]
pub fn check_at_rest(copies: &[Copy], replicas: usize) -> Verdict {
    let mut buckets: BTreeMap<u64, (BTreeSet<u64>, BTreeSet<u64>)> = BTreeMap::new();
    for copy in copies {
        let (nodes, slots) = buckets.entry(copy.bucket).or_default();
        nodes.insert(copy.node);
        slots.insert(copy.slot);
    }
    let mut violations = Vec::new();
    for (bucket, (nodes, slots)) in buckets {
        if nodes.len() != replicas {
            let what = format!("{} of {replicas} replicas told of themselves", nodes.len());
            violations.push(Violation::new(bucket, what, []));
        }
        if slots.len() > 1 {
            let what = format!("at rest the replicas have applied slots {slots:?}");
            violations.push(Violation::new(bucket, what, []));
        }
    }
    check(copies).and(Verdict::of(violations))
}
