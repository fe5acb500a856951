//! Links between nodes of one process: the same frames, handed over in memory.
//!
//! Everything else is as over TCP: links are one-way and between workers, the handshake's rules decide who
//! may talk, buffers are bounded, and a node that leaves takes the frames under way with it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};

use super::handshake::{Hello, Refusal, agree, refusal};
use super::{Direction, Inbox, LinkError, NodeId, Sent, Setup, frame};

/// A network inside a process. Clones are the same network.
#[derive(Clone, Default)]
pub(crate) struct LocalNet(Arc<Mutex<Vec<Member>>>);

/// A worker of a node that joined.
struct Member {
    hello: Hello,
    setup: Setup,
    peers: Vec<NodeId>,
    mailbox: Arc<Mailbox>,
}

/// What was sent to a worker and not looked at yet. Frames are bounded by their links' pipes, the rest by the
/// number of links.
#[derive(Default)]
struct Mailbox {
    mail: Mutex<Vec<Mail>>,
    wake: Notify,
}

enum Mail {
    Frames { pipe: Arc<Pipe>, bytes: Bytes },
    OutgoingUp { hello: Hello, pipe: Arc<Pipe> },
    OutgoingDown { peer: NodeId },
    OutgoingRefused { peer: NodeId, refusal: Refusal },
    IncomingUp { hello: Hello },
    IncomingDown { peer: NodeId },
}

/// One link: from a worker to a mailbox.
struct Pipe {
    from: NodeId,
    to: Arc<Mailbox>,
    bytes_under_way: AtomicUsize,
}

/// A worker's links inside a process.
pub(crate) struct LocalLinks {
    net: LocalNet,
    setup: Setup,
    mailbox: Arc<Mailbox>,
    pipes: Rc<RefCell<HashMap<NodeId, Arc<Pipe>>>>,
    task: JoinHandle<()>,
}

impl LocalLinks {
    pub(super) fn join(
        net: &LocalNet,
        setup: Setup,
        worker: u16,
        peers: &[NodeId],
        inbox: Rc<dyn Inbox>,
    ) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let pipes = Rc::default();
        let member = Member {
            hello: setup.identity.hello(worker),
            setup: setup.clone(),
            peers: peers.to_vec(),
            mailbox: Arc::clone(&mailbox),
        };
        let task = spawn_local(deliver(Arc::clone(&mailbox), Rc::clone(&pipes), setup.clone(), inbox));
        let mut members = net.0.lock();
        for other in members.iter() {
            connect(&member, other);
            connect(other, &member);
        }
        members.push(member);
        drop(members);
        Self { net: net.clone(), setup, mailbox, pipes, task }
    }

    pub(super) fn send(&self, peer: NodeId, frames: &mut Vec<u8>) -> Sent {
        let counts = &self.setup.counts;
        let pipes = self.pipes.borrow();
        let Some(pipe) = pipes.get(&peer) else {
            frames.clear();
            counts.frames_dropped_down.increment();
            return Sent::Down;
        };
        let bytes = frames.len();
        let before = pipe.bytes_under_way.fetch_add(bytes, Ordering::Relaxed);
        if before > 0 && before + bytes > self.setup.limits.peer_buffer_bytes_max {
            pipe.bytes_under_way.fetch_sub(bytes, Ordering::Relaxed);
            frames.clear();
            counts.frames_dropped_full.increment();
            return Sent::Full;
        }
        counts.frames_sent.increment();
        counts.bytes_sent.add(bytes as u64);
        // The receiver keeps slices of these bytes, so the sender starts a new buffer.
        let next = Vec::with_capacity(bytes);
        let bytes = Bytes::from(std::mem::replace(frames, next));
        pipe.to.push(Mail::Frames { pipe: Arc::clone(pipe), bytes });
        Sent::Queued
    }

    pub(super) fn is_up(&self, peer: NodeId) -> bool {
        self.pipes.borrow().contains_key(&peer)
    }

    pub(super) fn stop(&self) {
        self.task.abort();
        self.pipes.borrow_mut().clear();
        let mut members = self.net.0.lock();
        let Some(at) = members.iter().position(|member| Arc::ptr_eq(&member.mailbox, &self.mailbox)) else {
            return;
        };
        let left = members.swap_remove(at);
        for other in members.iter() {
            if dials(other, &left) && agreed(other, &left).is_ok() {
                other.mailbox.push(Mail::OutgoingDown { peer: left.hello.node });
            }
            if dials(&left, other) && agreed(&left, other).is_ok() {
                other.mailbox.push(Mail::IncomingDown { peer: left.hello.node });
            }
        }
    }
}

