use std::vec::Vec;

use super::*;
use crate::generate;
use crate::hash::{ENTITY_HASH_SEED, entity_hash};

fn groups(count: u16) -> GroupCount {
    GroupCount::new(u32::from(count)).unwrap()
}

#[test]
fn the_committed_table_is_what_the_generator_makes() {
    let generated = generate::table();
    assert_eq!(generated.len(), BYTES.len());
    assert_eq!(BYTES.len(), layout::TABLE_LEN);
    let difference = generated.iter().zip(BYTES).position(|(new, committed)| new != committed);
    assert_eq!(difference, None, "first byte at which table/owners.bin differs from the generator's table");
}

#[test]
fn the_header_is_as_documented_and_the_id_is_the_hash_of_the_bytes() {
    let number = |at: usize| u32::from_le_bytes(BYTES[at..at + 4].try_into().unwrap());
    assert_eq!(&BYTES[..8], b"THERMRNG");
    assert_eq!([number(8), number(12), number(16), number(20)], [1, 1_000, 10, 20]);
    assert_eq!(BYTES[24..32], ENTITY_HASH_SEED.to_le_bytes());
    assert_eq!(layout::sizes(BucketCount::MIN).start, 120);
    assert_eq!(layout::sizes(BucketCount::MAX).end, 732_280);
    assert_eq!(BYTES.len(), 732_288);
    assert_eq!(Table::id(), TableId(entity_hash(&BYTES[..732_280])));
}

/// The id of the table as it was published. A change here is a new format: no cluster could go on with its data.
#[test]
fn the_id_never_changes() {
    assert_eq!(std::format!("{}", Table::id()), "3e54d702a1e0999b");
}

#[test]
fn every_row_is_complete_and_has_no_bits_to_spare() {
    for buckets in BucketCount::all() {
        let rows = &BYTES[layout::sizes(buckets)];
        for count in GroupCount::all() {
            let count = u32::from(count.get());
            let row = &rows[layout::row_start(count as usize)..layout::row_start(count as usize + 1)];
            assert_eq!(row.len(), count.div_ceil(64) as usize * 8);
            let set = row.iter().map(|byte| byte.count_ones()).sum::<u32>();
            assert_eq!(set, buckets.get() % count, "{buckets} buckets, {count} groups");
            for bit in count..row.len() as u32 * 8 {
                assert_eq!(
                    row[bit as usize / 8] >> (bit % 8) & 1,
                    0,
                    "{buckets} buckets, {count} groups, bit {bit}"
                );
            }
        }
    }
}

/// The largest spread, (largest - smallest) / mean, over every number of groups, for every bucket count: one bucket
/// at most, so it is below 1 % if the mean is over 100 buckets. The crate's documentation quotes the figures.
#[test]
fn the_spread_at_every_bucket_count_is_one_bucket() {
    for buckets in BucketCount::all() {
        let sizes = Sizes::of(buckets);
        for count in GroupCount::all() {
            let held: Vec<u32> = count.groups().map(|group| sizes.held(group, count.get())).collect();
            let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
            assert_eq!(held.iter().sum::<u32>(), buckets.get());
            assert!(most - least <= 1);
            let spread = f64::from(most - least) * f64::from(count.get()) / f64::from(buckets.get());
            if buckets.bits() >= 16 {
                assert!(spread <= 0.0153, "{buckets} buckets, {count} groups: {spread}");
            }
            if buckets.bits() >= 17 || (buckets.bits() == 16 && count.get() <= 655) {
                assert!(spread < 0.01, "{buckets} buckets, {count} groups: {spread}");
            }
        }
    }
}

/// Each group that joins takes about the same from every older one, so that moving loads all of them alike.
#[test]
fn what_older_groups_hand_to_a_newcomer_differs_by_at_most_one_bucket() {
    for buckets in BucketCount::all() {
        let sizes = Sizes::of(buckets);
        for count in GroupCount::all().skip(1) {
            let n = count.get();
            let handed = (0..n - 1).map(|at| {
                let (old, new) = (sizes.held(Group(at), n - 1), sizes.held(Group(at), n));
                old.checked_sub(new).expect("no older group gains a bucket")
            });
            let handed: Vec<u32> = handed.collect();
            let (least, most) = (handed.iter().min().unwrap(), handed.iter().max().unwrap());
            assert!(most - least <= 1, "{buckets} buckets, {n} groups: {least} to {most}");
            assert_eq!(handed.iter().sum::<u32>(), sizes.held(Group(n - 1), n));
        }
    }
}

#[test]
fn a_seat_without_expansion_is_the_seat_in_the_map() {
    for count in GroupCount::all() {
        let map = Table::for_groups(count, BucketCount::MIN);
        for seat in map.seats() {
            assert_eq!(Table::seat(seat.bucket, count, BucketCount::MIN), Ok(seat));
        }
    }
    for (count, buckets) in [(1, 16), (2, 16), (65, 16), (777, 16), (1_000, 16), (333, 20), (1_000, 20)] {
        let (count, buckets) = (groups(count), BucketCount::new(1 << buckets).unwrap());
        let map = Table::for_groups(count, buckets);
        for seat in map.seats().step_by(7) {
            assert_eq!(Table::seat(seat.bucket, count, buckets), Ok(seat));
        }
    }
}
