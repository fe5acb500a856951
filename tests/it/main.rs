//! Whole nodes: real files, real sockets on loopback, real threads.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod cluster;
mod embedded;
mod support;
