//! Registers of many lost operations, which the search gives up on. Of `n` operations of unknown outcome any of 2^n combinations may
//! have happened; here they are counted, not told apart.
//!
//! - A lost write whose value was read with a version has happened, and its version is its place. Changes with versions happen in
//!   the order of these, and what was not read by anybody never has to.
//! - Lost operations that ask the same, but for values that no answer tells, are alike: it only matters how many of them have happened.
//! - What fits and changes nothing happens at once.
//! - A configuration that another one can stand in for is dropped: both hold the same, and the other has explained all that this one has,
//!   has used no more lost operations, and can still have every version that this one can have.
//!
//! All other configurations are followed, from answer to answer, as in [`super::frontier`]. Each rule leaves out only what something
//! that is kept can do as well, so the verdict is a proof either way: an order was found, or there is none. What is concurrent and
//! was answered still multiplies, by at most two for each client; past the limit of configurations it gives up.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::model::{Held, Model, Register};
use super::search::End;
use crate::history::{Call, Operation, Outcome, Reply};
use crate::plant::{self, Plant};

/// Decides the operations of one register, which are given by their places in the history. It needs unique values, and gives up without.
#[must_use]
pub fn decide(history: &[Operation], places: &[usize], configurations_max: usize) -> End {
    match Question::new(history, places) {
        Some(question) => question.decide(configurations_max),
        None => End::GaveUp,
    }
}

/// What an operation is to the order that is looked for.
#[derive(Clone, Copy)]
enum Role {
    /// The change of this rank among those whose versions are known.
    Placed(usize),
    /// It was answered, and has no version.
    Answered,
    /// One of this class of lost operations.
    Lost(usize),
}

/// A call or an answer.
struct Event {
    at: u64,
    is_answer: bool,
    role: Role,
    place: usize,
}

/// The history of a register, without what cannot matter.
struct Question<'a> {
    history: &'a [Operation],
    /// Calls and answers in the order of time.
    events: Vec<Event>,
    /// Changes whose versions are known, in the order of these.
    placed: Vec<Operation>,
    /// An example of each class of lost operations.
    classes: Vec<Operation>,
}

/// What may be so at one moment.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration {
    held: Held,
    /// How many of the changes with known versions have happened.
    placed: usize,
    /// Which of the other changes that are under way, and will be answered, have happened.
    changed: BTreeSet<usize>,
    /// Which of the operations under way have their answers by now, and change nothing.
    looked: BTreeSet<usize>,
    /// How many lost operations of each class have happened.
    used: BTreeMap<usize, usize>,
}

/// What has been called at one moment.
#[derive(Default)]
struct Called {
    placed: HashSet<usize>,
    /// Operations that will be answered, without versions, by their places.
    open: BTreeSet<usize>,
    /// How many lost operations of each class.
    lost: BTreeMap<usize, usize>,
}

impl<'a> Question<'a> {
    /// `None` if a value is written twice.
    fn new(history: &'a [Operation], places: &[usize]) -> Option<Self> {
        let told = Told::new(history, places)?;
        let mut this = Self { history, events: Vec::new(), placed: Vec::new(), classes: Vec::new() };
        let mut with_version: Vec<(u64, usize, Operation)> = Vec::new();
        let mut classes: HashMap<Call, usize> = HashMap::new();
        for &place in places {
            let operation = told.complete(&history[place]);
            let role = match (&operation.outcome, operation.version()) {
                _ if matches!(operation.call, Call::Resolve(_)) => continue,
                (Outcome::Failed { .. }, _) => continue,
                (Outcome::Ok { .. }, Some(version)) => {
                    with_version.push((version, place, operation));
                    continue;
                }
                (Outcome::Ok { .. }, None) => Role::Answered,
                (Outcome::Unknown, _) if !operation.changes() => continue,
                (Outcome::Unknown, _) => {
                    let alike = told.without_value(&operation);
                    let class = *classes.entry(alike.call.clone()).or_insert_with(|| {
                        this.classes.push(alike);
                        this.classes.len() - 1
                    });
                    Role::Lost(class)
                }
            };
            this.note(&operation, role, place);
        }
        with_version.sort_by_key(|(version, place, _)| (*version, *place));
        for (rank, (_, place, operation)) in with_version.into_iter().enumerate() {
            this.note(&operation, Role::Placed(rank), place);
            this.placed.push(operation);
        }
        this.events.sort_by_key(|event| (event.at, event.is_answer, event.place));
        Some(this)
    }

