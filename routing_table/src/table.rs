//! The hard-coded table: how many buckets each group holds, for every number of groups.
//!
//! # What it says
//!
//! With `n` groups and `B` buckets a group holds either `floor(B / n)` buckets or one more; the table has one bit for
//! every bucket count, every `n` and every group that says which. One rule turns these sizes into owners:
//!
//! - With one group, group 0 holds a list of all buckets in order.
//! - When group `n` joins, each older group keeps the first buckets of its list, as many as the table says for
//!   `n + 1` groups, and hands the rest over. The newcomer's list is what groups 0, 1, 2, ... hand over, in that order.
//!
//! So the form of the table, and not only a test of it, gives that sizes differ by at most one bucket, that buckets
//! move only to new groups and no more of them than the new groups end up with, and that the owner at `n` groups does
//! not depend on how `n` was reached. A list only ever loses its end, so a bucket's place in the list of its group,
//! its [`Rank`], stays the same for as long as the group has it.
//!
//! # Layout
//!
//! `table/owners.bin`, 732,288 bytes, little-endian throughout:
//!
//! ```text
//! offset  size    what
//!      0     8    "THERMRNG"
//!      8     4    layout version: 1
//!     12     4    most groups: 1000
//!     16     4    binary logarithm of the smallest bucket count: 10
//!     20     4    binary logarithm of the largest bucket count: 20
//!     24     8    seed of the entity hash
//!     32  11*8    for each bucket count: digest of the owners that follow from its sizes (see `generate`)
//!    120 11*66560 for each bucket count: the sizes
//! 732280     8    the table's id: XXH3-64 of all bytes before, with the seed of the entity hash
//! ```
//!
//! The sizes of one bucket count are the rows for 1, 2, ..., 1000 groups. Row `n` has `n` bits, rounded up to whole
//! 64-bit words; bit `g` (from the lowest bit of the first word) is set if group `g` holds one bucket more than
//! `floor(B / n)`. Bits past the `n`-th are zero.

use core::fmt;

use crate::bucket::{Bucket, BucketCount, BucketOutOfRange};
use crate::group::{Group, GroupCount};
use crate::map::{Map, Rank, Seat};

/// The hard-coded table. It has no state: everything is a constant of the program.
#[derive(Clone, Copy, Debug)]
pub struct Table;

impl Table {
    /// Identifies the table together with the entity hash: nodes with different ids must not talk to each other.
    #[must_use]
    pub const fn id() -> TableId {
        let (_, id) = BYTES.split_at(BYTES.len() - 8);
        TableId(u64::from_le_bytes([id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7]]))
    }

    /// Expands the table for a number of groups, so that each lookup is one load.
    ///
    /// Takes milliseconds and, while it runs, some 32 bytes a bucket; the map itself takes 4 bytes a bucket.
    #[must_use]
    pub fn for_groups(groups: GroupCount, buckets: BucketCount) -> Map {
        Map::expand(Sizes::of(buckets), groups)
    }

    /// Where one bucket is when `groups` groups exist, without expanding the table: a binary search over the group
    /// counts for each time the bucket moved on the way there, some seven times at most counts.
    ///
    /// # Errors
    /// [`BucketOutOfRange`] if there is no such bucket.
    pub fn seat(bucket: Bucket, groups: GroupCount, buckets: BucketCount) -> Result<Seat, BucketOutOfRange> {
        let bucket = buckets.bucket(bucket.index())?;
        let sizes = Sizes::of(buckets);
        let (mut owner, mut place) = (Group(0), bucket.index());
        let mut reached = 1;
        while place >= sizes.held(owner, groups.get()) {
            let joined = first(reached + 1, groups.get(), |count| sizes.held(owner, count) <= place);
            let newcomer = Group(joined - 1);
            place = sizes.handed_over_before(owner, newcomer) + (place - sizes.held(owner, joined));
            owner = newcomer;
            reached = joined;
        }
        Ok(Seat { bucket, group: owner, rank: Rank(place) })
    }
}

