//! A filter over the keys of a run: answers "not there" without reading a block.
//!
//! A blocked Bloom filter (Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters", 2007, section 3): all bits of a key lie
//! in one cache line.

use twox_hash::XxHash3_64;

use super::key::Place;
use crate::hot::Bucket;

const BITS_PER_KEY: usize = 10;
const PROBES: u32 = 6;
const LINE_BYTES: usize = 64;

/// The hash of an entity, from which those of all its keys follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntityHash(u64);

impl EntityHash {
    pub(super) fn new(bucket: Bucket, entity: &[u8]) -> EntityHash {
        EntityHash(XxHash3_64::oneshot_with_seed(u64::from(bucket.0), entity))
    }

    /// The hash of one record of the entity, or, for any of its trim marks, of them all.
    pub(super) fn place(self, place: Place) -> u64 {
        match place.parts() {
            (0, _, _) => mix(self.0 ^ 1),
            (tag, major, minor) => {
                mix(mix(mix(self.0.wrapping_add(u64::from(tag))) ^ major).rotate_left(17) ^ minor)
            }
        }
    }

    /// The hash of the question whether the entity has anything.
    pub(super) fn anything(self) -> u64 {
        mix(self.0 ^ 2)
    }
}

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014).
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Builds the filter's bytes: a whole number of lines.
pub(super) fn build(hashes: &[u64]) -> Vec<u8> {
    let lines = (hashes.len() * BITS_PER_KEY).div_ceil(LINE_BYTES * 8).max(1);
    let mut bytes = vec![0_u8; lines * LINE_BYTES];
    for &hash in hashes {
        let line = line_of(hash, lines);
        for bit in bits_of(hash) {
            bytes[line + bit / 8] |= 1 << (bit % 8);
        }
    }
    bytes
}

/// Whether a key of this hash may be there. `bytes` must be a whole number of lines, at least one.
pub(super) fn may_hold(bytes: &[u8], hash: u64) -> bool {
    let line = line_of(hash, bytes.len() / LINE_BYTES);
    bits_of(hash).all(|bit| bytes[line + bit / 8] & (1 << (bit % 8)) != 0)
}

/// Whether these can be a filter's bytes.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len().is_multiple_of(LINE_BYTES)
}

fn line_of(hash: u64, lines: usize) -> usize {
    (((hash >> 32) * lines as u64) >> 32) as usize * LINE_BYTES
}

/// Nine bits for each probe, drawn from a second mixing of the hash.
fn bits_of(hash: u64) -> impl Iterator<Item = usize> {
    let drawn = mix(hash.wrapping_add(0x9e37_79b9_7f4a_7c15));
    (0..PROBES).map(move |probe| ((drawn >> (probe * 9)) & 511) as usize)
}
