//! What is asked of a store, as given on the command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Write every key once, in order, and end.
    Fill,
    /// Write random keys.
    Put,
    /// Read random keys.
    Get,
    /// Read random keys and write one now and then.
    Mixed,
}

/// How a store is driven.
#[derive(Clone, Debug, Parser)]
pub struct Plan {
    /// Where the store's nodes listen, HOST:PORT separated by commas; clients begin at the first.
    #[arg(long, value_delimiter = ',', required = true)]
    pub endpoints: Vec<String>,
    /// What the clients do.
    #[arg(long, value_enum, default_value = "put")]
    pub operation: Operation,
    /// Clients, each with one connection and one operation under way.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub clients: u32,
    /// Client i begins at endpoint i mod n.
    #[arg(long)]
    pub spread: bool,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Seconds before those.
    #[arg(long, default_value_t = 1.0)]
    pub warm_up: f64,
    /// Keys, 16 bytes each.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: u64,
    /// Bytes of a value; random, new for each write.
    #[arg(long, default_value_t = 200)]
    pub value_bytes: usize,
    /// Gets to one put, for `--operation mixed`.
    #[arg(long, default_value_t = 100)]
    pub gets_per_put: u64,
    /// Ask this many replicas to have each write (Redis: WAIT after SET, in one packet).
    #[arg(long, default_value_t = 0)]
    pub wait_replicas: u32,
    /// A client gives an operation up after this, and goes to the next endpoint.
    #[arg(long, default_value_t = 5000)]
    pub timeout_ms: u64,
    /// The store's processes, whose CPU time is reported; separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub pids: Vec<u32>,
    /// Kill this process (SIGKILL), and report the gap it leaves among the writes.
    #[arg(long)]
    pub kill_pid: Option<i32>,
    /// When, in seconds after the warm-up.
    #[arg(long, default_value_t = 1.0)]
    pub kill_after: f64,
}

impl Plan {
    /// `timeout_ms` as a duration.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}
