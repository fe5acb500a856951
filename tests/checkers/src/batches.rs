//! Batches: what was added in one operation is shown whole or not at all.
//!
//! It looks at elements of sets and lists, and at positions of entities that are put once and never removed.

use std::collections::{HashMap, HashSet};

use crate::history::{Call, Change, Operation, Reply, by_key};
use crate::plant::{self, Plant};
use crate::verdict::{Verdict, Violation};

/// Whether every scan shows whole batches.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    let mut violations = Vec::new();
    for (key, places) in by_key(history) {
        let batches = batches(history, &places);
        for &place in &places {
            let shown: HashSet<u64> = match history[place].reply() {
                Some(Reply::Elements(elements)) => elements.iter().copied().collect(),
                Some(Reply::Records(records)) => records.iter().map(|(position, _)| *position).collect(),
                _ => continue,
            };
            for (batch, members) in &batches {
                let there = members.iter().filter(|member| shown.contains(member)).count();
                if there != 0 && there != members.len() && !plant::on(Plant::HalfBatch) {
                    let what = format!("{there} of a batch of {} are shown", members.len());
                    violations.push(Violation::new(key, what, [*batch, place]));
                }
            }
        }
    }
    Verdict::of(violations)
}

/// The batches of a key with the members that nothing else touches.
fn batches(history: &[Operation], places: &[usize]) -> Vec<(usize, Vec<u64>)> {
    let mut touched: HashMap<u64, usize> = HashMap::new();
    let mut below = 0;
    let mut batches = Vec::new();
    for &place in places {
        let members: Vec<u64> = match &history[place].call {
            Call::Add(elements) | Call::Append(elements) => elements.clone(),
            Call::Change(changes) => {
                let mut put = Vec::new();
                for change in changes {
                    match *change {
                        Change::Put { position, .. } => put.push(position),
                        Change::Remove { position } => *touched.entry(position).or_default() += 1,
                        Change::Trim { below: trimmed } => below = below.max(trimmed),
                    }
                }
                put
            }
            _ => continue,
        };
        members.iter().for_each(|member| *touched.entry(*member).or_default() += 1);
        batches.push((place, members));
    }
    for (_, members) in &mut batches {
        members.retain(|member| touched[member] == 1 && *member >= below);
    }
    batches.retain(|(_, members)| members.len() > 1);
    batches
}
