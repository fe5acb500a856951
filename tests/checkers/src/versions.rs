//! Versions: the second opinion on registers, and a sharper one where the store tells versions.
//!
//! Every version has one value. A compare-and-set that succeeded has the next known version behind the one that it expected.
//! Real time agrees with the order of the versions. What was read, or named by a refusal, was written, by something that was not refused. Where all operations of a
//! key tell their versions, that is the same as linearizability, and takes n log n instead of a search.
//!
//! Values must be unique within a key: a read's value then says which write it saw, even if that write never learnt its version.

use std::collections::{BTreeMap, HashMap};

use crate::history::{Call, Operation, Outcome, Reply, by_key};
use crate::plant::{self, Plant};
use crate::real_time::{Ranked, inversion};
use crate::verdict::{Verdict, Violation};

/// Whether the registers of a history follow their versions.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    let mut violations = Vec::new();
    for (key, places) in by_key(history) {
        Versions::of(history, key, &places, &mut violations).check(&mut violations);
    }
    Verdict::of(violations)
}

/// What a register's history says of its versions.
struct Versions<'a> {
    history: &'a [Operation],
    key: u64,
    places: &'a [usize],
    /// Who wrote a value.
    writers: HashMap<u64, usize>,
    /// The value of a version, and who said so.
    values: BTreeMap<u64, (u64, usize)>,
    /// The version of a value.
    versions: HashMap<u64, u64>,
}

impl<'a> Versions<'a> {
    fn of(history: &'a [Operation], key: u64, places: &'a [usize], violations: &mut Vec<Violation>) -> Self {
        let (writers, values, versions) = (HashMap::new(), BTreeMap::new(), HashMap::new());
        let mut this = Self { history, key, places, writers, values, versions };
        for &place in places {
            if let Some(value) = history[place].written()
                && let Some(other) = this.writers.insert(value, place)
            {
                let what = format!("the value {value} is written twice; this checker needs unique values");
                violations.push(Violation::new(key, what, [other, place]));
            }
        }
        for &place in places {
            if let Some((version, value)) = told(&history[place]) {
                this.learn(version, value, place, violations);
            }
        }
        this
    }

    fn learn(&mut self, version: u64, value: u64, place: usize, violations: &mut Vec<Violation>) {
        let (known, by) = *self.values.entry(version).or_insert((value, place));
        if known != value && !plant::on(Plant::VersionTwice) {
            let what = format!("version {version} has the values {known} and {value}");
            violations.push(Violation::new(self.key, what, [by, place]));
        }
        let known = *self.versions.entry(value).or_insert(version);
        if known != version {
            let what = format!("the value {value} has the versions {known} and {version}");
            violations.push(Violation::new(self.key, what, [place]));
        }
    }

    fn check(&self, violations: &mut Vec<Violation>) {
        let mut ranked = Vec::new();
        for &place in self.places {
            self.check_read(place, violations);
            self.check_condition(place, violations);
            self.check_refusal(place, violations);
            ranked.extend(self.rank(place).map(|rank| Ranked { place, rank }));
        }
        if plant::on(Plant::RealTimeIgnored) {
            return;
        }
        if let Some((before, behind)) = inversion(self.history, &ranked) {
            let what = "what ended first has a later version than what began after it";
            violations.push(Violation::new(self.key, what, [before, behind]));
        }
    }

    /// What was read was written, by something that was applied, and not after the read.
    fn check_read(&self, place: usize, violations: &mut Vec<Violation>) {
        let Some(Reply::Value { value: Some(value), .. }) = self.history[place].reply() else { return };
        match self.writers.get(value).map(|&writer| (writer, &self.history[writer])) {
            None => {
                let what = format!("the value {value} was read, and nobody wrote it");
                violations.push(Violation::new(self.key, what, [place]));
            }
            Some((writer, write)) if !write.possible() => {
                let what = format!("the value {value} was read, and its write was not applied");
                violations.push(Violation::new(self.key, what, [writer, place]));
            }
            Some((writer, write))
                if self.history[place].ended().is_some_and(|ended| ended < write.invoked) =>
            {
                let what = format!("the value {value} was read before it was written");
                violations.push(Violation::new(self.key, what, [place, writer]));
            }
            Some(_) => {}
        }
    }

