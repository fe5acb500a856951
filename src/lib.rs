//! Thermocline: an embeddable, replicated, tiered key-value store for data that keeps growing along time, such as a
//! broker's offline messages, a feed, a ledger.
//!
//! A record belongs to an *entity* (a user, an inbox, a device) and lies at a timestamp: that is its [`Key`]. An entity
//! can also have one record without a date. Records are put, read, scanned by time in both directions, and trimmed from
//! the old end.
//!
//! ```
//! use thermocline::{Config, Key, Store};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let directory = tempfile::tempdir()?;
//!     let store = Store::open(Config::embedded(directory.path())).await?;
//!
//!     let key = Key::new("inbox:alice", 1_700_000_000_000, 0);
//!     let version = store.put(&key, "hello").await?;
//!     let newest = store.scan("inbox:alice").newest_first().limit(50).page().await?;
//!     assert_eq!(newest.records[0].version, version);
//!
//!     store.close().await;
//!     Ok(())
//! }
//! ```
//!
//! That is one process with one directory. The same program is a node of a cluster when its [`Config`] comes from a
//! [`Topology`]: then three replicas, or five, agree on every write by Paxos, and none of them leads.
//!
//! # What holds
//!
//! - **Acknowledged means durable on a majority**: a write is synced to the disks of most replicas before it is
//!   acknowledged, unless [`Sync::None`] is asked for by name.
//! - **Linearizable**: a read sees every write acknowledged before it began, anywhere, unless [`Consistency::Stale`] is
//!   asked for by name.
//! - **Unknown is not failed**: after any error but [`Error::Unknown`] the mutation was not applied. That one carries a
//!   [`Token`], with which the outcome can be asked for or the mutation sent again without being applied twice.
//! - **No clock decides**: time tells when to try again and when a record with an expiry ceases to be seen, nothing else.
//! - **Bounded**: every argument, queue and file has a limit with a name; past it there is a typed error at once.
//!
//! # Where to read on
//!
//! [`Store`] has the calls, what dropping one means, and an example of each; [`Error`] says what to do about which error;
//! [`Config`] and [`Topology`] say what can be set.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]

#[cfg(feature = "server")]
pub mod cli;
mod config;
mod encoding;
mod error;
#[cfg(feature = "server")]
mod ingest;
mod key;
#[cfg(feature = "test-util")]
pub mod machine;
mod node;
#[cfg(not(feature = "plant"))]
mod plant;
#[cfg(feature = "plant")]
pub mod plant;
mod request;
mod runtime;
#[cfg(feature = "server")]
pub mod server;
mod status;
mod store;
#[cfg(feature = "test-util")]
pub mod test_util;
mod token;
mod topology;
mod transport;
mod verify;

pub use store::Store;

// How to open one.
pub use config::{Config, Sync};
pub use topology::{Topology, TopologyNode};

// What it holds.
pub use bytes::Bytes;
pub use key::{ENTITY_BYTES_MAX, Entity, Key, Position, Record, Version};

// What it can be asked.
pub use request::{Consistency, Expect, Mutation};
pub use store::{Batch, BatchGet, Delete, Get, NewToken, Put, Resolve, Scan, Sending, Trim};
pub use store::{CURSOR_BYTES, Cursor, Order, Page, Records};
pub use token::{Resolution, Token};

// What it says of itself, and what can go wrong.
pub use error::{Error, StorageKind};
pub use status::{Peer, Status};
pub use verify::{Difference, VerifyReport};

// Limits of calls; those of a store are in its configuration.
pub use store::{
    BATCH_GET_KEYS_MAX, BATCH_MUTATIONS_MAX, DEADLINE_MAX, DEADLINE_MIN, SCAN_BYTES_DEFAULT, SCAN_BYTES_MAX,
    SCAN_RECORDS_DEFAULT, SCAN_RECORDS_MAX,
};

/// The example on the front page compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    #[test]
    fn the_front_page_shows_the_example() {
        let example = include_str!("../examples/inbox.rs");
        let shown = example.find("use thermocline").map_or("", |start| &example[start..]);
        assert!(!shown.is_empty() && include_str!("../README.md").contains(shown));
    }
}
