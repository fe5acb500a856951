//! Sets: no element that was acknowledged is missing later, none comes from nowhere, none goes once it was seen.

use std::collections::{HashMap, HashSet};

use crate::history::{Call, Operation, Reply, by_key};
use crate::plant::{self, Plant};
use crate::verdict::{Verdict, Violation};

/// What is known of one element.
struct Element {
    add: usize,
    /// From when on every scan must show it.
    owed_from: Option<u64>,
}

/// Whether every scan shows what it must and nothing that it cannot.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    let mut violations = Vec::new();
    for (key, places) in by_key(history) {
        let mut elements: HashMap<u64, Element> = HashMap::new();
        for &place in &places {
            if let Call::Add(added) = &history[place].call {
                let owed_from = history[place].ended().filter(|_| history[place].acknowledged());
                let owed_from = owed_from.filter(|_| !plant::on(Plant::LostUnlessRead));
                elements.extend(added.iter().map(|&element| (element, Element { add: place, owed_from })));
            }
        }
        let mut scans: Vec<(u64, usize, &[u64])> =
            places.iter().filter_map(|&place| scan(history, place)).collect();
        // In the order of their ends, so that what an earlier one showed is owed by all that begin after it.
        scans.sort_unstable();
        for &(ended, place, shown) in &scans {
            for element in shown {
                match elements.get_mut(element) {
                    Some(known) if history[known.add].possible() && history[known.add].invoked <= ended => {
                        known.owed_from = Some(known.owed_from.map_or(ended, |from| from.min(ended)));
                    }
                    Some(known) => {
                        let what = format!("{element} is shown, but was not added by then");
                        violations.push(Violation::new(key, what, [known.add, place]));
                    }
                    None => {
                        let what = format!("{element} is shown, and nobody added it");
                        violations.push(Violation::new(key, what, [place]));
                    }
                }
            }
        }
        for &(_, place, shown) in &scans {
            let shown: HashSet<&u64> = shown.iter().collect();
            for (element, known) in &elements {
                let owed = known.owed_from.is_some_and(|from| from < history[place].invoked);
                if owed && !shown.contains(element) {
                    violations.push(Violation::new(key, format!("{element} is missing"), [known.add, place]));
                }
            }
        }
    }
    Verdict::of(violations)
}

fn scan(history: &[Operation], place: usize) -> Option<(u64, usize, &[u64])> {
    match history[place].reply()? {
        Reply::Elements(elements) => Some((history[place].ended()?, place, elements)),
        _ => None,
    }
}
