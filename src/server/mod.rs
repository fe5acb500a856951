//! The Redis-protocol front: RESP2 and RESP3, so that redis-cli, redis-benchmark and every Redis client work.
//!
//! Strings (`GET`, `SET`, `MGET`, `DEL`, `EXISTS`) are undated records, streams (`XADD`, `XRANGE`, `XREVRANGE`, `XLEN`,
//! `XDEL`) are the dated records of an entity: the stream's name is the entity, an id `ms-seq` is timestamp and sequence. A
//! name can have both; `DEL` removes the string only. Five commands have no counterpart in Redis:
//!
//! | command | reply |
//! |---|---|
//! | `TC.GET key` | `[value, version]`, or nil |
//! | `TC.CAS key version value` | the new version; version 0 expects that there is no value |
//! | `TC.RESOLVE token` | `[COMMITTED, version]`, `[NOTCOMMITTED]` or `[FORGOTTEN]` |
//! | `TC.VERIFY` | `CLEAN` or `UNCLEAN`, and a report of the buckets of which this node is the first replica |
//! | `TC.LOSE-ACKNOWLEDGED-WRITES cluster` | how many buckets go on without what a majority has lost |
//!
//! The last two are for operators (see [`Store::verify`], [`Store::lose_acknowledged_writes`]). Anyone who reaches the Redis
//! port can run them.
//!
//! Every request is linearizable, through any node. An error says what is known of a change:
//!
//! | prefix | means |
//! |---|---|
//! | `UNAVAILABLE` | not applied; the same request can succeed later, or through another node |
//! | `UNKNOWN token` | may or may not have been applied; `TC.RESOLVE token` finds out |
//! | `CONFLICT version` | `TC.CAS` only: not applied, the value has this version, 0 being no value |
//! | `PARTIAL n` | a request that names several records changed `n` of them, then failed as the rest of the line says |
//! | `ERR` | the request is wrong, or a disk is; not applied |
//!
//! Requests of one pipeline are answered in order. Those that name different entities run at the same time, so others may
//! see their effects in another order; those that name the same entity run one after the other unless all of them only read.
//! Of those that follow one another at the same entity, `SET`s of short values and `XADD`s are carried out as one: nobody sees
//! what was between them, and they fail together or not at all.
//! A client that needs one effect before another waits for the answer, as with requests of different connections.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::store::Store;

mod command;
mod connection;
pub(crate) mod frame;
mod id;
mod info;
mod pairs;
mod reply;
mod run;
mod session;
mod stream;
mod string;
#[cfg(test)]
mod tests;
mod window;

pub use connection::connection;

/// How long the front waits before it accepts again after the system refused it a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What one client may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest argument, in bytes: the store's `value_bytes_max`, by default 1 MiB.
    pub value_bytes_max: usize,
    /// How many clients may be connected at the same time; by default 4,096.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { value_bytes_max: 1 << 20, connections_max: 4096 }
    }
}

/// Serves clients until the future is dropped or the listener fails for good; dropping it closes all connections.
///
/// # Errors
/// None at present: what a connection suffers ends that connection, and what the listener suffers is logged and tried again.
pub async fn serve(listener: TcpListener, store: Store, limits: Limits) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        if connections.len() < limits.connections_max {
            // On the threads of the node's workers: handing a call over costs no switch to another thread then.
            let handle = store.worker_handle();
            match stream.into_std() {
                Ok(stream) => drop(connections.spawn_on(attend(stream, store.clone(), limits), &handle)),
                Err(error) => tracing::warn!(%error, "a client could not be attended to"),
            }
        } else {
            connections.spawn(refuse(stream));
        }
    }
}

async fn attend(stream: std::net::TcpStream, store: Store, limits: Limits) {
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!(%error, "a client could not be attended to"),
    };
    let peer = stream.peer_addr();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays with Nagle's algorithm");
    }
    if let Err(error) = connection(stream, store, limits).await {
        tracing::debug!(%error, ?peer, "a connection ended");
    }
}

/// Says why; whether the client hears it is its own business.
async fn refuse(mut stream: TcpStream) {
    let told = stream.write_all(b"-ERR max number of clients reached\r\n").await;
    tracing::debug!(?told, "a client too many was turned away");
}
