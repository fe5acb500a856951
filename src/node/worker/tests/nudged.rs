//! Idle buckets that are pushed over the vote floors of a replica that lost its disk.

use std::collections::BTreeMap;

use super::*;
use crate::node::nudges;

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

/// Who is asked to push which bucket if nobody owns it, from that time on.
fn asked(worker: &mut Worker, now: u64, who: Who) -> BTreeMap<u32, u16> {
    [2, 3].iter().for_each(|node| drop(told(worker, *node)));
    for turn in 0..u64::from(BUCKETS) / nudges::AT_ONCE as u64 {
        worker.tick(now + 5 * turn);
    }
    worker.flush(now);
    let mut asked = BTreeMap::new();
    for node in [2, 3] {
        for item in told(worker, node) {
            let Item::Nudge { who: asked_as, buckets } = item else { continue };
            if asked_as == Who::Owner {
                continue;
            }
            assert_eq!(asked_as, who);
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
    let first = asked(&mut worker, 1_000, Who::OwnerOrYou);
    assert_eq!(first.len(), BUCKETS as usize);
    assert!([2, 3].iter().all(|node| first.values().any(|asked| asked == node)), "both have their share");
    assert_eq!(asked(&mut worker, 1_700, Who::OwnerOrYou), first);
    // None has passed for a while: each is another's.
    let later = asked(&mut worker, 20_000, Who::You);
    assert!(later.len() == first.len() && later.iter().all(|(bucket, node)| first[bucket] != *node));
}

/// What a worker proposes of a bucket when it is nudged: whether without a first phase.
fn proposed(worker: &mut Worker, bucket: Bucket, who: Who) -> Option<bool> {
    tell(worker, 0, 3, &Item::Nudge { who, buckets: vec![bucket] });
    sync(worker, 9);
    [2, 3].iter().flat_map(|node| told(worker, *node)).find_map(|item| match item {
        Item::Paxos(message) if message.bucket == bucket => Some(message.accepted.is_some()),
        _ => None,
    })
}

#[test]
fn the_owner_of_an_idle_bucket_passes_it_and_stays_the_owner() {
    for (owner, who, proposes) in [
        (1, Who::Owner, Some(true)),
        (1, Who::OwnerOrYou, Some(true)),
        (2, Who::Owner, None),
        (2, Who::OwnerOrYou, None),
        (2, Who::You, Some(false)),
        // The one who asks cannot: it only learns.
        (3, Who::Owner, None),
        (3, Who::OwnerOrYou, Some(false)),
    ] {
        let mut worker = worker(1, 3, 7);
        let bucket = Bucket(3);
        let boot = if owner == 1 { worker.core.me().boot } else { Boot { disk: u64::from(owner), count: 1 } };
        let originator = Originator { node: NodeId(owner), boot };
        let id = Some(CommandId { originator, sequence: 1 });
        let command = Command { id, heir: None, payload: Bytes::new() };
        let (from, chosen) = (Slot(1), Slot(1));
        tell(&mut worker, 0, 2, &Item::FetchAnswer { bucket, from, commands: vec![command], chosen });
        assert_eq!(worker.core.owner(bucket), Some(NodeId(owner)));
        [2, 3].iter().for_each(|node| drop(told(&mut worker, *node)));
        assert_eq!(proposed(&mut worker, bucket, who), proposes, "owner {owner}, {who:?}");
    }
}

#[test]
fn a_nudge_in_the_frame_that_decides_a_write_does_not_hide_its_decision() {
    let mut worker = worker(1, 3, 7);
    let (bucket, question) = proposed_write(&mut worker, 5);
    sync(&mut worker, 9);
    let decided = Item::Paxos(Message { durable: true, chosen: true, ..question });
    let its = Life { hears: worker.kept.life.id, ..life(2) };
    tell_in(&mut worker, 0, 2, its, &[decided, Item::Nudge { who: Who::You, buckets: vec![bucket] }]);
    assert!(matches!(replies(&mut worker)[..], [(5, Ok(Answer::Written(_)))]));
    sync(&mut worker, 9);
    assert_eq!(worker.part(bucket).applied(thermocline_tiers::hot::Bucket(bucket.0)).0, 1);
}
