//! What a link lost without a word is said again.

use super::*;

/// The slots of a bucket that a node is asked about.
fn slots(worker: &mut Worker, node: u16, bucket: Bucket) -> Vec<Slot> {
    let paxos = told(worker, node).into_iter().filter_map(|item| match item {
        Item::Paxos(message) if message.bucket == bucket => Some(message.slot),
        _ => None,
    });
    paxos.collect()
}

fn foundings(worker: &mut Worker, node: u16) -> Vec<wire::Founding> {
    let items = told(worker, node).into_iter();
    items.filter_map(|item| if let Item::Founding(founding) = item { Some(founding) } else { None }).collect()
}

#[test]
fn a_command_that_lost_its_slot_is_sent_again_in_the_next() {
    let mut worker = worker(1, 3, 7);
    let (name, bucket) = entity(&worker, |nodes| nodes.first() == Some(&NodeId(1)));
    call(&mut worker, 5, &name, put(&name));
    worker.flush(0);
    assert_eq!(slots(&mut worker, 2, bucket), [Slot(1)]);
    let ballot = Ballot { round: 1, node: NodeId(2), boot: Boot { disk: 2, count: 1 } };
    let chosen = Message {
        bucket,
        slot: Slot(1),
        promised: ballot,
        accepted: Some(Accepted { ballot, id: None, command: Some(Command::no_op()) }),
        durable: false,
        chosen: true,
        missing: false,
        known: Known::default(),
        chosen_through: Slot(1),
    };
    tell(&mut worker, 10, 2, &Item::Paxos(chosen));
    assert!(slots(&mut worker, 2, bucket).contains(&Slot(2)), "the command goes on in the next slot");
    for round in 1..=3 {
        let now = 10 + round * (worker.settings.resend_ms + 10);
        worker.tick(now);
        worker.flush(now);
        assert_eq!(slots(&mut worker, 2, bucket), [Slot(2)], "again, {round} times");
    }
}

#[test]
fn a_slot_that_is_decided_for_a_peer_is_asked_about_again() {
    let mut worker = worker(1, 3, 7);
    let (_, bucket) = entity(&worker, |nodes| nodes.first() != Some(&NodeId(1)));
    tell(&mut worker, 0, 2, &Item::Nudge { who: Who::You, buckets: vec![bucket] });
    assert_eq!(slots(&mut worker, 2, bucket), [Slot(1)]);
    let now = worker.settings.resend_ms + 10;
    worker.tick(now);
    worker.flush(now);
    assert_eq!(slots(&mut worker, 2, bucket), [Slot(1)]);
}

#[test]
fn who_is_not_founded_tells_so_again() {
    let mut worker = newcomer(1, 3, 7);
    worker.peer_up(0, NodeId(2));
    worker.found(0, wire::Founding { disk: 1, intent: None, members: None }, false);
    assert!(!foundings(&mut worker, 2).is_empty());
    for round in 1..=2 {
        worker.tick(round * 1_000);
        worker.flush(round * 1_000);
        assert_eq!(foundings(&mut worker, 2).len(), 1);
    }
}

#[test]
fn who_is_founded_tells_whoever_is_not() {
    let mut worker = worker(1, 3, 7);
    let empty = wire::Founding { disk: 2, intent: None, members: None };
    tell(&mut worker, 0, 2, &Item::Founding(empty));
    assert!(foundings(&mut worker, 2).iter().any(|founding| founding.members.is_some()));
}
