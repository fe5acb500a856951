//! Faults of the network.

use std::time::{Duration, Instant};

use super::{Fault, Plan};
use crate::cluster::Cluster;
use crate::ground::Way;
use crate::random::Random;

/// Breaks the network for a while and heals it. Says whether anything was held up or lost by it.
pub(super) fn inflict(plan: &Plan, cluster: &Cluster, fault: Fault, random: &mut Random) -> Option<bool> {
    let network = &cluster.ground.network;
    let before = network.bites();
    match fault {
        Fault::Partition => {
            let (ways, began) = (partition(cluster.len(), random), Instant::now());
            network.cut(&ways);
            plan.hold(random, 8_000);
            note(plan, cluster, &ways, began);
        }
        Fault::Flapping => {
            let (ways, began) = (partition(cluster.len(), random), Instant::now());
            for _ in 0..random.between(5, 20) {
                network.cut(&ways);
                plan.sleep(Duration::from_millis(random.between(50, 400)));
                network.heal();
                plan.sleep(Duration::from_millis(random.between(20, 400)));
            }
            note(plan, cluster, &ways, began);
        }
        Fault::Loss => {
            network.lose(random.between(5, 30));
            plan.hold(random, 6_000);
        }
        Fault::Delay => {
            network.delay(random.between(5, 200));
            plan.hold(random, 6_000);
        }
        Fault::Reset => {
            for _ in 0..random.between(1, 10) {
                network.reset();
                plan.sleep(Duration::from_millis(random.between(50, 500)));
            }
        }
        _ => return None,
    }
    let bitten = network.bites() > before;
    network.heal();
    Some(bitten)
}

/// Takes note of nodes that could not talk both ways with a majority.
fn note(plan: &Plan, cluster: &Cluster, ways: &[Way], began: Instant) {
    let nodes = cluster.len();
    let sees = |one: usize, other: usize| !ways.contains(&(one, other)) && !ways.contains(&(other, one));
    let alone = |one: &usize| (0..nodes).filter(|&other| sees(*one, other)).count() <= nodes / 2;
    let alone: Vec<usize> = (0..nodes).filter(alone).collect();
    plan.note_taken(&alone, began);
}

/// The ways that a partition of a random shape cuts.
fn partition(nodes: usize, random: &mut Random) -> Vec<Way> {
    let all =
        || (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))).filter(|(from, to)| from != to);
    match random.below(6) {
        // Two parts, the smaller one of any size.
        0 | 1 => {
            let smaller = random.between(1, (nodes as u64 / 2).max(1));
            let part = random.some(smaller as usize, nodes);
            all().filter(|(from, to)| part.contains(from) != part.contains(to)).collect()
        }
        // One node hears nobody, or is heard by nobody.
        2 => {
            let deaf = random.below(nodes as u64) as usize;
            all().filter(|(_, to)| *to == deaf).collect()
        }
        3 => {
            let mute = random.below(nodes as u64) as usize;
            all().filter(|(from, _)| *from == mute).collect()
        }
        // Two that do not see each other, though the others see both: a bridge.
        4 => {
            let pair = random.some(2, nodes);
            all().filter(|(from, to)| pair.contains(from) && pair.contains(to)).collect()
        }
        // Everybody alone.
        _ => all().collect(),
    }
}
