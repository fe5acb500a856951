//! Peers that mean no good, or are broken.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;

use super::super::frame::{Kind, encode};
use super::super::tcp::{greeting, incoming};
use super::{
    Direction, Events, LOOPBACK, Limits, LinkError, Node, NodeId, framed, hello, identity, run, run_paused,
    setup,
};

/// A header that is in order, of any length.
fn header(kind: Kind, body_bytes: u32) -> Vec<u8> {
    let mut header = encode(kind, b"", 16).unwrap();
    header[4..8].copy_from_slice(&body_bytes.to_le_bytes());
    let sum = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// Whether the other side closed the connection, however it did.
async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
}

async fn greeted(node: &Node, as_node: u16) -> TcpStream {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    greeting::dial(&mut stream, &identity(hello(as_node)), 0, node.id(), 1 << 40).await.unwrap();
    stream
}

#[test]
fn no_greeting_no_entry() {
    let cases: [(Vec<u8>, &str); 6] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "a frame starts with the bytes [47, 45]"),
        (vec![0; 16], "a frame starts with the bytes [00, 00]"),
        (header(Kind::Hello, u32::MAX), "frame body of 4294967295 bytes"),
        (header(Kind::Hello, 4_081), "frame body of 4081 bytes"),
        (framed(b"no hello"), "a frame of kind Body where only a greeting may come"),
        (encode(Kind::Welcome, &[2, 0], 64).unwrap(), "handshake: "),
    ];
    run(async {
        let mut node = Node::start(LOOPBACK, setup(hello(1), Limits::default())).await;
        for (bytes, expected) in &cases {
            let mut stream = TcpStream::connect(node.address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let why = node.events.until_refused().await;
            assert!(why.starts_with(expected), "{why}");
            assert!(is_closed(&mut stream).await);
        }
        assert_eq!(node.setup.counts.handshakes_failed.read(), cases.len() as u64);
        assert_eq!(node.setup.counts.frames_bad.read(), 5);
        // The door still works.
        let _stream = greeted(&node, 2).await;
        node.events.until_up(NodeId(2), Direction::In).await;
    });
}

#[test]
fn a_connection_closed_inside_a_hello_is_no_more_than_that() {
    run(async {
        let mut node = Node::start(LOOPBACK, setup(hello(1), Limits::default())).await;
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        stream.write_all(&header(Kind::Hello, 60)[..9]).await.unwrap();
        drop(stream);
        assert_eq!(node.events.until_refused().await, "closed by the other side");
    });
}

#[test]
fn a_bad_frame_closes_its_link_and_no_other() {
    let mut damaged = framed(b"damaged");
    damaged[20] ^= 1;
    let cases = [
        (damaged, "frame body of 7 bytes has checksum"),
        (b"garbage garbage garbage".to_vec(), "a frame starts with the bytes"),
        (header(Kind::Body, u32::MAX), "frame body of 4294967295 bytes; the frame may have 33554432"),
        (header(Kind::Hello, 0), "a frame of kind Hello where only a body may come"),
    ];
    run(async {
        let mut node = Node::start(LOOPBACK, setup(hello(1), Limits::default())).await;
        let mut honest = greeted(&node, 3).await;
        node.events.until_up(NodeId(3), Direction::In).await;
        for (bytes, expected) in &cases {
            let mut stream = greeted(&node, 2).await;
            node.events.until_up(NodeId(2), Direction::In).await;
            stream.write_all(&framed(b"good")).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream.write_all(&framed(b"behind the damage")).await.unwrap();
            assert_eq!(node.events.frame().await, (NodeId(2), b"good".to_vec()));
            let why = node.events.until_down(NodeId(2), Direction::In).await;
            assert!(why.starts_with(expected), "{why}");
            assert!(is_closed(&mut stream).await);
            honest.write_all(&framed(b"still here")).await.unwrap();
            assert_eq!(node.events.frame().await, (NodeId(3), b"still here".to_vec()));
        }
        assert_eq!(node.setup.counts.frames_bad.read(), cases.len() as u64);
    });
}

