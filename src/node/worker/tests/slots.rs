//! Slots that others want, too.

use super::*;
use crate::node::worker::{COPIES_MS, NEWS_MS};

/// Node 2 has promised a ballot of its own in slot 1.
fn preempts(bucket: Bucket, round: u32) -> Item {
    let promised = Ballot { round, node: NodeId(2), boot: Boot { disk: 2, count: 1 } };
    Item::Paxos(Message {
        bucket,
        slot: Slot(1),
        promised,
        accepted: None,
        durable: true,
        chosen: false,
        missing: false,
        known: Known::default(),
        chosen_through: Slot(0),
    })
}

#[test]
fn a_write_that_waited_for_an_empty_slot_goes_on_when_that_is_given_up() {
    let mut worker = worker(1, 3, 7);
    let (name, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(1));
    // The bucket's slot is being decided without a command when the write comes.
    tell(&mut worker, 0, 3, &Item::Nudge { who: Who::You, buckets: vec![bucket] });
    assert!(worker.core.status(bucket).proposing);
    call(&mut worker, 1, &name, put(&name));
    worker.flush(0);
    assert_eq!(worker.counters.proposals, 0);
    for round in 1..=4 {
        let now = u64::from(round) * 40;
        tell(&mut worker, now, 2, &preempts(bucket, round * 10));
        sync(&mut worker, 1);
        worker.tick(now + 35);
        worker.flush(now + 35);
    }
    assert_eq!(worker.counters.proposals, 1, "the write is proposed");
}

#[test]
fn news_of_a_decision_waits_for_a_frame_and_not_for_ever() {
    let mut worker = worker(1, 3, 7);
    let (bucket, question) = proposed_write(&mut worker, 1);
    told(&mut worker, 3);
    sync(&mut worker, 1);
    let vote = Message { durable: true, ..question };
    tell(&mut worker, 10, 2, &Item::Paxos(vote));
    assert_eq!(replies(&mut worker).len(), 1, "the slot is decided");
    assert_eq!(worker.due_peers(10).count(), 0);
    assert!(worker.next_timer() <= 10 + NEWS_MS);
    let told_by =
        |worker: &mut Worker, by: u64| -> Vec<u16> { worker.due_peers(by).map(|peer| peer.node.0).collect() };
    assert_eq!(told_by(&mut worker, 10 + NEWS_MS), [2], "who has voted for it");
    assert_eq!(told_by(&mut worker, 10 + COPIES_MS), [2, 3], "who was not asked");
    // What somebody waits for takes it along.
    tell(&mut worker, 10, 3, &Item::Probe { round: 9, buckets: vec![(bucket, Slot(0))] });
    assert_eq!(told_by(&mut worker, 10), [3]);
    let is_news = |item: &Item| matches!(item, Item::Paxos(message) if message.chosen);
    assert!(told(&mut worker, 3).iter().any(is_news));
}
