use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::table::{BYTES, Table};

fn groups(count: u16) -> GroupCount {
    GroupCount::new(u32::from(count)).unwrap()
}

/// Checks the map of every number of groups from 1 to 1,000 against the map of one group fewer.
///
/// - Spread: the largest and the smallest group differ by at most one bucket.
/// - Monotone and minimal: from `n - 1` to `n` groups a bucket stays where it is or moves to the new group. By
///   induction the same holds from `n` to `n + k`, so what moves is exactly what the new groups own.
/// - Path independence: each map is expanded from the table for its own `n` and nothing else; that it also is what
///   growing by one group from the map before leads to shows that any path leads there.
/// - Ranks: a group's ranks are 0, 1, 2, ... without a gap, and a bucket that stays keeps its rank.
/// - The owners are the generator's: the digest of all of them is the one in the table's header.
fn check_every_group_count(buckets: BucketCount) {
    // Expanding the largest map first lets the allocator keep that much memory instead of asking for it each time.
    assert_eq!(Table::for_groups(GroupCount::MAX, buckets).groups(), GroupCount::MAX);
    let one = Table::for_groups(GroupCount::MIN, buckets);
    let in_order = |(index, seat): (u32, Seat)| {
        (seat.group, seat.rank, seat.bucket) == (Group(0), Rank(index), Bucket(index))
    };
    assert!((0..).zip(one.seats()).all(in_order));
    assert_eq!(one.seats().len(), buckets.get() as usize);

    let mut held = vec![buckets.get()];
    let mut digest = 0_u64;
    let mut before = one;
    for count in GroupCount::all().skip(1) {
        let map = Table::for_groups(count, buckets);
        let newest = Group(count.get() - 1);
        let mut list: Vec<Option<Bucket>> = vec![None; map.held_by(newest) as usize];
        let pairs = (0..).zip(before.seats.iter().zip(&map.seats));
        for (index, (old, new)) in pairs.filter(|(_, (old, new))| old != new) {
            let (old, new) = (old.unpack(Bucket(index)), new.unpack(Bucket(index)));
            assert_eq!(new.group, newest, "{count} groups: {old:?} became {new:?}");
            // Only the end of a list leaves, and it leaves whole, as the counts below show: no gap is left.
            assert!(
                old.rank.index() >= map.held_by(old.group),
                "{count} groups: {old:?} has gone before its turn"
            );
            held[usize::from(old.group.index())] -= 1;
            let place = &mut list[new.rank.index() as usize];
            assert_eq!(*place, None, "{count} groups: two buckets have the rank of {new:?}");
            *place = Some(new.bucket);
        }
        held.push(list.iter().flatten().count() as u32);

        let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
        assert!(most - least <= 1, "{count} groups: from {least} to {most} buckets");
        assert!(count.groups().zip(&held).all(|(group, &held)| map.held_by(group) == held));
        assert_eq!(map.held_by(Group(count.get())), 0);

        let list =
            list.into_iter().flat_map(|bucket| bucket.expect("a rank has no bucket").index().to_le_bytes());
        digest = entity_hash(&digest.to_le_bytes().into_iter().chain(list).collect::<Vec<u8>>());
        before = map;
    }
    let at = 32 + 8 * (buckets.bits() - 10) as usize;
    assert_eq!(digest.to_le_bytes(), BYTES[at..at + 8], "digest of the owners of {buckets} buckets");
}

#[test]
fn every_group_count_is_even_monotone_minimal_and_independent_of_its_path_at_2_to_the_10_buckets() {
    check_every_group_count(BucketCount::MIN);
}

#[test]
fn every_group_count_is_even_monotone_minimal_and_independent_of_its_path_at_2_to_the_13_buckets() {
    check_every_group_count(BucketCount::new(1 << 13).unwrap());
}

#[test]
fn every_group_count_is_even_monotone_minimal_and_independent_of_its_path_at_2_to_the_16_buckets() {
    check_every_group_count(BucketCount::DEFAULT);
}

#[test]
fn every_group_count_is_even_monotone_minimal_and_independent_of_its_path_at_2_to_the_20_buckets() {
    check_every_group_count(BucketCount::MAX);
}

#[test]
fn a_bucket_that_does_not_exist_is_refused() {
    let map = Table::for_groups(groups(3), BucketCount::MIN);
    for index in [1_024, 1_025, u32::MAX] {
        let error = BucketOutOfRange { bucket: index, count: 1_024 };
        assert_eq!(map.seat(Bucket(index)), Err(error));
        assert_eq!(map.group(Bucket(index)), Err(error));
        assert_eq!(Table::seat(Bucket(index), groups(3), BucketCount::MIN), Err(error));
    }
}

#[test]
fn maps_of_different_bucket_counts_have_no_moves_between_them() {
    let small = Table::for_groups(groups(2), BucketCount::MIN);
    let large = Table::for_groups(groups(2), BucketCount::DEFAULT);
    let error = small.moves_to(&large).err().unwrap();
    assert_eq!((error.asked, error.target), (BucketCount::MIN, BucketCount::DEFAULT));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn between_any_two_group_counts_exactly_the_buckets_of_the_new_groups_move(
        from in 1_u16..=1_000, to in 1_u16..=1_000, bits in 10_u32..=16,
    ) {
        let buckets = BucketCount::new(1 << bits).unwrap();
        let (few, many) = (from.min(to), from.max(to));
        let (small, large) = (Table::for_groups(groups(few), buckets), Table::for_groups(groups(many), buckets));
        let grow: Vec<_> = small.moves_to(&large).unwrap().collect();
        prop_assert!(grow.iter().all(|step| step.from.index() < few && step.to.index() >= few));
        let owned_by_new: u32 = (few..many).map(|group| large.held_by(Group(group))).sum();
        prop_assert_eq!(grow.len(), owned_by_new as usize);
        for step in &grow {
            prop_assert_eq!(small.group(step.bucket), Ok(step.from));
            prop_assert_eq!(large.group(step.bucket), Ok(step.to));
        }
        let shrink: Vec<_> = large.moves_to(&small).unwrap().collect();
        let back: Vec<_> = grow.iter().map(|step| Move { from: step.to, to: step.from, ..*step }).collect();
        prop_assert_eq!(shrink, back);
    }

    #[test]
    fn an_entity_is_where_its_bucket_is(entity in proptest::collection::vec(any::<u8>(), 1..1_025), bits in 10_u32..=20) {
        let buckets = BucketCount::new(1 << bits).unwrap();
        let map = Table::for_groups(groups(7), buckets);
        let seat = map.seat_of(&entity);
        prop_assert_eq!(seat.bucket, buckets.bucket_of(&entity));
        prop_assert_eq!(Ok(seat), map.seat(seat.bucket));
        prop_assert!(map.seats_in(seat.group).any(|other| other == seat));
    }
}
