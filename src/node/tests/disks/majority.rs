//! More disks are lost than a minority.

use std::path::Path;

use thermocline_paxos::{Bucket, Slot};
use thermocline_tiers::hot::journal::Position;

use super::{assert_replicas_are_equal, fill, heal};
use crate::node::entity_hash;
use crate::node::tests::world::{BUCKETS, Shape, World, get};

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
        assert_eq!(give_up(&mut world, node), BUCKETS);
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
        assert_eq!(give_up(&mut world, 1), 0);
        world.steps(10);
    }
    heal(&mut world);
}

/// One has lost its disk and has floors, but has not passed them yet, when another disk is lost, and the third for good: nobody
/// could ever decide the slots below.
#[test]
pub(in crate::node::tests) fn a_replica_below_its_floor_is_lost_with_the_others_and_given_up_like_them() {
    for operator in [true, false] {
        let mut world = World::new(16, 0);
        fill(&mut world, 40, 120);
        world.steps(100);
        world.crash(0);
        world.wipe(0);
        world.start(0);
        world.step_until("all floors are there", |world| {
            let worker = &world.nodes[0].running.as_ref().unwrap().worker;
            (0..BUCKETS).map(Bucket).all(|bucket| !worker.core.needs_floor(bucket))
        });
        let below = world.worker(0).votes().1;
        assert!(below > 0);
        for node in [1, 2] {
            world.crash(node);
        }
        world.wipe(1);
        world.start(1);
        world.steps(8_000);
        assert!(world.worker(0).lost_buckets().len() == below as usize);
        assert_eq!(world.worker(1).votes().0, 0);
        let is_well = |world: &World| world.running().all(|running| running.worker.votes().1 == 0);
        if operator {
            for node in [0, 1] {
                assert!(give_up(&mut world, node) >= below);
            }
            world.step_until("both vote", is_well);
            for number in 0..40 {
                world.put(0, &format!("entity-{number}"), "afterwards").unwrap();
                assert_eq!(world.get(1, &format!("entity-{number}")), Some("afterwards".to_owned()));
            }
            // The floors that count are the last ones.
            for node in [0, 1] {
                world.crash(node);
                world.start(node);
            }
            world.step_until("both vote again", is_well);
            assert_eq!(world.get(0, "entity-7"), Some("afterwards".to_owned()));
        } else {
            world.steps(8_000);
            assert!(!is_well(&world), "by nobody's leave");
        }
    }
}

/// Flips a bit in the journal's record of a slot, once the node is down.
fn crash_and_lose(world: &mut World, index: usize, bucket: Bucket, slot: Slot) {
    let place = world.worker(index).index.place(bucket, slot).unwrap();
    world.crash(index);
    flip(world, index, place);
}

/// Makes a record unreadable, or readable again.
fn flip(world: &World, index: usize, record: Position) {
    let segment = format!("journal/segment-{:016x}", record.generation.0);
    let offset = u64::from(record.offset + record.length - 1);
    world.nodes[index].disk.flip_bits(Path::new(&segment), offset, 1).unwrap();
}

/// The operator gives up what is lost, at one node. Says how many buckets that concerns.
fn give_up(world: &mut World, index: usize) -> u32 {
    let now = world.now;
    world.worker(index).give_up_lost_votes(now)
}

/// Writes go on, at one node; the state of the first node is written behind one of them.
fn go_on(world: &mut World, node: usize, writes: u64, written_after: u64, steps: u64) {
    for number in 1..=writes {
        world.put(node, "entity", &format!("new-{number}")).unwrap();
        world.steps(steps);
        if number == written_after {
            world.worker(0).flush_parts();
            world.steps(20);
        }
    }
}