/// Identifies a table and the hash in front of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableId(pub u64);

impl fmt::Debug for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableId({self})")
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

pub(crate) static BYTES: &[u8] = include_bytes!("../table/owners.bin");

pub(crate) mod layout {
    use crate::bucket::BucketCount;
    use crate::group::GroupCount;

    pub(crate) const MAGIC: [u8; 8] = *b"THERMRNG";
    pub(crate) const VERSION: u32 = 1;
    const BUCKET_COUNTS: usize = (BucketCount::MAX.bits() - BucketCount::MIN.bits() + 1) as usize;
    const SIZES_START: usize = 32 + 8 * BUCKET_COUNTS;
    const SIZES_LEN: usize = row_start(GroupCount::MAX.get() as usize + 1);
    pub(crate) const TABLE_LEN: usize = SIZES_START + SIZES_LEN * BUCKET_COUNTS + 8;

    /// Where row `n` starts among the sizes of a bucket count, in bytes.
    ///
    /// Row `i` has one word more than `(i - 1) / 64`, so rows come in runs of 64 of equal length.
    pub(crate) const fn row_start(n: usize) -> usize {
        let (runs, rest) = ((n - 1) / 64, (n - 1) % 64);
        8 * (runs + 1) * (32 * runs + rest)
    }

    /// The bytes of the file that hold the sizes of a bucket count.
    pub(crate) const fn sizes(buckets: BucketCount) -> core::ops::Range<usize> {
        let start = SIZES_START + SIZES_LEN * (buckets.bits() - BucketCount::MIN.bits()) as usize;
        start..start + SIZES_LEN
    }
}

/// How many buckets each group holds at each number of groups, for one bucket count.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    rows: &'static [u8],
    pub(crate) buckets: BucketCount,
}

impl Sizes {
    pub(crate) fn of(buckets: BucketCount) -> Self {
        Self { rows: &BYTES[layout::sizes(buckets)], buckets }
    }

    /// The number of buckets that `group` holds when there are `count` groups; it must be one of them.
    #[inline]
    pub(crate) fn held(self, group: Group, count: u16) -> u32 {
        debug_assert!(group.index() < count);
        self.row(count).held(group)
    }

    /// The sizes when there are `count` groups.
    #[inline]
    pub(crate) fn row(self, count: u16) -> Row {
        let bits =
            &self.rows[layout::row_start(usize::from(count))..layout::row_start(usize::from(count) + 1)];
        Row { least: self.buckets.get() / u32::from(count), has_extra: bits }
    }

    /// The number of buckets that the groups before `giver` hand to `newcomer` when it joins.
    fn handed_over_before(self, giver: Group, newcomer: Group) -> u32 {
        self.row(newcomer.index()).held_before(giver) - self.row(newcomer.index() + 1).held_before(giver)
    }
}

/// How many buckets each group holds at one number of groups.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    least: u32,
    has_extra: &'static [u8],
}

impl Row {
    /// The number of buckets that `group` holds; it must be one of the groups of the row.
    #[inline]
    pub(crate) fn held(self, group: Group) -> u32 {
        let bit = usize::from(group.index());
        self.least + u32::from(self.has_extra[bit / 8] >> (bit % 8) & 1)
    }

    /// The number of buckets that the groups before `group` hold together; it must be one of the groups of the row.
    fn held_before(self, group: Group) -> u32 {
        let (words, rest) = (usize::from(group.index()) / 64, usize::from(group.index()) % 64);
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.has_extra[8 * at..][..8]);
            u64::from_le_bytes(bytes)
        };
        let extra = (0..words).map(|at| word(at).count_ones()).sum::<u32>();
        let extra_in_last_word = (word(words) & ((1 << rest) - 1)).count_ones();
        u32::from(group.index()) * self.least + extra + extra_in_last_word
    }
}

/// The first number in `low..=high` for which `holds` is true, given that it is true for `high` and, once true, stays so.
fn first(mut low: u16, mut high: u16, holds: impl Fn(u16) -> bool) -> u16 {
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests;
