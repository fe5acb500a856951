//! Lists that grow at their ends: every reader sees a beginning of one and the same list.
//!
//! The longest list that was read gives the order of the appends; all other readings must be beginnings of it, and real time must
//! agree. Elements must be unique.

use std::collections::HashMap;

use crate::history::{Call, Operation, Reply, by_key};
use crate::plant::{self, Plant};
use crate::real_time::{Ranked, inversion};
use crate::verdict::{Verdict, Violation};

/// Whether the lists of a history only grew, in one order.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    let mut violations = Vec::new();
    for (key, places) in by_key(history) {
        if places.iter().any(|&place| matches!(history[place].call, Call::Append(_))) {
            check_list(history, key, &places, &mut violations);
        }
    }
    Verdict::of(violations)
}

fn check_list(history: &[Operation], key: u64, places: &[usize], violations: &mut Vec<Violation>) {
    let read = |place: usize| match history[place].reply() {
        Some(Reply::Elements(elements)) => Some((place, elements)),
        _ => None,
    };
    let mut reads: Vec<(usize, &Vec<u64>)> = places.iter().filter_map(|&place| read(place)).collect();
    reads.sort_by_key(|(_, elements)| elements.len());
    let empty = Vec::new();
    let (longest_by, longest) = reads.last().copied().unwrap_or((0, &empty));

    let mut positions: HashMap<u64, u64> = HashMap::new();
    for (position, &element) in longest.iter().enumerate() {
        if positions.insert(element, position as u64).is_some() {
            violations.push(Violation::new(key, format!("{element} is in the list twice"), [longest_by]));
        }
    }
    for &(place, elements) in &reads {
        if !longest.starts_with(elements) && !plant::on(Plant::ListByLength) {
            let what = "two lists were read of which neither is the other's beginning";
            violations.push(Violation::new(key, what, [place, longest_by]));
        }
    }

    let mut ranked: Vec<Ranked> =
        reads.iter().map(|&(place, elements)| Ranked { place, rank: 2 * elements.len() as u64 }).collect();
    for &place in places {
        let Call::Append(elements) = &history[place].call else { continue };
        let there: Vec<u64> = elements.iter().filter_map(|element| positions.remove(element)).collect();
        let follows = there.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        if !there.is_empty() && (there.len() < elements.len() || !follows) {
            violations.push(Violation::new(key, "an append is in the list in parts", [place, longest_by]));
        }
        match there.last() {
            Some(_) if !history[place].possible() => {
                violations.push(Violation::new(
                    key,
                    "what was not appended is in the list",
                    [place, longest_by],
                ));
            }
            Some(last) => ranked.push(Ranked { place, rank: 2 * last + 1 }),
            // Behind everything that was read.
            None if history[place].acknowledged() && !elements.is_empty() => {
                ranked.push(Ranked { place, rank: 2 * longest.len() as u64 + 1 });
            }
            None => {}
        }
    }
    for (element, _) in positions {
        violations.push(Violation::new(
            key,
            format!("{element} is in the list, and nobody appended it"),
            [longest_by],
        ));
    }
    if plant::on(Plant::RealTimeIgnored) {
        return;
    }
    if let Some((early, late)) = inversion(history, &ranked) {
        let what = "what ended first stands behind what began after it";
        violations.push(Violation::new(key, what, [early, late]));
    }
}
