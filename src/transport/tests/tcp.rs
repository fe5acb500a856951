//! Links over sockets of this machine.

use std::collections::VecDeque;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::super::frame::Decoder;
use super::super::tcp::greeting;
use super::{
    Direction, Event, Hello, LOOPBACK, Limits, Node, NodeId, Sent, framed, hello, identity, run, setup,
};

/// Pauses that a test would not survive: the reconnecting must not depend on them.
const NEVER_MS: u64 = 1_000_000_000;

async fn two(limits: Limits) -> (Node, Node) {
    let one = Node::start(LOOPBACK, setup(hello(1), limits)).await;
    let two = Node::start(LOOPBACK, setup(hello(2), limits)).await;
    (one, two)
}

/// An acceptor that greets as node 2 and then does what the test says.
struct Puppet(TcpListener);

impl Puppet {
    async fn start() -> Self {
        Self(TcpListener::bind(LOOPBACK).await.unwrap())
    }

    fn peer(&self) -> [(NodeId, String); 1] {
        [(NodeId(2), self.0.local_addr().unwrap().to_string())]
    }

    async fn greet(&self) -> TcpStream {
        let (mut stream, _) = self.0.accept().await.unwrap();
        greeting::accept(&mut stream, &identity(hello(2)), NEVER_MS).await.unwrap();
        stream
    }
}

#[test]
fn frames_come_whole_and_in_order_both_ways() {
    run(async {
        let (mut one, mut two) = two(Limits::default()).await;
        one.dial(&[&two]);
        two.dial(&[&one]);
        assert_eq!(one.events.until_up(NodeId(2), Direction::Out).await, hello(2));
        assert_eq!(two.events.until_up(NodeId(1), Direction::Out).await, hello(1));
        let sizes = [0, 1, 15, 4_000, 70_000, 3_000_000];
        for number in 0..300_u32 {
            let body = vec![number as u8; sizes[number as usize % if number < 12 { 6 } else { 4 }]];
            assert!(matches!(one.send(NodeId(2), &body), Sent::Written | Sent::Queued));
            assert!(matches!(two.send(NodeId(1), &body), Sent::Written | Sent::Queued));
        }
        for (node, from) in [(&mut one, NodeId(2)), (&mut two, NodeId(1))] {
            for number in 0..300_u32 {
                let (sender, body) = node.events.frame().await;
                assert_eq!(sender, from);
                assert_eq!(body.len(), sizes[number as usize % if number < 12 { 6 } else { 4 }]);
                assert!(body.iter().all(|&byte| byte == number as u8));
            }
            assert_eq!(node.setup.counts.frames_received.read(), 300);
        }
        assert_eq!(one.setup.counts.frames_dropped_full.read(), 0);
        assert_eq!(one.setup.counts.bytes_sent.read(), two.setup.counts.bytes_received.read());
    });
}

#[test]
fn a_peer_that_vanishes_is_noticed_without_writing_and_found_again() {
    run(async {
        let (mut one, two) = two(Limits::default()).await;
        one.dial(&[&two]);
        two.dial(&[&one]);
        one.events.until_linked(NodeId(2)).await;
        let address = two.address;
        drop(two);
        let mut down = Vec::new();
        while down.len() < 2 {
            if let Event::Down(peer, direction, why) = one.events.next().await {
                assert_eq!((peer, why.as_str()), (NodeId(2), "closed by the other side"));
                down.push(direction);
            }
        }
        assert!(down.contains(&Direction::In) && down.contains(&Direction::Out), "{down:?}");
        assert!(!one.links.is_up(NodeId(2)));
        assert_eq!(one.send(NodeId(2), b"lost"), Sent::Down);
        assert_eq!(one.setup.counts.frames_dropped_down.read(), 1);
        one.events.until_dial_failed().await;
        let mut two = Node::start(address, setup(hello(2), Limits::default())).await;
        one.events.until_up(NodeId(2), Direction::Out).await;
        assert_eq!(one.send(NodeId(2), b"found"), Sent::Written);
        assert_eq!(two.events.frame().await, (NodeId(1), b"found".to_vec()));
    });
}

#[test]
fn a_reset_connection_is_noticed_without_writing() {
    run(async {
        let puppet = Puppet::start().await;
        let mut one = Node::start(LOOPBACK, setup(hello(1), Limits::default())).await;
        one.links.set_peers(&puppet.peer());
        let stream = puppet.greet().await;
        one.events.until_up(NodeId(2), Direction::Out).await;
        socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(stream);
        assert_eq!(one.events.until_down(NodeId(2), Direction::Out).await, "closed by the other side");
        puppet.greet().await;
        one.events.until_up(NodeId(2), Direction::Out).await;
    });
}

#[test]
fn a_peer_that_dials_is_dialled_at_once() {
    run(async {
        let limits = Limits { backoff_ms_min: NEVER_MS, backoff_ms_max: NEVER_MS, ..Limits::default() };
        let (mut one, two) = two(limits).await;
        let address = two.address;
        one.dial(&[&two]);
        one.events.until_up(NodeId(2), Direction::Out).await;
        drop(two);
        one.events.until_down(NodeId(2), Direction::Out).await;
        // Node 1 now waits for longer than the test, unless it hears of node 2.
        let two = Node::start(address, setup(hello(2), limits)).await;
        two.dial(&[&one]);
        one.events.until_up(NodeId(2), Direction::Out).await;
    });
}

