//! Whom a worker asks first, and what it does when that was the wrong one.

use super::*;
use crate::node::effects::Done;
use crate::node::worker::{COPIES_MS, NEWS_MS};

/// Longer than anybody is waited for before others are asked.
const LATE: u64 = 50;

/// What the proposals in frames that leave by that time tell a node: of which bucket, whether it is decided, and whether with the value.
fn proposals(worker: &mut Worker, by: u64, node: u16) -> Vec<(Bucket, bool, bool)> {
    if !worker.due_peers(by).any(|peer| peer.node == NodeId(node)) {
        return Vec::new();
    }
    let items = told(worker, node).into_iter();
    let proposals = items.filter_map(|item| match item {
        Item::Paxos(Message { bucket, chosen, accepted: Some(accepted), .. }) => {
            Some((bucket, chosen, accepted.command.is_some()))
        }
        _ => None,
    });
    proposals.collect()
}

/// Has a write proposed at that time, to a bucket of the worker's own in which nothing was written yet.
fn write(worker: &mut Worker, now: u64) -> Bucket {
    let mut names = (0..).map(|number: u32| Bytes::from(format!("entity {number}")));
    let bucket_of = |name: &Bytes| worker.route.bucket(crate::node::entity_hash(name));
    let is_fresh = |bucket: Bucket| {
        let status = worker.core.status(bucket);
        worker.route.replicas(bucket)[0] == NodeId(1) && status.chosen == Slot(0) && !status.proposing
    };
    let name = names.find(|name| is_fresh(bucket_of(name))).unwrap();
    let bucket = bucket_of(&name);
    let request = Request { ask: put(&name), deadline_ms: 10_000, consistency: Consistency::Linearizable };
    worker.call(now, u64::from(bucket.0), crate::node::entity_hash(&name), request);
    worker.flush(now);
    bucket
}

/// Has a read asked for at that time.
fn read(worker: &mut Worker, now: u64, name: &Bytes) {
    call(worker, 1, name, Ask::Get(Key::undated(name.clone())));
    worker.flush(now);
}

#[test]
fn one_of_two_is_asked_for_a_vote_and_the_other_is_told_the_decision() {
    let mut worker = worker(1, 3, 7);
    let (bucket, question) = proposed_write(&mut worker, 1);
    let gives = question.accepted.as_ref().is_some_and(|accepted| accepted.command.is_some());
    assert!(gives && !question.chosen, "the next in number is asked");
    assert_eq!(proposals(&mut worker, LATE, 3), []);
    sync(&mut worker, 9);
    tell(&mut worker, 11, 2, &Item::Paxos(Message { durable: true, ..question }));
    assert!(matches!(replies(&mut worker)[..], [(_, Ok(Answer::Written(_)))]));
    assert_eq!(proposals(&mut worker, 11 + NEWS_MS, 2), [(bucket, true, false)]);
    assert_eq!(proposals(&mut worker, 10 + COPIES_MS, 3), [], "that waits for company");
    assert_eq!(proposals(&mut worker, 11 + COPIES_MS, 3), [(bucket, true, true)]);
    // Nothing was late.
    worker.tick(11 + LATE);
    assert_eq!(worker.counters.widened_proposals, 0);
}

#[test]
fn who_keeps_this_node_waiting_is_asked_after_the_others_for_a_while() {
    let mut worker = worker(1, 3, 7);
    let slow = write(&mut worker, 10);
    worker.tick(10 + LATE);
    worker.flush(10 + LATE);
    assert_eq!(proposals(&mut worker, 10 + LATE, 3), [(slow, false, true)], "nobody waits for it any longer");
    assert_eq!(worker.counters.widened_proposals, 1);
    drop(told(&mut worker, 2));
    let next = write(&mut worker, 12 + LATE);
    assert_eq!(proposals(&mut worker, 12 + LATE, 2), []);
    assert_eq!(proposals(&mut worker, 12 + LATE, 3), [(next, false, true)]);
    // After that it has another chance.
    let bucket = write(&mut worker, 2_000);
    assert_eq!(proposals(&mut worker, 2_000, 3), []);
    assert_eq!(proposals(&mut worker, 2_000, 2), [(bucket, false, true)]);
}

#[test]
fn a_lost_link_is_not_waited_for() {
    let mut worker = worker(1, 3, 7);
    let bucket = write(&mut worker, 10);
    worker.peer_down(10, NodeId(2));
    worker.flush(10);
    assert_eq!(proposals(&mut worker, 10, 3), [(bucket, false, true)]);
    let next = write(&mut worker, 10);
    assert_eq!(proposals(&mut worker, 10, 3), [(next, false, true)]);
    worker.peer_up(10, NodeId(2));
    drop(told(&mut worker, 2));
    let last = write(&mut worker, 10);
    assert_eq!(proposals(&mut worker, 10, 2), [(last, false, true)]);
}

