//! Thermocline.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]

#[cfg(feature = "server")]
pub mod cli;
mod config;
mod encoding;
mod error;
#[cfg(feature = "server")]
mod ingest;
mod key;
mod node;
mod request;
mod runtime;
#[cfg(feature = "server")]
pub mod server;
mod status;
mod store;
mod token;
mod topology;
mod transport;

pub use store::{
    BATCH_GET_KEYS_MAX, BATCH_MUTATIONS_MAX, Batch, BatchGet, CURSOR_BYTES, Cursor, DEADLINE_MAX,
    DEADLINE_MIN, Delete, Get, NewToken, Order, Page, Put, Records, Resolve, SCAN_BYTES_DEFAULT,
    SCAN_BYTES_MAX, SCAN_RECORDS_DEFAULT, SCAN_RECORDS_MAX, Scan, Sending, Store, Trim,
};

pub use config::{Config, Sync};
pub use error::Error;
pub use key::{ENTITY_BYTES_MAX, Entity, Key, Position, Record, Version};
pub use request::{Consistency, Expect, Mutation};
pub use status::{Peer, Status};
pub use token::{Resolution, Token};
pub use topology::{Topology, TopologyNode};