#[test]
fn an_acceptor_that_writes_is_cut_off() {
    run(async {
        let listener = tokio::net::TcpListener::bind(LOOPBACK).await.unwrap();
        let mut node = Node::start(LOOPBACK, setup(hello(1), Limits::default())).await;
        node.links.set_peers(&[(NodeId(2), listener.local_addr().unwrap().to_string())]);
        let (mut stream, _) = listener.accept().await.unwrap();
        greeting::accept(&mut stream, &identity(hello(2)), 1 << 40).await.unwrap();
        node.events.until_up(NodeId(2), Direction::Out).await;
        stream.write_all(b"x").await.unwrap();
        let why = node.events.until_down(NodeId(2), Direction::Out).await;
        assert_eq!(why, "the acceptor wrote to a one-way connection");
    });
}

#[test]
fn silent_connections_cannot_keep_an_honest_one_out() {
    run(async {
        let limits = Limits { handshakes_max: 3, handshake_ms: 1 << 40, ..Limits::default() };
        let mut node = Node::start(LOOPBACK, setup(hello(1), limits)).await;
        let mut silent = Vec::new();
        for _ in 0..10 {
            silent.push(TcpStream::connect(node.address).await.unwrap());
        }
        let _honest = greeted(&node, 2).await;
        node.events.until_up(NodeId(2), Direction::In).await;
        for stream in &mut silent[..8] {
            assert!(is_closed(stream).await, "the oldest are closed");
        }
        assert_eq!(node.setup.counts.connections_rejected.read(), 8);
    });
}

/// Writes a byte, waits, and so on: never silent for long.
async fn drip(mut stream: DuplexStream, bytes: Vec<u8>, pause_ms: u64) {
    for byte in bytes {
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

#[test]
fn a_slow_hello_is_given_up() {
    run_paused(async {
        let (here, mut there) = duplex(64);
        let hello_bytes = encode(Kind::Hello, &[1; 60], 4_096).unwrap();
        let dripping = tokio::spawn(drip(here, hello_bytes, 50));
        let why = greeting::accept(&mut there, &identity(hello(1)), 2_000).await.unwrap_err();
        assert!(matches!(why, LinkError::TimedOut { limit_ms: 2_000, .. }), "{why:?}");
        dripping.abort();
    });
}

#[test]
fn half_a_frame_and_silence_is_given_up_but_an_idle_link_is_not() {
    run_paused(async {
        let setup = setup(hello(1), Limits { frame_stall_ms: 500, ..Limits::default() });
        for sent in [1, 15, 16, 20] {
            let (mut here, there) = duplex(64);
            let (recorder, mut events) = Events::new();
            let frame = framed(b"some body");
            let peer = async {
                tokio::time::sleep(Duration::from_secs(3_600)).await;
                here.write_all(&frame).await.unwrap();
                tokio::time::sleep(Duration::from_secs(3_600)).await;
                here.write_all(&frame[..sent]).await.unwrap();
                std::future::pending::<()>().await;
            };
            let why = tokio::select! {
                why = incoming::read(there, NodeId(2), &setup, &*recorder) => why,
                () = peer => unreachable!(),
            };
            assert!(matches!(why, LinkError::TimedOut { limit_ms: 500, .. }), "{why:?}");
            assert_eq!(
                events.frame().await,
                (NodeId(2), b"some body".to_vec()),
                "before and after an idle hour"
            );
        }
    });
}

#[test]
fn a_slow_frame_that_keeps_coming_is_waited_for() {
    run_paused(async {
        let setup = setup(hello(1), Limits { frame_stall_ms: 500, ..Limits::default() });
        let (here, there) = duplex(64);
        let (recorder, mut events) = Events::new();
        let dripping = tokio::spawn(drip(here, framed(&[7; 100]), 400));
        let why = incoming::read(there, NodeId(2), &setup, &*recorder).await;
        assert!(matches!(why, LinkError::Closed), "{why:?}");
        assert_eq!(events.frame().await.1, [7; 100]);
        dripping.await.unwrap();
    });
}