#[test]
fn who_asks_for_vote_floors_is_asked_after_the_others() {
    let mut worker = worker(1, 3, 7);
    tell(&mut worker, 10, 2, &Item::FloorAsk { nonce: 1, buckets: vec![Bucket(5)] });
    drop(told(&mut worker, 2));
    let bucket = write(&mut worker, 10);
    assert_eq!(proposals(&mut worker, 10, 2), []);
    assert_eq!(proposals(&mut worker, 10, 3), [(bucket, false, true)]);
}

#[test]
fn a_peer_that_answers_no_probe_is_asked_after_the_others() {
    let mut worker = worker(1, 3, 7);
    let (name, _) = entity(&worker, |_| true);
    let is_probe = |item: &Item| matches!(item, Item::Probe { .. });
    read(&mut worker, 0, &name);
    worker.tick(LATE);
    worker.flush(LATE);
    let asked = |worker: &mut Worker| [2, 3].map(|node| told(worker, node).iter().any(is_probe));
    assert_eq!(asked(&mut worker), [true, true], "the second when the first is late");
    read(&mut worker, LATE + 1, &name);
    assert_eq!(asked(&mut worker), [false, true]);
}

#[test]
fn where_all_have_kept_this_node_waiting_all_are_asked() {
    let mut worker = worker(1, 3, 7);
    write(&mut worker, 10);
    worker.tick(10 + LATE);
    let slow = write(&mut worker, 12 + LATE);
    assert_eq!(proposals(&mut worker, 12 + LATE, 3).last(), Some(&(slow, false, true)));
    worker.tick(12 + 2 * LATE);
    [2, 3].iter().for_each(|node| drop(told(&mut worker, *node)));
    let bucket = write(&mut worker, 14 + 2 * LATE);
    assert_eq!(proposals(&mut worker, 14 + 2 * LATE, 2), [(bucket, false, true)]);
    assert_eq!(proposals(&mut worker, 14 + 2 * LATE, 3), [(bucket, false, true)]);
    let (name, about) = entity(&worker, |_| true);
    read(&mut worker, 14 + 2 * LATE, &name);
    let is_probe = |item: &Item| matches!(item, Item::Probe { buckets, .. } if buckets[0].0 == about);
    assert!([2, 3].iter().all(|node| told(&mut worker, *node).iter().any(is_probe)));
}

#[test]
fn what_a_lost_node_has_told_of_is_told_on() {
    let mut worker = worker(1, 3, 7);
    let (_, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(2));
    tell(&mut worker, 10, 2, &first_slot(bucket, 2, 0, true));
    drop(told(&mut worker, 3));
    worker.peer_down(11, NodeId(2));
    let is_hint =
        |item: &Item| matches!(item, Item::Hint { bucket: about, chosen: Slot(1) } if *about == bucket);
    assert!(told(&mut worker, 3).iter().any(is_hint), "node 3 may not have heard of it");
}

#[test]
fn who_lacks_the_slot_before_is_asked_again_when_it_has_fetched_that() {
    let mut worker = worker(1, 3, 7);
    let bucket = write(&mut worker, 10);
    [2, 3].iter().for_each(|node| drop(told(&mut worker, *node)));
    tell(&mut worker, 11, 2, &Item::Fetch { bucket, from: Slot(1), through: Slot(1) });
    sync(&mut worker, 9);
    let Some(Job::Fetch { to, bucket: of, from, .. }) = worker.effects().jobs.pop() else {
        panic!("nothing is read")
    };
    worker.job_done(11, Done::Fetched { to, bucket: of, from, commands: Vec::new() });
    let items = told(&mut worker, 2);
    let answer = items.iter().position(|item| matches!(item, Item::FetchAnswer { .. }));
    let question =
        items.iter().position(|item| matches!(item, Item::Paxos(message) if message.bucket == bucket));
    assert!(answer.is_some() && answer < question, "{items:?}");
}

#[test]
fn syncs_are_heeded_where_they_decide() {
    let mut alone = worker(1, 1, 7);
    write(&mut alone, 10);
    sync(&mut alone, 9);
    assert!(alone.is_decided_by_syncs() && replies(&mut alone).len() == 1);
    let mut worker = worker(1, 3, 7);
    for (number, vote_is_first) in [(1, false), (2, true), (3, false)] {
        let (_, question) = proposed_write(&mut worker, number);
        let (slot, vote) = (question.slot, Item::Paxos(Message { durable: true, ..question }));
        if vote_is_first {
            tell(&mut worker, 10, 2, &vote);
            sync(&mut worker, 9);
        } else {
            sync(&mut worker, 9);
            tell(&mut worker, 10, 2, &vote);
        }
        assert_eq!(replies(&mut worker).len(), 1, "slot {} is decided", slot.0);
        assert_eq!(worker.is_decided_by_syncs(), vote_is_first);
        drop(told(&mut worker, 2));
    }
}
