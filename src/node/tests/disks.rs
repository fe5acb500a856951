//! Disks that are lost, put back to an earlier copy, or damaged in part.

use std::path::Path;

use thermocline_paxos::{Bucket, Slot, Vote};

use super::register::Registers;
use super::world::{BUCKETS, Copy, Shape, World};

/// All replicas of all buckets are equal: the same slot, digest and content.
fn assert_replicas_are_equal(world: &mut World) {
    // A decision that was lost on its way to a replica of an idle bucket is missed by nobody until then.
    world.relink();
    world.steps(200);
    heal(world);
    for bucket in (0..BUCKETS).map(thermocline_tiers::hot::Bucket) {
        let contents: Vec<_> = (0..world.nodes.len())
            .map(|node| {
                let worker = world.worker(node);
                let place = worker.settings.dealing.place(Bucket(bucket.0));
                let part = &mut worker.parts[place];
                while part.memory_bytes() > 0
                    && let Some(job) = part.freeze()
                {
                    part.install(job.run()).unwrap();
                }
                part.snapshot().unwrap().content(bucket).unwrap()
            })
            .collect();
        assert!(contents.windows(2).all(|two| two[0] == two[1]), "bucket {}: {contents:?}", bucket.0);
    }
}

fn fill(world: &mut World, entities: u64, writes: u64) {
    for number in 0..writes {
        let node = (number % world.nodes.len() as u64) as usize;
        world.put(node, &format!("entity-{}", number % entities), &format!("value-{number}")).unwrap();
    }
}

fn heal(world: &mut World) {
    world.step_until("all is well", World::is_well);
}

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

fn fill_without(world: &mut World, node: usize) {
    for number in 0..10 {
        world.put((node + 1) % 3, &format!("entity-{number}"), "meanwhile").unwrap();
    }
}

/// Three ways to put a directory back; in the last nothing in the directory itself tells.
#[test]
pub(super) fn a_directory_put_back_to_an_earlier_copy_is_recognised_by_its_peers() {
    let copies: [fn(&mut World) -> Copy; 3] = [
        |world| {
            // Copied while it was down, two starts ago.
            world.crash(0);
            let copy = world.copy(0);
            world.start(0);
            world.steps(100);
            fill(world, 10, 20);
            world.crash(0);
            world.start(0);
            world.steps(100);
            copy
        },
        |world| {
            // Copied while it was down, before its last start.
            world.crash(0);
            let copy = world.copy(0);
            world.start(0);
            world.steps(100);
            copy
        },
        // Copied while it was running, in its last start.
        |world| world.copy(0),
    ];
    for (way, copy) in copies.into_iter().enumerate() {
        let mut world = World::new(3, 0);
        fill(&mut world, 10, 30);
        let copy = copy(&mut world);
        fill(&mut world, 10, 30);
        world.crash(0);
        assert!(world.put_back(&copy));
        world.start(0);
        world.step_until("the amnesia is admitted", |world| {
            world.nodes[0].running.as_ref().unwrap().worker.counters().amnesias == 1
        });
        assert!(world.worker(0).kept.identity.read().era == 1 || world.worker(0).votes().0 == 0, "way {way}");
        heal(&mut world);
        assert_replicas_are_equal(&mut world);
        // And that is remembered, too: another restart is a restart.
        world.crash(0);
        world.start(0);
        world.steps(300);
        assert_eq!(world.worker(0).counters().amnesias, 0, "way {way}");
        heal(&mut world);
    }
}

#[test]
fn a_directory_that_was_replaced_takes_no_part_any_more() {
    let mut world = World::new(4, 0);
    fill(&mut world, 10, 30);
    let old = world.copy(2);
    world.crash(2);
    world.wipe(2);
    world.start(2);
    heal(&mut world);
    world.crash(2);
    assert!(!world.put_back(&old));
    world.start(2);
    world.steps(300);
    assert!(world.worker(2).replaced);
    fill_without(&mut world, 2);
    let seen = world.worker(0).counters().frames_of_old_lives;
    assert!(seen > 0);
}

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