    /// A compare-and-set follows what it expected, with nothing known between.
    fn check_condition(&self, place: usize, violations: &mut Vec<Violation>) {
        let operation = &self.history[place];
        let Call::CompareAndSetVersion { expected, value } = operation.call else { return };
        let Some(&version) = self.versions.get(&value).filter(|_| !plant::on(Plant::ConditionIgnored)) else {
            return;
        };
        if version <= expected {
            let what = format!("a compare-and-set on version {expected} made version {version}");
            violations.push(Violation::new(self.key, what, [place]));
            return;
        }
        if expected > 0 && self.nobody_made(expected) {
            let what =
                format!("a compare-and-set on version {expected} succeeds, and nobody made that version");
            violations.push(Violation::new(self.key, what, [place]));
        }
        // Where there was no value, deleted ones may have been between.
        if expected > 0
            && let Some((between, (_, by))) = self.values.range(expected + 1..version).next()
        {
            let what = format!(
                "a compare-and-set on version {expected} made version {version} over version {between}"
            );
            violations.push(Violation::new(self.key, what, [place, *by]));
        }
    }

    /// What a refusal names in its defence is another version than the one asked for, and somebody made it.
    fn check_refusal(&self, place: usize, violations: &mut Vec<Violation>) {
        let operation = &self.history[place];
        let Some(Reply::Refused { current: Some(current) }) = operation.reply() else { return };
        if matches!(operation.call, Call::CompareAndSetVersion { expected, .. } if expected == *current) {
            let what = format!("a compare-and-set on version {current} is refused because of that version");
            violations.push(Violation::new(self.key, what, [place]));
        }
        if *current > 0 && self.nobody_made(*current) {
            let what = format!("a refusal names version {current}, and nobody made it");
            violations.push(Violation::new(self.key, what, [place]));
        }
    }

    /// Whether no write can have made this version: nobody told of it, and all writes are known to have made others.
    fn nobody_made(&self, version: u64) -> bool {
        let untold = |&place: &usize| {
            let write = &self.history[place];
            let known = write.version().or_else(|| self.versions.get(&write.written()?).copied());
            write.possible() && known.is_none()
        };
        !self.values.contains_key(&version) && !self.places.iter().any(untold)
    }

    /// The place of an operation in the order of the versions: a write before its readers, those before the next write.
    fn rank(&self, place: usize) -> Option<u64> {
        let operation = &self.history[place];
        match operation.reply() {
            Some(Reply::Value { value: Some(value), version }) => {
                version.or_else(|| self.versions.get(value).copied()).map(|version| 2 * version + 1)
            }
            Some(Reply::Value { value: None, .. }) => self.absent(),
            Some(Reply::Refused { current: Some(0) }) => self.absent(),
            Some(Reply::Refused { current: Some(current) }) => Some(2 * current + 1),
            _ if matches!(operation.outcome, Outcome::Failed { .. }) => None,
            _ => {
                let value = operation.written();
                let version = operation.version().or_else(|| self.versions.get(&value?).copied());
                version.map(|version| 2 * version)
            }
        }
    }

    /// Where nothing is deleted, there is no value only in the beginning.
    fn absent(&self) -> Option<u64> {
        let deletes =
            |&place: &usize| self.history[place].call == Call::Delete && self.history[place].possible();
        if self.places.iter().any(deletes) { None } else { Some(1) }
    }
}

/// A version and its value, if an operation told both.
fn told(operation: &Operation) -> Option<(u64, u64)> {
    match operation.reply()? {
        Reply::Done { version } => Some(((*version)?, operation.written()?)),
        Reply::Value { value, version } => Some(((*version)?, (*value)?)),
        _ => None,
    }
}
