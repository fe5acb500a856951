//! Buckets: equal, contiguous slices of the hash space.

use core::fmt;

use crate::hash::entity_hash;

/// One slice of the hash space of entities, numbered from 0 in the order of the hashes it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(pub u32);

impl Bucket {
    /// The number of the bucket, from 0.
    #[inline]
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many buckets a cluster has: a power of two from 2^10 to 2^20, chosen when the cluster is made and never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketCount {
    bits: u8,
}

impl BucketCount {
    /// The fewest buckets a cluster can have: 2^10.
    pub const MIN: Self = Self { bits: 10 };
    /// What a cluster has unless told otherwise: 2^16.
    pub const DEFAULT: Self = Self { bits: 16 };
    /// The most buckets a cluster can have: 2^20.
    pub const MAX: Self = Self { bits: 20 };

    /// Checks a number of buckets.
    ///
    /// # Errors
    /// [`BucketCountError`] unless `count` is a power of two from 2^10 to 2^20.
    pub const fn new(count: u32) -> Result<Self, BucketCountError> {
        let in_range = count >= Self::MIN.get() && count <= Self::MAX.get();
        if in_range && count.is_power_of_two() {
            Ok(Self { bits: count.trailing_zeros() as u8 })
        } else {
            Err(BucketCountError { count })
        }
    }

    /// Every bucket count there is, smallest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (Self::MIN.bits..=Self::MAX.bits).map(|bits| Self { bits })
    }

    /// The number of buckets.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        1 << self.bits
    }

    /// How many bits of the hash number a bucket: the binary logarithm of the count.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.bits as u32
    }

    /// The bucket of an entity: the top bits of its [`entity_hash`].
    #[inline]
    #[must_use]
    pub fn bucket_of(self, entity: &[u8]) -> Bucket {
        self.bucket_of_hash(entity_hash(entity))
    }

    /// The bucket of an entity whose [`entity_hash`] is known.
    #[inline]
    #[must_use]
    pub const fn bucket_of_hash(self, hash: u64) -> Bucket {
        Bucket((hash >> (u64::BITS - self.bits())) as u32)
    }

    /// Checks a bucket number that came from outside.
    ///
    /// # Errors
    /// [`BucketOutOfRange`] if `index` is not below the count.
    pub const fn bucket(self, index: u32) -> Result<Bucket, BucketOutOfRange> {
        if index < self.get() {
            Ok(Bucket(index))
        } else {
            Err(BucketOutOfRange { bucket: index, count: self.get() })
        }
    }
}

impl Default for BucketCount {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<u32> for BucketCount {
    type Error = BucketCountError;

    fn try_from(count: u32) -> Result<Self, BucketCountError> {
        Self::new(count)
    }
}

impl fmt::Display for BucketCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// A number of buckets that no cluster can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bucket count {count} is not a power of two from 1024 to 1048576")]
pub struct BucketCountError {
    /// The refused number.
    pub count: u32,
}

/// A bucket number that does not exist in this cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bucket {bucket} does not exist: the cluster has {count} buckets, numbered from 0")]
pub struct BucketOutOfRange {
    /// The refused bucket number.
    pub bucket: u32,
    /// How many buckets there are.
    pub count: u32,
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn only_powers_of_two_from_2_to_the_10_to_2_to_the_20_are_bucket_counts() {
        let legal: Vec<u32> = (10..=20).map(|bits| 1 << bits).collect();
        let near = legal.iter().flat_map(|&count| [count - 1, count, count + 1]);
        for count in near.chain([0, 1, 2, 3, 512, 1 << 21, 1 << 31, u32::MAX]) {
            match BucketCount::new(count) {
                Ok(made) => {
                    assert!(legal.contains(&count));
                    assert_eq!((made.get(), 1 << made.bits()), (count, count));
                }
                Err(error) => {
                    assert!(!legal.contains(&count));
                    assert_eq!(error, BucketCountError { count });
                    assert!(error.to_string().contains(&count.to_string()));
                }
            }
        }
        assert_eq!(BucketCount::all().map(BucketCount::get).collect::<Vec<_>>(), legal);
        assert_eq!(BucketCount::default().get(), 65_536);
    }

    #[test]
    fn the_top_bits_of_the_hash_number_the_bucket() {
        for count in BucketCount::all() {
            let slice = (u64::MAX >> count.bits()) + 1;
            for index in [0, 1, count.get() / 2, count.get() - 1] {
                let first = u64::from(index) * slice;
                assert_eq!(count.bucket_of_hash(first), Bucket(index));
                assert_eq!(count.bucket_of_hash(first + (slice - 1)), Bucket(index));
            }
        }
    }

    #[test]
    fn a_bucket_number_from_outside_is_checked() {
        let count = BucketCount::MIN;
        assert_eq!(count.bucket(1_023), Ok(Bucket(1_023)));
        assert_eq!(count.bucket(1_024), Err(BucketOutOfRange { bucket: 1_024, count: 1_024 }));
    }
}
