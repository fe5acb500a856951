//! What routing costs: the hash of an entity, and the hash with the bucket's group, rank and preferred node.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use thermocline_routing_table::{
    Bucket, BucketCount, GroupCount, Machine, NodeId, Placement, ReplicaCount, Table, Zone, entity_hash,
};

/// Entities in use, so that neither their bytes nor the parts of the map they lead to sit in a register.
const ENTITIES: usize = 4_096;

fn entities(len: usize) -> Vec<Vec<u8>> {
    (0..ENTITIES).map(|at| format!("{at:08}").into_bytes().into_iter().cycle().take(len).collect()).collect()
}

/// Calls `lookup` with one entity after the other.
fn run<R>(criterion: &mut Criterion, name: &str, len: usize, lookup: impl Fn(&[u8]) -> R) {
    let entities = entities(len);
    let mut turn = 0;
    criterion.bench_function(&format!("{name}/{len}"), |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % ENTITIES;
            lookup(black_box(&entities[turn]))
        });
    });
}

fn lookups(criterion: &mut Criterion) {
    let buckets = BucketCount::DEFAULT;
    let hundred = GroupCount::new(100).expect("100 is a legal group count");
    let map = Table::for_groups(hundred, buckets);
    let machines: Vec<Machine> = (0..6).map(|id| Machine { node: NodeId(id), zone: Zone(id % 3) }).collect();
    let placement = Placement::new(&machines, ReplicaCount::Three).expect("a legal group");
    for len in [8, 16, 40] {
        run(criterion, "baseline", len, |entity| entity[0]);
        run(criterion, "hash", len, entity_hash);
        run(criterion, "hash-twox", len, |entity| {
            twox_hash::XxHash3_64::oneshot_with_seed(thermocline_routing_table::ENTITY_HASH_SEED, entity)
        });
        run(criterion, "group", len, |entity| map.seat_of(entity).group);
        run(criterion, "preferred", len, |entity| placement.replicas(map.seat_of(entity).rank)[0]);
    }
}

fn expansions(criterion: &mut Criterion) {
    for (groups, buckets) in [
        (100, BucketCount::DEFAULT),
        (1_000, BucketCount::DEFAULT),
        (100, BucketCount::MAX),
        (1_000, BucketCount::MAX),
    ] {
        let count = GroupCount::new(groups).expect("a legal group count");
        criterion.bench_function(&format!("expand/{groups}-groups/{buckets}-buckets"), |bencher| {
            bencher.iter(|| Table::for_groups(black_box(count), buckets));
        });
        let mut turn = 0;
        criterion.bench_function(&format!("unexpanded/{groups}-groups/{buckets}-buckets"), |bencher| {
            bencher.iter(|| {
                turn = (turn + 7_919) % buckets.get();
                Table::seat(black_box(Bucket(turn)), count, buckets)
            });
        });
    }
}

criterion_group!(benches, lookups, expansions);
criterion_main!(benches);
