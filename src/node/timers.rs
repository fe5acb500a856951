//! What a worker wants to do later. Time only decides when to try; nothing here decides what is true (I9).
//!
//! Slots that every write opens, and that nearly always close long before their time, have no timer: they are looked through
//! in [`ActiveBuckets`](super::active::ActiveBuckets).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use thermocline_paxos::{Bucket, Slot};

/// A thing to look at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A preempted proposal may try again.
    Retry(Bucket),
    /// A read needs this slot decided, or it stays open for too long.
    Finish(Bucket, Slot),
    /// A fetch may have been lost.
    Fetch(Bucket),
    /// A decided command could not be applied.
    Apply(Bucket),
    /// An amnesia could not be written down.
    Admit,
}

/// Timers, the one that is due first in front.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, Timer)>>,
}

impl Timers {
    pub(crate) fn at(&mut self, due: u64, timer: Timer) {
        self.heap.push(Reverse((due, timer)));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Takes one timer that is due.
    pub(crate) fn due(&mut self, now: u64) -> Option<Timer> {
        if self.heap.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            return self.heap.pop().map(|Reverse((_, timer))| timer);
        }
        None
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }
}
