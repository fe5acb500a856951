//! Several changes to one entity, all or none.

use std::time::Duration;

use bytes::Bytes;

use super::terms::call;
use super::{Store, limits};
use crate::error::Error;
use crate::key::{Position, Version};
use crate::request::{Expect, Mutation};
use crate::token::Token;

/// Changes to one entity that are applied together or not at all; made by [`Store::batch`].
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

    /// Stores a value at a position, whatever is there.
    pub fn put(self, position: Position, value: impl Into<Bytes>) -> Self {
        self.put_with(position, value, None, Expect::Any)
    }

    /// Stores a value at a position until a time (milliseconds since the Unix epoch), on a condition.
    pub fn put_with(
        self,
        position: Position,
        value: impl Into<Bytes>,
        expires_at: Option<u64>,
        expect: Expect,
    ) -> Self {
        self.mutation(Mutation::Put { position, value: value.into(), expires_at, expect })
    }

    /// Removes the record at a position.
    pub fn delete(self, position: Position) -> Self {
        self.delete_with(position, Expect::Any)
    }

    /// Removes the record at a position, on a condition.
    pub fn delete_with(self, position: Position, expect: Expect) -> Self {
        self.mutation(Mutation::Delete { position, expect })
    }

    /// Removes every dated record up to and including a timestamp in milliseconds.
    pub fn trim(self, through: u64) -> Self {
        self.mutation(Mutation::Trim { through })
    }

    /// Adds a change.
    pub fn mutation(mut self, mutation: Mutation) -> Self {
        self.mutations.push(mutation);
        self
    }

    /// The token under which this is sent; without it, a fresh one.
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
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

    /// Applies all changes, or none. The version is that of every record put.
    pub async fn commit(self) -> Result<Version, Error> {
        self.check()?;
        let Self { store, entity, mutations, token, deadline } = self;
        store.write(entity, mutations, token, deadline).await
    }

    async fn send(self) -> Result<Version, Error> {
        self.commit().await
    }

    fn check(&self) -> Result<(), Error> {
        limits::batch_mutations(self.mutations.len())?;
        let limits = &self.store.shared.limits;
        let (mut positions, mut bytes) = (Vec::with_capacity(self.mutations.len()), 0);
        for mutation in &self.mutations {
            match mutation {
                Mutation::Put { position, value, .. } => {
                    limits.value(value)?;
                    bytes += value.len();
                    positions.push(*position);
                }
                Mutation::Delete { position, .. } => positions.push(*position),
                Mutation::Trim { .. } => {}
            }
        }
        limits.batch_bytes(bytes)?;
        limits::distinct(positions)
    }
}

call!(Batch -> Version);
