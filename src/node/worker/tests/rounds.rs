//! Whom a read asks when somebody learns.

use super::*;
use crate::node::wire::ProbeException;

/// Who is asked about the bucket, with the number of the round.
fn asked(worker: &mut Worker, bucket: Bucket) -> Vec<(u16, u64)> {
    let mut asked = Vec::new();
    for node in [2, 3] {
        for item in told(worker, node) {
            if let Item::Probe { round, buckets } = item
                && buckets.iter().any(|(about, _)| *about == bucket)
            {
                asked.push((node, round));
            }
        }
    }
    asked
}

fn get(worker: &mut Worker, number: u64, name: &Bytes) {
    call(worker, number, name, Ask::Get(Key { entity: name.clone(), position: Position::Undated }));
    worker.flush(0);
}

#[test]
fn a_read_does_not_wait_for_a_replica_that_only_learns() {
    let mut worker = worker(1, 3, 7);
    let (name, bucket) = entity(&worker, |_| true);
    get(&mut worker, 1, &name);
    let [(2, round)] = asked(&mut worker, bucket)[..] else { panic!("one peer is enough") };
    let learns = ProbeException { bucket, chosen: Slot(0), accepted_next: false, voting: false };
    tell(&mut worker, 0, 2, &Item::ProbeAnswer { round, exceptions: vec![learns] });
    assert_eq!(asked(&mut worker, bucket), [(3, round)], "at once");
    tell(&mut worker, 0, 3, &Item::ProbeAnswer { round, exceptions: Vec::new() });
    assert!(matches!(replies(&mut worker)[..], [(1, Ok(Answer::Got(None)))]));
    get(&mut worker, 2, &name);
    assert!(matches!(asked(&mut worker, bucket)[..], [(3, _)]), "who learns is not asked first");
}

#[test]
fn a_node_that_only_learns_asks_a_majority_of_the_others() {
    let mut worker = newcomer(1, 3, 7);
    worker.found(0, wire::Founding { disk: 1, intent: None, members: Some(Vec::new()) }, true);
    for peer in [2, 3] {
        worker.peer_up(0, NodeId(peer));
        drop(told(&mut worker, peer));
    }
    let (name, bucket) = entity(&worker, |_| true);
    assert!(!worker.core.fresh(bucket).voting);
    get(&mut worker, 1, &name);
    assert!(matches!(asked(&mut worker, bucket)[..], [(2, _), (3, _)]));
}

#[test]
fn an_answer_says_of_each_bucket_what_it_says_of_that_one() {
    let mut worker = worker(1, 3, 7);
    let mut reads: Vec<(Bucket, u64)> = Vec::new();
    for number in 0..20 {
        let name = Bytes::from(format!("entity {number}"));
        let bucket = worker.route.bucket(crate::node::entity_hash(&name));
        call(&mut worker, number, &name, Ask::Get(Key { entity: name.clone(), position: Position::Undated }));
        reads.push((bucket, number));
    }
    worker.flush(0);
    reads.sort_unstable();
    let [(2, round)] = asked(&mut worker, reads[0].0)[..] else { panic!("one peer is enough") };
    // The peer learns in every third bucket, and in some that it was not asked about.
    let (learning, others): (Vec<_>, Vec<_>) = reads.iter().partition(|(bucket, _)| bucket.0 % 3 == 0);
    assert!(learning.len() > 3 && others.len() > 3, "{reads:?}");
    let learns = |bucket| ProbeException { bucket, chosen: Slot(0), accepted_next: false, voting: false };
    let told: Vec<_> = (0..BUCKETS).step_by(3).map(|bucket| learns(Bucket(bucket))).collect();
    let backwards = told.iter().rev().copied().collect();
    tell(&mut worker, 0, 2, &Item::ProbeAnswer { round, exceptions: backwards });
    assert_eq!((replies(&mut worker).len(), worker.counters.malformed_items), (0, 1));
    tell(&mut worker, 0, 2, &Item::ProbeAnswer { round, exceptions: told });
    let served = |worker: &mut Worker| {
        let mut served: Vec<u64> = replies(worker).into_iter().map(|(call, _)| call).collect();
        served.sort_unstable();
        served
    };
    let calls = |reads: &[(Bucket, u64)]| {
        let mut calls: Vec<u64> = reads.iter().map(|(_, call)| *call).collect();
        calls.sort_unstable();
        calls
    };
    assert_eq!(served(&mut worker), calls(&others));
    tell(&mut worker, 0, 3, &Item::ProbeAnswer { round, exceptions: Vec::new() });
    assert_eq!(served(&mut worker), calls(&learning));
}
