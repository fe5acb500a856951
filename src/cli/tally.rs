//! What is counted while many callers are at work.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use crate::error::Error;

/// Longer latencies are counted as this one, in microseconds: ten minutes, the longest deadline.
const LATENCY_US_MAX: u64 = 600_000_000;
/// So many callers can record at the same time without waiting.
const STRIPES: usize = 16;

/// Counts of what writers did. Shared by all of them.
#[derive(Debug)]
pub(super) struct Tally {
    start: Instant,
    latencies: Vec<Mutex<Histogram<u64>>>,
    acknowledged: AtomicU64,
    retries: [AtomicU64; Retry::ALL.len()],
    /// When a write was acknowledged last, in nanoseconds from the start.
    last_ns: AtomicU64,
    longest_gap_ns: AtomicU64,
    /// The longest gap that ended after the mark.
    marked_gap_ns: AtomicU64,
}

/// Why a call was made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    Unavailable,
    Unknown,
    Contended,
    Overloaded,
    Closed,
}

impl Retry {
    pub(super) const ALL: [Self; 5] =
        [Self::Unavailable, Self::Unknown, Self::Contended, Self::Overloaded, Self::Closed];

    /// The reason to call again that an error is, if it is one.
    pub(super) fn of(error: &Error) -> Option<Self> {
        Some(match error {
            Error::Unavailable { .. } => Self::Unavailable,
            Error::Unknown(_) => Self::Unknown,
            Error::Contended => Self::Contended,
            Error::Overloaded { .. } => Self::Overloaded,
            Error::Closed => Self::Closed,
            _ => return None,
        })
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Unknown => "outcome unknown, sent again under its token",
            Self::Contended => "contended",
            Self::Overloaded => "overloaded",
            Self::Closed => "node stopped, sent to another",
        }
    }
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            latencies: (0..STRIPES).map(|_| Mutex::new(latencies())).collect(),
            acknowledged: AtomicU64::new(0),
            retries: Default::default(),
            last_ns: AtomicU64::new(0),
            longest_gap_ns: AtomicU64::new(0),
            marked_gap_ns: AtomicU64::new(0),
        }
    }

    /// A call succeeded; `caller` is any number that is the caller's own. Returns how many have by now.
    pub(super) fn succeeded(&self, caller: usize, latency: Duration) -> u64 {
        record(&mut self.latencies[caller % STRIPES].lock(), latency);
        let now = self.start.elapsed().as_nanos() as u64;
        let gap = now.saturating_sub(self.last_ns.fetch_max(now, Relaxed));
        self.longest_gap_ns.fetch_max(gap, Relaxed);
        self.marked_gap_ns.fetch_max(gap, Relaxed);
        self.acknowledged.fetch_add(1, Relaxed) + 1
    }

    /// A call is made again.
    pub(super) fn retried(&self, why: Retry) {
        self.retries[why as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Relaxed)
    }

    pub(super) fn retries(&self) -> impl Iterator<Item = (Retry, u64)> {
        Retry::ALL.into_iter().map(|why| (why, self.retries[why as usize].load(Relaxed)))
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The longest time from one success to the next one, of whichever caller.
    pub(super) fn longest_gap(&self) -> Duration {
        Duration::from_nanos(self.longest_gap_ns.load(Relaxed))
    }

    /// Forgets the gaps that `marked_gap` has seen.
    pub(super) fn mark(&self) {
        self.marked_gap_ns.store(0, Relaxed);
    }

    /// The longest gap since the mark.
    pub(super) fn marked_gap(&self) -> Duration {
        Duration::from_nanos(self.marked_gap_ns.load(Relaxed))
    }

    /// All latencies, in microseconds.
    pub(super) fn latencies(&self) -> Histogram<u64> {
        let mut all = latencies();
        for stripe in &self.latencies {
            all += &*stripe.lock();
        }
        all
    }
}

/// An empty histogram of microseconds, to three digits.
pub(super) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
        .unwrap_or_else(|_| unreachable!("the bounds are constants"))
}

/// Adds a latency.
pub(super) fn record(latencies: &mut Histogram<u64>, latency: Duration) {
    latencies.saturating_record((latency.as_micros() as u64).clamp(1, LATENCY_US_MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_counts() {
        let tally = Tally::new();
        for caller in 0..40 {
            assert_eq!(tally.succeeded(caller, Duration::from_micros(100)), caller as u64 + 1);
        }
        let gap = tally.longest_gap();
        assert!(gap >= tally.marked_gap());
        tally.mark();
        assert_eq!(tally.marked_gap(), Duration::ZERO);
        tally.retried(Retry::Unknown);
        assert_eq!(tally.retries().map(|(_, count)| count).collect::<Vec<_>>(), [0, 1, 0, 0, 0]);
        assert_eq!((tally.latencies().len(), tally.latencies().value_at_quantile(0.5)), (40, 100));
        assert_eq!(tally.acknowledged(), 40);
    }

    #[test]
    fn only_what_may_succeed_later_is_tried_again() {
        assert_eq!(Retry::of(&Error::Closed), Some(Retry::Closed));
        assert_eq!(Retry::of(&Error::Contended), Some(Retry::Contended));
        assert_eq!(Retry::of(&Error::invalid("a", "b", "c")), None);
        assert_eq!(Retry::of(&Error::Corrupt { what: String::new() }), None);
        for (place, why) in Retry::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, place);
        }
    }
}
