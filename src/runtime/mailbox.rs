//! How everything reaches a worker: one queue, one wake-up for however much is in it.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use thermocline_paxos::NodeId;
use tokio::sync::oneshot;

use super::gathering::{Gathering, Until, Urgency};
use crate::error::{CALLS, Error};
use crate::node::effects::{Done, Submission};
use crate::node::journal_index::Past;
use crate::node::load::{WRITES_BYTES_MAX, frame_bytes, question_bytes};
use crate::node::wire::Founding;
use crate::request::{Outcome, Request};
use crate::transport::Incoming;
use crate::verify::VerifyReport;

/// So many bytes of frames may wait for a worker; what is more is dropped, as links may do.
const FRAMES_BYTES_MAX: usize = 64 << 20;

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
    /// The journal has failed, or the state, or another worker: this node votes no more.
    Failed(String),
    /// The journal's disk has no room any more, or has some again: the gate says which.
    JournalRoom,
    /// The journal's segments below this one are gone.
    Reclaimed(u64),
    /// What the start has left unread in the journal is indexed, or a part of it.
    Past(Past),
    Done(Done),
    /// The group's founding is durable at this node. `late`: without this disk.
    Founded {
        founding: Founding,
        late: bool,
    },
    /// What keeps the journal's oldest records should be written to the state, or recorded again.
    Shorten,
    Report(oneshot::Sender<Report>),
    /// The replicas are to be compared; `first_only`: of the buckets of which this node is the first replica.
    Audit {
        first_only: bool,
        reply: oneshot::Sender<VerifyReport>,
    },
    /// The operator gives up what a majority has lost.
    GiveUp(oneshot::Sender<u32>),
    /// The worker is to meet a fault of the program's.
    #[cfg(test)]
    Fault,
    /// The worker is to end. `flush`: once what its state has in memory is written, if that does not take too long.
    Stop {
        flush: bool,
    },
}

impl Input {
    /// The hash of the entity that is called for.
    pub(super) fn hash(&self) -> Option<u64> {
        match self {
            Self::Call { hash, .. } => Some(*hash),
            _ => None,
        }
    }
}

/// What a worker tells of itself.
pub(super) struct Report {
    pub(super) counters: crate::node::counters::Counters,
    pub(super) votes: (u32, u32),
    /// Buckets that are yet to be caught up, copied or mended, and those of which a majority is lost.
    pub(super) behind: u32,
    pub(super) lost: u32,
    /// How long buckets that only learn still take, in milliseconds.
    pub(super) learning_ms_left: Option<u64>,
    pub(super) peers_up: Vec<NodeId>,
}

/// A worker's queue.
pub(super) struct Mailbox {
    queue: Gathering<Input, Account>,
    /// Whether it takes nothing more.
    closed: AtomicBool,
}

/// What is in the queue.
#[derive(Default)]
struct Account {
    /// How many calls there are, and how many bytes calls and frames take.
    calls: usize,
    calls_bytes: usize,
    frames_bytes: usize,
    /// Frames dropped so far.
    frames_dropped: u64,
}

/// A frame that is one too many. It is counted, and nobody is told.
struct Dropped;

impl Default for Mailbox {
    fn default() -> Self {
        Self { queue: Gathering::new(Account::default()), closed: AtomicBool::new(false) }
    }
}

impl Mailbox {
    /// Adds a call, unless `calls_max` wait already, or as many bytes as may.
    pub(super) fn push_call(
        &self,
        request: Request,
        hash: u64,
        reply: oneshot::Sender<Outcome>,
        calls_max: usize,
    ) -> Result<(), Error> {
        let bytes = question_bytes(&request.ask);
        self.queue.add(Input::Call { request, hash, reply }, Urgency::Low, |account| {
            if account.calls >= calls_max || account.calls_bytes + bytes > WRITES_BYTES_MAX {
                let limit = format!("{calls_max} calls (calls_max), {WRITES_BYTES_MAX} bytes");
                return Err(Error::Overloaded { what: CALLS, limit });
            }
            account.calls += 1;
            account.calls_bytes += bytes;
            Ok(())
        })
    }

    /// How many frames were dropped because too many waited.
    pub(super) fn frames_dropped(&self) -> u64 {
        self.queue.account(|account| account.frames_dropped)
    }

