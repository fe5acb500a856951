//! Links in memory do what links over TCP do.

use std::rc::Rc;

use super::{Direction, Event, Events, Hello, Limits, Links, NodeId, Sent, Setup, framed, hello, run, setup};
use crate::transport::LocalNet;

fn join(net: &LocalNet, setup: &Setup, worker: u16) -> (Links, Events) {
    let (recorder, events) = Events::new();
    let peers: Vec<_> = (1..=3).map(NodeId).filter(|&node| node != setup.identity.hello(0).node).collect();
    (Links::local(net, setup.clone(), worker, &peers, recorder), events)
}

#[test]
fn nodes_meet_talk_and_part() {
    run(async {
        let net = LocalNet::default();
        let setups = [1, 2].map(|node| setup(hello(node), Limits::default()));
        let (one, mut at_one) = join(&net, &setups[0], 0);
        assert_eq!(one.send(NodeId(2), &mut framed(b"nobody there")), Sent::Down);
        let (two, mut at_two) = join(&net, &setups[1], 0);
        at_one.until_up(NodeId(2), Direction::Out).await;
        assert_eq!(at_two.until_up(NodeId(1), Direction::Out).await, hello(1));
        assert!(one.is_up(NodeId(2)) && two.is_up(NodeId(1)) && !one.is_up(NodeId(3)));
        let mut frames = [framed(b"a"), framed(b""), framed(b"c")].concat();
        assert_eq!(one.send(NodeId(2), &mut frames), Sent::Queued);
        assert!(frames.is_empty());
        for expected in [&b"a"[..], b"", b"c"] {
            assert_eq!(at_two.frame().await, (NodeId(1), expected.to_vec()));
        }
        two.send(NodeId(1), &mut framed(b"answer"));
        assert_eq!(at_one.frame().await, (NodeId(2), b"answer".to_vec()));
        drop(two);
        assert_eq!(
            at_one.next().await,
            Event::Down(NodeId(2), Direction::Out, "closed by the other side".into())
        );
        assert_eq!(
            at_one.next().await,
            Event::Down(NodeId(2), Direction::In, "closed by the other side".into())
        );
        assert!(!one.is_up(NodeId(2)));
        assert_eq!(one.send(NodeId(2), &mut framed(b"gone")), Sent::Down);
        let (_two, mut at_two) = join(&net, &setups[1], 0);
        at_one.until_up(NodeId(2), Direction::Out).await;
        one.send(NodeId(2), &mut framed(b"again"));
        assert_eq!(at_two.frame().await.1, b"again");
        assert_eq!(setups[0].counts.frames_dropped_down.read(), 2);
    });
}

#[test]
fn strangers_are_refused_by_the_same_rules() {
    run(async {
        let net = LocalNet::default();
        let one = setup(hello(1), Limits::default());
        let two = setup(Hello { buckets: 1_024, ..hello(2) }, Limits::default());
        let (first, mut at_one) = join(&net, &one, 0);
        let (_second, mut at_two) = join(&net, &two, 0);
        let at_one = at_one.until_dial_failed().await;
        let at_two = at_two.until_dial_failed().await;
        assert!(at_one.contains("buckets is 65536 at the node that dialled and 1024"), "{at_one}");
        assert!(at_two.contains("buckets is 1024 at the node that dialled and 65536"), "{at_two}");
        assert_eq!(first.send(NodeId(2), &mut framed(b"x")), Sent::Down);
        assert_eq!((one.counts.refusals.read(), two.counts.refusals.read()), (2, 2));
    });
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    run(async {
        let net = LocalNet::default();
        let limits = Limits { peer_buffer_bytes_max: 1_000, ..Limits::default() };
        let setups = [1, 2].map(|node| setup(hello(node), limits));
        let (one, mut at_one) = join(&net, &setups[0], 0);
        let (_two, mut at_two) = join(&net, &setups[1], 0);
        at_one.until_up(NodeId(2), Direction::Out).await;
        // The receiver does not run before this task waits.
        assert_eq!(one.send(NodeId(2), &mut framed(&[1; 700])), Sent::Queued);
        assert_eq!(one.send(NodeId(2), &mut framed(&[2; 300])), Sent::Full);
        assert_eq!(one.send(NodeId(2), &mut framed(&[3; 100])), Sent::Queued);
        assert_eq!(at_two.frame().await.1, [1; 700]);
        assert_eq!(at_two.frame().await.1, [3; 100]);
        assert_eq!(one.send(NodeId(2), &mut framed(&[4; 2_000])), Sent::Queued, "alone, any frame fits");
        assert_eq!(at_two.frame().await.1, [4; 2_000]);
        assert_eq!(setups[0].counts.frames_dropped_full.read(), 1);
    });
}

#[test]
fn links_are_between_workers() {
    run(async {
        let net = LocalNet::default();
        let one = setup(Hello { workers: 2, ..hello(1) }, Limits::default());
        let two = setup(Hello { workers: 2, ..hello(2) }, Limits::default());
        let (_first, mut at_first) = join(&net, &one, 0);
        let (second, mut at_second) = join(&net, &one, 1);
        let (zeroth, mut at_zeroth) = join(&net, &two, 0);
        let (_other, mut at_other) = join(&net, &two, 1);
        at_second.until_up(NodeId(2), Direction::Out).await;
        at_zeroth.until_up(NodeId(1), Direction::Out).await;
        second.send(NodeId(2), &mut framed(b"from the second"));
        assert_eq!(at_other.frame().await.1, b"from the second");
        zeroth.send(NodeId(1), &mut framed(b"to the first"));
        assert_eq!(at_first.frame().await.1, b"to the first");
        assert!(
            std::iter::from_fn(|| at_second.0.try_recv().ok())
                .all(|event| !matches!(event, Event::Frame(..)))
        );
    });
}

#[test]
fn nodes_on_different_threads_talk() {
    let net = LocalNet::default();
    let there = net.clone();
    let echo = std::thread::spawn(move || {
        run(async move {
            let (links, mut events) = join(&there, &setup(hello(2), Limits::default()), 0);
            events.until_up(NodeId(1), Direction::Out).await;
            loop {
                let (from, body) = events.frame().await;
                links.send(from, &mut framed(&body));
                if body == b"end" {
                    // The answer is under way; node 1 leaves when it has it.
                    return events.until_down(NodeId(1), Direction::In).await.clear();
                }
            }
        });
    });
    run(async {
        let (links, mut events) = join(&net, &setup(hello(1), Limits::default()), 0);
        let links = Rc::new(links);
        events.until_linked(NodeId(2)).await;
        for number in 0..1_000_u32 {
            links.send(NodeId(2), &mut framed(&number.to_le_bytes()));
        }
        links.send(NodeId(2), &mut framed(b"end"));
        for number in 0..1_000_u32 {
            assert_eq!(events.frame().await.1, number.to_le_bytes());
        }
        assert_eq!(events.frame().await.1, b"end");
    });
    echo.join().unwrap();
}