/// Buckets whose commands are in no journal any more, one of them larger than what is gathered in memory.
#[test]
fn what_no_journal_has_is_copied_whole() {
    let shape = Shape { journal_retain_bytes: 0, memtable_bytes: 1 << 20, ..Shape::default() };
    let mut world = World::of(6, shape);
    let long = "x".repeat(60_000);
    // All of one bucket: one entity, many records.
    for number in 0..40 {
        let ask = super::world::put_dated("large", number, &format!("{number}{long}"));
        let call = world.ask(0, ask);
        world.answer(call).unwrap();
    }
    fill(&mut world, 10, 30);
    for node in 0..3 {
        world.worker(node).flush_parts();
    }
    world.steps(20);
    world.crash(2);
    world.wipe(2);
    world.start(2);
    heal(&mut world);
    let copied = *world.worker(2).counters();
    assert!(copied.buckets_installed > 0 && copied.transfers > 0, "{copied:?}");
    assert_replicas_are_equal(&mut world);
}

/// The power goes while buckets are being taken over: what is there afterwards is what was there before, or all of the new.
#[test]
pub(super) fn a_crash_in_the_middle_of_an_installation_leaves_nothing_that_looks_whole() {
    let shape = Shape { journal_retain_bytes: 0, memtable_bytes: 128 << 10, ..Shape::default() };
    for seed in 1..=12 {
        let mut world = World::of(seed, shape);
        installed_in_spite_of_crashes(&mut world);
    }
}

fn installed_in_spite_of_crashes(world: &mut World) {
    let long = "x".repeat(60_000);
    for number in 0..30 {
        let ask = super::world::put_dated("large", number, &format!("{number}{long}"));
        let call = world.ask(0, ask);
        world.answer(call).unwrap();
    }
    fill(world, 10, 20);
    world.crash(2);
    if world.draw(2) == 0 {
        world.wipe(2);
    } else {
        // It keeps its journal, and loses a part of its state.
        let bucket = world.route.bucket(crate::node::entity_hash(b"large"));
        world.damage(2, Path::new(&format!("state/{:03}/manifest", bucket.0 % 2)));
    }
    world.start(2);
    for _ in 0..6 {
        let steps = world.draw(60);
        world.steps(steps);
        world.crash(2);
        world.start(2);
    }
    heal(world);
    assert_replicas_are_equal(world);
}

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

/// A floor of an earlier loss says nothing of a later one.
#[test]
fn a_floor_counts_for_the_loss_before_it_and_not_for_the_next() {
    let mut world = World::new(7, 0);
    fill(&mut world, 10, 30);
    world.crash(0);
    world.wipe(0);
    world.start(0);
    heal(&mut world);
    let copy = world.copy(0);
    fill(&mut world, 10, 30);
    world.crash(0);
    assert!(world.put_back(&copy));
    world.start(0);
    world.step_until("the amnesia is admitted", |world| {
        world.nodes[0].running.as_ref().unwrap().worker.kept.life.era == 1
    });
    world.crash(0);
    world.start(0);
    let learns = |slot: Vote| matches!(slot, Vote::LearnerOnly);
    let votes: Vec<Vote> = (0..BUCKETS).map(|b| world.worker(0).core.status(Bucket(b)).vote).collect();
    assert!(votes.into_iter().filter(|vote| learns(*vote)).count() > 0);
    heal(&mut world);
    assert!(world.worker(0).applied(Bucket(0)) > Slot(0));
}

fn audit(world: &mut World, node: usize) -> crate::verify::VerifyReport {
    let now = world.now;
    world.worker(node).audit(now, 7, false);
    for _ in 0..20_000 {
        if let Some((call, report)) = world.worker(node).effects().reports.pop() {
            assert_eq!(call, 7);
            return report;
        }
        world.step();
    }
    panic!("the audit did not end");
}

