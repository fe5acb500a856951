//! What a transport counts.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// Counters that only grow; one set for all links and listeners of a store, read from any thread.
        #[derive(Debug, Default)]
        pub(crate) struct Counts {
            $($(#[$doc])+ pub(crate) $name: Count,)+
        }

        impl Counts {
            /// All of them, by name.
            pub(crate) fn list(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.read())),+].into_iter()
            }
        }
    };
}

counts! {
    /// Frames given to the operating system. What one call of `Links::send` takes counts as one frame, here
    /// and below.
    frames_sent,
    /// Their bytes, headers included.
    bytes_sent,
    /// Frames dropped because their link's buffer was full.
    frames_dropped_full,
    /// Frames dropped because their link was down, or went down before they were written.
    frames_dropped_down,
    /// Frames received whole and undamaged.
    frames_received,
    /// Bytes received, headers included.
    bytes_received,
    /// Links that came up, in both directions.
    links_up,
    /// Links that went down after they had been up, in both directions.
    links_down,
    /// Attempts to connect that did not bring a link up.
    dials_failed,
    /// Incoming connections that did not get past the handshake, refusals included.
    handshakes_failed,
    /// Refusals, given or received.
    refusals,
    /// Connections closed because of a damaged or illegal frame.
    frames_bad,
    /// Incoming connections closed at once because too many handshakes were under way.
    connections_rejected,
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Its value.
    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn increment(&self) {
        self.add(1);
    }
}
