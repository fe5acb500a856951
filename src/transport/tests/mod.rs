//! Tests of the transport, and what they share.

mod format;
mod frame;
mod handshake;
mod hostile;
mod local;
mod tcp;

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, LocalSet, spawn_local};

use super::frame::{Kind, begin, finish};
use super::{
    Boot, Counts, Direction, Hello, Identity, Inbox, Limits, LinkError, Links, Listener, NodeId,
    PROTOCOL_VERSION, Sent, Setup,
};

/// What an inbox heard, or a listener refused.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Frame(NodeId, Vec<u8>),
    Up(NodeId, Direction, Hello),
    Down(NodeId, Direction, String),
    DialFailed(NodeId, String),
    Refused(String),
}

struct Recorder(UnboundedSender<Event>);

impl Recorder {
    fn tell(&self, event: Event) {
        // A test that has seen enough no longer listens.
        let _ = self.0.send(event);
    }
}

impl Inbox for Recorder {
    fn frame(&self, from: NodeId, body: Bytes) {
        self.tell(Event::Frame(from, body.to_vec()));
    }

    fn link_up(&self, peer: NodeId, direction: Direction, hello: &Hello) {
        self.tell(Event::Up(peer, direction, hello.clone()));
    }

    fn link_down(&self, peer: NodeId, direction: Direction, why: &LinkError) {
        self.tell(Event::Down(peer, direction, why.to_string()));
    }

    fn dial_failed(&self, peer: NodeId, why: &LinkError) {
        self.tell(Event::DialFailed(peer, why.to_string()));
    }
}

/// What came to a recorder; the test waits for what it wants to see.
struct Events(UnboundedReceiver<Event>);

impl Events {
    fn new() -> (Rc<Recorder>, Self) {
        let (sender, receiver) = unbounded_channel();
        (Rc::new(Recorder(sender)), Self(receiver))
    }

    async fn next(&mut self) -> Event {
        self.0.recv().await.unwrap()
    }

    async fn until<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.next().await) {
                return found;
            }
        }
    }

    async fn until_up(&mut self, peer: NodeId, direction: Direction) -> Hello {
        self.until(|event| match event {
            Event::Up(of, to, hello) if (*of, *to) == (peer, direction) => Some(hello.clone()),
            _ => None,
        })
        .await
    }

    /// Until the links both ways are up, in whichever order.
    async fn until_linked(&mut self, peer: NodeId) {
        let mut missing = vec![Direction::In, Direction::Out];
        while !missing.is_empty() {
            if let Event::Up(of, direction, _) = self.next().await
                && of == peer
            {
                missing.retain(|&other| other != direction);
            }
        }
    }

    async fn until_down(&mut self, peer: NodeId, direction: Direction) -> String {
        self.until(|event| match event {
            Event::Down(of, to, why) if (*of, *to) == (peer, direction) => Some(why.clone()),
            _ => None,
        })
        .await
    }

    async fn frame(&mut self) -> (NodeId, Vec<u8>) {
        self.until(|event| match event {
            Event::Frame(from, body) => Some((*from, body.clone())),
            _ => None,
        })
        .await
    }

    async fn until_refused(&mut self) -> String {
        self.until(|event| if let Event::Refused(why) = event { Some(why.clone()) } else { None }).await
    }

    async fn until_dial_failed(&mut self) -> String {
        self.until(|event| if let Event::DialFailed(_, why) = event { Some(why.clone()) } else { None }).await
    }
}

fn hello(node: u16) -> Hello {
    Hello {
        protocol: PROTOCOL_VERSION,
        cluster: "test".to_owned(),
        node: NodeId(node),
        boot: Boot { disk: 0x0102_0304_0506_0708, count: 9 },
        worker: 0,
        workers: 1,
        buckets: 65_536,
        window_span_ms: 604_800_000,
        table_id: 0x1122_3344_5566_7788,
        replicas: 3,
        epoch: 7,
        groups: 100,
    }
}

fn identity(hello: Hello) -> Identity {
    Identity::new(hello, (1..=5).map(NodeId))
}

fn setup(hello: Hello, limits: Limits) -> Setup {
    Setup { identity: identity(hello), limits, counts: Arc::new(Counts::default()) }
}

/// A frame around a body.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let start = begin(&mut frame);
    frame.extend_from_slice(body);
    finish(&mut frame, start, Kind::Body, usize::MAX).unwrap();
    frame
}

/// Runs a test as a worker runs: one thread, a local set.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

/// The same with a clock that jumps when nothing else is to be done. Not for sockets.
fn run_paused(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A node of one worker over TCP, with everything that it heard.
struct Node {
    setup: Setup,
    address: SocketAddr,
    links: Rc<Links>,
    events: Events,
    tasks: Vec<AbortHandle>,
}

impl Node {
    /// Listens, at a free port or again at one it had, and dials nobody yet.
    async fn start(address: SocketAddr, setup: Setup) -> Self {
        let (recorder, events) = Events::new();
        let listener = Listener::bind(address, setup.clone()).await.unwrap();
        let address = listener.address().unwrap();
        let (accepted, mut incoming) = unbounded_channel();
        let door = recorder.0.clone();
        let listening = spawn_local(listener.run(
            move |worker, connection| {
                assert_eq!(worker, 0);
                let _ = accepted.send(connection);
            },
            move |_, why| {
                let _ = door.send(Event::Refused(why.to_string()));
            },
        ));
        let links = Rc::new(Links::tcp(setup.clone(), 0, &[], recorder, 1));
        let worker = Rc::clone(&links);
        let handing_over = spawn_local(async move {
            while let Some(connection) = incoming.recv().await {
                worker.accept(connection);
            }
        });
        let tasks = vec![listening.abort_handle(), handing_over.abort_handle()];
        Self { setup, address, links, events, tasks }
    }

    fn id(&self) -> NodeId {
        self.setup.identity.hello(0).node
    }

    fn dial(&self, peers: &[&Node]) {
        let peers: Vec<_> = peers.iter().map(|peer| (peer.id(), peer.address.to_string())).collect();
        self.links.set_peers(&peers);
    }

    fn send(&self, to: NodeId, body: &[u8]) -> Sent {
        self.links.send(to, &mut framed(body))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.links.stop();
        for task in &self.tasks {
            task.abort();
        }
    }
}
