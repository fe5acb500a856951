//! The store as its users see it: every argument is checked here, once, and everything goes to the node as a request.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::Config;
use crate::error::Error;
use crate::key::{Key, Version};
use crate::request::{Answer, Ask, Consistency, Request};
use crate::runtime::Runtime;
use crate::status::Status;
use crate::token::Token;
use crate::verify::VerifyReport;

mod batch;
mod cursor;
mod limits;
mod range;
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
#[cfg(any(feature = "server", test))]
pub(crate) use read::each;
pub use read::{BatchGet, Get};
pub use scan::{Page, Records, Scan};
pub use terms::Sending;
pub use write::{Delete, NewToken, Put, Resolve, Trim};

use limits::Limits;

/// An open store. Cheap to clone; all clones are the same store, usable from any thread and task.
///
/// # Calls
///
/// Each method returns a *call*: a value that takes options and is awaited. Nothing happens before that. Arguments are
/// checked first, against bounds that are constants of this crate or settings of [`Config`]; a wrong one is
/// [`Error::Invalid`], and then nothing was sent. Then the call is the node's, under its deadline (by default
/// [`Config::deadline_default_ms`], 5 s).
///
/// An acknowledged write is on the disks of a majority of the replicas. A read sees every write that was acknowledged,
/// to anyone, before it began, unless [`Consistency::Stale`] is asked for.
///
/// # Cancel safety
///
/// A call that is dropped before it was first polled never happened. After that:
///
/// - a mutation (put, delete, batch, trim) runs on at the node. Dropping the future neither stops it nor halves it: it
///   is applied whole or not at all, and the caller does not learn which. Who has to know makes the token first, with
///   [`Store::new_token`], and asks with [`Store::resolve`];
/// - everything else changes no record and can be dropped and made again at will.
///
/// # Errors
///
/// The kinds of [`Error`] say what the caller can do. Any call can fail with [`Error::Invalid`],
/// [`Error::Overloaded`], [`Error::Unavailable`], [`Error::Storage`] or [`Error::Closed`], a call that reads from disk
/// also with [`Error::Corrupt`]; what else a method can fail with stands with it.
///
/// ```
/// # use thermocline::{Config, Key, Store};
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let store = Store::open(Config::embedded(directory.path())).await?;
/// let key = Key::new("alice", 1_700_000_000_000, 0);
/// let version = store.put(&key, "a message").await?;
/// let record = store.get(&key).await?.expect("it was just put");
/// assert_eq!((&record.value[..], record.version), (&b"a message"[..], version));
/// store.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Runtime,
    limits: Limits,
}

