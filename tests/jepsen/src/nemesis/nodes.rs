//! Faults of nodes and of their disks.

use std::fs;
use std::time::Duration;

use super::{Fault, Plan};
use crate::cluster::Cluster;
use crate::random::Random;

/// Breaks nodes for a while and mends them. Says whether it did anything; `None` if it could not be tried now.
pub(super) fn inflict(plan: &Plan, cluster: &Cluster, fault: Fault, random: &mut Random) -> Option<bool> {
    let bitten = match fault {
        Fault::Kill => kill(plan, cluster, random),
        Fault::Pause => pause(plan, cluster, random),
        Fault::Clock => clock(plan, cluster, random),
        Fault::Power => power(plan, cluster, random),
        Fault::Full => full(plan, cluster, random),
        Fault::SlowSync => slow_sync(plan, cluster, random),
        Fault::Wipe => return wipe(plan, cluster, random),
        _ => return None,
    };
    Some(bitten)
}

/// One node, a minority, a majority, or all.
fn some(cluster: &Cluster, random: &mut Random) -> Vec<usize> {
    let nodes = cluster.len();
    let count = match random.below(10) {
        0..=3 => 1,
        4 | 5 => nodes.div_ceil(2) - 1,
        6 | 7 => nodes / 2 + 1,
        _ => nodes,
    };
    random.some(count.max(1), nodes)
}

fn kill(plan: &Plan, cluster: &Cluster, random: &mut Random) -> bool {
    let nodes = some(cluster, random);
    let mut bitten = false;
    for &node in &nodes {
        bitten |= cluster.kill(node);
        // At once, or one after the other.
        plan.sleep(Duration::from_millis(random.below(2) * random.below(200)));
    }
    plan.sleep(Duration::from_millis(random.between(0, 4_000)));
    start(cluster, &nodes);
    bitten
}

fn pause(plan: &Plan, cluster: &Cluster, random: &mut Random) -> bool {
    let nodes = some(cluster, random);
    let mut bitten = false;
    for &node in &nodes {
        bitten |= cluster.pause(node);
    }
    let most = match random.below(20) {
        0..=12 => 3_000,
        13..=18 => 10_000,
        _ => 60_000,
    };
    plan.sleep(Duration::from_millis(random.between(100, most)));
    nodes.iter().for_each(|&node| cluster.resume(node));
    bitten
}

/// A clock is wrong from one start of the node to the next.
fn clock(plan: &Plan, cluster: &Cluster, random: &mut Random) -> bool {
    let node = random.below(cluster.len() as u64) as usize;
    let wrong = ["-1s", "+1s", "-60s", "+60s", "-3600s", "+3600s", "+0 x10"];
    let Some(wrong) = random.pick(&wrong) else { return false };
    let killed = cluster.kill(node);
    cluster.set_clock(node, Some((*wrong).to_owned()));
    start(cluster, &[node]);
    plan.hold(random, 8_000);
    cluster.kill(node);
    cluster.set_clock(node, None);
    start(cluster, &[node]);
    killed
}

/// The power goes where nodes are writing. Something that nobody synced must be gone afterwards: else it was no power cut.
fn power(plan: &Plan, cluster: &Cluster, random: &mut Random) -> bool {
    let nodes = some(cluster, random);
    let mut bitten = true;
    for &node in &nodes {
        let disk = &cluster.ground.disks[node];
        let unsynced = disk.leave_unsynced();
        let off = disk.power_off();
        cluster.kill(node);
        let on = disk.power_on();
        if let Some(error) = off.err().or(on.err()) {
            eprintln!("power of node {}: {error}", node + 1);
            bitten = false;
        }
        bitten &= unsynced.is_ok_and(|path| !path.exists());
    }
    plan.sleep(Duration::from_millis(random.between(0, 3_000)));
    start(cluster, &nodes);
    bitten
}

fn full(plan: &Plan, cluster: &Cluster, random: &mut Random) -> bool {
    let node = random.below(cluster.len() as u64) as usize;
    let disk = &cluster.ground.disks[node];
    cluster.may_end(node, true);
    let filled = disk.fill();
    plan.hold(random, 8_000);
    let room = disk.room();
    let freed = disk.free();
    cluster.tend();
    cluster.may_end(node, false);
    for error in [filled.as_ref().err(), room.as_ref().err(), freed.as_ref().err()].into_iter().flatten() {
        eprintln!("disk of node {}: {error}", node + 1);
    }
    filled.is_ok() && room.is_ok_and(|room| room < 1 << 20) && freed.is_ok()
}

fn slow_sync(plan: &Plan, cluster: &Cluster, random: &mut Random) -> bool {
    let node = random.below(cluster.len() as u64) as usize;
    let bitten = cluster.slow_disk(node, random.between(5, 300));
    plan.hold(random, 6_000);
    cluster.end_slow_disk(node);
    bitten
}

/// A node loses its directory. That is survived by one at a time: the next must wait until it has learnt everything again.
fn wipe(plan: &Plan, cluster: &Cluster, random: &mut Random) -> Option<bool> {
    if !cluster.is_whole() {
        return None;
    }
    let node = random.below(cluster.len() as u64) as usize;
    let killed = cluster.kill(node);
    let data = cluster.ground.places[node].directory.join("data");
    let wiped = fs::remove_dir_all(&data);
    plan.sleep(Duration::from_millis(random.between(0, 3_000)));
    start(cluster, &[node]);
    Some(killed && wiped.is_ok())
}

fn start(cluster: &Cluster, nodes: &[usize]) {
    for &node in nodes {
        if let Err(error) = cluster.start_node(node) {
            eprintln!("node {} cannot be started: {error}", node + 1);
        }
    }
}