#[test]
fn what_does_not_fit_is_dropped_and_counted_and_the_rest_comes_whole() {
    run(async {
        let puppet = Puppet::start().await;
        let limits = Limits { peer_buffer_bytes_max: 1 << 20, ..Limits::default() };
        let mut one = Node::start(LOOPBACK, setup(hello(1), limits)).await;
        one.links.set_peers(&puppet.peer());
        let mut stream = puppet.greet().await;
        one.events.until_up(NodeId(2), Direction::Out).await;
        // Nobody reads: the operating system's buffers fill, then the link's.
        let mut taken = VecDeque::new();
        let mut number = 0_u32;
        let dropped = loop {
            let mut body = vec![number as u8; 50_000];
            body[..4].copy_from_slice(&number.to_le_bytes());
            match one.send(NodeId(2), &body) {
                Sent::Written | Sent::Queued => taken.push_back(number),
                Sent::Full => break number,
                Sent::Down => panic!("the link is up"),
            }
            number += 1;
        };
        assert_eq!(one.send(NodeId(2), &[0; 1 << 20]), Sent::Full, "too long behind what waits");
        assert_eq!(one.setup.counts.frames_dropped_full.read(), 2);
        let mut decoder = Decoder::new(limits.frame_bytes_max);
        while !taken.is_empty() {
            assert!(stream.read_buf(decoder.buffer()).await.unwrap() > 0);
            while let Some(body) = decoder.next().unwrap() {
                let found = u32::from_le_bytes(*body.first_chunk().unwrap());
                assert_eq!(Some(found), taken.pop_front(), "in order, without {dropped}");
                assert!(body[4..].iter().all(|&byte| byte == found as u8));
            }
        }
        // There is room again.
        assert!(matches!(one.send(NodeId(2), &[9; 1 << 20]), Sent::Written | Sent::Queued));
        let mut later = None;
        while later.is_none() {
            stream.read_buf(decoder.buffer()).await.unwrap();
            later = decoder.next().unwrap();
        }
        assert_eq!(later.unwrap(), [9; 1 << 20][..]);
    });
}

#[test]
fn what_waits_when_a_link_breaks_is_counted_and_not_sent_later() {
    run(async {
        let puppet = Puppet::start().await;
        let mut one = Node::start(LOOPBACK, setup(hello(1), Limits::default())).await;
        one.links.set_peers(&puppet.peer());
        let stream = puppet.greet().await;
        one.events.until_up(NodeId(2), Direction::Out).await;
        let mut waiting = 0;
        while waiting < 10 {
            waiting += u64::from(one.send(NodeId(2), &[1; 100_000]) == Sent::Queued);
        }
        drop(stream);
        one.events.until_down(NodeId(2), Direction::Out).await;
        assert_eq!(one.setup.counts.frames_dropped_down.read(), waiting);
        let mut stream = puppet.greet().await;
        one.events.until_up(NodeId(2), Direction::Out).await;
        assert_eq!(one.send(NodeId(2), b"fresh"), Sent::Written);
        let mut decoder = Decoder::new(1_000);
        stream.read_buf(decoder.buffer()).await.unwrap();
        assert_eq!(decoder.next().unwrap().unwrap(), b"fresh"[..]);
    });
}

#[test]
fn nodes_of_two_clusters_refuse_one_another_and_both_say_why() {
    run(async {
        let mut one = Node::start(LOOPBACK, setup(hello(1), Limits::default())).await;
        let foreign = Hello { cluster: "other".into(), ..hello(2) };
        let mut two = Node::start(LOOPBACK, setup(foreign, Limits::default())).await;
        one.dial(&[&two]);
        let facts = "cluster is test at the node that dialled and other at the node that was dialled";
        assert_eq!(one.events.until_dial_failed().await, format!("refused by the other side: {facts}"));
        assert_eq!(two.events.until_refused().await, format!("refused: {facts}"));
        assert!(!one.links.is_up(NodeId(2)));
        assert!(one.setup.counts.refusals.read() >= 1 && two.setup.counts.refusals.read() >= 1);
    });
}

#[test]
fn a_node_that_dials_itself_is_refused() {
    run(async {
        let mut one = Node::start(LOOPBACK, setup(hello(1), Limits::default())).await;
        one.links.set_peers(&[(NodeId(2), one.address.to_string())]);
        let why = one.events.until_dial_failed().await;
        assert!(why.contains("node is 1 at the node that dialled and 1 as well"), "{why}");
    });
}

