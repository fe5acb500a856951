//! What a run has shown.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::plan::Operation;

/// Latencies of the operations that succeeded, in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// Half took no longer.
    pub p50_us: f64,
    /// 99 of 100 took no longer.
    pub p99_us: f64,
    /// 999 of 1,000 took no longer.
    pub p999_us: f64,
    /// None took longer.
    pub max_us: f64,
}

impl Latency {
    /// From a histogram of nanoseconds; `None` when it is empty.
    pub fn of(nanoseconds: &Histogram<u64>) -> Option<Latency> {
        let us = |quantile| nanoseconds.value_at_quantile(quantile) as f64 / 1e3;
        (!nanoseconds.is_empty()).then(|| Latency {
            count: nanoseconds.len(),
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            max_us: nanoseconds.max() as f64 / 1e3,
        })
    }
}

/// What the death of a node did to the writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failover {
    /// The longest time, from the kill on, in which no write succeeded, in milliseconds; a gap that was open at the
    /// kill counts whole.
    pub longest_gap_ms: f64,
    /// From the kill to the first success of a write that was begun after it, in milliseconds; `None`: never.
    pub first_success_ms: Option<f64>,
    /// Successful writes in each 10 ms of the run, warm-up included.
    pub successes_per_10_ms: Vec<u32>,
    /// When the kill came, in milliseconds from the beginning of that series.
    pub killed_at_ms: f64,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the clients did.
    pub operation: Operation,
    /// How many clients.
    pub clients: u32,
    /// Seconds measured.
    pub seconds: f64,
    /// Operations that succeeded, a second.
    pub operations_per_second: f64,
    /// The writes among them.
    pub puts: Option<Latency>,
    /// The reads among them.
    pub gets: Option<Latency>,
    /// Reads that found nothing.
    pub misses: u64,
    /// `-NOTLEADER` answers, warm-up included, as in all counts below.
    pub not_leader: u64,
    /// `-UNAVAILABLE` answers.
    pub unavailable: u64,
    /// `-UNKNOWN` answers.
    pub unknown: u64,
    /// Connections that broke or could not be made, and operations that took too long.
    pub broken: u64,
    /// All other errors.
    pub errors: u64,
    /// The first failure of any kind but `-NOTLEADER`, in words.
    pub first_failure: Option<String>,
    /// CPU seconds of the store's processes per 1,000,000 operations; `None` without `--pids`, or with a kill.
    pub server_cpu_seconds_per_million: Option<f64>,
    /// CPU seconds of this process per 1,000,000 operations.
    pub client_cpu_seconds_per_million: f64,
    /// Processors kept busy by everything that is neither the store nor this process, on average.
    pub foreign_cores: f64,
    /// Processors a hypervisor kept for others, on average.
    pub stolen_cores: f64,
    /// The machine's load average over the last minute, at the end.
    pub load_average: f64,
    /// Only with `--kill-pid`.
    pub failover: Option<Failover>,
}

impl Report {
    /// Everything that was tried and did not succeed, but for `-NOTLEADER`.
    pub fn failures(&self) -> u64 {
        self.unavailable + self.unknown + self.broken + self.errors
    }
}