impl Drop for LocalLinks {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Mailbox {
    fn push(&self, mail: Mail) {
        let mut queue = self.mail.lock();
        queue.push(mail);
        let first = queue.len() == 1;
        drop(queue);
        if first {
            self.wake.notify_one();
        }
    }
}

/// Whether there is a link from one worker to the other.
fn dials(dialler: &Member, acceptor: &Member) -> bool {
    dialler.peers.contains(&acceptor.hello.node)
        && acceptor.hello.worker == dialler.hello.worker % acceptor.hello.workers.max(1)
}

fn agreed(dialler: &Member, acceptor: &Member) -> Result<(), Refusal> {
    agree(&dialler.hello, &acceptor.hello)?;
    let (node, known) = (dialler.hello.node, &acceptor.peers);
    if known.contains(&node) { Ok(()) } else { Err(refusal("node", node, format!("of nodes {known:?}"))) }
}

fn connect(dialler: &Member, acceptor: &Member) {
    if !dials(dialler, acceptor) {
        return;
    }
    match agreed(dialler, acceptor) {
        Ok(()) => {
            let (from, to) = (dialler.hello.node, Arc::clone(&acceptor.mailbox));
            let pipe = Arc::new(Pipe { from, to, bytes_under_way: AtomicUsize::new(0) });
            acceptor.mailbox.push(Mail::IncomingUp { hello: dialler.hello.clone() });
            dialler.mailbox.push(Mail::OutgoingUp { hello: acceptor.hello.clone(), pipe });
        }
        Err(refusal) => {
            acceptor.setup.counts.handshakes_failed.increment();
            acceptor.setup.counts.refusals.increment();
            dialler.mailbox.push(Mail::OutgoingRefused { peer: acceptor.hello.node, refusal });
        }
    }
}

async fn deliver(
    mailbox: Arc<Mailbox>,
    pipes: Rc<RefCell<HashMap<NodeId, Arc<Pipe>>>>,
    setup: Setup,
    inbox: Rc<dyn Inbox>,
) {
    let mut taken = Vec::new();
    loop {
        mailbox.wake.notified().await;
        std::mem::swap(&mut *mailbox.mail.lock(), &mut taken);
        for mail in taken.drain(..) {
            open(mail, &pipes, &setup, &*inbox);
        }
    }
}

fn open(mail: Mail, pipes: &RefCell<HashMap<NodeId, Arc<Pipe>>>, setup: &Setup, inbox: &dyn Inbox) {
    let counts = &setup.counts;
    match mail {
        Mail::Frames { pipe, bytes } => {
            pipe.bytes_under_way.fetch_sub(bytes.len(), Ordering::Relaxed);
            counts.bytes_received.add(bytes.len() as u64);
            hand_over(pipe.from, bytes, setup, inbox);
        }
        Mail::OutgoingUp { hello, pipe } => {
            pipes.borrow_mut().insert(hello.node, pipe);
            counts.links_up.increment();
            inbox.link_up(hello.node, Direction::Out, &hello);
        }
        Mail::OutgoingDown { peer } => {
            pipes.borrow_mut().remove(&peer);
            counts.links_down.increment();
            inbox.link_down(peer, Direction::Out, &LinkError::Closed);
        }
        Mail::OutgoingRefused { peer, refusal } => {
            counts.dials_failed.increment();
            counts.refusals.increment();
            inbox.dial_failed(peer, &LinkError::Refused(refusal));
        }
        Mail::IncomingUp { hello } => {
            counts.links_up.increment();
            inbox.link_up(hello.node, Direction::In, &hello);
        }
        Mail::IncomingDown { peer } => {
            counts.links_down.increment();
            inbox.link_down(peer, Direction::In, &LinkError::Closed);
        }
    }
}

fn hand_over(from: NodeId, mut bytes: Bytes, setup: &Setup, inbox: &dyn Inbox) {
    while !bytes.is_empty() {
        match frame::take(&mut bytes, setup.limits.frame_bytes_max) {
            Ok(Some(body)) => {
                setup.counts.frames_received.increment();
                inbox.frame(from, body);
            }
            // A sender in this process made these bytes: they are whole frames unless its node is broken.
            Ok(None) => return setup.counts.frames_bad.increment(),
            Err(error) => {
                tracing::error!(%from, %error, "a node of this process sent a bad frame");
                return setup.counts.frames_bad.increment();
            }
        }
    }
}
