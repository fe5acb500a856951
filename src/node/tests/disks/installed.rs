//! Buckets that are copied whole from another replica.

use std::path::Path;

use thermocline_paxos::{Bucket, Vote};

use super::{assert_replicas_are_equal, fill, heal};
use crate::node::tests::world::{BUCKETS, Shape, World, put, put_dated};
use crate::request::Expect;

/// Buckets whose commands are in no journal any more, one of them larger than what is gathered in memory.
#[test]
fn what_no_journal_has_is_copied_whole() {
    let shape = Shape { journal_retain_bytes: 0, memtable_bytes: 1 << 20, ..Shape::default() };
    let mut world = World::of(6, shape);
    let long = "x".repeat(60_000);
    // All of one bucket: one entity, many records.
    for number in 0..40 {
        let ask = put_dated("large", number, &format!("{number}{long}"));
        let call = world.ask(0, ask);
        world.answer(call).unwrap();
    }
    fill(&mut world, 10, 30);
    for node in 0..3 {
        world.worker(node).flush_parts();
    }
    world.steps(20);
    world.crash(2);
    world.wipe(2);
    world.start(2);
    heal(&mut world);
    let copied = *world.worker(2).counters();
    assert!(copied.buckets_installed > 0 && copied.transfers > 0, "{copied:?}");
    assert_replicas_are_equal(&mut world);
}

#[test]
fn a_learner_is_not_copied_from() {
    let mut world = World::new(16, 0);
    fill(&mut world, 10, 40);
    world.crash(0);
    world.wipe(0);
    world.start(0);
    world.step_until("something is there", |world| {
        let worker = &world.nodes[0].running.as_ref().unwrap().worker;
        worker.founded && worker.counters().applied + worker.counters().buckets_installed > 0
    });
    let learning = (0..BUCKETS)
        .map(Bucket)
        .filter(|bucket| !world.nodes[0].running.as_ref().unwrap().worker.core.fresh(*bucket).voting);
    let learning: Vec<Bucket> = learning.collect();
    assert!(!learning.is_empty());
    for bucket in learning {
        assert!(!world.worker(0).is_full_replica(bucket) && world.worker(1).is_full_replica(bucket));
    }
}

/// The power goes while buckets are being taken over: what is there afterwards is what was there before, or all of the new.
#[test]
pub(in crate::node::tests) fn a_crash_in_the_middle_of_an_installation_leaves_nothing_that_looks_whole() {
    let shape = Shape { journal_retain_bytes: 0, memtable_bytes: 128 << 10, ..Shape::default() };
    for seed in 1..=12 {
        let mut world = World::of(seed, shape);
        installed_in_spite_of_crashes(&mut world);
    }
}

fn installed_in_spite_of_crashes(world: &mut World) {
    let long = "x".repeat(60_000);
    for number in 0..30 {
        let ask = put_dated("large", number, &format!("{number}{long}"));
        let call = world.ask(0, ask);
        world.answer(call).unwrap();
    }
    fill(world, 10, 20);
    world.crash(2);
    if world.draw(2) == 0 {
        world.wipe(2);
    } else {
        // It keeps its journal, and loses a part of its state.
        let bucket = world.route.bucket(crate::node::entity_hash(b"large"));
        world.damage(2, Path::new(&format!("state/{:03}/manifest", bucket.0 % 2)));
    }
    world.start(2);
    for _ in 0..6 {
        let steps = world.draw(60);
        world.steps(steps);
        world.crash(2);
        world.start(2);
    }
    heal(world);
    assert_replicas_are_equal(world);
}

/// A node that was away for longer than the journals reach takes buckets over, and its power goes again and again. Its disk has lost nothing, so
/// that it votes in every bucket at each start; of what its state lacks it serves nothing.
#[test]
pub(in crate::node::tests) fn a_power_cut_while_buckets_are_taken_over_makes_no_learner() {
    let shape = Shape { journal_retain_bytes: 0, memtable_bytes: 128 << 10, ..Shape::default() };
    let (mut installed, mut ahead) = (0, 0);
    for seed in 1..=8 {
        let mut world = World::of(seed, shape);
        fill(&mut world, 40, 60);
        heal(&mut world);
        world.crash(2);
        let long = "x".repeat(60_000);
        for number in 0..30 {
            let ask = put_dated("large", number, &format!("{number}{long}"));
            let call = world.ask(0, ask);
            world.answer(call).unwrap();
        }
        for number in 0..80 {
            world.put(number % 2, &format!("entity-{}", number % 40), "meanwhile").unwrap();
        }
        world.start(2);
        for number in 0..10 {
            // Slots behind those that are taken over.
            for entity in 0..4 {
                let _ = world.ask(0, put(&format!("entity-{}", number * 4 + entity), "later", Expect::Any));
            }
            let steps = world.draw(40);
            world.steps(steps);
            installed += world.worker(2).counters().buckets_installed;
            world.crash(2);
            world.start(2);
            let worker = world.worker(2);
            ahead += worker.failed.len();
            let learns = |bucket: &Bucket| worker.core.status(*bucket).vote == Vote::LearnerOnly;
            let learning: Vec<Bucket> = (0..BUCKETS).map(Bucket).filter(learns).collect();
            assert!(learning.is_empty(), "seed {seed}, start {number}: {learning:?}");
        }
        heal(&mut world);
        assert_replicas_are_equal(&mut world);
    }
    assert!(
        installed > 0 && ahead > 0,
        "{installed} were installed, {ahead} found their log ahead of their state"
    );
}
