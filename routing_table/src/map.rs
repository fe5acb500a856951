//! The table expanded for one number of groups: each lookup is one load.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::bucket::{Bucket, BucketCount, BucketOutOfRange};
use crate::group::{Group, GroupCount};
use crate::hash::entity_hash;
use crate::table::{Row, Sizes};

/// A bucket's place in the list of its group, from 0.
///
/// The ranks of a group's buckets are 0, 1, 2, ... without a gap, and a bucket keeps its rank for as long as it stays
/// in the group, however many groups join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(pub u32);

impl Rank {
    /// The place in the group's list, from 0.
    #[inline]
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    /// The bucket.
    pub bucket: Bucket,
    /// The group that owns it.
    pub group: Group,
    /// Its rank there, from which a [`Placement`](crate::Placement) orders the group's machines.
    pub rank: Rank,
}

/// A bucket that has different owners in two maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Move {
    /// The bucket.
    pub bucket: Bucket,
    /// The group that has it.
    pub from: Group,
    /// The group that gets it.
    pub to: Group,
}

/// Which group owns each bucket when a certain number of groups exists. Made by
/// [`Table::for_groups`](crate::Table::for_groups).
#[derive(Clone, PartialEq, Eq)]
pub struct Map {
    groups: GroupCount,
    buckets: BucketCount,
    seats: Box<[PackedSeat]>,
}

impl Map {
    /// Whether group `g` keeps a bucket or hands it on is known from the end backwards: the buckets that joined with
    /// the last group stay there, those of the group before it stay or went to the last, and so on. `trail` holds, for
    /// one group after the other from the last to the first, the present seat of every bucket that it ever had, in
    /// the order of its list; group 0 had them all, in order.
    pub(crate) fn expand(sizes: Sizes, groups: GroupCount) -> Self {
        let rows: Vec<Row> = (1..=groups.get()).map(|count| sizes.row(count)).collect();
        let ever_held = (0..).map(Group).zip(&rows).map(|(newcomer, row)| row.held(newcomer) as usize).sum();
        let mut trail = Vec::with_capacity(ever_held);
        // Where in the trail the part of a group's buckets ends that no group looked at so far has handed to it.
        // Givers are looked at from the last to the first, so each takes from the end.
        let mut unclaimed = vec![0; rows.len()];
        for group in groups.groups().rev() {
            let joined = usize::from(group.index());
            let mut held = rows[rows.len() - 1].held(group);
            trail.extend((0..held).map(|place| PackedSeat::new(group, Rank(place))));
            for newcomer in (joined + 1..rows.len()).rev() {
                // As many groups as the newcomer's number were there before it.
                let held_before = rows[newcomer - 1].held(group);
                let handed_over = (held_before - held) as usize;
                if handed_over > 0 {
                    let end = &mut unclaimed[newcomer];
                    *end -= handed_over;
                    trail.extend_from_within(*end..*end + handed_over);
                    held = held_before;
                }
            }
            unclaimed[joined] = trail.len();
        }
        assert_eq!(trail.len(), ever_held, "the table of {} buckets is inconsistent", sizes.buckets);
        let seats = trail.split_off(ever_held - sizes.buckets.get() as usize);
        Self { groups, buckets: sizes.buckets, seats: seats.into_boxed_slice() }
    }

    /// The number of groups that this map is for.
    #[must_use]
    pub const fn groups(&self) -> GroupCount {
        self.groups
    }

    /// The number of buckets that this map is for.
    #[must_use]
    pub const fn buckets(&self) -> BucketCount {
        self.buckets
    }

    /// Where the bucket of an entity is.
    #[inline]
    #[must_use]
    pub fn seat_of(&self, entity: &[u8]) -> Seat {
        self.seat_of_hash(entity_hash(entity))
    }

    /// Where the bucket of an entity is whose [`entity_hash`] is known.
    #[inline]
    #[must_use]
    pub fn seat_of_hash(&self, hash: u64) -> Seat {
        let bucket = self.buckets.bucket_of_hash(hash);
        self.seats[bucket.index() as usize].unpack(bucket)
    }

