//! A closed-loop load generator for stores that speak the Redis protocol: each client has one connection and one
//! operation under way, and all clients share one thread, so that the generator's own cost is the same for every
//! store and easily told. A program that links a store can have the same clients call it without connections: a
//! [`Session`] of its own, and [`run_with`].
//!
//! What is measured goes to standard output as one line of JSON, a [`Report`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]

mod client;
mod connection;
mod machine;
mod plan;
mod report;
mod run;
mod session;

pub use connection::{Answer, Connection, Failure};
pub use machine::{Busy, cpu_seconds, load_average};
pub use plan::{Operation, Plan};
pub use report::{Failover, Latency, Report};
pub use run::{run, run_with};
pub use session::Session;
