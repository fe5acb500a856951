//! Calls that change one entity, and calls about their outcome.

use std::time::Duration;

use bytes::Bytes;

use super::terms::call;
use super::{Store, limits};
use crate::error::Error;
use crate::key::{Key, Version};
use crate::request::{Answer, Ask, Consistency, Expect, Mutation};
use crate::token::{Resolution, Token};

/// Stores a value; made by [`Store::put`] and [`Store::compare_and_set`].
#[derive(Debug)]
#[must_use = "nothing is stored until the call is awaited"]
pub struct Put<'a> {
    store: &'a Store,
    key: Key,
    value: Bytes,
    expires_at: Option<u64>,
    expect: Expect,
    token: Option<Token>,
    deadline: Option<Duration>,
}

impl<'a> Put<'a> {
    pub(super) fn new(store: &'a Store, key: Key, value: Bytes) -> Self {
        Self { store, key, value, expires_at: None, expect: Expect::Any, token: None, deadline: None }
    }

    /// When the record ceases to exist, in milliseconds since the Unix epoch. Without it, never.
    pub fn expires_at(mut self, unix_ms: u64) -> Self {
        self.expires_at = Some(unix_ms);
        self
    }

    /// Only if the record has this version. Of several conditions the last one counts.
    pub fn if_version(mut self, version: Version) -> Self {
        self.expect = Expect::Version(version);
        self
    }

    /// Only if there is no record. Of several conditions the last one counts.
    pub fn if_absent(mut self) -> Self {
        self.expect = Expect::Absent;
        self
    }

    /// Only if there is a record. Of several conditions the last one counts.
    pub fn if_present(mut self) -> Self {
        self.expect = Expect::Present;
        self
    }

    /// The token under which this is sent; without it, a fresh one.
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Sends it, without the allocation of `.await` on the call itself.
    pub async fn send(self) -> Result<Version, Error> {
        let Self { store, key, value, expires_at, expect, token, deadline } = self;
        store.shared.limits.value(&value)?;
        let mutation = Mutation::Put { position: key.position, value, expires_at, expect };
        store.write(key.entity, vec![mutation], token, deadline).await
    }
}

call!(Put -> Version);

/// Removes a record; made by [`Store::delete`].
#[derive(Debug)]
#[must_use = "nothing is removed until the call is awaited"]
pub struct Delete<'a> {
    store: &'a Store,
    key: Key,
    expect: Expect,
    token: Option<Token>,
    deadline: Option<Duration>,
}

impl<'a> Delete<'a> {
    pub(super) fn new(store: &'a Store, key: Key) -> Self {
        Self { store, key, expect: Expect::Any, token: None, deadline: None }
    }

    /// Only if the record has this version. Of several conditions the last one counts.
    pub fn if_version(mut self, version: Version) -> Self {
        self.expect = Expect::Version(version);
        self
    }

    /// Only if there is a record. Of several conditions the last one counts.
    pub fn if_present(mut self) -> Self {
        self.expect = Expect::Present;
        self
    }

    /// The token under which this is sent; without it, a fresh one.
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Sends it, without the allocation of `.await` on the call itself.
    pub async fn send(self) -> Result<Version, Error> {
        let Self { store, key, expect, token, deadline } = self;
        let mutation = Mutation::Delete { position: key.position, expect };
        store.write(key.entity, vec![mutation], token, deadline).await
    }
}

call!(Delete -> Version);

/// Removes old records; made by [`Store::trim`].
#[derive(Debug)]
#[must_use = "nothing is removed until the call is awaited"]
pub struct Trim<'a> {
    store: &'a Store,
    entity: Bytes,
    through: u64,
    token: Option<Token>,
    deadline: Option<Duration>,
}

impl<'a> Trim<'a> {
    pub(super) fn new(store: &'a Store, entity: Bytes, through: u64) -> Self {
        Self { store, entity, through, token: None, deadline: None }
    }

    /// The token under which this is sent; without it, a fresh one.
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Sends it, without the allocation of `.await` on the call itself.
    pub async fn send(self) -> Result<Version, Error> {
        let Self { store, entity, through, token, deadline } = self;
        store.write(entity, vec![Mutation::Trim { through }], token, deadline).await
    }
}

call!(Trim -> Version);

/// Makes a token before its mutation; made by [`Store::new_token`].
#[derive(Debug)]
#[must_use = "no token is made until the call is awaited"]
pub struct NewToken<'a> {
    store: &'a Store,
    entity: Bytes,
    deadline: Option<Duration>,
}

impl<'a> NewToken<'a> {
    pub(super) fn new(store: &'a Store, entity: Bytes) -> Self {
        Self { store, entity, deadline: None }
    }

    /// Sends it, without the allocation of `.await` on the call itself.
    pub async fn send(self) -> Result<Token, Error> {
        limits::entity(&self.entity)?;
        let deadline_ms = self.store.shared.limits.deadline_ms(self.deadline)?;
        let ask = Ask::NewToken { entity: self.entity };
        match self.store.call(ask, deadline_ms, Consistency::Linearizable).await? {
            Answer::Token(token) => Ok(token),
            other => unreachable!("a wish for a token was answered with {other:?}"),
        }
    }
}

call!(NewToken -> Token);

/// Asks what became of a mutation; made by [`Store::resolve`].
#[derive(Debug)]
#[must_use = "nothing is asked until the call is awaited"]
pub struct Resolve<'a> {
    store: &'a Store,
    token: Token,
    deadline: Option<Duration>,
}

impl<'a> Resolve<'a> {
    pub(super) fn new(store: &'a Store, token: Token) -> Self {
        Self { store, token, deadline: None }
    }

    /// Sends it, without the allocation of `.await` on the call itself.
    pub async fn send(self) -> Result<Resolution, Error> {
        self.store.check_token_exists(&self.token)?;
        let deadline_ms = self.store.shared.limits.deadline_ms(self.deadline)?;
        match self.store.call(Ask::Resolve(self.token), deadline_ms, Consistency::Linearizable).await? {
            Answer::Resolved(resolution) => Ok(resolution),
            other => unreachable!("a question for an outcome was answered with {other:?}"),
        }
    }
}

call!(Resolve -> Resolution);

impl Store {
    /// Checks what all writes have in common, and hands the write over.
    pub(super) async fn write(
        &self,
        entity: Bytes,
        mutations: Vec<Mutation>,
        token: Option<Token>,
        deadline: Option<Duration>,
    ) -> Result<Version, Error> {
        limits::entity(&entity)?;
        if let Some(token) = &token {
            self.check_token_of(token, &entity)?;
        }
        let deadline_ms = self.shared.limits.deadline_ms(deadline)?;
        let ask = Ask::Write { entity, mutations, token };
        match self.call(ask, deadline_ms, Consistency::Linearizable).await? {
            Answer::Written(version) => Ok(version),
            other => unreachable!("a write was answered with {other:?}"),
        }
    }

    fn check_token_exists(&self, token: &Token) -> Result<(), Error> {
        let buckets = self.shared.buckets.get();
        if token.bucket >= buckets {
            let bound = format!("a token of this cluster, which has {buckets} buckets");
            return Err(Error::invalid("token", token.to_string(), bound));
        }
        Ok(())
    }

    fn check_token_of(&self, token: &Token, entity: &[u8]) -> Result<(), Error> {
        let bucket = self.shared.buckets.bucket_of(entity).index();
        if token.bucket != bucket {
            let bound = format!("a token made for this entity, so in bucket {bucket:x}");
            return Err(Error::invalid("token", token.to_string(), bound));
        }
        Ok(())
    }
}
