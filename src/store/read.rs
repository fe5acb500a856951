//! Reads of single records.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::terms::call;
use super::{Store, limits, misfit};
use crate::error::Error;
use crate::key::{Key, Record, check_entity};
use crate::request::{Answer, Ask, Consistency};

/// Reads one record: the call made by [`Store::get`].
#[derive(Debug)]
#[must_use = "nothing is read until the call is awaited"]
pub struct Get<'a> {
    store: &'a Store,
    key: Key,
    consistency: Consistency,
    deadline: Option<Duration>,
}

impl<'a> Get<'a> {
    pub(super) fn new(store: &'a Store, key: Key) -> Self {
        Self { store, key, consistency: Consistency::default(), deadline: None }
    }

    /// How fresh the record must be; the default is [`Consistency::Linearizable`].
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Makes the call. Awaiting the builder does the same through a boxed future; this saves that allocation.
    ///
    /// Cancel safety: see [`Store::get`].
    ///
    /// # Errors
    /// Those of [`Store::get`].
    pub async fn send(self) -> Result<Option<Record>, Error> {
        check_entity(&self.key.entity)?;
        let deadline_ms = self.store.shared.limits.deadline_ms(self.deadline)?;
        self.store.read(self.key, deadline_ms, self.consistency).await
    }
}

call!(Get, send -> Option<Record>);

/// Reads several records at the same time: the call made by [`Store::batch_get`].
#[derive(Debug)]
#[must_use = "nothing is read until the call is awaited"]
pub struct BatchGet<'a> {
    store: &'a Store,
    keys: Vec<Key>,
    consistency: Consistency,
    deadline: Option<Duration>,
}

impl<'a> BatchGet<'a> {
    pub(super) fn new(store: &'a Store, keys: Vec<Key>) -> Self {
        Self { store, keys, consistency: Consistency::default(), deadline: None }
    }

    /// How fresh the records must be; the default is [`Consistency::Linearizable`].
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Makes the call: sends all reads, then waits for all of them.
    ///
    /// Cancel safety: see [`Store::batch_get`].
    ///
    /// # Errors
    /// Those of [`Store::batch_get`].
    pub async fn send(self) -> Result<Vec<Option<Record>>, Error> {
        limits::batch_get_keys(self.keys.len())?;
        self.keys.iter().try_for_each(|key| check_entity(&key.entity))?;
        let deadline_ms = self.store.shared.limits.deadline_ms(self.deadline)?;
        let reads = self.keys.into_iter().map(|key| self.store.read(key, deadline_ms, self.consistency));
        all(reads).await
    }
}

call!(BatchGet, send -> Vec<Option<Record>>);

impl Store {
    async fn read(
        &self,
        key: Key,
        deadline_ms: u32,
        consistency: Consistency,
    ) -> Result<Option<Record>, Error> {
        match self.call(Ask::Get(key), deadline_ms, consistency).await? {
            Answer::Got(record) => Ok(record),
            _ => Err(misfit("get")),
        }
    }
}

/// Starts all calls, then takes their results in order. The node works on them without being polled, so a wake-up
/// costs one poll of the call that is waited for, not one of each.
async fn all<T>(
    calls: impl Iterator<Item = impl Future<Output = Result<T, Error>>>,
) -> Result<Vec<T>, Error> {
    enum Call<F, T> {
        Under(Pin<Box<F>>),
        Done(Result<T, Error>),
    }
    let mut started: Vec<_> = calls.map(|call| Call::Under(Box::pin(call))).collect();
    std::future::poll_fn(|context| {
        for call in &mut started {
            if let Call::Under(future) = call
                && let Poll::Ready(result) = future.as_mut().poll(context)
            {
                *call = Call::Done(result);
            }
        }
        Poll::Ready(())
    })
    .await;
    let mut results = Vec::with_capacity(started.len());
    for call in started {
        results.push(match call {
            Call::Under(future) => future.await?,
            Call::Done(result) => result?,
        });
    }
    Ok(results)
}
