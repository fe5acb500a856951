//! How everything reaches a worker: one queue, one wake-up for however much is in it.

use bytes::Bytes;
use parking_lot::Mutex;
use thermocline_paxos::NodeId;
use tokio::sync::{Notify, oneshot};

use crate::node::effects::{Done, Submission};
use crate::node::wire::Founding;
use crate::request::{Outcome, Request};
use crate::transport::Incoming;

/// Something that happened, for a worker.
pub(super) enum Input {
    Call {
        request: Request,
        hash: u64,
        reply: oneshot::Sender<Outcome>,
    },
    Frame {
        from: NodeId,
        body: Bytes,
    },
    LinkUp {
        peer: NodeId,
    },
    LinkDown {
        peer: NodeId,
    },
    /// A connection that was greeted for this worker.
    Incoming(Incoming),
    /// Records are on the disk.
    Synced(Submission),
    /// The journal has failed: this node votes no more.
    JournalFailed(String),
    /// The journal's segments below this one are gone.
    Reclaimed(u64),
    Done(Done),
    /// The group's founding is durable at this node. `late`: without this disk.
    Founded {
        founding: Founding,
        late: bool,
    },
    /// Every part should be written to disk, because the journal is long.
    Flush,
    Report(oneshot::Sender<Report>),
    Stop,
}

/// What a worker tells of itself.
pub(super) struct Report {
    pub(super) counters: crate::node::counters::Counters,
    pub(super) votes: (u32, u32),
    pub(super) peers_up: Vec<NodeId>,
}

/// A worker's queue.
#[derive(Default)]
pub(super) struct Mailbox {
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Default)]
struct Queue {
    inputs: Vec<Input>,
    /// The worker is gone: what comes is dropped, and with it the senders that callers wait for.
    closed: bool,
    /// The worker is to stop where it is.
    killed: bool,
    /// The worker waits for something urgent, and lets calls and frames gather meanwhile.
    gathering: bool,
    /// Something urgent is in the queue.
    urgent: bool,
}

impl Mailbox {
    /// Adds an input. The worker is woken only by the first one of a batch.
    pub(super) fn push(&self, input: Input) {
        let wake = {
            let mut queue = self.queue.lock();
            if queue.closed {
                return;
            }
            let urgent = !matches!(input, Input::Call { .. } | Input::Frame { .. });
            queue.inputs.push(input);
            queue.urgent |= urgent;
            let gathered = urgent && std::mem::take(&mut queue.gathering);
            gathered || (queue.inputs.len() == 1 && !queue.gathering)
        };
        if wake {
            self.wake.notify_one();
        }
    }

    /// Has calls and frames gather without waking the worker; says no when something urgent is there already.
    pub(super) fn gather(&self) -> bool {
        let mut queue = self.queue.lock();
        queue.gathering = !(queue.urgent || queue.killed);
        queue.gathering
    }

    /// Exchanges the queue with an empty vector, whose memory is used from then on; says whether to go on at all.
    pub(super) fn take(&self, emptied: &mut Vec<Input>) -> bool {
        debug_assert!(emptied.is_empty());
        let mut queue = self.queue.lock();
        std::mem::swap(&mut queue.inputs, emptied);
        (queue.gathering, queue.urgent) = (false, false);
        !queue.killed
    }

    /// Has the worker stop where it is, with no effect of what is queued.
    pub(super) fn kill(&self) {
        self.queue.lock().killed = true;
        self.close();
        self.wake.notify_one();
    }

    /// Takes nothing more; what is in it is dropped.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        let dropped = std::mem::take(&mut queue.inputs);
        drop(queue);
        drop(dropped);
    }

    /// Waits until something is pushed.
    pub(super) async fn wait(&self) {
        self.wake.notified().await;
    }
}