    fn note(&mut self, operation: &Operation, role: Role, place: usize) {
        let lost_before_it_was = plant::on(Plant::LostBeforeCalled) && matches!(role, Role::Lost(_));
        let at = if lost_before_it_was { 0 } else { operation.invoked };
        self.events.push(Event { at, is_answer: false, role, place });
        if let Some(at) = operation.ended().filter(|&at| at != NEVER) {
            self.events.push(Event { at, is_answer: true, role, place });
        }
    }

    fn decide(&self, configurations_max: usize) -> End {
        let mut called = Called::default();
        let mut possible = vec![Configuration::initial()];
        for event in &self.events {
            if !event.is_answer {
                called.note(event);
                continue;
            }
            let Some(mut all) = self.close(&called, possible, configurations_max) else {
                return End::GaveUp;
            };
            all.retain_mut(|configuration| match event.role {
                Role::Placed(rank) => configuration.placed > rank,
                Role::Answered | Role::Lost(_) => {
                    configuration.looked.remove(&event.place) || configuration.changed.remove(&event.place)
                }
            });
            possible = all;
            called.open.remove(&event.place);
            if possible.is_empty() {
                return End::Impossible { stuck: std::iter::once(event.place).chain(called.open).collect() };
            }
        }
        End::Found
    }

    /// Everything that can come of these configurations by what has been called, but for what others can stand in for; `None` if
    /// it is too much.
    fn close(&self, called: &Called, from: Vec<Configuration>, max: usize) -> Option<Vec<Configuration>> {
        let mut kept = Kept::default();
        let mut todo: Vec<Configuration> =
            from.into_iter().filter_map(|one| kept.add(self.settle(called, one))).collect();
        while let Some(now) = todo.pop() {
            let waiting = called.open.iter().filter(|&place| !now.has_happened(*place));
            let answered = waiting.filter_map(|&place| {
                let operation = &self.history[place];
                let held = Register.step(&now.held, operation)?;
                let mut next = Configuration { held, ..now.clone() };
                let happened = if only_looks(operation) { &mut next.looked } else { &mut next.changed };
                happened.insert(place);
                Some(next)
            });
            let placed = self.placed.get(now.placed).filter(|_| called.placed.contains(&now.placed));
            let placed = placed.and_then(|operation| {
                let held = Register.step(&now.held, operation)?;
                Some(Configuration { held, placed: now.placed + 1, ..now.clone() })
            });
            let lost = called.lost.iter().filter_map(|(&class, &number)| {
                let used = now.used.get(&class).copied().unwrap_or(0);
                if used >= number && !plant::on(Plant::LostManyTimes) {
                    return None;
                }
                let held = Register.step(&now.held, &self.classes[class])?;
                let mut next = Configuration { held, ..now.clone() };
                next.used.insert(class, used + 1);
                Some(next)
            });
            let next: Vec<Configuration> = answered.chain(placed).chain(lost).collect();
            todo.extend(next.into_iter().filter_map(|next| kept.add(self.settle(called, next))));
            if kept.number > max {
                return None;
            }
        }
        Some(kept.alike.into_values().flatten().collect())
    }

    /// What fits and changes nothing has happened; of what can happen no more, nobody asks how often it did.
    fn settle(&self, called: &Called, mut configuration: Configuration) -> Configuration {
        let held = configuration.held;
        configuration.used.retain(|&class, _| match self.classes[class].call {
            Call::CompareAndSetVersion { expected, .. } => expected == 0 || expected >= held.version_min(),
            _ => true,
        });
        for &place in &called.open {
            let operation = &self.history[place];
            if only_looks(operation)
                && Register.step(&configuration.held, operation) == Some(configuration.held)
            {
                configuration.looked.insert(place);
            }
        }
        configuration
    }
}

/// Whether an operation changes nothing, as what was refused does not.
fn only_looks(operation: &Operation) -> bool {
    !operation.changes() || matches!(operation.reply(), Some(Reply::Refused { .. }))
}

