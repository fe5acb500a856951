//! Disks that are lost, put back to an earlier copy, or damaged in part.

mod audits;
mod damaged;
mod floors;
pub(super) mod installed;
pub(super) mod lives;
mod lost;
pub(super) mod majority;
mod misfortunes;
pub(super) mod put_back;

use thermocline_paxos::Bucket;

use super::world::{BUCKETS, World};

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

fn fill_without(world: &mut World, node: usize) {
    for number in 0..10 {
        world.put((node + 1) % 3, &format!("entity-{number}"), "meanwhile").unwrap();
    }
}

fn heal(world: &mut World) {
    world.step_until("all is well", World::is_well);
}
