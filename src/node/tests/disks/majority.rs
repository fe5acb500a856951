//! More disks are lost than a minority.

use super::{assert_replicas_are_equal, fill, heal};
use crate::node::tests::world::{BUCKETS, World, get};

#[test]
pub(in crate::node::tests) fn a_lost_majority_is_told_and_given_up_only_when_the_operator_says_so() {
    let mut world = World::new(12, 0);
    fill(&mut world, 20, 60);
    world.steps(50);
    for node in [1, 2] {
        world.crash(node);
        world.wipe(node);
    }
    for node in [1, 2] {
        world.start(node);
    }
    world.steps(5_000);
    for node in [1, 2] {
        assert_eq!(world.worker(node).votes(), (0, BUCKETS));
        assert_eq!(world.worker(node).lost_buckets().len(), BUCKETS as usize);
    }
    let call = world.ask(0, get("entity-1"));
    assert!(matches!(world.answer(call), Err(crate::error::Error::Unavailable { .. })));
    for node in [1, 2] {
        let now = world.now;
        assert_eq!(world.worker(node).give_up_lost_votes(now), BUCKETS);
    }
    heal(&mut world);
    for number in 0..20 {
        for node in 0..3 {
            assert_eq!(world.get(node, &format!("entity-{number}")), Some(format!("value-{}", 40 + number)));
        }
    }
    assert_replicas_are_equal(&mut world);
}

#[test]
fn nothing_is_given_up_while_a_majority_remembers() {
    let mut world = World::new(13, 0);
    fill(&mut world, 20, 60);
    world.crash(1);
    world.wipe(1);
    world.start(1);
    for _ in 0..100 {
        let now = world.now;
        assert_eq!(world.worker(1).give_up_lost_votes(now), 0);
        world.steps(10);
    }
    heal(&mut world);
}
