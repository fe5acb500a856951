//! Disks that are lost whole, and starts that have lost nothing.

use super::{assert_replicas_are_equal, fill, fill_without, heal};
use crate::node::tests::world::{BUCKETS, Shape, World};

#[test]
fn a_wiped_node_learns_and_votes_again() {
    for nodes in [3, 5] {
        let mut world = World::of(1, Shape { nodes, ..Shape::default() });
        fill(&mut world, 10, 40);
        world.crash(0);
        world.wipe(0);
        world.start(0);
        world.step_until("the founding is heard of", |world| {
            world.nodes[0].running.as_ref().unwrap().worker.founded
        });
        assert_eq!(world.worker(0).votes(), (0, BUCKETS), "{nodes} nodes");
        heal(&mut world);
        for number in 0..10 {
            assert_eq!(world.get(0, &format!("entity-{number}")), Some(format!("value-{}", 30 + number)));
        }
        assert_replicas_are_equal(&mut world);
        // Once it votes everywhere, and that is durable, a restart is a restart.
        world.step_until("the amnesia is over", |world| {
            world.running().all(|running| running.worker.kept.identity.read().amnesia.is_empty())
        });
        world.crash(0);
        world.start(0);
        assert_eq!(world.worker(0).votes(), (BUCKETS, 0), "{nodes} nodes");
    }
}

#[test]
fn a_clean_crash_never_makes_a_learner() {
    let mut world = World::new(2, 0);
    for round in 0..6 {
        fill(&mut world, 10, 20);
        let node = round % 3;
        world.crash(node);
        fill_without(&mut world, node);
        world.start(node);
        assert_eq!(world.worker(node).votes(), (BUCKETS, 0));
        world.steps(300);
        assert_eq!(world.worker(node).counters().amnesias, 0);
        assert_eq!(world.worker(node).votes(), (BUCKETS, 0));
    }
}
