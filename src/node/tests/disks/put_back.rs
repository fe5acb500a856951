//! Directories that are put back to an earlier copy.

use std::path::Path;

use thermocline_paxos::{Bucket, Slot, Vote};
use thermocline_tiers::disk::Disk;

use super::{assert_replicas_are_equal, fill, fill_without, heal};
use crate::node::tests::world::{BUCKETS, Copy, World};

/// Three ways to put a directory back; in the last nothing in the directory itself tells.
#[test]
pub(in crate::node::tests) fn a_directory_put_back_to_an_earlier_copy_is_recognised_by_its_peers() {
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
        world.step_until("the amnesia is admitted", |world| world.amnesias(0) == 1);
        assert!(
            world.worker(0).kept.identity.read().amnesia.everywhere || world.worker(0).votes().0 == 0,
            "way {way}"
        );
        heal(&mut world);
        assert_replicas_are_equal(&mut world);
        // And that is remembered, too: another restart is a restart.
        world.crash(0);
        world.start(0);
        world.steps(300);
        assert_eq!(world.amnesias(0), 0, "way {way}");
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

/// Of two disks that were put in a node's place one after the other, the peers have lost what they remembered; they have heard the second again
/// when the first comes back. Nobody knows which was there first, so the first has to forget.
#[test]
pub(in crate::node::tests) fn a_disk_accounts_for_no_other_before_it_has_admitted_that() {
    let mut world = World::new(8, 0);
    let replace = |world: &mut World| {
        world.crash(2);
        world.wipe(2);
        world.start(2);
        heal(world);
        fill(world, 10, 30);
    };
    fill(&mut world, 10, 30);
    replace(&mut world);
    let first = world.copy(2);
    replace(&mut world);
    for peer in [0, 1] {
        world.crash(peer);
        world.nodes[peer].disk.remove(Path::new("peers")).unwrap();
    }
    for peer in [0, 1] {
        world.start(peer);
    }
    heal(&mut world);
    fill(&mut world, 10, 30);
    world.crash(2);
    world.put_back(&first);
    world.start(2);
    world.steps(300);
    assert!(world.amnesias(2) > 0 && !world.worker(2).replaced);
    heal(&mut world);
    fill(&mut world, 10, 30);
    assert_replicas_are_equal(&mut world);
}

/// A floor of an earlier loss says nothing of a later one.
#[test]
pub(in crate::node::tests) fn a_floor_counts_for_the_loss_before_it_and_not_for_the_next() {
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
        world.amnesias(0) == 1 && !world.nodes[0].running.as_ref().unwrap().worker.is_admitting()
    });
    world.crash(0);
    world.start(0);
    let learns = |slot: Vote| matches!(slot, Vote::LearnerOnly);
    let votes: Vec<Vote> = (0..BUCKETS).map(|b| world.worker(0).core.status(Bucket(b)).vote).collect();
    assert!(votes.into_iter().filter(|vote| learns(*vote)).count() > 0);
    heal(&mut world);
    assert!(world.worker(0).applied(Bucket(0)) > Slot(0));
}

/// An admission says up to which place of the journal floors count for nothing. Of a journal that begins anew that says nothing.
#[test]
fn floors_in_a_new_journal_count_wherever_those_of_the_old_one_did_not() {
    let mut world = World::new(18, 0);
    fill(&mut world, 10, 60);
    let copy = world.copy(0);
    fill(&mut world, 10, 60);
    world.crash(0);
    assert!(world.put_back(&copy));
    world.start(0);
    world.step_until("the amnesia is admitted", |world| world.amnesias(0) == 1);
    heal(&mut world);
    world.crash(0);
    for file in world.files(0, "journal") {
        Disk::remove(&*world.nodes[0].disk, &file).unwrap();
    }
    world.nodes[0].disk.sync_directory(Path::new("journal")).unwrap();
    world.start(0);
    assert_eq!(world.worker(0).votes(), (0, BUCKETS), "it has lost all that it promised");
    heal(&mut world);
    let reach = world.worker(0).kept.life.synced;
    world.crash(0);
    world.start(0);
    let behind = world.worker(0).kept.identity.read().amnesia.behind;
    assert!(behind <= reach);
    let learns = |bucket: &Bucket| world.nodes[0].running.as_ref().unwrap().worker.core.needs_floor(*bucket);
    assert_eq!((0..BUCKETS).map(Bucket).filter(learns).count(), 0, "behind {behind:?}, of {reach:?}");
    heal(&mut world);
    assert_replicas_are_equal(&mut world);
}
