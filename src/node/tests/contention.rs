//! Two nodes that write to the same buckets at the same time.

use super::world::{World, put};
use crate::request::Expect;

/// So long a frame takes between the two, in milliseconds.
const FRAME_MS: u64 = 10;

/// A node that owned buckets is gone, and the two that are left write to each of them at the same moment, over a slow link. Whoever comes second
/// steps back for as long as a decision takes there, or they would preempt one another until both give up.
#[test]
fn two_that_contend_over_a_slow_link_are_soon_done() {
    for seed in 1..=5 {
        let mut world = World::new(seed, 0);
        let entities: Vec<String> = (0..100).map(|number| format!("entity {number}")).collect();
        for entity in &entities {
            world.put(1, entity, "of the node that goes").unwrap();
        }
        world.crash(1);
        world.hold_up(0, 2, FRAME_MS);
        world.hold_up(2, 0, FRAME_MS);
        for number in 0..100 {
            let node = if number % 2 == 0 { 0 } else { 2 };
            world.put(node, &format!("{number}"), "says how long decisions take").unwrap();
        }
        let begun = world.now;
        for entity in &entities {
            let calls = [0, 2].map(|node| world.ask(node, put(entity, "value", Expect::Any)));
            for call in calls {
                world.answer(call).unwrap();
            }
        }
        // Two writes, one after the other, each with both phases, are eight frames.
        let mean = (world.now - begun) / entities.len() as u64;
        assert!(mean < 15 * FRAME_MS, "seed {seed}: {mean} ms");
    }
}
