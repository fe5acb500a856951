//! What a verification found.

use std::collections::BTreeSet;
use std::fmt;

/// What [`Store::verify`](crate::Store::verify) found: the disks of all replicas of the buckets that the node holds, compared bucket by
/// bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// How many buckets there were to compare.
    pub buckets: u64,
    /// Buckets of which all replicas have the same, in the end.
    pub equal: u64,
    /// Buckets of which a minority of the replicas had something else.
    pub differences: Vec<Difference>,
    /// Buckets, with the node, of which a replica could not be read.
    pub unreadable: Vec<(u32, u16)>,
    /// Records in journals that could not be read.
    pub journal_damage: u64,
    /// Buckets that were mended, and are equal now.
    pub repaired: u64,
    /// Buckets that were to be mended, and are not equal yet.
    pub unrepaired: u64,
    /// Buckets that could not be compared: a replica was away, no majority agrees, or a majority has lost what it promised.
    pub unverified: Vec<u32>,
    /// Nodes that were away, or did not answer, so that buckets could not be compared.
    pub away: BTreeSet<u16>,
    /// Whether another verification of the node was under way, so that nothing was done.
    pub busy: bool,
}

/// A bucket of which replicas differed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Which bucket.
    pub bucket: u32,
    /// The nodes that differed from the majority.
    pub nodes: Vec<u16>,
    /// Where: windows of time, by number, or what has none.
    pub windows: Vec<String>,
}

impl VerifyReport {
    /// Whether all buckets are equal at all replicas, perhaps because they were mended.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.equal == self.buckets && self.unrepaired == 0 && !self.busy
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.buckets += other.buckets;
        self.equal += other.equal;
        self.differences.extend(other.differences);
        self.unreadable.extend(other.unreadable);
        self.journal_damage += other.journal_damage;
        self.repaired += other.repaired;
        self.unrepaired += other.unrepaired;
        self.unverified.extend(other.unverified);
        self.away.extend(other.away);
        self.busy |= other.busy;
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.busy {
            return f.write_str("another verification is under way");
        }
        write!(
            f,
            "{} of {} buckets equal at all replicas; {} differed, {} could not be read, {} repaired, {} not repaired yet, {} not \
             compared; {} damaged journal records",
            self.equal,
            self.buckets,
            self.differences.len(),
            self.unreadable.len(),
            self.repaired,
            self.unrepaired,
            self.unverified.len(),
            self.journal_damage
        )?;
        if !self.away.is_empty() {
            let away: Vec<_> = self.away.iter().map(u16::to_string).collect();
            write!(f, "; without an answer of node {}", away.join(", "))?;
        }
        for Difference { bucket, nodes, windows } in &self.differences {
            write!(f, "\nbucket {bucket}: {} at nodes {nodes:?}", windows.join(", "))?;
        }
        for (bucket, node) in &self.unreadable {
            write!(f, "\nbucket {bucket}: not readable at node {node}")?;
        }
        Ok(())
    }
}
