//! Replicas that have applied as much have the same state (DESIGN 5, Digest; I1, I12): what is applied is a prefix of one log.

use std::collections::BTreeMap;

use thermocline::machine::Machine;
use thermocline_paxos::{Bucket, Slot};

use super::Checked;

/// The digest of each bucket's state at each slot, as the first replica had it that got there.
#[derive(Default)]
pub(super) struct Digests {
    known: BTreeMap<(Bucket, Slot), u128>,
}

impl Digests {
    /// A replica has applied something.
    pub(super) fn check(&mut self, node: usize, bucket: Bucket, machine: &Machine) -> Checked {
        let (slot, digest) = (machine.applied(bucket), machine.digest(bucket));
        let known = *self.known.entry((bucket, slot)).or_insert(digest);
        if known == digest {
            return Ok(());
        }
        Err(format!(
            "bucket {}: the state of node {} at slot {} has the digest {digest:x}, another's {known:x}",
            bucket.0,
            node + 1,
            slot.0
        ))
    }
}
