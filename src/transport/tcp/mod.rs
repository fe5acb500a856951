//! Links over TCP. The only part of the transport that touches sockets.

mod backoff;
pub(super) mod greeting;
pub(super) mod incoming;
mod listener;
mod outgoing;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_local};

pub(crate) use listener::{Incoming, Listener};

use self::backoff::Backoff;
use self::outgoing::Outgoing;
use super::{Direction, Inbox, LinkError, NodeId, Sent, Setup};

/// A worker's links over TCP.
pub(crate) struct TcpLinks {
    setup: Setup,
    worker: u16,
    inbox: RefCell<Option<Rc<dyn Inbox>>>,
    seed: Cell<u64>,
    outgoing: RefCell<HashMap<NodeId, Dialled>>,
    incoming: Rc<RefCell<HashMap<Source, Accepted>>>,
}

/// A link out and the task that keeps it up.
struct Dialled {
    link: Rc<Outgoing>,
    task: JoinHandle<()>,
}

/// Where an incoming connection comes from: at most one is served for each worker of a peer.
type Source = (NodeId, u16);

/// An incoming connection's task.
struct Accepted {
    task: JoinHandle<()>,
    stage: Rc<Cell<Stage>>,
}

/// How much the inbox knows of an incoming connection whose task may not have run yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    Waiting,
    /// Nothing, and that the connection before it, which this one replaces, is up.
    WaitingToReplace,
    /// It is up.
    Up,
}

impl TcpLinks {
    pub(super) fn start(
        setup: Setup,
        worker: u16,
        peers: &[(NodeId, String)],
        inbox: Rc<dyn Inbox>,
        seed: u64,
    ) -> Self {
        let links = Self {
            setup,
            worker,
            inbox: RefCell::new(Some(inbox)),
            seed: Cell::new(seed),
            outgoing: RefCell::default(),
            incoming: Rc::default(),
        };
        links.set_peers(peers);
        links
    }

    pub(super) fn send(&self, peer: NodeId, frames: &mut Vec<u8>) -> Sent {
        match self.outgoing.borrow().get(&peer) {
            Some(dialled) => dialled.link.send(frames),
            None => {
                frames.clear();
                self.setup.counts.frames_dropped_down.increment();
                Sent::Down
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_up(&self, peer: NodeId) -> bool {
        self.outgoing.borrow().get(&peer).is_some_and(|dialled| dialled.link.is_up())
    }

    pub(super) fn set_peers(&self, peers: &[(NodeId, String)]) {
        let Some(inbox) = self.inbox.borrow().clone() else { return };
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.retain(|peer, dialled| {
            let stays = peers.iter().any(|(node, address)| node == peer && *address == dialled.link.address);
            if !stays {
                dialled.close();
            }
            stays
        });
        for (peer, address) in peers {
            outgoing.entry(*peer).or_insert_with(|| {
                self.seed.set(self.seed.get().wrapping_add(1));
                let backoff = Backoff::new(&self.setup.limits, self.seed.get());
                let link = Rc::new(Outgoing::new(self.setup.clone(), self.worker, *peer, address.clone()));
                let task = spawn_local(Rc::clone(&link).keep_up(Rc::clone(&inbox), backoff));
                Dialled { link, task }
            });
        }
    }

    pub(super) fn accept(&self, connection: Incoming) {
        let Some(inbox) = self.inbox.borrow().clone() else { return };
        let Incoming { stream, hello } = connection;
        let source = (hello.node, hello.worker);
        if let Some(dialled) = self.outgoing.borrow().get(&hello.node) {
            dialled.link.dial_now();
        }
        let mut incoming = self.incoming.borrow_mut();
        let before = incoming.get(&source).map(|old| {
            old.task.abort();
            old.stage.get()
        });
        let stage = Rc::new(Cell::new(match before {
            None | Some(Stage::Waiting) => Stage::Waiting,
            Some(Stage::WaitingToReplace | Stage::Up) => Stage::WaitingToReplace,
        }));
        let (setup, stage_of_task, table) =
            (self.setup.clone(), Rc::clone(&stage), Rc::clone(&self.incoming));
        let task = spawn_local(async move {
            if stage_of_task.replace(Stage::Up) == Stage::WaitingToReplace {
                setup.counts.links_down.increment();
                inbox.link_down(source.0, Direction::In, &LinkError::Replaced);
            }
            setup.counts.links_up.increment();
            inbox.link_up(source.0, Direction::In, &hello);
            let why = incoming::serve(stream, source.0, &setup, &*inbox).await;
            // A connection that replaced this one, or the end of all links, has stopped this task; but when that came
            // from a call of the inbox by this very task, it is still running.
            let is_listed = |accepted: &Accepted| Rc::ptr_eq(&accepted.stage, &stage_of_task);
            if !table.borrow().get(&source).is_some_and(is_listed) {
                return;
            }
            table.borrow_mut().remove(&source);
            setup.counts.links_down.increment();
            inbox.link_down(source.0, Direction::In, &why);
        });
        incoming.insert(source, Accepted { task, stage });
    }

    pub(super) fn stop(&self) {
        self.inbox.take();
        for (_, dialled) in self.outgoing.borrow_mut().drain() {
            dialled.close();
        }
        for (_, accepted) in self.incoming.borrow_mut().drain() {
            accepted.task.abort();
        }
    }
}

impl Drop for TcpLinks {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Dialled {
    fn close(&self) {
        self.task.abort();
        self.link.close();
    }
}

/// Makes the operating system send at once and notice a machine that no longer answers.
fn configure(stream: &TcpStream, silence_ms: u64) -> Result<(), LinkError> {
    let silence = Duration::from_millis(silence_ms);
    let probe = (silence / 4).max(Duration::from_secs(1));
    let socket = socket2::SockRef::from(stream);
    let keepalive = socket2::TcpKeepalive::new().with_time(probe).with_interval(probe).with_retries(3);
    let set = || {
        stream.set_nodelay(true)?;
        socket.set_tcp_keepalive(&keepalive)?;
        // Elsewhere, only an idle connection is watched.
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(silence))?;
        Ok(())
    };
    set().map_err(|cause| LinkError::io("setting socket options", cause))
}
