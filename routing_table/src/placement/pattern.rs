//! The order of machines for rank 0, 1, 2, ...: a greedy choice that keeps every count even.

use alloc::vec;
use alloc::vec::Vec;

use super::Zone;

/// A pattern shorter than this is repeated until it is as long: the longer, the less its counts can differ.
const PERIOD_MIN: usize = 1_024;
/// The longest pattern. Only groups of many machines in zones of many different sizes come near.
const PERIOD_MAX: usize = 16_384;

/// The machines, by their places in `zones`, of rank 0, of rank 1, and so on up to the period, `replicas` for each.
///
/// Machines come first in turn. The second is the one that has followed this first machine least often, so that a
/// dead machine's load is spread; every later one is the machine with the fewest replicas so far. Only zones that the
/// bucket is not yet in are candidates. There are at least as many zones as replicas.
pub(super) fn pattern(zones: &[Zone], replicas: usize) -> Vec<usize> {
    let machines = zones.len();
    let mut followed = vec![vec![0_u32; machines]; machines];
    let mut held = vec![0_u32; machines];
    let mut pattern = Vec::with_capacity(period(zones) * replicas);
    for rank in 0..period(zones) {
        let first = rank % machines;
        let start = pattern.len();
        pattern.push(first);
        while pattern.len() < start + replicas {
            let order = &pattern[start..];
            let last = order[order.len() - 1];
            let even = |&at: &usize| {
                let distance = (at + machines - last) % machines;
                match order.len() {
                    1 => (followed[first][at], held[at], distance),
                    _ => (held[at], followed[last][at], distance),
                }
            };
            let elsewhere = |&at: &usize| order.iter().all(|&other| zones[other] != zones[at]);
            let next = (0..machines).filter(elsewhere).min_by_key(even);
            pattern.push(next.expect("at least as many zones as replicas"));
        }
        for &at in &pattern[start..] {
            held[at] += 1;
        }
        if replicas > 1 {
            followed[first][pattern[start + 1]] += 1;
        }
    }
    pattern
}

/// After how many ranks the order begins anew: each machine is first equally often by then, and has been followed
/// equally often by every machine of other zones, if that takes no more than [`PERIOD_MAX`] ranks.
fn period(zones: &[Zone]) -> usize {
    let machines = zones.len();
    let others = |zone: &Zone| zones.iter().filter(|other| *other != zone).count().max(1);
    let rounds = zones.iter().map(others).fold(1, |rounds, others| lcm(rounds, others).min(PERIOD_MAX));
    let even = machines * rounds;
    if even > PERIOD_MAX { PERIOD_MAX / machines * machines } else { even * PERIOD_MIN.div_ceil(even) }
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut divisor, mut rest) = (a, b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    a / divisor * b
}
