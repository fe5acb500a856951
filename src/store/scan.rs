//! Reads of a range of one entity's dated records, page by page.

use std::collections::VecDeque;
use std::ops::RangeBounds;
use std::time::Duration;

use bytes::Bytes;

use super::cursor::{Cursor, Order};
use super::limits::{self, SCAN_BYTES_DEFAULT, SCAN_RECORDS_DEFAULT};
use super::range::{Range, position};
use super::terms::call;
use super::{Store, misfit};
use crate::error::Error;
use crate::key::{Record, check_entity};
use crate::request::{Answer, Ask, Consistency, ScanQuery};

/// Reads a range of an entity's dated records: the call made by [`Store::scan`].
#[derive(Clone, Debug)]
#[must_use = "nothing is read until a page is awaited"]
pub struct Scan<'a> {
    store: &'a Store,
    entity: Bytes,
    range: Range,
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
            range: Range::ALL,
            order: Order::OldestFirst,
            limit: SCAN_RECORDS_DEFAULT,
            limit_bytes: SCAN_BYTES_DEFAULT,
            after: None,
            consistency: Consistency::default(),
            deadline: None,
        }
    }

    /// The timestamps wanted, in milliseconds, by default all. A range that holds none is refused.
    ///
    /// ```
    /// # use thermocline::{Config, Key, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// for timestamp in [10, 20, 30] {
    ///     store.put(&Key::new("alice", timestamp, 0), "hello").await?;
    /// }
    /// assert_eq!(store.scan("alice").range(15..=30).page().await?.records.len(), 2);
    /// assert_eq!(store.scan("alice").range(..30).page().await?.records.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn range(mut self, timestamps: impl RangeBounds<u64>) -> Self {
        self.range = Range::of(timestamps);
        self
    }

    /// The oldest record wanted, inclusive, exact to the sequence.
    pub fn from(mut self, timestamp: u64, sequence: u64) -> Self {
        self.range.from = (timestamp, sequence);
        self
    }

    /// The newest record wanted, inclusive, exact to the sequence.
    pub fn to(mut self, timestamp: u64, sequence: u64) -> Self {
        self.range.to = (timestamp, sequence);
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

    /// How many bytes of values a page has at most: 1 to 16 MiB, by default 1 MiB. The first record comes whatever
    /// its size, so that a scan always gets on.
    pub fn limit_bytes(mut self, bytes: u32) -> Self {
        self.limit_bytes = bytes;
        self
    }

    /// Goes on behind a page that was read before, by this process or another one. The entity and the order must be
    /// those of that page; range and limits may differ.
    pub fn after(mut self, cursor: &Cursor) -> Self {
        self.after = Some(*cursor);
        self
    }

    /// How fresh each page must be; the default is [`Consistency::Linearizable`].
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Makes the call: reads one page.
    ///
    /// Cancel safety: can be dropped at will.
    ///
    /// # Errors
    /// Those of [`Store::scan`].
    pub async fn page(self) -> Result<Page, Error> {
        let Some((query, deadline_ms)) = self.query()? else {
            return Ok(Page { records: Vec::new(), cursor: None });
        };
        match self.store.call(Ask::Scan(query), deadline_ms, self.consistency).await? {
            Answer::Page { records, end: true } => Ok(Page { records, cursor: None }),
            Answer::Page { records, end: false } => {
                let last = records.last().ok_or_else(|| misfit("scan"))?;
                let cursor = Some(Cursor::at(&last.key, self.order)?);
                Ok(Page { records, cursor })
            }
            _ => Err(misfit("scan")),
        }
    }

    /// Reads page after page as records are taken; the limits are those of each page.
    ///
    /// ```
    /// # use thermocline::{Config, Key, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// for timestamp in 1..=5 {
    ///     store.put(&Key::new("alice", timestamp, 0), "hello").await?;
    /// }
    /// let mut records = store.scan("alice").limit(2).records();
    /// let mut count = 0;
    /// while let Some(record) = records.next().await? {
    ///     count += 1;
    ///     assert_eq!(record.value, "hello");
    /// }
    /// assert_eq!(count, 5);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "nothing is read until a record is asked for"]
    pub fn records(self) -> Records<'a> {
        Records { next: Some(self), page: VecDeque::new() }
    }

    /// The checked question and deadline; `None` when nothing can lie behind the cursor.
    fn query(&self) -> Result<Option<(ScanQuery, u32)>, Error> {
        check_entity(&self.entity)?;
        limits::scan_limits(self.limit, self.limit_bytes)?;
        self.range.check()?;
        let deadline_ms = self.store.shared.limits.deadline_ms(self.deadline)?;
        let range = match &self.after {
            Some(cursor) => self.range.behind(cursor, &self.entity, self.order)?,
            None => Some(self.range),
        };
        let query = |range: Range| ScanQuery {
            entity: self.entity.clone(),
            from: position(range.from),
            to: position(range.to),
            newest_first: self.order == Order::NewestFirst,
            limit_records: self.limit,
            limit_bytes: self.limit_bytes,
        };
        Ok(range.map(|range| (query(range), deadline_ms)))
    }
}

call!(Scan, page -> Page);

/// Some records of a scan, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where the next page begins; `None` when the range was read to its end. A page that a limit cut off has one even
    /// if nothing lies behind it: the next page is empty then.
    pub cursor: Option<Cursor>,
}

/// The records of a scan, one after the other; made by [`Scan::records`].
///
/// Each page is a snapshot, the whole is not: a record that is written behind the last one taken is seen, one that is
/// written before it is not.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    /// The scan of the next page; `None` after the last one.
    next: Option<Scan<'a>>,
    page: VecDeque<Record>,
}

impl Records<'_> {
    /// The next record, `None` after the last one.
    ///
    /// Cancel safety: no record is lost when the future is dropped; the next call goes on where this one stood.
    ///
    /// # Errors
    /// Those of [`Store::scan`]. After an error it can be called again, and reads the same page again.
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
