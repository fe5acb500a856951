//! Several changes to one entity, all or none.

use std::time::Duration;

use bytes::Bytes;

use super::Store;
use super::terms::{call, token};
use crate::error::Error;
use crate::key::{Position, Version};
use crate::request::{Expect, Mutation};
use crate::token::Token;

/// Changes to one entity that are applied together or not at all: the call made by [`Store::batch`].
///
/// Conditions are judged by what was there before the batch. A batch that removes what was seen and notes it:
///
/// ```
/// # use thermocline::{Config, Expect, Key, Position, Store};
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let store = Store::open(Config::embedded(directory.path())).await?;
/// let seen = store.put(&Key::undated("alice"), "seen through 0").await?;
/// store
///     .batch("alice")
///     .put_with(Position::Undated, "seen through 1700000000000", None, Expect::Version(seen))
///     .trim(1_700_000_000_000)
///     .put((1_700_000_000_001, 0), "the next message")
///     .commit()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is written until the batch is committed"]
pub struct Batch<'a> {
    store: &'a Store,
    entity: Bytes,
    mutations: Vec<Mutation>,
    token: Option<Token>,
    deadline: Option<Duration>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(store: &'a Store, entity: Bytes) -> Self {
        Self { store, entity, mutations: Vec::new(), token: None, deadline: None }
    }

    /// Stores a value at a position, in place of what is there.
    pub fn put(self, position: impl Into<Position>, value: impl Into<Bytes>) -> Self {
        self.put_with(position, value, None, Expect::Any)
    }

    /// Stores a value at a position until a time (milliseconds since the Unix epoch), on a condition.
    pub fn put_with(
        self,
        position: impl Into<Position>,
        value: impl Into<Bytes>,
        expires_at: Option<u64>,
        expect: Expect,
    ) -> Self {
        self.mutation(Mutation::Put { position: position.into(), value: value.into(), expires_at, expect })
    }

    /// Removes the record at a position.
    pub fn delete(self, position: impl Into<Position>) -> Self {
        self.delete_with(position, Expect::Any)
    }

    /// Removes the record at a position, on a condition.
    pub fn delete_with(self, position: impl Into<Position>, expect: Expect) -> Self {
        self.mutation(Mutation::Delete { position: position.into(), expect })
    }

    /// Removes every dated record up to and including a timestamp in milliseconds. At most one trim a batch, and no
    /// other change of what it removes.
    pub fn trim(self, through: u64) -> Self {
        self.mutation(Mutation::Trim { through })
    }

    /// Adds a change that is there as a value.
    pub fn mutation(mut self, mutation: Mutation) -> Self {
        self.mutations.push(mutation);
        self
    }

    /// How many changes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.mutations.len()
    }

    /// Whether it holds no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mutations.is_empty()
    }

    /// Applies all changes, or none. The answer is the version of every record put.
    ///
    /// Cancel safety: see [`Store::batch`].
    ///
    /// # Errors
    /// Those of [`Store::batch`].
    pub async fn commit(self) -> Result<Version, Error> {
        let Self { store, entity, mutations, token, deadline } = self;
        store.shared.limits.batch(&mutations)?;
        store.write(entity, mutations, token, deadline).await
    }
}

call!(Batch, commit -> Version);
token!(Batch);