/// Records of the only replica's journal can be read behind one that cannot. Whenever the state is written after they were given up, and however
/// often the node is started again.
#[test]
pub(in crate::node::tests) fn what_was_given_up_does_not_come_back() {
    for (written_after, torn) in (0..=8).flat_map(|after| [(after, 5), (after, 9)]) {
        let shape = Shape { nodes: 1, memtable_bytes: 1 << 20, ..Shape::default() };
        let mut world = World::of(14, shape);
        let bucket = world.route.bucket(entity_hash(b"entity"));
        for number in 1..=24 {
            world.put(0, "entity", &format!("lost-{number}")).unwrap();
        }
        assert_eq!(world.worker(0).applied(bucket), Slot(24));
        crash_and_lose(&mut world, 0, bucket, Slot(torn));
        world.start(0);
        world.steps(100);
        assert_eq!(world.worker(0).votes(), (BUCKETS - 1, 1));
        assert_eq!(give_up(&mut world, 0), 1);
        heal(&mut world);
        // What it has accepted is chosen, and known as far as the hole.
        assert_eq!(world.get(0, "entity"), Some(format!("lost-{}", torn - 1)));
        go_on(&mut world, 0, 8, written_after, 0);
        for start in 1..=3 {
            world.crash(0);
            world.start(0);
            heal(&mut world);
            let expected = Some(format!("new-{}", 7 + start));
            assert_eq!(world.get(0, "entity"), expected, "written after {written_after}, start {start}");
            world.put(0, "entity", &format!("new-{}", 8 + start)).unwrap();
        }
    }
}

/// As long as nobody has given anything up, what can be read again is there again.
#[test]
pub(in crate::node::tests) fn an_only_replica_that_can_read_everything_again_has_lost_nothing() {
    let mut world = World::of(20, Shape { nodes: 1, memtable_bytes: 1 << 20, ..Shape::default() });
    let bucket = world.route.bucket(entity_hash(b"entity"));
    for number in 1..=10 {
        world.put(0, "entity", &format!("value-{number}")).unwrap();
    }
    let place = world.worker(0).index.place(bucket, Slot(5)).unwrap();
    world.crash(0);
    flip(&world, 0, place);
    for _ in 0..2 {
        world.start(0);
        world.steps(100);
        assert_eq!(world.worker(0).lost_buckets(), [bucket]);
        world.crash(0);
    }
    flip(&world, 0, place);
    world.start(0);
    world.steps(100);
    // It cannot know that it has forgotten nothing.
    assert_eq!(give_up(&mut world, 0), 1);
    heal(&mut world);
    assert_eq!(world.get(0, "entity"), Some("value-10".to_owned()));
}

/// The last records of a bucket cannot be read, and are given up; later they can be read again.
#[test]
pub(in crate::node::tests) fn what_can_be_read_again_after_it_was_given_up_does_not_come_back() {
    for written_after in 1..=3 {
        let mut world = World::of(19, Shape { nodes: 1, memtable_bytes: 1 << 20, ..Shape::default() });
        let bucket = world.route.bucket(entity_hash(b"entity"));
        for number in 1..=10 {
            world.put(0, "entity", &format!("lost-{number}")).unwrap();
        }
        world.put(0, "another", "value").unwrap();
        let places = [7, 8, 9, 10].map(|slot| world.worker(0).index.place(bucket, Slot(slot)).unwrap());
        world.crash(0);
        places.iter().for_each(|place| flip(&world, 0, *place));
        world.start(0);
        world.steps(100);
        assert_eq!(give_up(&mut world, 0), 1);
        heal(&mut world);
        assert_eq!(world.get(0, "entity"), Some("lost-6".to_owned()));
        go_on(&mut world, 0, 3, written_after, 0);
        world.crash(0);
        places.iter().for_each(|place| flip(&world, 0, *place));
        for _ in 0..2 {
            world.start(0);
            heal(&mut world);
            assert_eq!(world.get(0, "entity"), Some("new-3".to_owned()), "written after {written_after}");
            assert_eq!(world.get(0, "another"), Some("value".to_owned()));
            world.crash(0);
        }
    }
}

