//! Two workers of one node: what one of them is told concerns the other.

use super::*;
use crate::node::lives::{Lived, Reach};
#[cfg(feature = "plant")]
use crate::node::tests::plants::each_is_noticed;
#[cfg(feature = "plant")]
use crate::plant::Plant;

/// The half of the buckets that each worker has.
const HALF: u32 = BUCKETS / 2;

/// A founded node of three with two workers, and what does their jobs.
struct Together {
    workers: Vec<Worker>,
    recovered: Recovered,
}

impl Together {
    fn new() -> Self {
        let mut recovered = recovered_of(Arc::new(MemoryDisk::new(1)), 1, 3, &[7, 8]);
        let mut workers = std::mem::take(&mut recovered.workers);
        for worker in &mut workers {
            found(worker, 1);
            worker.peer_up(0, NodeId(2));
            worker.peer_up(0, NodeId(3));
        }
        Self { workers, recovered }
    }

    fn run_jobs(&mut self, index: usize) {
        run_jobs(&mut self.workers[index], &self.recovered.journal);
    }

    /// A peer tells a worker that it remembers a life of a node of which nobody else knows.
    fn tell_of_a_life(&mut self, index: usize, from: u16, node: u16) {
        tell(&mut self.workers[index], 0, from, &of_an_unknown_life(node));
    }

    /// A worker hears a frame of a peer's life that asks for the floor of one of its buckets. Says whether it answers.
    fn answers(&mut self, index: usize, from: u16, its: Life) -> bool {
        let worker = &mut self.workers[index];
        let bucket = worker.own_buckets().next().unwrap();
        told(worker, from);
        let its = Life { hears: worker.kept.life.id, ..its };
        tell_in(worker, 0, from, its, &[Item::FloorAsk { nonce: 5, buckets: vec![bucket] }]);
        let items = told(worker, from);
        items.iter().any(|item| matches!(item, Item::FloorAnswer { .. }))
    }

    /// The lives that the workers lead.
    fn lives(&self) -> Vec<u64> {
        self.workers.iter().map(|worker| worker.kept.life.id).collect()
    }
}

#[test]
fn all_workers_have_forgotten_before_another_life_begins_and_they_forget_once() {
    let mut node = Together::new();
    let before = node.lives();
    node.tell_of_a_life(1, 2, 1);
    node.run_jobs(1);
    assert_eq!((node.workers[0].votes(), node.workers[1].votes()), ((HALF, 0), (0, HALF)));
    assert_eq!(node.lives(), before, "one has not forgotten yet");
    assert_eq!(node.recovered.identity.read().lives.now(), before[0]);
    node.workers[0].tick(1);
    assert_eq!(node.workers[0].votes(), (0, HALF));
    assert_eq!(node.lives(), before, "it is not written down yet");
    node.run_jobs(0);
    node.workers[1].tick(1);
    let after = node.recovered.identity.read();
    assert!(after.amnesia.everywhere && after.lives.now() != before[0]);
    assert_eq!(node.lives(), [after.lives.now(); 2]);
    // It is over when a peer asks the other worker the same.
    node.recovered.identity.lift(after.lives.now(), &[], std::iter::empty()).unwrap();
    for index in [0, 1] {
        node.tell_of_a_life(index, 3, 1);
        node.run_jobs(0);
        node.run_jobs(1);
    }
    let identity = node.recovered.identity.read();
    assert!(identity.amnesia.is_empty() && identity.lives == after.lives);
    let amnesias: u64 = node.workers.iter().map(|worker| worker.counters().amnesias).sum();
    assert_eq!(amnesias, 1);
}

#[test]
fn an_admission_names_the_place_that_the_furthest_worker_knows_to_be_synced() {
    let mut node = Together::new();
    let far = Reach { generation: 3, offset: 500 };
    node.workers[0].reached(far);
    node.tell_of_a_life(1, 2, 1);
    node.workers[0].tick(1);
    node.run_jobs(0);
    assert_eq!(node.recovered.identity.read().amnesia.behind, far);
}

