//! What is going to happen, in the order of virtual time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use bytes::Bytes;
use thermocline::machine::{Call, Founding, Job, JobDone, Synced};

/// Microseconds since the world began.
pub(crate) type Time = u64;

/// A connection from a worker of one node to the same worker of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Link {
    /// Who sends.
    pub(crate) from: usize,
    /// Who receives.
    pub(crate) to: usize,
    /// Which worker, at both.
    pub(crate) worker: usize,
}

/// Something that happens. Those of a node count only in the life of its process that they were meant for.
pub(crate) enum Event {
    /// A node's process starts.
    Start {
        /// Which.
        node: usize,
    },
    /// To a node that is up.
    Node {
        /// Which.
        node: usize,
        /// In which of its lives.
        life: u64,
        /// What.
        input: Input,
    },
    /// A frame arrives.
    Frame {
        /// Through which link.
        link: Link,
        /// Over which connection; 0: whatever connection there is.
        session: u64,
        /// What.
        body: Bytes,
    },
    /// A client goes on.
    Client {
        /// Which.
        client: usize,
    },
    /// A client hears that there is nobody at the node that it calls.
    Refused {
        /// For which call.
        number: u64,
    },
    /// A client waits for a call no longer.
    GiveUp {
        /// Which.
        client: usize,
        /// For which call.
        number: u64,
    },
    /// A fault of the schedule begins.
    Fault {
        /// Which.
        index: usize,
    },
    /// A fault of the schedule ends.
    Mend {
        /// Which.
        index: usize,
    },
    /// A flapping link changes.
    Flap {
        /// Of which fault.
        index: usize,
        /// Whether it is cut now.
        is_cut: bool,
    },
    /// The phase with faults is over.
    Heal,
}

/// Something that happens to a node that is up.
pub(crate) enum Input {
    /// A client calls.
    Call {
        /// The call's number.
        number: u64,
        /// What it wants.
        call: Call,
    },
    /// A worker's timer is due.
    Tick {
        /// Whose.
        worker: usize,
        /// When it was set for; another one may have taken its place.
        due: Time,
    },
    /// A worker ends its turn.
    Turn {
        /// Which.
        worker: usize,
    },
    /// A worker dials.
    Dial {
        /// Through which link.
        link: Link,
    },
    /// A worker finds that its connection is broken.
    LinkDown {
        /// Which link.
        link: Link,
        /// Which connection of it.
        session: u64,
    },
    /// The journal's write is on the disk.
    CommitEnds,
    /// The journal's thread tells so.
    Synced(Synced),
    /// A disk thread does a job.
    Run(Job),
    /// A disk thread tells that it is done.
    Done(JobDone),
    /// What another node said of its founding is written down.
    Founding(Founding),
    /// Segments are made ready and given back; an idle journal writes its witness.
    Upkeep,
    /// Somebody looks after a node whose journal failed.
    Restart,
}

/// Events by time; those of one moment in the order in which they were asked for.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    next: u64,
}

struct Entry {
    at: Time,
    number: u64,
    event: Event,
}

impl Queue {
    /// Adds an event.
    pub(crate) fn push(&mut self, at: Time, event: Event) {
        self.heap.push(Entry { at, number: self.next, event });
        self.next += 1;
    }

    /// Takes the next one.
    pub(crate) fn pop(&mut self) -> Option<(Time, Event)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}
