//! Lost writes: after everything has healed, what was acknowledged is there, read through every node.
//!
//! The last reads of a history, one of each key through each node, all begin after everything else has ended. None may be
//! older than what was acknowledged, and they must agree with each other; unless the outcome of a write is unknown: it may still
//! happen between them.

use std::collections::BTreeMap;

use crate::history::{Call, Operation, Outcome, Reply, by_key};
use crate::plant::{self, Plant};
use crate::verdict::{Verdict, Violation};

/// Whether the reads that began at `since` or later, of each key by at least `readers` processes, show everything that was
/// acknowledged before.
#[must_use]
pub fn check(history: &[Operation], since: u64, readers: usize) -> Verdict {
    let mut violations = Vec::new();
    for (key, places) in by_key(history) {
        let (finals, before): (Vec<usize>, Vec<usize>) = places
            .into_iter()
            .partition(|&place| history[place].invoked >= since && history[place].reply().is_some());
        let by_reader: BTreeMap<u64, usize> =
            finals.into_iter().map(|place| (history[place].process, place)).collect();
        if by_reader.len() < readers {
            let what = format!("read by {} of {readers} readers in the end", by_reader.len());
            violations.push(Violation::new(key, what, []));
        }
        let looked_at = if plant::on(Plant::FinalReadOfOneNode) { 1 } else { by_reader.len() };
        let settled = !before
            .iter()
            .any(|&place| history[place].changes() && history[place].outcome == Outcome::Unknown);
        let mut first: Option<usize> = None;
        for &place in by_reader.values().take(looked_at) {
            let first = *first.get_or_insert(place);
            if settled && history[first].reply() != history[place].reply() {
                violations.push(Violation::new(
                    key,
                    "two nodes show different things in the end",
                    [first, place],
                ));
            }
            for &write in &before {
                if let Some(what) = lost(history, &before, write, place) {
                    violations.push(Violation::new(key, what, [write, place]));
                }
            }
        }
    }
    Verdict::of(violations)
}

/// Why an acknowledged write is lost in the eyes of a final read.
fn lost(history: &[Operation], before: &[usize], write: usize, last: usize) -> Option<String> {
    let operation = &history[write];
    if !operation.acknowledged() {
        return None;
    }
    match (&operation.call, history[last].reply()?) {
        (Call::Add(elements) | Call::Append(elements), Reply::Elements(shown)) => {
            let missing = elements.iter().find(|element| !shown.contains(element))?;
            Some(format!("{missing} was acknowledged and is lost"))
        }
        (_, Reply::Value { value, version }) => {
            if let (Some(written), Some(version)) = (operation.version(), version) {
                return (*version < written)
                    .then(|| format!("version {written} was acknowledged, and {version} is left"));
            }
            let value = match value {
                Some(value) => *value,
                None if before.iter().any(|&place| history[place].call == Call::Delete) => return None,
                None => {
                    return operation
                        .written()
                        .map(|value| format!("{value} was acknowledged, and nothing is left"));
                }
            };
            // What is left was written before the acknowledged one began.
            let left = before.iter().find(|&&place| history[place].written() == Some(value))?;
            let older = history[*left].ended().is_some_and(|ended| ended < operation.invoked);
            (older && operation.written() != Some(value))
                .then(|| format!("an acknowledged write is lost; the older {value} is left"))
        }
        _ => None,
    }
}