    /// Where a bucket is.
    ///
    /// # Errors
    /// [`BucketOutOfRange`] if there is no such bucket.
    #[inline]
    pub fn seat(&self, bucket: Bucket) -> Result<Seat, BucketOutOfRange> {
        match self.seats.get(bucket.index() as usize) {
            Some(seat) => Ok(seat.unpack(bucket)),
            None => Err(BucketOutOfRange { bucket: bucket.index(), count: self.buckets.get() }),
        }
    }

    /// The group that owns a bucket.
    ///
    /// # Errors
    /// [`BucketOutOfRange`] if there is no such bucket.
    #[inline]
    pub fn group(&self, bucket: Bucket) -> Result<Group, BucketOutOfRange> {
        self.seat(bucket).map(|seat| seat.group)
    }

    /// The seats of all buckets, in the order of the buckets.
    pub fn seats(&self) -> impl ExactSizeIterator<Item = Seat> {
        (0..self.buckets.get()).zip(&self.seats).map(|(bucket, seat)| seat.unpack(Bucket(bucket)))
    }

    /// The seats of the buckets that a group owns, in the order of the buckets; none for a group that does not exist.
    /// Goes through the whole map.
    pub fn seats_in(&self, group: Group) -> impl Iterator<Item = Seat> {
        self.seats().filter(move |seat| seat.group == group)
    }

    /// How many buckets a group owns: 0 for a group that does not exist.
    #[must_use]
    pub fn held_by(&self, group: Group) -> u32 {
        if group.index() < self.groups.get() {
            Sizes::of(self.buckets).held(group, self.groups.get())
        } else {
            0
        }
    }

    /// The buckets that change their owner on the way from this map to `target`, in order. Growing, they all go to
    /// groups that this map does not have; shrinking, they all come from groups that `target` does not have.
    ///
    /// # Errors
    /// [`BucketCountsDiffer`] if the maps are for different bucket counts.
    pub fn moves_to<'a>(
        &'a self,
        target: &'a Self,
    ) -> Result<impl Iterator<Item = Move> + use<'a>, BucketCountsDiffer> {
        if self.buckets != target.buckets {
            return Err(BucketCountsDiffer { asked: self.buckets, target: target.buckets });
        }
        let changes = self.seats().zip(target.seats()).filter(|(old, new)| old.group != new.group);
        Ok(changes.map(|(old, new)| Move { bucket: old.bucket, from: old.group, to: new.group }))
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("groups", &self.groups)
            .field("buckets", &self.buckets)
            .finish_non_exhaustive()
    }
}

/// Two maps are for different bucket counts, and so for different clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one map is for {asked} buckets, the other for {target}")]
pub struct BucketCountsDiffer {
    /// The bucket count of the map that was asked.
    pub asked: BucketCount,
    /// The bucket count of the other map.
    pub target: BucketCount,
}

/// A group in the lower 10 bits and a rank in the upper 22: both fit, as groups are at most 1,000 and ranks below 2^20.
#[derive(Clone, Copy, PartialEq, Eq)]
struct PackedSeat(u32);

impl PackedSeat {
    const GROUP_BITS: u32 = 10;

    fn new(group: Group, rank: Rank) -> Self {
        Self(rank.index() << Self::GROUP_BITS | u32::from(group.index()))
    }

    #[inline]
    fn unpack(self, bucket: Bucket) -> Seat {
        let group = Group((self.0 & ((1 << Self::GROUP_BITS) - 1)) as u16);
        Seat { bucket, group, rank: Rank(self.0 >> Self::GROUP_BITS) }
    }
}

const _: () = {
    assert!(GroupCount::MAX.get() as u32 <= 1 << PackedSeat::GROUP_BITS);
    assert!(BucketCount::MAX.bits() + PackedSeat::GROUP_BITS <= u32::BITS);
};

#[cfg(test)]
mod tests;
