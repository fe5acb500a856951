//! Reads of single records.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
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
    /// How long a value may be, in bytes.
    #[cfg(feature = "server")]
    pub(crate) fn value_bytes_max(&self) -> usize {
        self.shared.limits.value_bytes_max()
    }

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

/// Starts all calls, then takes their results in order.
async fn all<T>(
    calls: impl Iterator<Item = impl Future<Output = Result<T, Error>>>,
) -> Result<Vec<T>, Error> {
    let mut results = Vec::with_capacity(calls.size_hint().0);
    let push = |result| {
        results.push(result);
        true
    };
    each(calls, usize::MAX, push).await?;
    Ok(results)
}

/// Has at most so many calls under way, and gives `take` their results in order, as long as it wants more. Says whether it has wanted all. The node works
/// on calls without their being polled, so a wake-up costs one poll of the call that is waited for, not one of each.
pub(crate) async fn each<T>(
    calls: impl Iterator<Item = impl Future<Output = Result<T, Error>>>,
    at_a_time: usize,
    mut take: impl FnMut(T) -> bool,
) -> Result<bool, Error> {
    enum Call<F, T> {
        Under(Pin<Box<F>>),
        Done(Result<T, Error>),
    }
    let mut calls = calls.fuse();
    let mut started = VecDeque::new();
    loop {
        // Not one by one: what is asked for together is answered together.
        if started.len() <= at_a_time / 2 {
            let start = |context: &mut Context<'_>| {
                while started.len() < at_a_time
                    && let Some(call) = calls.next()
                {
                    let mut call = Box::pin(call);
                    started.push_back(match call.as_mut().poll(context) {
                        Poll::Ready(result) => Call::Done(result),
                        Poll::Pending => Call::Under(call),
                    });
                }
                Poll::Ready(())
            };
            std::future::poll_fn(start).await;
        }
        let result = match started.pop_front() {
            Some(Call::Under(call)) => call.await?,
            Some(Call::Done(result)) => result?,
            None => return Ok(true),
        };
        if !take(result) {
            return Ok(false);
        }
    }
}