#[test]
fn a_second_connection_of_a_worker_replaces_the_first() {
    run(async {
        let mut one = Node::start(LOOPBACK, setup(hello(1), Limits::default())).await;
        let mut connections = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(one.address).await.unwrap();
            greeting::dial(&mut stream, &identity(hello(2)), 0, NodeId(1), NEVER_MS).await.unwrap();
            connections.push(stream);
            if connections.len() == 1 {
                one.events.until_up(NodeId(2), Direction::In).await;
            }
        }
        let replaced = "replaced by a newer connection of the same worker".to_owned();
        assert_eq!(one.events.next().await, Event::Down(NodeId(2), Direction::In, replaced));
        assert_eq!(one.events.next().await, Event::Up(NodeId(2), Direction::In, hello(2)));
        assert_eq!(connections[0].read(&mut [0; 1]).await.unwrap(), 0, "the first is closed");
        let frame = framed(b"over the second");
        tokio::io::AsyncWriteExt::write_all(&mut connections[1], &frame).await.unwrap();
        assert_eq!(one.events.frame().await.1, b"over the second");
    });
}

#[test]
fn peers_can_change() {
    run(async {
        let (mut one, mut two) = two(Limits::default()).await;
        let mut three = Node::start(LOOPBACK, setup(hello(3), Limits::default())).await;
        one.dial(&[&two]);
        two.events.until_up(NodeId(1), Direction::In).await;
        one.events.until_up(NodeId(2), Direction::Out).await;
        one.dial(&[&two, &three]);
        three.events.until_up(NodeId(1), Direction::In).await;
        assert!(one.links.is_up(NodeId(2)), "a link that stays is not touched");
        one.dial(&[&three]);
        assert_eq!(two.events.until_down(NodeId(1), Direction::In).await, "closed by the other side");
        assert_eq!(one.send(NodeId(2), b"x"), Sent::Down);
        assert_eq!(two.setup.counts.links_up.read(), 1);
    });
}

#[test]
fn stopped_links_are_closed_and_silent() {
    run(async {
        let (one, mut two) = two(Limits::default()).await;
        one.dial(&[&two]);
        two.events.until_up(NodeId(1), Direction::In).await;
        one.links.stop();
        two.events.until_down(NodeId(1), Direction::In).await;
        assert_eq!(one.send(NodeId(2), b"x"), Sent::Down);
        one.dial(&[&two]);
        assert!(!one.links.is_up(NodeId(2)));
    });
}

/// An inbox that owns its links and stops them at the first frame.
struct Stopper {
    links: std::cell::RefCell<Option<std::rc::Rc<super::Links>>>,
    heard: std::rc::Rc<super::Recorder>,
}

impl super::Inbox for Stopper {
    fn frame(&self, from: NodeId, body: bytes::Bytes) {
        self.heard.frame(from, body);
        self.links.take().unwrap().stop();
    }

    fn link_up(&self, peer: NodeId, direction: Direction, hello: &Hello) {
        self.heard.link_up(peer, direction, hello);
    }

    fn link_down(&self, peer: NodeId, direction: Direction, why: &super::LinkError) {
        self.heard.link_down(peer, direction, why);
    }
}

#[test]
fn an_inbox_may_stop_its_links_and_is_let_go() {
    run(async {
        let (recorder, mut events) = super::Events::new();
        let setup = setup(hello(1), Limits::default());
        let listener = super::Listener::bind(LOOPBACK, setup.clone()).await.unwrap();
        let address = listener.address().unwrap();
        let (accepted, mut incoming) = tokio::sync::mpsc::unbounded_channel();
        let hand_over = move |_, connection| accepted.send(connection).unwrap();
        let listening = tokio::task::spawn_local(listener.run(hand_over, |_, why| panic!("{why}")));
        let inbox = std::rc::Rc::new(Stopper { links: std::cell::RefCell::default(), heard: recorder });
        let links = std::rc::Rc::new(super::Links::tcp(setup, 0, &[], inbox.clone(), 1));
        inbox.links.replace(Some(links.clone()));
        let connecting = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            greeting::dial(&mut stream, &identity(hello(2)), 0, NodeId(1), NEVER_MS).await.unwrap();
            stream
        };
        let mut stream = connecting.await;
        links.accept(incoming.recv().await.unwrap());
        drop(links);
        let weak = std::rc::Rc::downgrade(&inbox);
        drop(inbox);
        events.until_up(NodeId(2), Direction::In).await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, &framed(b"stop")).await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(events.frame().await.1, b"stop");
        assert!(events.0.recv().await.is_none(), "nothing was called after the stop");
        assert!(weak.upgrade().is_none());
        listening.abort();
    });
}

#[test]
fn a_peer_is_looked_up_by_name_and_one_that_has_no_address_is_tried_again() {
    run(async {
        let mut one = Node::start(LOOPBACK, setup(hello(1), Limits::default())).await;
        let mut two = Node::start(LOOPBACK, setup(hello(2), Limits::default())).await;
        one.links.set_peers(&[(NodeId(2), "no-such-host.invalid:7000".into())]);
        for _ in 0..2 {
            let why = one.events.until_dial_failed().await;
            assert!(why.starts_with("connecting"), "{why}");
        }
        one.links.set_peers(&[(NodeId(2), format!("localhost:{}", two.address.port()))]);
        one.events.until_up(NodeId(2), Direction::Out).await;
        two.events.until_up(NodeId(1), Direction::In).await;
    });
}
