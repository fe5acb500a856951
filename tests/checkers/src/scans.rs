//! Scans: each shows one state that the entity was in, and all of them states of one series.
//!
//! This is for what only grows: sets, and entities whose every position is put once. Of such a series each scan holds all
//! that an earlier one does; an element came between the last scan without it and the first with it; and that order must agree
//! with real time. Together that is linearizability, exactly, without a search. What shrinks or overwrites is for
//! [`crate::linearizability`].

use std::collections::{HashMap, HashSet};

use crate::history::{Call, Change, Operation, Reply, by_key};
use crate::plant::{self, Plant};
use crate::real_time::{Ranked, inversion};
use crate::verdict::{Verdict, Violation};

/// Whether the scans of a history's growing sets and entities are states of one series.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    let mut violations = Vec::new();
    for (key, places) in by_key(history) {
        if let Some(growth) = Growth::of(history, key, &places) {
            growth.check(&mut violations);
        }
    }
    Verdict::of(violations)
}

/// What is known of something that only grows.
struct Growth<'a> {
    history: &'a [Operation],
    key: u64,
    /// Who added what.
    adds: Vec<(usize, Vec<u64>)>,
    /// Who saw what, the smallest first.
    scans: Vec<(usize, Vec<u64>)>,
    /// What was put at each position.
    values: HashMap<u64, u64>,
}

impl<'a> Growth<'a> {
    /// `None` for what does not only grow.
    fn of(history: &'a [Operation], key: u64, places: &[usize]) -> Option<Self> {
        let mut this = Self { history, key, adds: Vec::new(), scans: Vec::new(), values: HashMap::new() };
        for &place in places {
            let operation = &history[place];
            let added = match &operation.call {
                Call::Add(elements) => elements.clone(),
                Call::Change(changes) => this.puts(changes)?,
                Call::Scan => {
                    match operation.reply() {
                        Some(Reply::Elements(elements)) => this.scans.push((place, elements.clone())),
                        Some(Reply::Records(records)) => {
                            this.scans.push((place, records.iter().map(|(position, _)| *position).collect()));
                        }
                        _ => {}
                    }
                    continue;
                }
                Call::Resolve(_) => continue,
                _ => return None,
            };
            this.adds.push((place, added));
        }
        this.scans.sort_by_key(|(_, elements)| elements.len());
        Some(this)
    }

    /// The positions that are put; `None` if one was put before.
    fn puts(&mut self, changes: &[Change]) -> Option<Vec<u64>> {
        let put = |change: &Change| match *change {
            Change::Put { position, value } => {
                self.values.insert(position, value).is_none().then_some(position)
            }
            Change::Remove { .. } | Change::Trim { .. } => None,
        };
        changes.iter().map(put).collect()
    }

    fn check(&self, violations: &mut Vec<Violation>) {
        let adder: HashMap<u64, usize> = self
            .adds
            .iter()
            .flat_map(|(place, added)| added.iter().map(|&element| (element, *place)))
            .collect();
        for (place, elements) in &self.scans {
            self.check_scan(*place, elements, &adder, violations);
        }
        // The first scan that shows an element, as a level; scans that show the same are of one level.
        let mut first_shown: HashMap<u64, u64> = HashMap::new();
        let mut ranked = Vec::new();
        let (mut level, mut shown): (u64, HashSet<u64>) = (0, HashSet::new());
        let mut before = None;
        for (place, elements) in &self.scans {
            let kept = elements.iter().filter(|element| shown.contains(element)).count();
            if kept < shown.len() && !plant::on(Plant::ScansUnordered) {
                let what = "two scans each miss something that the other shows";
                violations.push(Violation::new(self.key, what, before.into_iter().chain([*place])));
                return;
            }
            if shown.len() < elements.len() {
                level += 1;
                shown.extend(elements);
                for &element in elements {
                    first_shown.entry(element).or_insert(level);
                }
            }
            ranked.push(Ranked { place: *place, rank: 2 * level });
            before = Some(*place);
        }
        for (place, added) in &self.adds {
            let operation = &self.history[*place];
            let mut levels = added.iter().map(|element| first_shown.get(element));
            let Some(shown) = levels.next() else { continue };
            if levels.any(|level| level != shown) {
                violations.push(Violation::new(
                    self.key,
                    "what was added at once did not come at once",
                    [*place],
                ));
            }
            match shown {
                Some(level) => ranked.push(Ranked { place: *place, rank: 2 * level - 1 }),
                None if operation.acknowledged() => {
                    ranked.push(Ranked { place: *place, rank: 2 * level + 1 })
                }
                None => {}
            }
        }
        if plant::on(Plant::RealTimeIgnored) {
            return;
        }
        if let Some((early, late)) = inversion(self.history, &ranked) {
            let what = "the later one does not know of the earlier one, which had ended before it began";
            violations.push(Violation::new(self.key, what, [early, late]));
        }
    }

    /// What a scan shows was added, once, and stands in order.
    fn check_scan(
        &self,
        place: usize,
        elements: &[u64],
        adder: &HashMap<u64, usize>,
        violations: &mut Vec<Violation>,
    ) {
        let mut violation = |what: String, other: Option<usize>| {
            violations.push(Violation::new(self.key, what, other.into_iter().chain([place])));
        };
        for &element in elements {
            match adder.get(&element) {
                None => violation(format!("{element} is shown, and nobody added it"), None),
                Some(&add) if !self.history[add].possible() => {
                    violation(format!("{element} is shown, and was not added for certain"), Some(add));
                }
                Some(_) => {}
            }
        }
        let unique: HashSet<&u64> = elements.iter().collect();
        if unique.len() < elements.len() {
            violation("something is shown twice".to_owned(), None);
        }
        if let Some(Reply::Records(records)) = self.history[place].reply() {
            if !records.is_sorted() {
                violation("the records do not stand in the order of their positions".to_owned(), None);
            }
            for (position, value) in records {
                if self.values.get(position).is_some_and(|put| put != value) {
                    violation(format!("the value {value} at {position} is not what was put there"), None);
                }
            }
        }
    }
}