impl Called {
    fn note(&mut self, event: &Event) {
        match event.role {
            Role::Placed(rank) => {
                self.placed.insert(rank);
            }
            Role::Answered => {
                self.open.insert(event.place);
            }
            Role::Lost(class) => *self.lost.entry(class).or_default() += 1,
        }
    }
}

/// Configurations of which none can stand in for another.
#[derive(Default)]
struct Kept {
    alike: BTreeMap<(usize, BTreeSet<usize>, Option<u64>), Vec<Configuration>>,
    number: usize,
}

impl Kept {
    /// Keeps a configuration, and gives it back, if none that is kept can stand in for it.
    fn add(&mut self, new: Configuration) -> Option<Configuration> {
        let alike = self.alike.entry((new.placed, new.changed.clone(), new.held.value())).or_default();
        if alike.iter().any(|kept| kept.stands_in_for(&new)) {
            return None;
        }
        let before = alike.len();
        alike.retain(|kept| !new.stands_in_for(kept));
        alike.push(new.clone());
        self.number = self.number + alike.len() - before;
        Some(new)
    }
}

impl Configuration {
    fn initial() -> Self {
        let (changed, looked) = (BTreeSet::new(), BTreeSet::new());
        Self { held: Register.initial(), placed: 0, changed, looked, used: BTreeMap::new() }
    }

    fn has_happened(&self, place: usize) -> bool {
        self.looked.contains(&place) || self.changed.contains(&place)
    }

    /// Whether whatever can come of the other one can come of this one. Both hold the same value, after the same changes that were answered.
    fn stands_in_for(&self, other: &Self) -> bool {
        self.held.allows_all_of(other.held)
            && self.used.iter().all(|(class, used)| other.used.get(class).is_some_and(|more| more >= used))
            && self.looked.is_superset(&other.looked)
    }
}

/// When a lost operation ends that has happened for certain.
const NEVER: u64 = u64::MAX;

/// What the answers tell of values.
struct Told {
    /// The version of a value that was read.
    versions: HashMap<u64, u64>,
    /// Values that some answer or condition can tell from others.
    named: HashSet<u64>,
    /// A value that nobody writes: it stands for all those that nobody can tell.
    nameless: u64,
}

impl Told {
    /// `None` if a value is written twice.
    fn new(history: &[Operation], places: &[usize]) -> Option<Self> {
        let mut written = HashSet::new();
        let mut this = Self { versions: HashMap::new(), named: HashSet::new(), nameless: 0 };
        for &place in places {
            let operation = &history[place];
            if operation.possible()
                && let Some(value) = operation.written()
                && !written.insert(value)
            {
                return None;
            }
            if let Some(Reply::Value { value: Some(value), version }) = operation.reply() {
                this.named.insert(*value);
                this.versions.extend(version.map(|version| (*value, version)));
            }
            if let Call::CompareAndSet { expected: Some(expected), .. } = operation.call {
                this.named.insert(expected);
            }
        }
        this.nameless =
            (0..u64::MAX).find(|value| !written.contains(value) && !this.named.contains(value))?;
        Some(this)
    }

    /// A write whose value was read with a version has that version. If it was lost, it has happened, whenever it ended.
    fn complete(&self, operation: &Operation) -> Operation {
        let version = operation.written().and_then(|value| self.versions.get(&value)).copied();
        let at = match operation.outcome {
            Outcome::Ok { at, reply: Reply::Done { version: None } } => at,
            Outcome::Unknown => NEVER,
            Outcome::Ok { .. } | Outcome::Failed { .. } => return operation.clone(),
        };
        let told = version.map(|_| Outcome::Ok { at, reply: Reply::Done { version } });
        Operation { outcome: told.unwrap_or_else(|| operation.outcome.clone()), ..operation.clone() }
    }

    /// The operation with the nameless value, if nothing can tell its own.
    fn without_value(&self, operation: &Operation) -> Operation {
        let mut operation = operation.clone();
        if let Call::Write(value)
        | Call::CompareAndSet { value, .. }
        | Call::CompareAndSetVersion { value, .. } = &mut operation.call
            && !self.named.contains(value)
        {
            *value = self.nameless;
        }
        operation
    }
}
