//! The hash of entities. It is part of the format: a bucket's blocks lie on disks for decades under it.

/// The seed of [`entity_hash`]: the bytes of "Thermocl" read as a big-endian number.
pub const ENTITY_HASH_SEED: u64 = 0x5468_6572_6D6F_636C;

/// The 64-bit hash of an entity: XXH3-64 (the final specification of xxHash 0.8) with [`ENTITY_HASH_SEED`].
///
/// It never changes. `vectors/entity_hash.csv` in this crate's folder publishes values to check another
/// implementation against. Any length is hashed, though an entity of the store has 1 to 1,024 bytes.
///
/// ```
/// assert_eq!(thermocline_routing_table::entity_hash(b"alice"), 0x5a44_8c32_4c4c_18e4);
/// ```
#[inline]
#[must_use]
pub fn entity_hash(entity: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(entity, ENTITY_HASH_SEED)
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::bucket::BucketCount;
    use crate::generate;

    const VECTORS: &str = include_str!("../vectors/entity_hash.csv");

    #[test]
    fn the_published_vectors_hold() {
        let (header, rows) = VECTORS.split_once('\n').unwrap();
        assert_eq!(header, "entity_hex,hash_hex,bucket_of_1024,bucket_of_65536,bucket_of_1048576");
        let rows: Vec<&str> = rows.lines().collect();
        assert!(rows.len() >= 30);
        for row in rows {
            let fields: Vec<&str> = row.split(',').collect();
            let entity = from_hex(fields[0]);
            let hash = u64::from_str_radix(fields[1], 16).unwrap();
            assert_eq!(entity_hash(&entity), hash, "{row}");
            assert_eq!(twox_hash::XxHash3_64::oneshot_with_seed(ENTITY_HASH_SEED, &entity), hash, "{row}");
            for (count, bucket) in [1_024, 65_536, 1_048_576].into_iter().zip(&fields[2..]) {
                let count = BucketCount::new(count).unwrap();
                assert_eq!(count.bucket_of(&entity).index(), bucket.parse::<u32>().unwrap(), "{row}");
            }
        }
    }

    #[test]
    fn the_published_vectors_are_what_the_generator_makes() {
        assert_eq!(generate::entity_vectors(), VECTORS);
    }

    /// Both are values of the specification's own test program, with seed 0: they show that the function itself, and
    /// not only two implementations' agreement, is XXH3-64.
    #[test]
    fn the_function_is_xxh3_64() {
        assert_eq!(xxhash_rust::xxh3::xxh3_64_with_seed(b"", 0), 0x2D06_8005_38D3_94C2);
        assert_eq!(twox_hash::XxHash3_64::oneshot_with_seed(0, b""), 0x2D06_8005_38D3_94C2);
        assert_eq!(ENTITY_HASH_SEED.to_be_bytes(), *b"Thermocl");
    }

    fn from_hex(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
            .collect()
    }

    proptest! {
        #[test]
        fn two_implementations_agree(entity in proptest::collection::vec(any::<u8>(), 0..1_100)) {
            let other = twox_hash::XxHash3_64::oneshot_with_seed(ENTITY_HASH_SEED, &entity);
            prop_assert_eq!(entity_hash(&entity), other);
        }
    }
}
