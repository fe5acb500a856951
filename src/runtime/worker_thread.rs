//! A worker's thread: a single-threaded tokio runtime that carries inputs to the worker and its effects to the world.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thermocline_paxos::NodeId;
use tokio::sync::{mpsc, oneshot};

use super::alarm::Alarm;
use super::clock::Clock;
use super::disk_pool::DiskPool;
use super::journal::{JournalGate, JournalQueue};
use super::mailbox::{Input, Mailbox, Report};
use crate::error::Error;
use crate::node::effects::Submission;
use crate::node::wire::Founding;
use crate::node::worker::Worker;
use crate::request::Outcome;
use crate::transport::{self, Direction, Hello, Inbox, LinkError, Links, Setup, frame};
use crate::verify::VerifyReport;

/// At most so many inputs are handled before their effects are let out.
const TURN_INPUTS_MAX: usize = 4096;

/// With so many calls under way, a turn waits for what these depend on.
const GATHER_CALLS: usize = 24;

/// Or until so many as one in four of them are new: then the next commit and the next frames are worth their cost.
const GATHER_SHARE: usize = 4;

/// With so many calls under way, and nothing else to do, a worker commits for itself. With more, what comes meanwhile is for the next commit.
const COMMIT_HERE_CALLS: usize = 1;

/// A turn waits no longer than this, about: neither a slow disk nor a slow peer must hold up what needs neither.
const GATHER_MAX: Duration = Duration::from_millis(1);

/// A node that ends takes no longer to write what its state has in memory. What is not written then is replayed by the next start.
const LAST_FLUSH_MAX: Duration = Duration::from_secs(10);

/// What a worker thread is made of.
pub(super) struct Parts {
    pub(super) index: usize,
    pub(super) worker: Worker,
    pub(super) mailbox: Arc<Mailbox>,
    /// Those of all workers.
    pub(super) mailboxes: Arc<[Arc<Mailbox>]>,
    pub(super) journal: JournalQueue,
    pub(super) gate: Arc<JournalGate>,
    pub(super) pool: DiskPool,
    pub(super) clock: Clock,
    pub(super) setup: Setup,
    /// The other nodes, with their addresses.
    pub(super) peers: Vec<(NodeId, String)>,
    /// Where what other nodes say of their founding goes.
    pub(super) foundings: mpsc::Sender<(NodeId, Founding)>,
    pub(super) seed: u64,
}

/// Runs a worker until it is stopped.
pub(super) async fn run(parts: Parts) {
    let Parts {
        index,
        worker,
        mailbox,
        mailboxes,
        journal,
        gate,
        pool,
        clock,
        setup,
        peers,
        foundings,
        seed,
    } = parts;
    let frame_bytes_max = setup.limits.frame_bytes_max;
    let inbox = Rc::new(ToMailbox { mailbox: mailbox.clone(), failures: RefCell::default() });
    let dialled: Vec<_> =
        peers.iter().map(|(node, address)| (transport::NodeId(node.0), address.clone())).collect();
    let links = Links::tcp(setup, index as u16, &dialled, inbox, seed);
    let mut thread = WorkerThread {
        index,
        worker,
        mailbox,
        mailboxes,
        journal,
        gate,
        pool,
        clock,
        links,
        foundings,
        frame_bytes_max,
        waiting: Waiting::default(),
        frame: Vec::new(),
        addresses: peers.into_iter().collect(),
        reports: HashMap::new(),
        audits: 0,
        held: Vec::new(),
        outstanding: 0,
        ending: None,
    };
    thread.run().await;
    thread.links.stop();
}

impl Drop for WorkerThread {
    /// However it ends, nobody waits for an answer that does not come.
    fn drop(&mut self) {
        self.mailbox.close();
        if std::thread::panicking() {
            // A fault of this library. What the worker has done is unknown, so that this node must not do anything any more, and a write that was
            // under way may be applied: its caller is told that.
            self.gate.fail("another worker ended by a fault", &self.mailboxes);
            let told = catch_unwind(AssertUnwindSafe(|| self.die()));
            tracing::error!(
                worker = self.index,
                calls_told = told.is_ok(),
                "a worker ended by a fault; this node takes no calls any more"
            );
        }
    }
}

