//! Whole nodes: real files, real sockets on loopback, real threads.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod cluster;
#[cfg(feature = "server")]
mod command_line;
mod damaged;
mod embedded;
mod full_disk;
#[cfg(feature = "server")]
mod operations;
#[cfg(feature = "server")]
mod process;
#[cfg(feature = "server")]
mod redis;
mod support;
