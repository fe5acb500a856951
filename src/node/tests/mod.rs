//! Whole nodes without a runtime, in a world of which all is played from one seed.

mod contention;
mod disks;
#[cfg(feature = "plant")]
pub(in crate::node) mod plants;
mod register;
mod world;

use crate::error::Error;
use crate::key::Version;
use crate::request::{Answer, Expect};
use register::Registers;
use world::{Shape, World, get, put};

#[test]
fn a_write_at_one_node_is_read_at_all() {
    let mut world = World::new(1, 0);
    let call = world.ask(0, put("alice", "hello", Expect::Any));
    assert_eq!(world.answer(call), Ok(Answer::Written(Version(1))));
    for node in 0..3 {
        let call = world.ask(node, get("alice"));
        let Ok(Answer::Got(Some(record))) = world.answer(call) else { panic!("node {node} has nothing") };
        assert_eq!(record.value, "hello");
    }
}

#[test]
fn a_bucket_written_through_one_node_comes_to_be_owned_by_it() {
    let mut world = World::new(2, 0);
    let forwarded = |world: &World| -> Vec<u64> {
        world.running().map(|running| running.worker.counters().forwarded).collect()
    };
    for entity in (0..20).map(|entity| format!("entity {entity}")) {
        for node in [0, 1, 2, 2, 1] {
            // The first write moves the bucket here, if it was elsewhere; the second is not passed on any more.
            for writes in 0..3 {
                let before = forwarded(&world);
                let call = world.ask(node, put(&entity, "value", Expect::Any));
                world.answer(call).unwrap();
                assert!(
                    writes == 0 || forwarded(&world) == before,
                    "write {writes} at node {node} was passed on"
                );
            }
        }
    }
    let handed_over: u64 = world.running().map(|running| running.worker.counters().handed_over).sum();
    assert!(handed_over >= 60, "{handed_over} hand-overs");
}

/// One register for each of a few entities; writers at all nodes; crashes that lose what is not synced. Every acknowledged
/// write is seen by every later read, at every node; versions of an entity only grow (I7, I8, I10).
#[test]
fn acknowledged_writes_survive_lost_frames_and_power_cuts() {
    for seed in 1..=60 {
        let mut world = World::new(seed, if seed % 3 == 0 { 0 } else { 10 });
        let mut registers = Registers::new(seed);
        for _ in 0..60 {
            if world.draw(12) == 0 {
                let index = world.draw(3) as usize;
                world.crash(index);
                let steps = world.draw(50);
                world.steps(steps);
                world.start(index);
            }
            registers.touch(&mut world);
        }
        registers.check_all(&mut world);
    }
}

/// Counters that grow by compare-and-set from all nodes at once: as many increments as successes.
#[test]
fn compare_and_set_counts_right() {
    for seed in 1..=20 {
        let mut world = World::new(seed, 5);
        let mut count = 0;
        let mut unknown = 0;
        for _ in 0..15 {
            let reads: Vec<u64> = (0..3).map(|node| world.ask(node, get("counter"))).collect();
            let mut writes = Vec::new();
            for (node, read) in reads.into_iter().enumerate() {
                let Ok(Answer::Got(record)) = world.answer(read) else { continue };
                let (value, expect) = record.map_or((0, Expect::Absent), |record| {
                    let value: u64 = std::str::from_utf8(&record.value).unwrap().parse().unwrap();
                    (value, Expect::Version(record.version))
                });
                writes.push(world.ask(node, put("counter", &format!("{}", value + 1), expect)));
            }
            for write in writes {
                match world.answer(write) {
                    Ok(_) => count += 1,
                    Err(Error::Unknown(_)) => unknown += 1,
                    Err(_) => {}
                }
            }
        }
        let call = world.ask(0, get("counter"));
        let Ok(Answer::Got(Some(record))) = world.answer(call) else { panic!("seed {seed}: no counter") };
        let value: u64 = std::str::from_utf8(&record.value).unwrap().parse().unwrap();
        assert!(
            (count..=count + unknown).contains(&value),
            "seed {seed}: {value}, {count} sure, {unknown} unknown"
        );
    }
}

/// Not a test of anything but speed: user CPU of three nodes for a million puts, without sockets and real disks.
/// `cargo test --release --lib node::tests::speed -- --ignored --nocapture`
#[test]
#[ignore = "prints a figure"]
fn speed() {
    let mut world = World::of(1, Shape { memtable_bytes: 64 << 20, ..Shape::default() });
    let value = "x".repeat(200);
    let turn = |world: &mut World, puts: u64| {
        for _ in 0..puts {
            let entity = format!("{:016}", world.draw(20_000));
            let node = 0;
            world.ask(node, put(&entity, &value, Expect::Any));
        }
        let mut left = puts;
        while left > 0 {
            world.step();
            left -= world.replies.len() as u64;
            world.replies.clear();
        }
    };
    for _ in 0..400 {
        turn(&mut world, 128);
    }
    let start = std::time::Instant::now();
    for _ in 0..2_000 {
        turn(&mut world, 128);
    }
    println!("{:.1} s per million puts, three nodes", start.elapsed().as_secs_f64() / 0.256);
}
