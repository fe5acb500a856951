//! Lives of peers, and of this node, as single frames tell of them.

use thermocline_tiers::disk::Call;

use super::*;
use crate::node::effects::Placed;
use crate::node::lives::{Lived, Reach};
#[cfg(feature = "plant")]
use crate::node::tests::plants::each_is_noticed;
#[cfg(feature = "plant")]
use crate::plant::Plant;

const BUCKET: Bucket = Bucket(3);

/// A founded worker of three, and what does its jobs.
struct Node {
    worker: Worker,
    disk: Arc<MemoryDisk>,
    recovered: Recovered,
}

impl Node {
    fn new() -> Self {
        let disk = Arc::new(MemoryDisk::new(1));
        let mut recovered = recovered(disk.clone(), 1, 3, 7);
        let mut worker = recovered.workers.remove(0);
        found(&mut worker, 1);
        worker.peer_up(0, NodeId(2));
        worker.peer_up(0, NodeId(3));
        Self { worker, disk, recovered }
    }

    /// One whose replica of the bucket only learns.
    fn learner() -> Self {
        let mut node = Self::new();
        node.worker.core.forget(BUCKET, &mut node.worker.out);
        node
    }

    fn run_jobs(&mut self) {
        run_jobs(&mut self.worker, &self.recovered.journal);
    }

    /// A peer answers the question for a floor that a life of this node asked.
    fn answer(&mut self, from: u16, nonce: u64) {
        self.answer_in(from, life(from), nonce);
    }

    /// The same in a life of the peer's.
    fn answer_in(&mut self, from: u16, its: Life, nonce: u64) {
        let answer = Item::FloorAnswer { nonce, buckets: vec![(BUCKET, Slot(1), Slot(1))], learning: vec![] };
        let its = Life { hears: self.worker.kept.life.id, ..its };
        tell_in(&mut self.worker, 0, from, its, &[answer]);
    }

    /// A peer remembers a life of a node of which nobody else knows.
    fn tell_of_a_life(&mut self, from: u16, node: u16) {
        tell(&mut self.worker, 0, from, &of_an_unknown_life(node));
    }

    /// For which life of a peer there is an answer to a call of it.
    fn answered_life(&mut self, peer: u16, asked: u64) -> Option<u64> {
        let mut told = self.worker.due_peers(u64::MAX).filter(|told| told.node == NodeId(peer));
        let bodies: Vec<Bytes> = told.next()?.bodies().map(Bytes::copy_from_slice).collect();
        bodies.into_iter().find_map(|mut body| {
            let Ok(Some(Item::Life(Life { hears, .. }))) = wire::take(&mut body) else { return None };
            let mut items = std::iter::from_fn(|| wire::take(&mut body).unwrap());
            items
                .find(|item| matches!(item, Item::ForwardAnswer { call, .. } if *call == asked))
                .map(|_| hears)
        })
    }

    /// In which round a peer was asked last about a bucket.
    fn asked(&mut self, peer: u16, bucket: Bucket) -> Option<u64> {
        let about = |item: Item| match item {
            Item::Probe { round, buckets } => {
                buckets.iter().any(|(about, _)| *about == bucket).then_some(round)
            }
            _ => None,
        };
        told(&mut self.worker, peer).into_iter().filter_map(about).last()
    }

    fn needs_floor(&self) -> bool {
        self.worker.core.needs_floor(BUCKET)
    }
}

#[test]
fn a_new_life_is_heard_once_it_is_written_down() {
    let mut node = Node::new();
    told(&mut node.worker, 2);
    tell_in(&mut node.worker, 0, 2, next_life(2), &[Item::FloorAsk { nonce: 5, buckets: vec![BUCKET] }]);
    assert_eq!(told(&mut node.worker, 2), []);
    node.run_jobs();
    let answers = told(&mut node.worker, 2);
    assert!(matches!(answers[..], [Item::FloorAnswer { .. }]), "{answers:?}");
    assert_eq!(node.recovered.peers.of(2).and_then(|known| known.heard()), Some(22));
    // And the third is told.
    assert!(told(&mut node.worker, 3).iter().any(|item| is_of_next_life(item, 2)));
}

#[test]
fn who_is_not_heard_any_more_has_answered_nothing() {
    let mut node = Node::learner();
    let asked = node.worker.kept.life.id;
    node.answer(2, asked);
    node.tell_of_a_life(3, 2);
    node.answer(3, asked);
    assert!(node.needs_floor(), "node 2 has to account for a life first");
    node.run_jobs();
    let account = vec![Lived { id: 77, synced: Reach::ALL }];
    tell(&mut node.worker, 0, 2, &Item::Accounts(account));
    node.run_jobs();
    node.answer(2, asked);
    assert!(!node.needs_floor());
}

