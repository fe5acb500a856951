//! The store as its users see it: every argument is checked here, once, and everything goes to the node as a request.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use thermocline_routing_table::BucketCount;

use crate::config::Config;
use crate::error::Error;
use crate::key::{Key, Version};
use crate::request::{Answer, Ask, Consistency, Expect, Request};
use crate::runtime::Runtime;
use crate::status::Status;
use crate::token::Token;

mod batch;
mod cursor;
mod limits;
mod read;
mod scan;
mod terms;
mod write;

pub use batch::Batch;
pub use cursor::{CURSOR_BYTES, Cursor, Order};
pub use limits::{
    BATCH_GET_KEYS_MAX, BATCH_MUTATIONS_MAX, DEADLINE_MAX, DEADLINE_MIN, SCAN_BYTES_DEFAULT, SCAN_BYTES_MAX,
    SCAN_RECORDS_DEFAULT, SCAN_RECORDS_MAX,
};
pub use read::{BatchGet, Get};
pub use scan::{Page, Records, Scan};
pub use terms::Sending;
pub use write::{Delete, NewToken, Put, Resolve, Trim};

use limits::Limits;

/// An open store. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Runtime,
    limits: Limits,
    buckets: BucketCount,
}

impl Store {
    /// Opens the store.
    pub async fn open(config: Config) -> Result<Self, Error> {
        let config = config.validated()?;
        let (limits, buckets) = (Limits::of(&config), config.bucket_count()?);
        let runtime = Runtime::open(config).await?;
        Ok(Self { shared: Arc::new(Shared { runtime, limits, buckets }) })
    }

    /// Stores a value.
    pub fn put(&self, key: &Key, value: impl Into<Bytes>) -> Put<'_> {
        Put::new(self, key.clone(), value.into())
    }

    /// Removes a record.
    pub fn delete(&self, key: &Key) -> Delete<'_> {
        Delete::new(self, key.clone())
    }

    /// Stores a value if the record still has a version, or still does not exist.
    pub fn compare_and_set(&self, key: &Key, expected: Option<Version>, value: impl Into<Bytes>) -> Put<'_> {
        let put = self.put(key, value);
        match expected {
            Some(version) => put.if_version(version),
            None => put.if_absent(),
        }
    }

    /// Collects changes to one entity.
    pub fn batch(&self, entity: impl Into<Bytes>) -> Batch<'_> {
        Batch::new(self, entity.into())
    }

    /// Removes the dated records up to a timestamp.
    pub fn trim(&self, entity: impl Into<Bytes>, through: u64) -> Trim<'_> {
        Trim::new(self, entity.into(), through)
    }

    /// Reads one record.
    pub fn get(&self, key: &Key) -> Get<'_> {
        Get::new(self, key.clone())
    }

    /// Reads several records.
    pub fn batch_get(&self, keys: impl IntoIterator<Item = Key>) -> BatchGet<'_> {
        BatchGet::new(self, keys.into_iter().take(BATCH_GET_KEYS_MAX + 1).collect())
    }

    /// Reads records in order.
    pub fn scan(&self, entity: impl Into<Bytes>) -> Scan<'_> {
        Scan::new(self, entity.into())
    }

    /// Makes a token.
    pub fn new_token(&self, entity: impl Into<Bytes>) -> NewToken<'_> {
        NewToken::new(self, entity.into())
    }

    /// Asks what became of a mutation.
    pub fn resolve(&self, token: &Token) -> Resolve<'_> {
        Resolve::new(self, *token)
    }

    /// Asks the node how it is.
    pub async fn status(&self) -> Result<Status, Error> {
        self.shared.runtime.status().await
    }

    /// Closes the store.
    pub async fn close(&self) {
        self.shared.runtime.close().await;
    }

    async fn call(&self, ask: Ask, deadline_ms: u32, consistency: Consistency) -> Result<Answer, Error> {
        self.shared.runtime.call(Request { ask, deadline_ms, consistency }).await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
