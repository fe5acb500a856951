//! Which records a scan is after: from one place to another, and behind a cursor.

use std::ops::{Bound, RangeBounds};

use super::cursor::{Cursor, Order};
use crate::error::Error;
use crate::key::Position;

/// A record's timestamp and sequence.
pub(super) type Place = (u64, u64);

/// Places from the older to the newer, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Place,
    pub(super) to: Place,
}

impl Range {
    pub(super) const ALL: Self = Self { from: (0, 0), to: (u64::MAX, u64::MAX) };
    /// What a range of timestamps becomes that begins behind the last or ends before the first: refused when checked.
    const IMPOSSIBLE: Self = Self { from: (u64::MAX, u64::MAX), to: (0, 0) };

    pub(super) fn of(timestamps: impl RangeBounds<u64>) -> Self {
        let from = match timestamps.start_bound() {
            Bound::Included(&first) => Some(first),
            Bound::Excluded(&before) => before.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let to = match timestamps.end_bound() {
            Bound::Included(&last) => Some(last),
            Bound::Excluded(&behind) => behind.checked_sub(1),
            Bound::Unbounded => Some(u64::MAX),
        };
        match from.zip(to) {
            Some((from, to)) => Self { from: (from, 0), to: (to, u64::MAX) },
            None => Self::IMPOSSIBLE,
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.from > self.to {
            let value = format!("from {} to {}", position(self.from), position(self.to));
            return Err(Error::invalid("range", value, "from the older to the newer"));
        }
        Ok(())
    }

    /// What of it lies behind the cursor; `None` when nothing can.
    pub(super) fn behind(self, cursor: &Cursor, entity: &[u8], order: Order) -> Result<Option<Self>, Error> {
        let Some(next) = cursor.next(entity, order)? else { return Ok(None) };
        let rest = match order {
            Order::OldestFirst => Self { from: self.from.max(next), ..self },
            Order::NewestFirst => Self { to: self.to.min(next), ..self },
        };
        Ok((rest.from <= rest.to).then_some(rest))
    }
}

pub(super) fn position((timestamp, sequence): Place) -> Position {
    Position::Dated { timestamp, sequence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    const LAST: u64 = u64::MAX;

    fn cursor(timestamp: u64, sequence: u64, order: Order) -> Cursor {
        Cursor::at(&Key::new("alice", timestamp, sequence), order).unwrap()
    }

    #[test]
    fn timestamps_cover_all_sequences() {
        let range = |from, to| Range { from: (from, 0), to: (to, LAST) };
        assert_eq!(Range::of(..), Range::ALL);
        assert_eq!(Range::of(5..=7), range(5, 7));
        assert_eq!(Range::of(5..7), range(5, 6));
        assert_eq!(Range::of(5..), range(5, LAST));
        assert_eq!(Range::of(..7), range(0, 6));
        assert_eq!(Range::of(..=0), range(0, 0));
        assert_eq!(Range::of((Bound::Excluded(5), Bound::Unbounded)), range(6, LAST));
        assert_eq!(Range::of(5..=5).check(), Ok(()));
    }

    #[test]
    fn a_range_that_runs_backwards_or_holds_nothing_is_refused() {
        let (backwards, empty) = ((Bound::Included(7), Bound::Included(5)), 5..5);
        let ranges = [
            Range::of(backwards),
            Range::of(empty),
            Range::of(..0),
            Range::of((Bound::Excluded(LAST), Bound::Unbounded)),
            Range { from: (5, 1), to: (5, 0) },
        ];
        for range in ranges {
            let Err(Error::Invalid { what, value, bound }) = range.check() else {
                panic!("{range:?} was taken");
            };
            assert_eq!((what.as_str(), bound.as_str()), ("range", "from the older to the newer"));
            assert!(value.starts_with("from "), "{value}");
        }
    }

    #[test]
    fn a_cursor_cuts_off_what_was_read() {
        let range = Range::of(5..=7);
        let oldest = |timestamp, sequence| {
            range
                .behind(&cursor(timestamp, sequence, Order::OldestFirst), b"alice", Order::OldestFirst)
                .unwrap()
        };
        assert_eq!(oldest(5, 3), Some(Range { from: (5, 4), ..range }));
        assert_eq!(oldest(5, LAST), Some(Range { from: (6, 0), ..range }));
        assert_eq!(oldest(1, 0), Some(range));
        assert_eq!(oldest(7, LAST), None);
        assert_eq!(oldest(LAST, LAST), None);
        let newest = |timestamp, sequence| {
            range
                .behind(&cursor(timestamp, sequence, Order::NewestFirst), b"alice", Order::NewestFirst)
                .unwrap()
        };
        assert_eq!(newest(7, 3), Some(Range { to: (7, 2), ..range }));
        assert_eq!(newest(7, 0), Some(Range { to: (6, LAST), ..range }));
        assert_eq!(newest(9, 0), Some(range));
        assert_eq!(newest(5, 0), None);
        assert_eq!(newest(0, 0), None);
    }

    #[test]
    fn a_cursor_of_another_entity_or_order_is_refused() {
        let refused = |cursor: Cursor| match Range::ALL.behind(&cursor, b"alice", Order::OldestFirst) {
            Err(Error::Invalid { what, value, .. }) => {
                assert_eq!(what, "cursor");
                value
            }
            other => panic!("taken as {other:?}"),
        };
        let other = Cursor::at(&Key::new("bob", 5, 0), Order::OldestFirst).unwrap();
        assert_eq!(refused(other), "of another entity");
        assert_eq!(refused(cursor(5, 0, Order::NewestFirst)), "of a scan newest first");
    }
}
