//! Lives of a directory that was put back, or replaced, before any peer was there to say so; and lives of one that was not.

use super::{assert_replicas_are_equal, fill, fill_without, heal};
use crate::node::tests::world::{Copy, Shape, World, put};
use crate::request::Expect;

/// A start of a node that nobody hears: it has its journal grow, and ends.
fn start_unheard(world: &mut World, index: usize) {
    world.part(index, true);
    world.start(index);
    for number in 0..30 {
        world.ask(index, put(&format!("entity-{number}"), "of nobody", Expect::Any));
    }
    world.steps(50);
    world.crash(index);
    world.part(index, false);
}

fn put_back(world: &mut World, copy: &Copy) {
    world.crash(copy.index);
    assert!(world.put_back(copy));
}

fn assert_recognised(world: &mut World, index: usize) {
    world.step_until("the amnesia is admitted", |world| world.amnesias(index) > 0);
    heal(world);
    fill(world, 10, 30);
    assert_replicas_are_equal(world);
}

/// The simulator's seeds 6227, 6299, 6706, 7358, 7544 and 7934 with `--losses`: a copy was killed before a peer had told it what it is. Its
/// next start counted more starts than peers remembered, and had a journal as long as that of the lost one.
#[test]
pub(in crate::node::tests) fn a_copy_that_ended_before_it_was_told_is_recognised_in_any_later_start() {
    for unheard in [0, 1, 2, 5] {
        let mut world = World::new(21 + unheard, 0);
        fill(&mut world, 10, 30);
        let copy = world.copy(0);
        world.crash(0);
        world.start(0);
        fill(&mut world, 10, 30);
        put_back(&mut world, &copy);
        for _ in 0..unheard {
            start_unheard(&mut world, 0);
        }
        world.start(0);
        assert_recognised(&mut world, 0);
    }
}

#[test]
fn a_copy_of_a_copy_and_two_copies_in_turn_are_recognised() {
    let mut world = World::new(31, 0);
    fill(&mut world, 10, 30);
    let first = world.copy(0);
    world.crash(0);
    world.start(0);
    fill(&mut world, 10, 30);
    let second = world.copy(0);
    world.crash(0);
    world.start(0);
    fill(&mut world, 10, 30);
    put_back(&mut world, &first);
    start_unheard(&mut world, 0);
    let of_the_first = world.copy(0);
    assert!(world.put_back(&second));
    start_unheard(&mut world, 0);
    assert!(world.put_back(&of_the_first));
    start_unheard(&mut world, 0);
    world.start(0);
    assert_recognised(&mut world, 0);
    // And again, to a copy from before that was admitted.
    put_back(&mut world, &second);
    world.start(0);
    assert_recognised(&mut world, 0);
}

/// What only one peer has heard protects also while that peer is away, once it has told another.
#[test]
pub(in crate::node::tests) fn a_life_that_one_peer_heard_is_remembered_by_all() {
    let mut world = World::new(32, 0);
    fill(&mut world, 10, 30);
    world.crash(0);
    let copy = world.copy(0);
    world.cut(0, 1, true);
    world.start(0);
    fill_without(&mut world, 1);
    put_back(&mut world, &copy);
    world.crash(2);
    world.cut(0, 1, false);
    world.start(0);
    world.step_until("the amnesia is admitted", |world| world.amnesias(0) > 0);
    world.start(2);
    assert_recognised(&mut world, 0);
}

/// The simulator's seeds 6035 and 6706 with `--losses`: each of two nodes had heard from the third of lives of the other that it had not
/// heard itself.
#[test]
pub(in crate::node::tests) fn two_nodes_that_do_not_hear_each_other_account_for_themselves() {
    let mut world = World::new(33, 0);
    fill(&mut world, 10, 30);
    world.cut(0, 1, true);
    for _ in 0..3 {
        for node in [0, 1] {
            world.crash(node);
            world.start(node);
            world.steps(50);
        }
    }
    world.crash(2);
    world.cut(0, 1, false);
    world.relink_pair(0, 1);
    fill_without(&mut world, 2);
    world.start(2);
    heal(&mut world);
    assert_eq!([0, 1, 2].map(|node| world.amnesias(node)), [0; 3]);
    assert_replicas_are_equal(&mut world);
}

/// A node is started far more often than it lists while a peer is away.
#[test]
fn a_clean_node_is_never_taken_for_a_copy() {
    let mut world = World::new(34, 0);
    fill(&mut world, 10, 30);
    world.crash(1);
    for _ in 0..600 {
        world.crash(0);
        world.start(0);
        world.steps(3);
    }
    world.start(1);
    heal(&mut world);
    // All at once, and then one after the other while another is away.
    for index in 0..3 {
        world.crash(index);
    }
    for index in 0..3 {
        world.start(index);
    }
    heal(&mut world);
    for away in 0..3 {
        world.crash(away);
        for _ in 0..3 {
            world.crash((away + 1) % 3);
            world.start((away + 1) % 3);
            world.steps(20);
        }
        world.start(away);
        heal(&mut world);
    }
    assert_eq!([0, 1, 2].map(|node| world.amnesias(node)), [0; 3]);
    assert_replicas_are_equal(&mut world);
}

/// What a start costs: all that are there hear it, and are heard, after the first frames and one write each; also when all start at once.
#[test]
fn a_clean_restart_is_heard_with_its_first_frames() {
    for nodes in [3, 5] {
        let mut world = World::of(35, Shape { nodes, ..Shape::default() });
        fill(&mut world, 10, 30);
        for started in [1, nodes / 2, nodes] {
            for index in 0..started {
                world.crash(index);
            }
            for index in 0..started {
                world.start(index);
            }
            world.steps(3);
            for (one, other) in (0..nodes).flat_map(|one| (0..nodes).map(move |other| (one, other))) {
                assert!(one == other || world.hears(one, other), "{one} does not hear {other} of {nodes}");
            }
            heal(&mut world);
        }
    }
}

/// The simulator's seed 7551 with `--losses`: a disk is lost twice, and a peer that had never heard the second hears it late. The other peer,
/// which knows which of them came first, cannot tell it.
#[test]
pub(in crate::node::tests) fn a_late_frame_of_a_disk_that_is_lost_too_displaces_nobody() {
    let mut world = World::new(36, 0);
    fill(&mut world, 10, 30);
    world.cut(1, 2, true);
    world.crash(0);
    world.wipe(0);
    world.hold_up(0, 1, 2_000);
    world.start(0);
    world.steps(500);
    world.crash(0);
    world.wipe(0);
    world.release();
    world.start(0);
    world.steps(3_000);
    assert!(world.hears(1, 0) && world.hears(2, 0));
    world.cut(1, 2, false);
    for index in 0..3 {
        world.crash(index);
        world.start(index);
    }
    heal(&mut world);
    assert_replicas_are_equal(&mut world);
}
