//! What lies on the disks of replicas is compared.

use super::{assert_replicas_are_equal, fill};
use crate::node::tests::world::{Shape, World};

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
fn an_audit_ends_while_a_replica_is_away_and_says_which() {
    let mut world = World::new(10, 0);
    fill(&mut world, 20, 60);
    world.steps(100);
    falsify(&mut world, 0, "entity-3");
    world.crash(2);
    let begun = world.now;
    let report = audit(&mut world, 0);
    assert!(world.now - begun < 10_000, "{} ms", world.now - begun);
    assert_eq!((report.equal, report.unverified.len() as u64), (0, report.buckets));
    assert_eq!(report.away.iter().copied().collect::<Vec<_>>(), [3]);
    assert!(!report.is_clean() && report.to_string().contains("without an answer of node 3"), "{report}");
    // Once it is back, what is left to be found is found.
    world.start(2);
    let report = audit(&mut world, 0);
    assert!(report.is_clean() && report.repaired == 1 && report.away.is_empty(), "{report}");
}

#[test]
fn an_audit_waits_for_a_replica_that_comes_back() {
    let mut world = World::new(11, 0);
    fill(&mut world, 20, 60);
    world.crash(2);
    let now = world.now;
    world.worker(0).audit(now, 7, false);
    world.steps(100);
    world.start(2);
    let report = reported(&mut world, 0);
    assert!(report.is_clean() && report.away.is_empty(), "{report}");
}

#[test]
fn an_audit_ends_while_a_replica_hears_and_says_nothing() {
    let mut world = World::new(12, 0);
    fill(&mut world, 20, 60);
    world.steps(100);
    world.part(2, true);
    let report = audit(&mut world, 0);
    assert_eq!((report.equal, report.away.iter().copied().collect::<Vec<_>>()), (0, vec![3]), "{report}");
}

pub(super) fn audit(world: &mut World, node: usize) -> crate::verify::VerifyReport {
    let now = world.now;
    world.worker(node).audit(now, 7, false);
    reported(world, node)
}

fn reported(world: &mut World, node: usize) -> crate::verify::VerifyReport {
    for _ in 0..40_000 {
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