#[test]
fn an_answer_for_a_floor_counts_in_the_life_that_asked() {
    let mut node = Node::learner();
    let before = node.worker.kept.life.id;
    node.tell_of_a_life(2, 1);
    for answered in ["not written down yet", "written down"] {
        node.answer(2, before);
        node.answer(3, before);
        assert!(node.needs_floor(), "{answered}");
        node.run_jobs();
    }
    let after = node.worker.kept.life.id;
    assert_ne!(after, before);
    for from in [2, 3] {
        tell_in(&mut node.worker, 0, from, life(from), &[]);
        node.answer(from, after);
    }
    assert!(!node.needs_floor());
}

/// What this node has promised counts for the quorum of a read, as long as it is promised.
#[test]
fn a_read_that_counts_on_what_is_forgotten_meanwhile_asks_again() {
    let mut node = Node::new();
    let (name, bucket) = entity(&node.worker, |_| true);
    let key = Key { entity: name.clone(), position: Position::Undated };
    call(&mut node.worker, 1, &name, Ask::Get(key));
    node.worker.flush(0);
    let before = node.asked(2, bucket).unwrap();
    node.tell_of_a_life(2, 1);
    node.run_jobs();
    node.worker.flush(0);
    let of_round = |node: &mut Node, from: u16, round: u64| {
        let its = Life { hears: node.worker.kept.life.id, ..life(from) };
        tell_in(&mut node.worker, 0, from, its, &[Item::ProbeAnswer { round, exceptions: Vec::new() }]);
        replies(&mut node.worker).len()
    };
    let again = node.asked(2, bucket).unwrap();
    assert_ne!(again, before);
    for from in [2, 3] {
        assert_eq!(of_round(&mut node, from, before), 0, "node {from} answers what this life did not ask");
    }
    assert_eq!(of_round(&mut node, 2, again), 0, "one of the others is no majority");
    assert_eq!(of_round(&mut node, 3, again), 1);
}

#[test]
fn what_a_life_answered_does_not_count_once_the_next_is_heard() {
    let mut node = Node::learner();
    let asked = node.worker.kept.life.id;
    node.answer(2, asked);
    let next = next_life(2);
    node.answer_in(2, next, asked + 1);
    node.run_jobs();
    assert_eq!(node.worker.peers().iter().find_map(|peer| peer.known.as_ref()?.heard()), Some(22));
    node.answer(3, asked);
    assert!(node.needs_floor(), "node 2 has begun anew since it answered");
    node.answer_in(2, next, asked);
    assert!(!node.needs_floor());
}

/// A floor of which the question was answered in time, and that is not synced when the node learns that it has forgotten something.
#[test]
fn a_floor_that_was_being_written_does_not_count_after_an_admission() {
    let mut node = Node::learner();
    let before = node.worker.kept.life.id;
    node.answer(2, before);
    node.answer(3, before);
    assert!(!node.needs_floor(), "it is being written");
    node.tell_of_a_life(2, 1);
    node.run_jobs();
    assert_eq!(node.worker.kept.life.id, before, "what was recorded before is not synced");
    sync(&mut node.worker, 5_000);
    node.run_jobs();
    assert_ne!(node.worker.kept.life.id, before);
    assert!(node.needs_floor());
    let behind = node.recovered.identity.read().amnesia.behind;
    assert_eq!(behind, Reach { generation: 1, offset: 5_000 }, "no later start takes it for one");
}

#[test]
fn an_admission_that_cannot_be_written_is_tried_again_and_nothing_counts_meanwhile() {
    let mut node = Node::learner();
    let before = node.worker.kept.life.id;
    node.disk.fail(Call::Sync, 1, std::io::ErrorKind::Other);
    node.tell_of_a_life(2, 1);
    node.run_jobs();
    assert_eq!(node.disk.failures_due(Call::Sync), 0);
    node.answer(2, before);
    node.answer(3, before);
    assert!(node.needs_floor() && node.worker.kept.life.id == before);
    node.worker.tick(2_000);
    node.run_jobs();
    assert_ne!(node.worker.kept.life.id, before);
    assert_eq!(node.recovered.identity.read().lives.now(), node.worker.kept.life.id);
}

