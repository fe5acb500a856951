//! Reads of a range of one entity's dated records, page by page.

use std::collections::VecDeque;
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use bytes::Bytes;

use super::Store;
use super::cursor::{Cursor, Order};
use super::limits::{self, SCAN_BYTES_DEFAULT, SCAN_RECORDS_DEFAULT};
use super::terms::call;
use crate::error::Error;
use crate::key::{Position, Record};
use crate::request::{Answer, Ask, Consistency, ScanQuery};

/// Reads a range of an entity's dated records; made by [`Store::scan`].
#[derive(Clone, Debug)]
#[must_use = "nothing is read until a page is awaited"]
pub struct Scan<'a> {
    store: &'a Store,
    entity: Bytes,
    from: (u64, u64),
    to: (u64, u64),
    order: Order,
    limit: u32,
    limit_bytes: u32,
    after: Option<Cursor>,
    consistency: Consistency,
    deadline: Option<Duration>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(store: &'a Store, entity: Bytes) -> Self {
        Self {
            store,
            entity,
            from: (0, 0),
            to: (u64::MAX, u64::MAX),
            order: Order::OldestFirst,
            limit: SCAN_RECORDS_DEFAULT,
            limit_bytes: SCAN_BYTES_DEFAULT,
            after: None,
            consistency: Consistency::default(),
            deadline: None,
        }
    }

    /// The timestamps wanted, in milliseconds; the default is all.
    pub fn range(mut self, timestamps: impl RangeBounds<u64>) -> Self {
        // An end that nothing can lie before becomes a range that `page` refuses.
        const EMPTY: ((u64, u64), (u64, u64)) = ((u64::MAX, u64::MAX), (0, 0));
        let from = match timestamps.start_bound() {
            Bound::Included(&first) => Some((first, 0)),
            Bound::Excluded(&before) => before.checked_add(1).map(|first| (first, 0)),
            Bound::Unbounded => Some((0, 0)),
        };
        let to = match timestamps.end_bound() {
            Bound::Included(&last) => Some((last, u64::MAX)),
            Bound::Excluded(&behind) => behind.checked_sub(1).map(|last| (last, u64::MAX)),
            Bound::Unbounded => Some((u64::MAX, u64::MAX)),
        };
        (self.from, self.to) = from.zip(to).unwrap_or(EMPTY);
        self
    }

    /// The oldest record wanted, inclusive, to the sequence.
    pub fn from(mut self, timestamp: u64, sequence: u64) -> Self {
        self.from = (timestamp, sequence);
        self
    }

    /// The newest record wanted, inclusive, to the sequence.
    pub fn to(mut self, timestamp: u64, sequence: u64) -> Self {
        self.to = (timestamp, sequence);
        self
    }

    /// Newest first.
    pub fn newest_first(self) -> Self {
        self.order(Order::NewestFirst)
    }

    /// Oldest first: the default.
    pub fn oldest_first(self) -> Self {
        self.order(Order::OldestFirst)
    }

    /// The order of the records; the default is [`Order::OldestFirst`].
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// How many records a page has at most: 1 to 10,000, by default 100.
    pub fn limit(mut self, records: u32) -> Self {
        self.limit = records;
        self
    }

    /// How many bytes a page has at most: 1 to 16 MiB, by default 1 MiB. The first record comes whatever its size.
    pub fn limit_bytes(mut self, bytes: u32) -> Self {
        self.limit_bytes = bytes;
        self
    }

    /// Goes on behind a page that was read before.
    pub fn after(mut self, cursor: &Cursor) -> Self {
        self.after = Some(*cursor);
        self
    }

    /// How fresh each page must be; the default is [`Consistency::Linearizable`].
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Reads one page.
    pub async fn page(self) -> Result<Page, Error> {
        let Some((query, deadline_ms)) = self.query()? else {
            return Ok(Page { records: Vec::new(), cursor: None });
        };
        match self.store.call(Ask::Scan(query), deadline_ms, self.consistency).await? {
            Answer::Page { records, end } => {
                let cursor = match records.last() {
                    Some(last) if !end => Some(Cursor::at(&last.key, self.order)?),
                    Some(_) => None,
                    None => {
                        assert!(end, "an empty page was said not to be the last");
                        None
                    }
                };
                Ok(Page { records, cursor })
            }
            other => unreachable!("a scan was answered with {other:?}"),
        }
    }

    /// Reads page after page as records are taken.
    #[must_use = "nothing is read until a record is asked for"]
    pub fn records(self) -> Records<'a> {
        Records { next: Some(self), page: VecDeque::new() }
    }

    async fn send(self) -> Result<Page, Error> {
        self.page().await
    }

    /// The checked question and deadline; `None` when nothing can lie behind the cursor.
    fn query(&self) -> Result<Option<(ScanQuery, u32)>, Error> {
        limits::entity(&self.entity)?;
        limits::scan_limits(self.limit, self.limit_bytes)?;
        let deadline_ms = self.store.shared.limits.deadline_ms(self.deadline)?;
        if self.from > self.to {
            let value = format!("from {}-{} to {}-{}", self.from.0, self.from.1, self.to.0, self.to.1);
            return Err(Error::invalid("range", value, "from the older to the newer, inclusive"));
        }
        let (mut from, mut to) = (self.from, self.to);
        if let Some(cursor) = &self.after {
            let Some(next) = cursor.next(&self.entity, self.order)? else { return Ok(None) };
            match self.order {
                Order::OldestFirst => from = from.max(next),
                Order::NewestFirst => to = to.min(next),
            }
            if from > to {
                return Ok(None);
            }
        }
        let dated = |(timestamp, sequence)| Position::Dated { timestamp, sequence };
        let query = ScanQuery {
            entity: self.entity.clone(),
            from: dated(from),
            to: dated(to),
            newest_first: self.order == Order::NewestFirst,
            limit_records: self.limit,
            limit_bytes: self.limit_bytes,
        };
        Ok(Some((query, deadline_ms)))
    }
}

call!(Scan -> Page);

/// Some records of a scan, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where the next page begins; `None` when nothing lay behind the last record.
    pub cursor: Option<Cursor>,
}

/// The records of a scan, one after the other; made by [`Scan::records`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    /// The scan of the next page; `None` after the last one.
    next: Option<Scan<'a>>,
    page: VecDeque<Record>,
}

impl Records<'_> {
    /// The next record, `None` after the last one.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot wait, and there is no async one in std"
    )]
    pub async fn next(&mut self) -> Result<Option<Record>, Error> {
        if self.page.is_empty()
            && let Some(scan) = &self.next
        {
            let page = scan.clone().page().await?;
            self.page = page.records.into();
            self.next = page.cursor.and_then(|cursor| self.next.take().map(|scan| scan.after(&cursor)));
        }
        Ok(self.page.pop_front())
    }
}
