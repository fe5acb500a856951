//! What a transport counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that only grow; one set for all links and listeners of a store, read from any thread.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Frames given to the operating system. What one call of `Links::send` takes counts as one frame, here
    /// and below.
    pub(crate) frames_sent: Count,
    /// Their bytes, headers included.
    pub(crate) bytes_sent: Count,
    /// Frames dropped because their link's buffer was full.
    pub(crate) frames_dropped_full: Count,
    /// Frames dropped because their link was down, or went down before they were written.
    pub(crate) frames_dropped_down: Count,
    /// Frames received whole and undamaged.
    pub(crate) frames_received: Count,
    /// Bytes received, headers included.
    pub(crate) bytes_received: Count,
    /// Links that came up, in both directions.
    pub(crate) links_up: Count,
    /// Links that went down after they had been up, in both directions.
    pub(crate) links_down: Count,
    /// Attempts to connect that did not bring a link up.
    pub(crate) dials_failed: Count,
    /// Incoming connections that did not get past the handshake, refusals included.
    pub(crate) handshakes_failed: Count,
    /// Refusals, given or received.
    pub(crate) refusals: Count,
    /// Connections closed because of a damaged or illegal frame.
    pub(crate) frames_bad: Count,
    /// Incoming connections closed at once because too many handshakes were under way.
    pub(crate) connections_rejected: Count,
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Its value.
    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn increment(&self) {
        self.add(1);
    }
}
