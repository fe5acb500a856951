//! Everything at once.

use std::path::Path;

use super::{assert_replicas_are_equal, heal};
use crate::node::tests::register::Registers;
use crate::node::tests::world::{Copy, Shape, World};

/// Everything at once: writers and readers at all nodes, frames lost, doubled and late, and disks lost, put back or damaged, one after
/// the other, at any moment.
#[test]
fn acknowledged_writes_survive_lost_and_old_and_damaged_disks() {
    for (nodes, seeds) in [(3, 1..=24), (5, 101..=112)] {
        for seed in seeds {
            history(seed, nodes);
        }
    }
}

fn history(seed: u64, nodes: usize) {
    let retain = if seed.is_multiple_of(2) { 0 } else { u64::MAX };
    let trouble = if seed.is_multiple_of(3) { 0 } else { 8 };
    let shape = Shape { nodes, trouble, journal_retain_bytes: retain, ..Shape::default() };
    let mut world = World::of(seed, shape);
    let mut registers = Registers::new(seed);
    let mut copy = world.copy(0);
    for round in 0..60 {
        if round % 15 == 7 {
            misfortune(&mut world, &mut registers, &mut copy);
        }
        registers.touch(&mut world);
    }
    world.shape.trouble = 0;
    heal(&mut world);
    registers.check_all(&mut world);
    assert_replicas_are_equal(&mut world);
}

/// One node has bad luck; more than that, a group of three cannot bear at a time.
fn misfortune(world: &mut World, registers: &mut Registers, copy: &mut Copy) {
    world.step_until("the last misfortune is over", World::is_well);
    let kind = world.draw(5);
    let index = if kind == 1 { copy.index } else { world.draw(world.nodes.len() as u64) as usize };
    world.crash(index);
    for _ in 0..world.draw(3) {
        registers.touch(world);
    }
    match kind {
        0 => world.wipe(index),
        // Where another disk has taken its place since, the copy would not be heard.
        1 if world.put_back(copy) => {}
        1 => world.wipe(index),
        2 => world.damage(index, Path::new(&format!("state/{:03}/manifest", world.now % 2))),
        3 => {
            let files = world.files(index, "journal");
            let file = files[world.draw(files.len() as u64) as usize].clone();
            world.damage(index, &file);
        }
        _ => {}
    }
    world.start(index);
    if world.draw(2) == 0 {
        *copy = world.copy(index);
    }
    for _ in 0..world.draw(4) {
        registers.touch(world);
    }
    if world.draw(3) == 0 {
        world.crash(index);
        world.start(index);
    }
}
