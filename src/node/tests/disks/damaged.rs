//! Disks that are damaged in part.

use std::path::Path;

use super::{assert_replicas_are_equal, audits, fill, heal};
use crate::node::tests::world::{BUCKETS, Shape, World};

#[test]
fn a_lost_part_of_the_state_makes_learners_of_its_buckets_alone() {
    for damage in [true, false] {
        let mut world = World::new(5, 0);
        fill(&mut world, 20, 60);
        world.crash(1);
        let manifest = Path::new("state/001/manifest");
        if damage {
            world.damage(1, manifest);
        } else {
            thermocline_tiers::disk::Disk::remove(&*world.nodes[1].disk, manifest).unwrap();
        }
        world.start(1);
        assert_eq!(world.worker(1).votes(), (BUCKETS / 2, BUCKETS / 2));
        heal(&mut world);
        for number in 0..20 {
            assert_eq!(world.get(1, &format!("entity-{number}")), Some(format!("value-{}", 40 + number)));
        }
        assert_replicas_are_equal(&mut world);
    }
}

#[test]
fn a_flipped_bit_in_the_state_is_never_an_answer_and_is_repaired_from_another_replica() {
    for seed in 1..=20 {
        let mut world = World::of(seed, Shape { memtable_bytes: 4 << 10, ..Shape::default() });
        fill(&mut world, 20, 100);
        world.steps(100);
        world.worker(1).flush_parts();
        world.steps(10);
        world.crash(1);
        for part in ["state/000", "state/001"] {
            for file in world.files(1, part).into_iter().filter(|file| file.extension().is_some()) {
                world.damage(1, &file);
            }
        }
        world.start(1);
        for number in 0..20 {
            let expected = Some(format!("value-{}", 80 + number));
            assert_eq!(world.get(1, &format!("entity-{number}")), expected, "seed {seed}");
        }
        heal(&mut world);
    }
}

#[test]
fn damage_in_a_journal_is_found_and_nobody_is_served_from_it() {
    let mut world = World::new(11, 0);
    fill(&mut world, 20, 100);
    world.steps(100);
    let journal = world.files(1, "journal").into_iter().find(|file| file.to_string_lossy().contains("seg"));
    let journal = journal.unwrap_or_else(|| panic!("{:?}", world.files(1, "journal")));
    let mut found = 0;
    for _ in 0..200 {
        world.damage_before(1, &journal, 40_000);
    }
    for _ in 0..2 {
        let report = audits::audit(&mut world, 0);
        assert!(report.is_clean(), "{report}");
        found += report.journal_damage;
    }
    assert!(found > 0);
    // The next start finds it too, and the buckets concerned learn; then all is well again.
    world.crash(1);
    world.start(1);
    heal(&mut world);
    assert_replicas_are_equal(&mut world);
}