#[test]
fn what_is_lost_is_not_given_up_before_an_admission_is_written() {
    let mut node = Node::learner();
    let tell_that_they_learn = |node: &mut Node| {
        for from in [2, 3] {
            let nonce = node.worker.kept.life.id;
            let answer = Item::FloorAnswer { nonce, buckets: vec![], learning: vec![(BUCKET, Slot(0))] };
            tell(&mut node.worker, 0, from, &answer);
        }
    };
    tell_that_they_learn(&mut node);
    node.tell_of_a_life(2, 1);
    assert_eq!(node.worker.give_up_lost_votes(1), 1);
    node.worker.tick(1);
    assert_eq!(node.worker.counters().given_up, 0);
    node.run_jobs();
    node.worker.tick(500);
    assert_eq!(node.worker.counters().given_up, 0, "the others are asked anew");
    tell_that_they_learn(&mut node);
    node.worker.tick(1_000);
    assert_eq!(node.worker.counters().given_up, 1);
}

/// What the operator has said of one loss is not said of the next.
#[test]
fn what_is_lost_later_is_not_given_up_by_itself() {
    let mut node = Node::learner();
    for loss in 1..=2 {
        for from in [2, 3] {
            let nonce = node.worker.kept.life.id;
            let answer = Item::FloorAnswer { nonce, buckets: vec![], learning: vec![(BUCKET, Slot(0))] };
            tell(&mut node.worker, 0, from, &answer);
        }
        node.worker.tick(loss * 10_000);
        assert_eq!(node.worker.counters().given_up, loss - 1);
        assert_eq!(node.worker.lost_buckets(), [BUCKET]);
        assert_eq!(node.worker.give_up_lost_votes(loss * 10_000), 1);
        node.worker.tick(loss * 10_000 + 500);
        assert_eq!(node.worker.counters().given_up, loss);
        sync(&mut node.worker, 9);
        assert!(!node.needs_floor());
        node.worker.core.forget(BUCKET, &mut node.worker.out);
    }
}

#[test]
fn a_call_of_a_life_that_is_over_is_answered_to_nobody() {
    // The life ends before the answer, with the answer in the turn's frame, or not at all.
    for ends in [Some(false), Some(true), None] {
        let mut node = Node::new();
        let ask = Ask::Get(Key { entity: Bytes::from_static(b"entity"), position: Position::Undated });
        let request = Request { ask, deadline_ms: 100, consistency: Consistency::Linearizable };
        tell(&mut node.worker, 0, 2, &Item::Forward { call: 9, hops: 1, request });
        told(&mut node.worker, 2);
        for is_answered in [false, true] {
            if ends == Some(is_answered) {
                node.answer_in(2, next_life(2), 0);
                node.run_jobs();
            }
            if !is_answered {
                node.worker.tick(200);
            }
        }
        // What is in the frame is for the life that asked: the next one drops it.
        let asked_in = life(2).id;
        assert_eq!(node.answered_life(2, 9), (ends != Some(false)).then_some(asked_in));
    }
}

#[test]
fn who_admits_to_have_forgotten_learns_at_once() {
    let mut node = Node::new();
    assert_eq!(node.worker.votes(), (BUCKETS, 0));
    let place = Place { generation: Generation(1), offset: 4096, length: 100 };
    node.worker.index.insert(&Placed::of_command(BUCKET, Slot(1), Some(place)));
    assert_eq!(node.worker.index.place(BUCKET, Slot(1)), Some(place));
    node.tell_of_a_life(2, 1);
    assert_eq!(node.worker.votes(), (0, BUCKETS));
    assert_eq!(node.worker.index.place(BUCKET, Slot(1)), None, "it may not be the last word on that slot");
    node.run_jobs();
    let identity = node.recovered.identity.read();
    assert!(identity.amnesia.everywhere && identity.lives.now() == node.worker.kept.life.id);
}

#[test]
#[cfg(feature = "plant")]
fn broken_rules_of_lives_are_noticed() {
    each_is_noticed(&[
        (Plant::HeardBeforeWritten, a_new_life_is_heard_once_it_is_written_down),
        (Plant::NewLifeNotSpread, a_new_life_is_heard_once_it_is_written_down),
        (Plant::UnheardStillCounted, who_is_not_heard_any_more_has_answered_nothing),
        (Plant::GivenUpWhileAdmitting, what_is_lost_is_not_given_up_before_an_admission_is_written),
        (Plant::FloorUnderWayCounted, a_floor_that_was_being_written_does_not_count_after_an_admission),
        (Plant::AnswerOfEarlierLifeCounted, an_answer_for_a_floor_counts_in_the_life_that_asked),
        (Plant::AnyLifeAnswered, a_call_of_a_life_that_is_over_is_answered_to_nobody),
        (Plant::AdmittedNotForgotten, who_admits_to_have_forgotten_learns_at_once),
    ]);
}