/// Changes a value where it lies in memory, as a bug or a bad memory chip would: no checksum tells.
fn falsify(world: &mut World, node: usize, entity: &str) {
    let bucket = world.route.bucket(crate::node::entity_hash(entity.as_bytes()));
    let worker = world.worker(node);
    let place = worker.settings.dealing.place(bucket);
    let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
    let part = &mut worker.parts[place];
    let (applied, digest) = (part.applied(state_bucket), part.digest(state_bucket));
    let snapshot = part.snapshot().unwrap();
    part.wipe(state_bucket).unwrap();
    let mut restore = part.restore(state_bucket);
    for (token, outcome) in snapshot.outcomes(state_bucket).unwrap() {
        restore.outcome(token, outcome);
    }
    for mut item in snapshot.bucket(state_bucket, &[]).map(Result::unwrap) {
        if let thermocline_tiers::hot::state::Change::Put { value, .. } = &mut item.change {
            *value = bytes::Bytes::from_static(b"something else");
        }
        restore.item(&item);
    }
    restore.finish(applied, digest);
}

#[test]
fn an_audit_finds_what_differs_and_it_is_repaired_from_the_majority() {
    for (nodes, false_ones) in [(3, &[1][..]), (3, &[0]), (5, &[2, 4])] {
        let mut world = World::of(8, Shape { nodes, ..Shape::default() });
        fill(&mut world, 20, 60);
        world.steps(100);
        let clean = audit(&mut world, 0);
        assert!(clean.is_clean() && clean.repaired == 0, "{clean}");
        for node in false_ones {
            falsify(&mut world, *node, "entity-3");
        }
        let report = audit(&mut world, 0);
        assert!(report.is_clean() && report.repaired == 1, "{report}");
        let found: Vec<&crate::verify::Difference> = report.differences.iter().collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].nodes, false_ones.iter().map(|node| *node as u16 + 1).collect::<Vec<_>>());
        assert_eq!(found[0].windows, ["undated"]);
        for node in 0..nodes {
            assert_eq!(world.get(node, "entity-3"), Some("value-43".to_owned()));
        }
        assert_replicas_are_equal(&mut world);
    }
}

#[test]
fn an_audit_under_load_compares_every_bucket_in_the_end() {
    let mut world = World::new(9, 0);
    let now = world.now;
    world.worker(0).audit(now, 7, false);
    for number in 0..200 {
        world.put(number % 3, &format!("entity-{}", number % 50), "value").unwrap();
    }
    world.step_until("the audit is over", |world| {
        world.nodes[0].running.as_ref().unwrap().worker.is_audited()
    });
}

#[test]
fn an_audit_finds_damage_on_disks_that_nobody_reads() {
    for seed in 1..=10 {
        let mut world = World::of(seed, Shape { memtable_bytes: 4 << 10, ..Shape::default() });
        fill(&mut world, 20, 100);
        world.worker(1).flush_parts();
        world.steps(100);
        for part in ["state/000", "state/001"] {
            for file in world.files(1, part).into_iter().filter(|file| file.extension().is_some()) {
                world.damage(1, &file);
            }
        }
        let report = audit(&mut world, 0);
        assert!(report.is_clean(), "seed {seed}: {report}");
        assert_eq!(report.repaired > 0, !report.unreadable.is_empty() || !report.differences.is_empty());
        assert_replicas_are_equal(&mut world);
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
        let report = audit(&mut world, 0);
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

#[test]
pub(super) fn a_lost_majority_is_told_and_given_up_only_when_the_operator_says_so() {
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
    let call = world.ask(0, super::world::get("entity-1"));
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

#[test]
fn a_learner_is_not_copied_from() {
    let mut world = World::new(16, 0);
    fill(&mut world, 10, 40);
    world.crash(0);
    world.wipe(0);
    world.start(0);
    world.step_until("something is there", |world| {
        let worker = &world.nodes[0].running.as_ref().unwrap().worker;
        worker.founded && worker.counters().applied + worker.counters().buckets_installed > 0
    });
    let learning = (0..BUCKETS)
        .map(Bucket)
        .filter(|bucket| !world.nodes[0].running.as_ref().unwrap().worker.core.fresh(*bucket).voting);
    let learning: Vec<Bucket> = learning.collect();
    assert!(!learning.is_empty());
    for bucket in learning {
        assert!(!world.worker(0).is_full_replica(bucket) && world.worker(1).is_full_replica(bucket));
    }
}