struct WorkerThread {
    index: usize,
    worker: Worker,
    mailbox: Arc<Mailbox>,
    mailboxes: Arc<[Arc<Mailbox>]>,
    journal: JournalQueue,
    gate: Arc<JournalGate>,
    pool: DiskPool,
    clock: Clock,
    links: Links,
    foundings: mpsc::Sender<(NodeId, Founding)>,
    frame_bytes_max: usize,
    waiting: Waiting,
    frame: Vec<u8>,
    /// Where the other nodes are dialled.
    addresses: BTreeMap<NodeId, String>,
    /// Who waits for the reports of audits, and the number of the last.
    reports: HashMap<u64, oneshot::Sender<VerifyReport>>,
    audits: u64,
    /// Submissions of a quiet turn, which this thread may commit itself.
    held: Vec<Submission>,
    /// Submissions that are not known to be synced, those that are held included.
    outstanding: u64,
    /// Told to stop, it ends when its state is written, or at this moment.
    ending: Option<Instant>,
}

impl WorkerThread {
    async fn run(&mut self) {
        let mut inputs = Vec::new();
        let mut alarm = Alarm::new();
        loop {
            // Under load, new calls wait until some that are under way can go on: one turn, one frame a peer and one commit then serve
            // many of them. What the journal has synced is waited for where that decides writes, and not the peers' votes. With few
            // callers nothing waits.
            let calls = self.worker.calls_under_way();
            if calls >= GATHER_CALLS
                && self.mailbox.gather(calls / GATHER_SHARE, self.worker.is_decided_by_syncs())
            {
                let until = Instant::now() + GATHER_MAX;
                while let Some(left) = until.checked_duration_since(Instant::now()) {
                    tokio::select! {
                        biased;
                        () = self.mailbox.wait() => break,
                        () = alarm.wait(left) => {}
                    }
                }
            }
            if !self.mailbox.take(&mut inputs) {
                return self.die();
            }
            if inputs.is_empty() {
                let sleep = self.clock.until(self.worker.next_timer()).max(Duration::from_millis(1));
                tokio::select! {
                    biased;
                    () = self.mailbox.wait() => {}
                    () = alarm.wait(sleep) => {}
                }
                if !self.mailbox.take(&mut inputs) {
                    return self.die();
                }
            }
            let now = self.clock.now_ms();
            self.worker.set_wall_clock(self.clock.wall_ms());
            self.worker.expect_calls(inputs.iter().filter_map(Input::hash));
            for (count, input) in inputs.drain(..).enumerate() {
                self.input(now, input);
                if count % TURN_INPUTS_MAX == TURN_INPUTS_MAX - 1 {
                    self.end_turn(now);
                    self.submit_held();
                }
            }
            self.worker.tick(now);
            let ends = self.ending.is_some_and(|until| self.is_at_its_end(until));
            self.end_turn(now);
            if ends {
                self.worker.close();
                self.end_turn(now);
                self.submit_held();
                self.tell_peers(u64::MAX);
                return;
            }
            while !self.held.is_empty() {
                self.commit_held().await;
            }
            if !self.mailbox.is_empty() {
                // There is no need to wait, but the links and connections of this thread run too, and fill the next turn.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whether there is nothing to be written any more, or no time for it.
    fn is_at_its_end(&mut self, until: Instant) -> bool {
        let cannot = self.gate.failed.load(Ordering::Relaxed) || self.gate.full.get();
        self.worker.go_on_with_last_flush() || cannot || Instant::now() >= until
    }

    /// Killed: callers are told what is known of their calls, and nothing else happens any more.
    fn die(&mut self) {
        self.worker.close();
        for (call, outcome) in self.worker.effects().replies.drain(..) {
            self.waiting.answer(call, outcome);
        }
    }

    /// Handles an input.
    fn input(&mut self, now: u64, input: Input) {
        match input {
            // Who called hears that the store is closed.
            Input::Call { .. } if self.ending.is_some() => {}
            Input::Call { request, hash, reply } => {
                let call = self.waiting.insert(reply);
                self.worker.call(now, call, hash, request);
            }
            Input::Frame { from, body } => self.worker.frame(now, from, body),
            Input::LinkUp { peer } => self.worker.peer_up(now, peer),
            Input::LinkDown { peer } => self.worker.peer_down(now, peer),
            Input::Incoming(incoming) => self.links.accept(incoming),
            Input::Synced(submission) => {
                self.outstanding -= 1;
                self.worker.journal_synced(now, submission);
            }
            Input::Failed(cause) => self.worker.node_failed(&cause),
            Input::JournalRoom => self.worker.journal_full(self.gate.full.get()),
            Input::Reclaimed(first) => self.worker.segments_reclaimed(first),
            Input::Past(past) => self.worker.past_came(past),
            Input::Done(done) => {
                self.worker.job_done(now, done);
                if self.worker.is_poisoned() {
                    self.gate.fail("the state of a worker cannot be written", &self.mailboxes);
                }
            }
            Input::Founded { founding, late } => self.worker.found(now, founding, late),
            Input::Shorten => self.worker.shorten_journal(),
            Input::Report(reply) => {
                // All buckets are looked at for it.
                let votes = self.worker.votes();
                let report = Report {
                    counters: *self.worker.counters(),
                    votes,
                    behind: self.worker.buckets_behind(),
                    lost: self.worker.lost_buckets().len() as u32,
                    learning_ms_left: self.worker.learning_ms_left(now, votes.1),
                    peers_up: self
                        .worker
                        .peers()
                        .iter()
                        .filter(|peer| peer.up)
                        .map(|peer| peer.node)
                        .collect(),
                };
                let _ = reply.send(report);
            }
            Input::Audit { first_only, reply } => {
                self.audits += 1;
                self.reports.insert(self.audits, reply);
                self.worker.audit(now, self.audits, first_only);
            }
            Input::GiveUp(reply) => {
                let _ = reply.send(self.worker.give_up_lost_votes(now));
            }
            #[cfg(test)]
            Input::Fault => panic!("a fault, for a test"),
            Input::Stop { flush } => {
                self.ending.get_or_insert_with(|| Instant::now() + LAST_FLUSH_MAX);
                self.worker.close();
                if flush { self.worker.begin_last_flush() } else { self.worker.end_last_flush() }
            }
        }
    }

    /// Lets a turn's effects out.
    fn end_turn(&mut self, now: u64) {
        self.worker.journal_is_at(self.gate.active.load(Ordering::Relaxed));
        self.worker.flush(now);
        let held = self.held.len();
        self.held.extend(self.worker.effects().take_submissions());
        self.outstanding += (self.held.len() - held) as u64;
        // This is said before the records can be written.
        let needed = self.worker.needed_segment(self.outstanding > 0);
        self.gate.needed[self.index].store(needed, Ordering::Release);
        let replayed = self.worker.replayed_segment(self.outstanding > 0);
        self.gate.replayed[self.index].store(replayed, Ordering::Release);
        if self.worker.wants_past() {
            self.gate.past_wanted.store(true, Ordering::Relaxed);
        }
        if self.worker.calls_under_way() > COMMIT_HERE_CALLS || !self.holds_all() || !self.mailbox.is_empty()
        {
            self.submit_held();
        }
        let effects = self.worker.effects();
        for job in effects.jobs.drain(..) {
            self.pool.submit(&self.mailbox, job);
        }
        for (node, founding) in effects.founding.drain(..) {
            // Who says it too often is heard later: it is said again with every new link.
            let _ = self.foundings.try_send((node, founding));
        }
        for (call, outcome) in effects.replies.drain(..) {
            self.waiting.answer(call, outcome);
        }
        for (number, report) in effects.reports.drain(..) {
            if let Some(reply) = self.reports.remove(&number) {
                let _ = reply.send(report);
            }
        }
        if !effects.addresses.is_empty() {
            let told: Vec<(NodeId, String)> = effects.addresses.drain(..).collect();
            self.dial_elsewhere(&told);
        }
        self.tell_peers(now);
    }

    /// Commits what a quiet turn has submitted, if that is quick, or has the journal's thread do it.
    ///
    /// So a lone write does not wait until one thread has woken another, and that one the first again, which takes half as long as a
    /// sync. Everything of this thread waits for that one write meanwhile, deadlines too; a disk that has been slow once is left to the
    /// journal's thread.
    async fn commit_held(&mut self) {
        // What the turn has answered is sent by this, and what has come is noticed.
        tokio::task::yield_now().await;
        debug_assert!(
            self.holds_all(),
            "a turn holds nothing back while something is at the journal's thread"
        );
        if !(self.mailbox.is_empty() && self.journal.commit_here(&mut self.held)) {
            return self.submit_held();
        }
        let now = self.clock.now_ms();
        self.worker.set_wall_clock(self.clock.wall_ms());
        for submission in std::mem::take(&mut self.held) {
            self.outstanding -= 1;
            self.worker.journal_synced(now, submission);
        }
        self.worker.tick(now);
        self.end_turn(now);
    }

    /// Whether nothing is under way but what is held: a worker's records are synced in their order.
    fn holds_all(&self) -> bool {
        self.outstanding == self.held.len() as u64
    }

    /// Has the journal's thread commit what is held.
    fn submit_held(&mut self) {
        for submission in self.held.drain(..) {
            self.journal.submit(self.index, submission);
        }
    }

    /// Sends what is to be told by that time.
    fn tell_peers(&mut self, by: u64) {
        for peer in self.worker.due_peers(by) {
            for body in peer.bodies() {
                self.frame.clear();
                let start = frame::begin(&mut self.frame);
                self.frame.extend_from_slice(body);
                match frame::finish(&mut self.frame, start, frame::Kind::Body, self.frame_bytes_max) {
                    Ok(_) => {
                        self.links.send(transport::NodeId(peer.node.0), &mut self.frame);
                    }
                    Err(error) => tracing::warn!(peer = peer.node.0, %error, "a frame was not sent"),
                }
            }
            peer.out.clear();
        }
    }
}

impl WorkerThread {
    /// Nodes have said that they are elsewhere than this node thought.
    fn dial_elsewhere(&mut self, told: &[(NodeId, String)]) {
        for (node, address) in told {
            if self.addresses.insert(*node, address.clone()).as_ref() != Some(address) {
                tracing::info!(node = node.0, %address, "the node is reached at another address now");
            }
        }
        let all: Vec<_> =
            self.addresses.iter().map(|(node, at)| (transport::NodeId(node.0), at.clone())).collect();
        self.links.set_peers(&all);
    }
}

/// Calls in this process that wait for their outcome.
#[derive(Default)]
struct Waiting {
    replies: Vec<Option<oneshot::Sender<Outcome>>>,
    free: Vec<usize>,
}

impl Waiting {
    fn insert(&mut self, reply: oneshot::Sender<Outcome>) -> u64 {
        if let Some(place) = self.free.pop() {
            self.replies[place] = Some(reply);
            return place as u64;
        }
        self.replies.push(Some(reply));
        self.replies.len() as u64 - 1
    }

    fn answer(&mut self, call: u64, outcome: Outcome) {
        if let Some(reply) = self.replies[call as usize].take() {
            self.free.push(call as usize);
            // A caller that went away is not told.
            let _ = reply.send(outcome);
        }
    }
}

/// Hands over what the links hear.
struct ToMailbox {
    mailbox: Arc<Mailbox>,
    /// Why peers could not be reached last. It is logged when it changes, and not with each attempt.
    failures: RefCell<HashMap<transport::NodeId, String>>,
}

impl Inbox for ToMailbox {
    fn frame(&self, from: transport::NodeId, body: Bytes) {
        self.mailbox.push(Input::Frame { from: NodeId(from.0), body });
    }

    fn link_up(&self, peer: transport::NodeId, direction: Direction, hello: &Hello) {
        tracing::debug!(peer = peer.0, ?direction, epoch = hello.epoch, "link up");
        if direction == Direction::Out {
            self.failures.borrow_mut().remove(&peer);
            self.mailbox.push(Input::LinkUp { peer: NodeId(peer.0) });
        }
    }

    fn link_down(&self, peer: transport::NodeId, direction: Direction, why: &LinkError) {
        tracing::debug!(peer = peer.0, ?direction, %why, "link down");
        if direction == Direction::Out {
            self.mailbox.push(Input::LinkDown { peer: NodeId(peer.0) });
        }
    }

    fn dial_failed(&self, peer: transport::NodeId, why: &LinkError) {
        let why = why.to_string();
        let mut failures = self.failures.borrow_mut();
        if failures.get(&peer) != Some(&why) {
            tracing::info!(peer = peer.0, %why, "a peer cannot be reached; it is tried again");
            failures.insert(peer, why);
        }
    }
}

/// The answer to a call that could not be handed over.
pub(super) fn closed<T>(_: T) -> Error {
    Error::Closed
}
