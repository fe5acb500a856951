//! Idle buckets that are pushed over the vote floors of a replica that lost its disk.

use std::collections::BTreeMap;

use super::*;

/// A node that was not there at the founding, and has been told floors for all its buckets.
fn below_its_floors() -> Worker {
    let mut worker = newcomer(1, 3, 7);
    let founding = wire::Founding { disk: 1, intent: None, members: Some(Vec::new()) };
    worker.found(0, founding, true);
    for peer in [2, 3] {
        worker.peer_up(0, NodeId(peer));
        let buckets = (0..BUCKETS).map(|bucket| (Bucket(bucket), Slot(4), Slot(0))).collect();
        let nonce = worker.settings.client;
        tell(&mut worker, 0, peer, &Item::FloorAnswer { nonce, buckets, learning: Vec::new() });
    }
    sync(&mut worker, 1);
    assert!(!worker.core.needs_floor(Bucket(3)) && !worker.core.fresh(Bucket(3)).voting);
    worker
}

/// Who is asked to push which bucket, at that time.
fn asked(worker: &mut Worker, now: u64) -> BTreeMap<u32, u16> {
    [2, 3].iter().for_each(|node| drop(told(worker, *node)));
    worker.tick(now);
    worker.flush(now);
    let mut asked = BTreeMap::new();
    for node in [2, 3] {
        for item in told(worker, node) {
            let Item::Nudge { buckets } = item else { continue };
            for bucket in buckets {
                assert_eq!(asked.insert(bucket.0, node), None, "bucket {} is asked for twice", bucket.0);
            }
        }
    }
    asked
}

#[test]
fn two_peers_are_not_asked_to_decide_the_same_idle_bucket() {
    let mut worker = below_its_floors();
    let first = asked(&mut worker, 1_000);
    assert_eq!(first.len(), BUCKETS as usize);
    assert!([2, 3].iter().all(|node| first.values().any(|asked| asked == node)), "both have their share");
    for round in 1..4 {
        assert_eq!(asked(&mut worker, 1_000 + round * 300), first, "round {round}");
    }
    // None has passed for a while: each is another's.
    let later = asked(&mut worker, 20_000);
    assert!(later.len() == first.len() && later.iter().all(|(bucket, node)| first[bucket] != *node));
}
