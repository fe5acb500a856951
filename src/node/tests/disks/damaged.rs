//! Disks that are damaged in part.

use std::path::Path;

use thermocline_tiers::disk::Disk;

use super::{assert_replicas_are_equal, audits, fill, fill_without, heal};
use crate::node::tests::world::{BUCKETS, Shape, World};

#[test]
fn a_lost_part_of_the_state_makes_learners_of_its_buckets_alone() {
    let spoil: [fn(&mut World, &Path); 3] = [
        |world, manifest| world.damage(1, manifest),
        |world, manifest| Disk::remove(&*world.nodes[1].disk, manifest).unwrap(),
        // A write that went astray.
        |world, manifest| world.overwrite(1, Path::new("state/000/manifest"), manifest),
    ];
    for spoil in spoil {
        let mut world = World::new(5, 0);
        fill(&mut world, 20, 60);
        world.crash(1);
        spoil(&mut world, Path::new("state/001/manifest"));
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

/// The damage stays where it is, and what made up for it is behind it: from then on a restart is a restart.
#[test]
fn damage_makes_learners_once_and_not_again_at_every_later_start() {
    let (mut learned, mut with_damage) = (0, 0);
    for seed in 1..=20 {
        let mut world = World::of(seed, Shape { memtable_bytes: 1 << 20, ..Shape::default() });
        fill(&mut world, 10, 100);
        world.steps(100);
        let files = world.files(1, "journal");
        let segment = files.iter().find(|file| file.to_string_lossy().contains("segment")).unwrap().clone();
        world.crash(1);
        // What was committed is in the first bytes of the one segment.
        for _ in 0..8 {
            world.damage_before(1, &segment, 30_000);
        }
        world.start(1);
        learned += world.worker(1).votes().1;
        heal(&mut world);
        world.steps(300);
        for start in 1..=3 {
            world.crash(1);
            fill_without(&mut world, 1);
            world.start(1);
            with_damage += world.nodes[1].damage;
            assert_eq!(world.worker(1).votes(), (BUCKETS, 0), "seed {seed}, start {start}");
            heal(&mut world);
        }
        assert_replicas_are_equal(&mut world);
    }
    assert!(learned > 0 && with_damage > 0, "{learned} buckets learned, {with_damage} starts found damage");
}

/// A checksum says that a record was written so, and not that this node wrote it.
#[test]
fn a_record_of_a_bucket_that_does_not_exist_is_corrupt() {
    use thermocline_tiers::hot::journal::{RecordHead, RecordKind};
    let floor = 4;
    for bucket in [BUCKETS, u32::MAX] {
        let mut world = World::new(17, 0);
        fill(&mut world, 10, 20);
        let head = RecordHead {
            bucket: thermocline_tiers::hot::Bucket(bucket),
            slot: thermocline_tiers::hot::Slot(9),
            kind: RecordKind(floor),
        };
        world.commit(0, head, &[]);
        world.crash(0);
        let error = world.try_start(0).unwrap_err();
        let named = format!("bucket {bucket} slot 9: there are {BUCKETS} buckets");
        assert!(matches!(&error, crate::Error::Corrupt { what } if what.contains(&named)), "{error}");
    }
}
