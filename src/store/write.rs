//! Calls that change one entity, and calls about their outcome.

use std::time::Duration;

use bytes::Bytes;

use super::terms::{call, token};
use super::{Store, limits, misfit};
use crate::error::Error;
use crate::key::{Key, Version, check_entity};
use crate::request::{Answer, Ask, Consistency, Expect, Mutation};
use crate::token::{Resolution, Token};

/// Stores a value: the call made by [`Store::put`] and [`Store::compare_and_set`].
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

    /// When the record ceases to exist, in milliseconds since the Unix epoch, from 1; without it, never. From then on it is as
    /// if it had been deleted, for reads and for the conditions of writes, by the clock of the node that is called; a time that has passed already
    /// makes a record that nobody sees. Its bytes stay on the disk until it is deleted, overwritten or trimmed.
    ///
    /// ```
    /// # use thermocline::{Config, Key, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(Config::embedded(directory.path())).await?;
    /// let key = Key::new("alice", 1_700_000_000_000, 0);
    /// store.put(&key, "gone since the eighties").expires_at(400_000_000_000).await?;
    /// assert_eq!(store.get(&key).await?, None);
    /// # Ok(())
    /// # }
    /// ```
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

    /// Makes the call. Awaiting the builder does the same through a boxed future; this saves that allocation.
    ///
    /// Cancel safety: see [`Store::put`].
    ///
    /// # Errors
    /// Those of [`Store::put`].
    pub async fn send(self) -> Result<Version, Error> {
        let Self { store, key, value, expires_at, expect, token, deadline } = self;
        store.shared.limits.value(&value)?;
        limits::expiry(expires_at)?;
        let mutation = Mutation::Put { position: key.position, value, expires_at, expect };
        store.write(key.entity, vec![mutation], token, deadline).await
    }
}

call!(Put, send -> Version);
token!(Put);

/// Removes a record: the call made by [`Store::delete`].
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

    /// Makes the call. Awaiting the builder does the same through a boxed future; this saves that allocation.
    ///
    /// Cancel safety: see [`Store::delete`].
    ///
    /// # Errors
    /// Those of [`Store::delete`].
    pub async fn send(self) -> Result<Version, Error> {
        let Self { store, key, expect, token, deadline } = self;
        let mutation = Mutation::Delete { position: key.position, expect };
        store.write(key.entity, vec![mutation], token, deadline).await
    }
}

call!(Delete, send -> Version);
token!(Delete);

/// Removes old records: the call made by [`Store::trim`].
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

    /// Makes the call. Awaiting the builder does the same through a boxed future; this saves that allocation.
    ///
    /// Cancel safety: see [`Store::trim`].
    ///
    /// # Errors
    /// Those of [`Store::trim`].
    pub async fn send(self) -> Result<Version, Error> {
        let Self { store, entity, through, token, deadline } = self;
        store.write(entity, vec![Mutation::Trim { through }], token, deadline).await
    }
}

call!(Trim, send -> Version);
token!(Trim);

/// Makes a token before its mutation: the call made by [`Store::new_token`].
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

    /// Makes the call. Awaiting the builder does the same through a boxed future; this saves that allocation.
    ///
    /// Cancel safety: see [`Store::new_token`].
    ///
    /// # Errors
    /// Those of [`Store::new_token`].
    pub async fn send(self) -> Result<Token, Error> {
        check_entity(&self.entity)?;
        let deadline_ms = self.store.shared.limits.deadline_ms(self.deadline)?;
        let ask = Ask::NewToken { entity: self.entity };
        match self.store.call(ask, deadline_ms, Consistency::Linearizable).await? {
            Answer::Token(token) => Ok(token),
            _ => Err(misfit("wish for a token")),
        }
    }
}

call!(NewToken, send -> Token);

/// Asks what became of a mutation: the call made by [`Store::resolve`].
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

    /// Makes the call. Awaiting the builder does the same through a boxed future; this saves that allocation.
    ///
    /// Cancel safety: see [`Store::resolve`].
    ///
    /// # Errors
    /// Those of [`Store::resolve`].
    pub async fn send(self) -> Result<Resolution, Error> {
        self.store.shared.limits.token(&self.token)?;
        let deadline_ms = self.store.shared.limits.deadline_ms(self.deadline)?;
        match self.store.call(Ask::Resolve(self.token), deadline_ms, Consistency::Linearizable).await? {
            Answer::Resolved(resolution) => Ok(resolution),
            _ => Err(misfit("question for an outcome")),
        }
    }
}

call!(Resolve, send -> Resolution);

impl Store {
    /// Checks what all writes have in common, and hands the write over.
    pub(super) async fn write(
        &self,
        entity: Bytes,
        mutations: Vec<Mutation>,
        token: Option<Token>,
        deadline: Option<Duration>,
    ) -> Result<Version, Error> {
        check_entity(&entity)?;
        if let Some(token) = &token {
            self.shared.limits.token_of(token, &entity)?;
        }
        let deadline_ms = self.shared.limits.deadline_ms(deadline)?;
        let ask = Ask::Write { entity, mutations, token };
        match self.call(ask, deadline_ms, Consistency::Linearizable).await? {
            Answer::Written(version) => Ok(version),
            _ => Err(token.map_or_else(|| misfit("write"), Error::Unknown)),
        }
    }
}
