//! Vote floors.

use thermocline_paxos::{Bucket, Vote};

use super::{fill, heal};
use crate::node::tests::world::{BUCKETS, Shape, World};

#[test]
fn a_floor_is_two_beyond_what_the_others_have_touched() {
    let mut world = World::new(14, 0);
    fill(&mut world, 10, 40);
    world.steps(50);
    let bucket = world.route.bucket(crate::node::entity_hash(b"entity-1"));
    let touched = world.worker(1).core.touched(bucket).max(world.worker(2).core.touched(bucket)).unwrap();
    world.crash(0);
    world.wipe(0);
    world.start(0);
    heal(&mut world);
    assert_eq!(world.worker(0).core.status(bucket).vote, Vote::From(touched.next().next()));
}

#[test]
fn a_floor_needs_a_majority_of_the_others() {
    for nodes in [3, 5] {
        let mut world = World::of(15, Shape { nodes, ..Shape::default() });
        fill(&mut world, 10, 40);
        world.steps(50);
        // Of three, both others must answer; of five, three of the four.
        for node in 1..nodes / 2 + 1 {
            world.crash(node);
        }
        world.crash(0);
        world.wipe(0);
        world.start(0);
        world.steps(2_000);
        for bucket in (0..BUCKETS).map(Bucket) {
            assert_eq!(world.worker(0).core.status(bucket).vote, Vote::LearnerOnly, "{nodes} nodes");
        }
        world.start(1);
        world.step_until("the floors are there", |world| {
            world.nodes[0].running.as_ref().unwrap().worker.votes().1 == 0
        });
    }
}