    /// Adds an input.
    pub(super) fn push(&self, input: Input) {
        let frame = match &input {
            Input::Frame { body, .. } => frame_bytes(body),
            _ => 0,
        };
        let urgency = match input {
            Input::Call { .. } => Urgency::Low,
            Input::Synced(_) => Urgency::Middle,
            _ => Urgency::High,
        };
        let _ = self.queue.add(input, urgency, |account| {
            if account.frames_bytes + frame > FRAMES_BYTES_MAX {
                account.frames_dropped += 1;
                return Err(Dropped);
            }
            account.frames_bytes += frame;
            Ok(())
        });
    }

    /// Whether nothing waits in it.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Has calls gather without waking the worker until there are so many inputs, or something that others wait for: frames, and what is
    /// synced if `heeds_syncs`. Says no when that is there already.
    pub(super) fn gather(&self, many: usize, heeds_syncs: bool) -> bool {
        let urgency = if heeds_syncs { Urgency::Middle } else { Urgency::High };
        self.queue.gather(Until { urgency, many })
    }

    /// Exchanges the queue with an empty vector, whose memory is used from then on; says whether to go on at all.
    pub(super) fn take(&self, emptied: &mut Vec<Input>) -> bool {
        self.queue.take(emptied, |account| {
            *account = Account { frames_dropped: account.frames_dropped, ..Account::default() };
        })
    }

    /// Has the worker stop where it is, with no effect of what is queued.
    pub(super) fn kill(&self) {
        self.closed.store(true, Ordering::Release);
        self.queue.kill();
    }

    /// Whether it takes nothing more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Takes nothing more; what is in it is dropped.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.queue.close();
    }

    /// Waits until something is pushed.
    pub(super) async fn wait(&self) {
        self.queue.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Key, Position};
    use crate::request::{Ask, Consistency, Expect, Mutation};

    fn request(value_bytes: usize) -> Request {
        let value = Bytes::from(vec![0; value_bytes]);
        let put = Mutation::Put { position: Position::Undated, value, expires_at: None, expect: Expect::Any };
        let entity = Bytes::from_static(b"alice");
        let ask = match value_bytes {
            0 => Ask::Get(Key::undated(entity)),
            _ => Ask::Write { entity, mutations: vec![put], token: None },
        };
        Request { ask, deadline_ms: 1, consistency: Consistency::Linearizable }
    }

    fn push(mailbox: &Mailbox, value_bytes: usize) -> Result<(), Error> {
        mailbox.push_call(request(value_bytes), 0, oneshot::channel().0, 100)
    }

    #[test]
    fn calls_are_taken_up_to_their_number_and_again_when_the_worker_has_taken_them() {
        let mailbox = Mailbox::default();
        for _ in 0..2 {
            for _ in 0..100 {
                push(&mailbox, 0).unwrap();
            }
            let refusal = push(&mailbox, 0);
            assert!(
                matches!(refusal, Err(Error::Overloaded { what: "the queue of calls", .. })),
                "{refusal:?}"
            );
            let mut taken = Vec::new();
            assert!(mailbox.take(&mut taken));
            assert_eq!(taken.len(), 100);
        }
    }

    #[test]
    fn writes_are_taken_up_to_their_bytes() {
        let mailbox = Mailbox::default();
        let value = 16 << 20;
        let taken = (0..100).take_while(|_| push(&mailbox, value).is_ok()).count();
        assert_eq!(taken, WRITES_BYTES_MAX / value - 1, "what is beside the values takes room, too");
        push(&mailbox, 0).unwrap();
    }

    #[test]
    fn frames_past_their_bytes_are_dropped_and_counted() {
        let mailbox = Mailbox::default();
        let body = Bytes::from(vec![0; 1 << 20]);
        for _ in 0..70 {
            mailbox.push(Input::Frame { from: NodeId(1), body: body.clone() });
        }
        let mut taken = Vec::new();
        mailbox.take(&mut taken);
        assert_eq!((taken.len() as u64 + mailbox.frames_dropped(), taken.len()), (70, 63));
        mailbox.push(Input::Frame { from: NodeId(1), body });
        taken.clear();
        mailbox.take(&mut taken);
        assert_eq!(taken.len(), 1);
    }
}
