//! The order of real time, against an order that the answers give.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::history::Operation;

/// An operation with its rank in the order that the answers give. Operations of equal rank may come in any order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranked {
    pub(crate) place: usize,
    pub(crate) rank: u64,
}

/// The first pair that real time has in another order: one ended before the other began, and has the higher rank.
///
/// If every operation has its rank, there is such a pair exactly if the order of the ranks is not a linearization.
pub(crate) fn inversion(history: &[Operation], ranked: &[Ranked]) -> Option<(usize, usize)> {
    let mut by_call: Vec<Ranked> = ranked.to_vec();
    by_call.sort_unstable_by_key(|ranked| history[ranked.place].invoked);
    let mut under_way: BinaryHeap<Reverse<(u64, u64, usize)>> = BinaryHeap::new();
    let mut highest: Option<Ranked> = None;
    for now in by_call {
        while let Some(&Reverse((ended, rank, place))) = under_way.peek() {
            if ended >= history[now.place].invoked {
                break;
            }
            under_way.pop();
            if highest.is_none_or(|highest| rank > highest.rank) {
                highest = Some(Ranked { place, rank });
            }
        }
        if let Some(highest) = highest.filter(|highest| highest.rank > now.rank) {
            return Some((highest.place, now.place));
        }
        if let Some(ended) = history[now.place].ended() {
            under_way.push(Reverse((ended, now.rank, now.place)));
        }
    }
    None
}