#[test]
fn a_peer_that_one_worker_does_not_hear_any_more_no_worker_hears() {
    let mut node = Together::new();
    let bucket = node.workers[0].own_buckets().next().unwrap();
    let asked = node.workers[0].kept.life.id;
    let answer =
        Item::FloorAnswer { nonce: asked, buckets: vec![(bucket, Slot(1), Slot(1))], learning: vec![] };
    let worker = &mut node.workers[0];
    worker.core.forget(bucket, &mut worker.out);
    tell(worker, 0, 2, &answer);
    node.tell_of_a_life(1, 3, 2);
    node.run_jobs(1);
    for from in [2, 3] {
        tell(&mut node.workers[0], 0, from, &answer);
    }
    assert!(node.workers[0].core.needs_floor(bucket), "node 2 has to account for a life first");
    assert!(!node.answers(0, 2, life(2)) && !node.answers(1, 2, life(2)) && node.answers(0, 3, life(3)));
}

#[test]
fn a_life_that_one_worker_has_written_down_every_worker_hears() {
    let mut node = Together::new();
    let next = next_life(2);
    assert!(!node.answers(1, 2, next));
    node.run_jobs(1);
    assert!(node.answers(0, 2, next) && node.answers(1, 2, next));
    assert!(!node.answers(0, 2, life(2)), "it is over");
    for worker in &mut node.workers {
        assert!(
            told(worker, 3).iter().any(|item| is_of_next_life(item, 2)),
            "each has a link of its own to node 3"
        );
    }
}

/// Each has links of its own, which it dials by itself.
#[test]
fn where_a_peer_is_now_every_worker_dials_it() {
    let mut node = Together::new();
    // What is written down of it begins with a life.
    node.answers(0, 2, next_life(2));
    node.run_jobs(0);
    let address = Item::Address { epoch: 6, address: "new:1".into() };
    tell_in(&mut node.workers[0], 0, 2, next_life(2), &[address]);
    node.run_jobs(0);
    for worker in &mut node.workers {
        worker.tick(1);
        assert_eq!(std::mem::take(&mut worker.effects().addresses), [(NodeId(2), "new:1".to_owned())]);
    }
}

/// Each worker hears of the records of its own buckets how far they are synced. A copy of the peer's directory was put back that has all that
/// one worker was told of, and not all that the other was.
#[test]
fn a_life_has_to_account_for_what_each_worker_was_told_of_the_one_before() {
    let mut node = Together::new();
    let reach = |offset| Reach { generation: 1, offset };
    let next = next_life(2);
    node.answers(1, 2, next);
    node.run_jobs(1);
    assert!(node.answers(0, 2, Life { synced: reach(500), ..next }));
    assert!(node.answers(1, 2, Life { synced: reach(100), ..next }));
    let copy = Life { id: 33, parent: 22, recovered: reach(300), ..life(2) };
    node.answers(1, 2, copy);
    node.run_jobs(1);
    assert!(!node.answers(0, 2, copy), "there were records up to 500");
    node.run_jobs(0);
    assert!(!node.answers(1, 2, copy), "and now all know");
    let heads = node.recovered.peers.of(2).unwrap().heads;
    assert!(heads.contains(&Lived { id: 22, synced: reach(500) }), "{heads:?}");
}

#[test]
fn a_directory_that_was_replaced_takes_no_part_with_any_worker() {
    let mut node = Together::new();
    let known = Witnessed::after(None, &life(1), None);
    let new = Life { disk: 9, id: 99, ..Life::default() };
    let told = Item::Witnessed(vec![(NodeId(1), Witnessed::after(Some(&known), &new, None))]);
    tell(&mut node.workers[1], 0, 2, &told);
    node.workers[0].tick(1);
    assert!(node.workers.iter().all(|worker| worker.replaced && !worker.founded));
}

#[test]
#[cfg(feature = "plant")]
fn a_worker_that_goes_its_own_way_is_noticed() {
    each_is_noticed(&[
        (
            Plant::AdmittedByOneWorker,
            all_workers_have_forgotten_before_another_life_begins_and_they_forget_once,
        ),
        (Plant::OtherWorkersUnheeded, a_peer_that_one_worker_does_not_hear_any_more_no_worker_hears),
        (Plant::OtherWorkersUnheeded, where_a_peer_is_now_every_worker_dials_it),
        (Plant::OtherWorkersUnheeded, a_directory_that_was_replaced_takes_no_part_with_any_worker),
        (Plant::AnyReachAccounts, a_life_has_to_account_for_what_each_worker_was_told_of_the_one_before),
    ]);
}
