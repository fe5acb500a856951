//! What a client's operations go through: a connection, or calls in the same process.

use std::future::Future;

use crate::connection::{Connection, Failure};

/// One client's way to a store, for one operation at a time. All of a run live on one thread.
pub trait Session: Sized + 'static {
    /// What all sessions of a run are opened with.
    type Place: 'static;

    /// Opens a session at one of the endpoints, by its number in the plan.
    fn open(place: &Self::Place, endpoint: usize) -> impl Future<Output = Result<Self, Failure>>;

    /// Writes `value` under `key`; with `wait_replicas`, asks for that many replicas to have it.
    fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        wait_replicas: u32,
    ) -> impl Future<Output = Result<(), Failure>>;

    /// Reads `key`: whether it has a value.
    fn get(&mut self, key: &[u8]) -> impl Future<Output = Result<bool, Failure>>;
}

impl Session for Connection {
    /// Where the store's nodes listen, HOST:PORT.
    type Place = Vec<String>;

    async fn open(place: &Vec<String>, endpoint: usize) -> Result<Self, Failure> {
        Connection::open(&place[endpoint]).await
    }

    async fn put(&mut self, key: &[u8], value: &[u8], wait_replicas: u32) -> Result<(), Failure> {
        Connection::put(self, key, value, wait_replicas).await
    }

    async fn get(&mut self, key: &[u8]) -> Result<bool, Failure> {
        Ok(Connection::get(self, key).await?.is_some())
    }
}
