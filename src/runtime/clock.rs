//! The only place that reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the node was opened, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Milliseconds since the start.
    pub(super) fn now_ms(self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// How long until a moment in milliseconds since the start.
    pub(super) fn until(self, ms: u64) -> Duration {
        Duration::from_millis(ms).saturating_sub(self.start.elapsed())
    }

    /// Milliseconds since the Unix epoch.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock, for expiry")]
    pub(super) fn wall_ms(self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }
}