/// One that has not given up anything, but has records of what the others gave up.
#[test]
pub(in crate::node::tests) fn what_others_have_given_up_does_not_come_back() {
    for (written_after, by) in (1..=6).flat_map(|after| [(after, &[1, 2][..]), (after, &[0, 1, 2])]) {
        let mut world = World::of(15, Shape { memtable_bytes: 1 << 20, ..Shape::default() });
        let bucket = world.route.bucket(entity_hash(b"entity"));
        for number in 1..=24 {
            world.put(0, "entity", &format!("lost-{number}")).unwrap();
        }
        world.steps(300);
        assert_eq!(world.worker(0).applied(bucket), Slot(24));
        for node in [1, 2] {
            world.crash(node);
            world.wipe(node);
        }
        crash_and_lose(&mut world, 0, bucket, Slot(5));
        (0..3).for_each(|node| world.start(node));
        world.steps(3_000);
        for node in by {
            assert!(give_up(&mut world, *node) > 0);
        }
        heal(&mut world);
        let found = world.get(0, "entity").unwrap();
        go_on(&mut world, 1, 6, written_after, 50);
        for start in 1..=3 {
            world.crash(0);
            world.start(0);
            heal(&mut world);
            assert_eq!(
                world.get(0, "entity"),
                Some("new-6".to_owned()),
                "{found}: {written_after}, start {start}"
            );
        }
        assert_replicas_are_equal(&mut world);
    }
}

/// Damaged and given up again and again: what the replicas have is always the log that they went on with, up to the last acknowledged write, or,
/// right after a loss, up to an earlier one.
fn the_log_is_one(nodes: usize, seeds: impl Iterator<Item = u64>) {
    let (mut losses, mut lost) = (0, 0);
    for seed in seeds {
        let mut world = World::of(seed, Shape { nodes, memtable_bytes: 1 << 20, ..Shape::default() });
        let entities = ["one", "two", "three"];
        let mut logs: [Vec<String>; 3] = Default::default();
        for round in 0..8 {
            for write in 0..world.draw(40) {
                let (entity, value) = (world.draw(3) as usize, format!("{round}-{write}"));
                let node = world.draw(nodes as u64) as usize;
                world.put(node, entities[entity], &value).unwrap();
                logs[entity].push(value);
                if world.draw(12) == 0 {
                    world.worker(node).flush_parts();
                    world.steps(20);
                }
            }
            world.steps(50);
            let entity = entities[world.draw(3) as usize];
            let bucket = world.route.bucket(entity_hash(entity.as_bytes()));
            let mut damaged = 0;
            for node in 0..nodes {
                // Damage in the very last commit cannot be told from one that the power has cut.
                let (applied, back) = (world.worker(node).applied(bucket), 1 + world.draw(12));
                let slot = Slot(applied.0.saturating_sub(back));
                if world.worker(node).index.place(bucket, slot).is_some() && world.draw(3) > 0 {
                    crash_and_lose(&mut world, node, bucket, slot);
                    damaged += 1;
                } else {
                    world.crash(node);
                }
            }
            (0..nodes).for_each(|node| world.start(node));
            world.steps(if nodes == 1 { 100 } else { 4_000 });
            let mut given_up = 0;
            for node in 0..nodes {
                given_up += give_up(&mut world, node);
            }
            let at = format!("seed {seed}, round {round}, {damaged} damaged");
            assert!(damaged > nodes / 2 || given_up == 0, "{at}: {given_up} given up");
            losses += given_up;
            heal(&mut world);
            for (entity, log) in entities.iter().zip(&mut logs) {
                let found = world.get(world.now as usize % nodes, entity);
                let place = |found: &String| Some(1 + log.iter().position(|value| value == found)?);
                let known = found.as_ref().map_or(Some(0), place);
                let known = known.unwrap_or_else(|| panic!("{at}: {found:?} of {log:?}"));
                assert!(known == log.len() || given_up > 0, "{at}: {found:?} of {log:?}");
                lost += log.len() - known;
                log.truncate(known);
            }
        }
        if nodes > 1 {
            assert_replicas_are_equal(&mut world);
        }
    }
    assert!(losses > 0 && lost > 0, "{losses} buckets given up, {lost} writes lost");
}

#[test]
pub(in crate::node::tests) fn the_log_of_an_only_replica_is_one_however_often_its_end_is_given_up() {
    the_log_is_one(1, 1..=40);
}

#[test]
pub(in crate::node::tests) fn the_log_of_three_replicas_is_one_however_often_its_end_is_given_up() {
    the_log_is_one(3, 1..=10);
}

/// The one that has lost nothing had accepted the last write; the others read without it, and then with it.
#[test]
pub(in crate::node::tests) fn no_read_is_served_before_the_slot_is_decided_in_which_a_log_goes_on() {
    the_log_is_one(3, 117..=117);
}
