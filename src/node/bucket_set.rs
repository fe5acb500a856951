//! A set of buckets: a bit for each.

use thermocline_paxos::Bucket;

/// Buckets below a bound. No other is ever among them.
#[derive(Debug)]
pub(super) struct BucketSet(Vec<u64>);

impl BucketSet {
    /// An empty set of buckets below `buckets`.
    pub(super) fn new(buckets: u32) -> Self {
        Self(vec![0; (buckets as usize).div_ceil(64)])
    }

    /// Adds a bucket, which must be below the bound.
    pub(super) fn insert(&mut self, bucket: Bucket) {
        self.0[bucket.0 as usize / 64] |= 1 << (bucket.0 % 64);
    }

    pub(super) fn contains(&self, bucket: Bucket) -> bool {
        self.0.get(bucket.0 as usize / 64).is_some_and(|bits| bits >> (bucket.0 % 64) & 1 != 0)
    }
}