impl Store {
    /// Checks the configuration, takes the directory for this process, and replays what is in it.
    ///
    /// Returns once the directory is recovered and the threads run. A node with peers may not be able to serve yet: calls
    /// wait for them, at most until their deadline. The work is proportional to what was written since the last flush, not
    /// to what is stored.
    ///
    /// Cancel safety: a dropped future leaves no store open; the directory is freed soon after, not at once.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a setting out of bounds, [`Error::Storage`] when the directory is in use, of another node
    /// or cluster, or was made with other fixed settings, [`Error::Corrupt`] when what it holds cannot be trusted.
    ///
    /// ```
    /// # use thermocline::{Config, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let store = Store::open(Config::embedded(directory.path())).await?;
    /// # store.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open(config: Config) -> Result<Self, Error> {
        let config = config.validated()?;
        let limits = Limits::of(&config)?;
        let runtime = Runtime::open(config).await?;
        Ok(Self { shared: Arc::new(Shared { runtime, limits }) })
    }

    /// Stores a value under a key, in place of what was there. Options: expiry, condition, token, deadline.
    ///
    /// The value has at most [`Config::value_bytes_max`] bytes, by default 1 MiB; empty is fine. It is not copied when
    /// it already is [`Bytes`].
    ///
    /// Cancel safety: once polled it runs on when dropped, see [`Store`](Store#cancel-safety).
    ///
    /// # Errors
    /// Besides [those of any call](Store#errors): [`Error::Conflict`] if a condition does not hold, [`Error::Contended`],
    /// [`Error::Unknown`].
    ///
    /// ```
    /// # use thermocline::{Config, Error, Key, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// let key = Key::new("alice", 1_700_000_000_000, 0);
    /// let first = store.put(&key, "draft").if_absent().await?;
    /// let second = store.put(&key, "final").if_version(first).await?;
    /// assert!(second > first);
    /// let again = store.put(&key, "too late").if_version(first).await;
    /// assert_eq!(again, Err(Error::Conflict { current: Some(second) }));
    /// # Ok(())
    /// # }
    /// ```
    pub fn put(&self, key: &Key, value: impl Into<Bytes>) -> Put<'_> {
        Put::new(self, key.clone(), value.into())
    }

    /// Stores a value if the record still has the expected version, or, with `None`, if there still is no record.
    ///
    /// The same as [`Store::put`] with [`if_version`](Put::if_version) or [`if_absent`](Put::if_absent).
    ///
    /// Cancel safety: once polled it runs on when dropped, see [`Store`](Store#cancel-safety).
    ///
    /// # Errors
    /// As [`Store::put`]; [`Error::Conflict`] names the version that is there.
    ///
    /// ```
    /// # use thermocline::{Config, Error, Key, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// let counter = Key::undated("visits");
    /// loop {
    ///     let current = store.get(&counter).await?;
    ///     let (count, version) = match &current {
    ///         Some(record) => (std::str::from_utf8(&record.value)?.parse::<u64>()?, Some(record.version)),
    ///         None => (0, None),
    ///     };
    ///     match store.compare_and_set(&counter, version, (count + 1).to_string()).await {
    ///         Ok(_) => break,
    ///         Err(Error::Conflict { .. }) => continue,
    ///         Err(error) => return Err(error.into()),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn compare_and_set(&self, key: &Key, expected: Option<Version>, value: impl Into<Bytes>) -> Put<'_> {
        let put = self.put(key, value);
        match expected {
            Some(version) => put.if_version(version),
            None => put.if_absent(),
        }
    }

    /// Removes a record; removing none is fine. The answer is the version of the removal: a later put has a higher one.
    ///
    /// Cancel safety: once polled it runs on when dropped, see [`Store`](Store#cancel-safety).
    ///
    /// # Errors
    /// As [`Store::put`].
    ///
    /// ```
    /// # use thermocline::{Config, Key, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// let key = Key::new("alice", 1_700_000_000_000, 0);
    /// let version = store.put(&key, "read once").await?;
    /// store.delete(&key).if_version(version).await?;
    /// assert_eq!(store.get(&key).await?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn delete(&self, key: &Key) -> Delete<'_> {
        Delete::new(self, key.clone())
    }

    /// Collects changes to one entity that are applied together or not at all: at most [`BATCH_MUTATIONS_MAX`], each of
    /// another position, with at most [`Config::batch_bytes_max`] bytes of values.
    ///
    /// Cancel safety: once polled it runs on when dropped, see [`Store`](Store#cancel-safety).
    ///
    /// # Errors
    /// As [`Store::put`]; the conflict of any change is the conflict of the whole.
    ///
    /// ```
    /// # use thermocline::{Config, Position, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// let version = store
    ///     .batch("alice")
    ///     .put(Position::dated(1_700_000_000_000, 0), "first")
    ///     .put(Position::dated(1_700_000_000_000, 1), "second")
    ///     .put(Position::Undated, "2 unread")
    ///     .commit()
    ///     .await?;
    /// let page = store.scan("alice").page().await?;
    /// assert!(page.records.iter().all(|record| record.version == version));
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch(&self, entity: impl Into<Bytes>) -> Batch<'_> {
        Batch::new(self, entity.into())
    }

    /// Removes all dated records of an entity up to and including a timestamp in milliseconds, however many there are.
    /// The undated record stays.
    ///
    /// Cancel safety: once polled it runs on when dropped, see [`Store`](Store#cancel-safety).
    ///
    /// # Errors
    /// As [`Store::put`], without conflicts.
    ///
    /// ```
    /// # use thermocline::{Config, Key, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// for timestamp in 1..=3 {
    ///     store.put(&Key::new("alice", timestamp, 0), "seen").await?;
    /// }
    /// store.trim("alice", 2).await?;
    /// let rest = store.scan("alice").page().await?;
    /// assert_eq!(rest.records.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn trim(&self, entity: impl Into<Bytes>, through: u64) -> Trim<'_> {
        Trim::new(self, entity.into(), through)
    }

    /// Reads one record. `None` means that there is none, and nothing else: what cannot be read is an error.
    ///
    /// Cancel safety: can be dropped at will.
    ///
    /// # Errors
    /// [Those of any call](Store#errors).
    ///
    /// ```
    /// # use thermocline::{Config, Consistency, Key, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// # use std::time::Duration;
    /// let key = Key::undated("profile:alice");
    /// store.put(&key, "{}").await?;
    /// let fresh = store.get(&key).deadline(Duration::from_millis(800)).await?;
    /// let maybe_old = store.get(&key).consistency(Consistency::Stale).await?;
    /// assert_eq!(fresh, maybe_old);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self, key: &Key) -> Get<'_> {
        Get::new(self, key.clone())
    }

    /// Reads up to [`BATCH_GET_KEYS_MAX`] records at the same time and returns them in the order of the keys.
    ///
    /// Each record is as fresh as by [`Store::get`]; together they are no snapshot: a write may fall between two of them.
    ///
    /// Cancel safety: can be dropped at will.
    ///
    /// # Errors
    /// [Those of any call](Store#errors): the first one, in the order of the keys, is the error of the whole.
    ///
    /// ```
    /// # use thermocline::{Config, Key, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// let (alice, bob) = (Key::undated("alice"), Key::undated("bob"));
    /// store.put(&bob, "here").await?;
    /// let records = store.batch_get([alice, bob]).await?;
    /// assert!(records[0].is_none());
    /// assert_eq!(records[1].as_ref().map(|record| &record.value[..]), Some(&b"here"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch_get(&self, keys: impl IntoIterator<Item = Key>) -> BatchGet<'_> {
        BatchGet::new(self, keys.into_iter().take(BATCH_GET_KEYS_MAX + 1).collect())
    }

    /// Reads an entity's dated records in the order of time, page by page. Its undated record is not among them.
    ///
    /// Each page is as fresh as a [`Store::get`], and is a snapshot in itself; two pages are not.
    ///
    /// Cancel safety: can be dropped at will.
    ///
    /// # Errors
    /// [Those of any call](Store#errors).
    ///
    /// ```
    /// # use thermocline::{Config, Key, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// for timestamp in 1..=5 {
    ///     store.put(&Key::new("alice", timestamp, 0), format!("message {timestamp}")).await?;
    /// }
    /// let newest = store.scan("alice").newest_first().limit(2).page().await?;
    /// assert_eq!(newest.records[0].value, "message 5");
    /// let cursor = newest.cursor.expect("three more follow");
    /// let older = store.scan("alice").newest_first().after(&cursor).page().await?;
    /// assert_eq!(older.records.len(), 3);
    /// assert_eq!(older.cursor, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn scan(&self, entity: impl Into<Bytes>) -> Scan<'_> {
        Scan::new(self, entity.into())
    }

    /// Makes a token for a mutation of an entity that is still to be made, so that its outcome can be asked for
    /// whatever happens to the caller in between. It holds for the next 64 or so slots of the entity's
    /// bucket, each of which may carry many writes.
    ///
    /// Cancel safety: can be dropped at will.
    ///
    /// # Errors
    /// [Those of any call](Store#errors).
    ///
    /// ```
    /// # use thermocline::{Config, Key, Resolution, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// let token = store.new_token("alice").await?;
    /// std::fs::write(directory.path().join("pending"), token.to_string())?;
    /// let version = store.put(&Key::new("alice", 1, 0), "once only").token(token).await?;
    /// // Sent again it changes nothing, and has the answer of the first time.
    /// assert_eq!(store.put(&Key::new("alice", 1, 0), "once only").token(token).await?, version);
    /// assert_eq!(store.resolve(&token).await?, Resolution::Committed(version));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new_token(&self, entity: impl Into<Bytes>) -> NewToken<'_> {
        NewToken::new(self, entity.into())
    }

    /// Asks what became of the mutation with this token, and settles it: one that is still under way is either finished
    /// or stopped for good, so that the answer stays true.
    ///
    /// Cancel safety: can be dropped and made again at will; a dropped one may still have settled the mutation.
    ///
    /// # Errors
    /// [Those of any call](Store#errors), and [`Error::Contended`].
    ///
    /// ```
    /// # use thermocline::{Config, Key, Resolution, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// let token = store.new_token("alice").await?;
    /// assert_eq!(store.resolve(&token).await?, Resolution::NotCommitted);
    /// // From now on the token is spent: nothing can be applied under it.
    /// assert!(store.put(&Key::new("alice", 1, 0), "too late").token(token).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn resolve(&self, token: &Token) -> Resolve<'_> {
        Resolve::new(self, *token)
    }

    /// How the node is, as it knows it itself, without asking anyone.
    ///
    /// Cancel safety: can be dropped at will.
    ///
    /// # Errors
    /// [`Error::Closed`].
    ///
    /// ```
    /// # use thermocline::{Config, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// let status = store.status().await?;
    /// assert_eq!((status.node, status.buckets_learning), (1, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn status(&self) -> Result<Status, Error> {
        self.shared.runtime.status().await
    }

    /// Reads what lies on the disks of all replicas of the buckets that this node holds, compares it bucket by bucket at equal slots,
    /// and has what differs from the majority, or cannot be read, copied anew. Takes as long as reading all of it does.
    ///
    /// The same runs by itself now and then, at a tenth of the pace ([`Config::audit_every_s`]).
    ///
    /// Cancel safety: a dropped future stops nothing but the report.
    ///
    /// # Errors
    /// [`Error::Closed`].
    ///
    /// ```
    /// # use thermocline::{Config, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path()).buckets(1024_u32)).await?;
    /// let report = store.verify().await?;
    /// assert!(report.is_clean(), "{report}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn verify(&self) -> Result<VerifyReport, Error> {
        self.shared.runtime.verify(false).await
    }

    /// As [`verify`](Self::verify), of the buckets of which this node is the first replica: all nodes together compare each once.
    #[cfg(feature = "server")]
    pub(crate) async fn verify_first(&self) -> Result<VerifyReport, Error> {
        self.shared.runtime.verify(true).await
    }

    /// Gives up what a majority of the replicas has lost, and has this node vote again without it.
    ///
    /// **Acknowledged writes may be gone afterwards**: in each bucket concerned, everything behind the last slot that the replicas
    /// that are left know. Nothing is done to buckets of which a majority remembers, so that a call too many does no harm. It is to be
    /// called at each node that has lost buckets ([`Status::buckets_lost`](crate::Status::buckets_lost)), after all nodes that still have their
    /// disks are back. A store with one replica whose journal was damaged goes on behind the last write before the damage.
    ///
    /// **A disk that is away meanwhile must not come back**: it may have what is given up, and takes itself for whole. Its node is to
    /// begin with an empty directory.
    ///
    /// Returns how many buckets of this node are concerned.
    ///
    /// Cancel safety: once polled it runs on when dropped; it can be called again.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn lose_acknowledged_writes(&self) -> Result<u32, Error> {
        self.shared.runtime.give_up_lost().await
    }

    /// Stops taking calls, ends those that are under way, syncs, and frees the directory. All clones are closed with it, and
    /// closing again is fine. A store that is dropped without it loses nothing that was acknowledged.
    ///
    /// Calls under way end at once: a write that may already have votes, or was sent under a token that its caller brought, with
    /// [`Error::Unknown`], every other call with [`Error::Closed`]. (A [`resolve`](Self::resolve) can end with either.)
    ///
    /// What the state has in memory is written, for at most 10 seconds, so that the next start has little to replay; where it is less than
    /// 4 MiB a worker it is left to be replayed. Without `close` that can be [`memtable_bytes`](crate::Config::memtable_bytes) of each
    /// part.
    ///
    /// Cancel safety: a dropped future leaves a store that closes in the background.
    ///
    /// ```
    /// # use thermocline::{Config, Error, Key, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// store.close().await;
    /// assert_eq!(store.get(&Key::undated("alice")).await, Err(Error::Closed));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(&self) {
        self.shared.runtime.close().await;
    }

    /// Stops at once, as a crash of the process would: nothing more is written or sent. For tests of what embeds the store,
    /// and for demonstrations. Calls under way end as by [`close`](Self::close).
    ///
    /// Cancel safety: a dropped future leaves a store that stops in the background.
    ///
    /// ```
    /// # use thermocline::{Config, Key, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// store.put(&Key::undated("alice"), "acknowledged").await?;
    /// store.kill().await;
    /// let store = Store::open(Config::embedded(directory.path())).await?;
    /// assert!(store.get(&Key::undated("alice")).await?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn kill(&self) {
        self.shared.runtime.kill().await;
    }

    /// The tokio runtime of one of the node's worker threads, one after the other: for what calls the store much and
    /// does little else.
    #[cfg(feature = "server")]
    pub(crate) fn worker_handle(&self) -> tokio::runtime::Handle {
        self.shared.runtime.next_handle()
    }

    async fn call(&self, ask: Ask, deadline_ms: u32, consistency: Consistency) -> Result<Answer, Error> {
        self.shared.runtime.call(Request { ask, deadline_ms, consistency }).await
    }
}

/// What a caller gets for an answer that does not fit the question. This node does not give one; another one might.
fn misfit(question: &str) -> Error {
    Error::Corrupt { what: format!("the answer to a {question} is of another kind; it was not used") }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
