//! What a worker wants to do later. Time only decides when to try; nothing here decides what is true (I9).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use thermocline_paxos::{Bucket, Slot};

/// A thing to look at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The own proposal in this slot may need to be sent again.
    Resend(Bucket, Slot),
    /// A slot in which something is accepted, but not known to be chosen, may have lost its proposer.
    Undecided(Bucket, Slot),
    /// A preempted proposal may try again.
    Retry(Bucket),
    /// A read needs this slot decided.
    Finish(Bucket, Slot),
    /// A fetch may have been lost.
    Fetch(Bucket),
}

/// Timers of two kinds: those with one fixed delay stand in a queue, all others in a heap.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    resend: VecDeque<(u64, Timer)>,
    undecided: VecDeque<(u64, Timer)>,
    other: BinaryHeap<Reverse<(u64, Timer)>>,
}

impl Timers {
    pub(crate) fn resend(&mut self, due: u64, bucket: Bucket, slot: Slot) {
        push_in_order(&mut self.resend, due, Timer::Resend(bucket, slot));
    }

    pub(crate) fn undecided(&mut self, due: u64, bucket: Bucket, slot: Slot) {
        push_in_order(&mut self.undecided, due, Timer::Undecided(bucket, slot));
    }

    pub(crate) fn at(&mut self, due: u64, timer: Timer) {
        self.other.push(Reverse((due, timer)));
    }

    /// Takes one timer that is due.
    pub(crate) fn due(&mut self, now: u64) -> Option<Timer> {
        for queue in [&mut self.resend, &mut self.undecided] {
            if queue.front().is_some_and(|(due, _)| *due <= now) {
                return queue.pop_front().map(|(_, timer)| timer);
            }
        }
        if self.other.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            return self.other.pop().map(|Reverse((_, timer))| timer);
        }
        None
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<u64> {
        let fixed = [&self.resend, &self.undecided]
            .into_iter()
            .filter_map(|queue| queue.front().map(|(due, _)| *due));
        fixed.chain(self.other.peek().map(|Reverse((due, _))| *due)).min()
    }
}

/// A clock that steps back must not make later timers wait behind an early one: due times in a queue never fall.
fn push_in_order(queue: &mut VecDeque<(u64, Timer)>, due: u64, timer: Timer) {
    let due = queue.back().map_or(due, |(last, _)| due.max(*last));
    queue.push_back((due, timer));
}
