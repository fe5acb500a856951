//! Histories that are right by construction: a thing that does one operation at a time is asked at instants that lie between
//! call and answer.

use std::collections::{BTreeMap, BTreeSet};

use thermocline_checkers::{Call, Change, History, Operation, Outcome, Reply};

/// What is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    Register,
    /// A register that tells no versions.
    Unversioned,
    /// A register that tells versions, but not why it refuses, and loses its value at times.
    Terse,
    Entity,
    Set,
    List,
    Counter,
}

impl Thing {
    pub(crate) const ALL: [Self; 7] =
        [Self::Register, Self::Unversioned, Self::Terse, Self::Entity, Self::Set, Self::List, Self::Counter];

    /// Those that are registers.
    pub(crate) const REGISTERS: [Self; 3] = [Self::Register, Self::Unversioned, Self::Terse];
}

/// One operation to be: who, what, and how long everything takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) process: u8,
    pub(crate) what: u8,
    pub(crate) choice: u8,
    pub(crate) wait: u8,
    pub(crate) before: u8,
    pub(crate) after: u8,
    pub(crate) fate: u8,
}

/// Steps by a seed, for runs that must be the same every time.
pub(crate) fn steps(seed: u64, count: usize) -> Vec<Step> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    let mut step = |_| Step {
        process: byte() % 5,
        what: byte(),
        choice: byte(),
        wait: byte() % 8,
        before: byte() % 16,
        after: byte() % 16,
        fate: byte(),
    };
    (0..count).map(&mut step).collect()
}

/// What becomes of an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    LostAfter,
    LostBefore,
    Failed,
}

struct Planned {
    process: u64,
    invoked: u64,
    instant: u64,
    ended: u64,
    step: Step,
    fate: Fate,
}

/// A right history of one thing. Of 256 operations `trouble` end in another way than with an answer.
pub(crate) fn history(thing: Thing, steps: &[Step], trouble: u8) -> History {
    let mut planned = plan(steps, trouble);
    planned.sort_by_key(|plan| plan.instant);
    let mut state = State::default();
    let operation = |(number, plan): (usize, Planned)| {
        let call = state.call(thing, &plan.step, number as u64 + 1);
        let outcome = match plan.fate {
            Fate::Answered => Outcome::Ok { at: plan.ended, reply: state.answer(thing, &call) },
            Fate::LostAfter => {
                state.apply(&call, true);
                Outcome::Unknown
            }
            Fate::LostBefore => Outcome::Unknown,
            Fate::Failed => Outcome::Failed { at: plan.ended },
        };
        Operation { process: plan.process, key: 1, call, invoked: plan.invoked, outcome, token: None }
    };
    planned.into_iter().enumerate().map(operation).collect()
}

fn plan(steps: &[Step], trouble: u8) -> Vec<Planned> {
    let mut clocks: BTreeMap<u8, (u64, u64)> = BTreeMap::new();
    let plan = |(number, step): (usize, &Step)| {
        // Instants differ, so that the order of what happens is the order of the instants.
        let count = steps.len() as u64;
        let (clock, incarnation) = clocks.entry(step.process).or_default();
        let invoked = *clock + 1 + u64::from(step.wait);
        let instant = invoked + 1 + u64::from(step.before);
        let ended = instant + 1 + u64::from(step.after);
        *clock = ended;
        let fate = match step.fate {
            fate if fate >= trouble => Fate::Answered,
            fate if fate % 3 == 0 => Fate::LostAfter,
            fate if fate % 3 == 1 => Fate::LostBefore,
            _ => Fate::Failed,
        };
        let process = u64::from(step.process) + 100 * *incarnation;
        if matches!(fate, Fate::LostAfter | Fate::LostBefore) {
            *incarnation += 1;
        }
        Planned {
            process,
            invoked: invoked * count,
            instant: instant * count + number as u64,
            ended: ended * count,
            step: *step,
            fate,
        }
    };
    steps.iter().enumerate().map(plan).collect()
}

/// The thing itself, in its simplest form.
#[derive(Default)]
struct State {
    value: Option<u64>,
    version: u64,
    records: BTreeMap<u64, u64>,
    set: BTreeSet<u64>,
    list: Vec<u64>,
    count: i64,
}

impl State {
    fn call(&self, thing: Thing, step: &Step, unique: u64) -> Call {
        let choice = u64::from(step.choice);
        match (thing, step.what % 8) {
            (Thing::Register | Thing::Terse, 0..=2)
            | (Thing::Unversioned, 0..=3)
            | (Thing::Counter, 0..=3) => Call::Read,
            (Thing::Register, 3 | 4) | (Thing::Terse, 3) | (Thing::Unversioned, 4..=5) => Call::Write(unique),
            (Thing::Terse, 4) => Call::Delete,
            (Thing::Register | Thing::Terse, _) => {
                let current = if self.value.is_some() { self.version } else { 0 };
                // Now and then the version before, or one that will be.
                let expected = match choice % 4 {
                    0 => current.saturating_sub(choice % 3),
                    _ => current,
                };
                Call::CompareAndSetVersion { expected, value: unique }
            }
            (Thing::Unversioned, 6) => Call::Delete,
            (Thing::Unversioned, _) => {
                let expected = if choice % 2 == 0 { self.value } else { Some(choice) };
                Call::CompareAndSet { expected, value: unique }
            }
            (Thing::Entity, 0..=2) | (Thing::Set | Thing::List, 0..=3) => Call::Scan,
            (Thing::Entity, 3) => Call::ReadRecord { position: choice % 8 },
            (Thing::Entity, 4) => Call::Change(vec![Change::Remove { position: choice % 8 }]),
            (Thing::Entity, 5) if choice % 4 == 0 => Call::Change(vec![Change::Trim { below: choice % 8 }]),
            (Thing::Entity, _) => {
                let put = |at: u64| Change::Put { position: (choice + at) % 8, value: unique * 10 + at };
                Call::Change((0..1 + choice % 3).map(put).collect())
            }
            (Thing::Set, _) => Call::Add((0..1 + choice % 3).map(|at| unique * 10 + at).collect()),
            (Thing::List, _) => Call::Append((0..1 + choice % 3).map(|at| unique * 10 + at).collect()),
            (Thing::Counter, _) => Call::Increment(i64::from(step.choice) - 64),
        }
    }

    fn answer(&mut self, thing: Thing, call: &Call) -> Reply {
        match (thing, call) {
            (Thing::Counter, Call::Read) => Reply::Count(self.count),
            (Thing::Terse, _) => match self.apply(call, true) {
                Reply::Refused { .. } => Reply::Refused { current: None },
                reply => reply,
            },
            _ => self.apply(call, thing != Thing::Unversioned),
        }
    }

    fn apply(&mut self, call: &Call, versions: bool) -> Reply {
        let current = if self.value.is_some() { self.version } else { 0 };
        match call {
            Call::Read => {
                Reply::Value { value: self.value, version: self.value.and(versions.then_some(self.version)) }
            }
            Call::Write(value) => self.set(Some(*value), versions),
            Call::Delete => self.set(None, versions),
            Call::CompareAndSet { expected, value } if *expected == self.value => {
                self.set(Some(*value), versions)
            }
            Call::CompareAndSet { .. } => Reply::Refused { current: None },
            Call::CompareAndSetVersion { expected, value } if *expected == current => {
                self.set(Some(*value), versions)
            }
            Call::CompareAndSetVersion { .. } => Reply::Refused { current: Some(current) },
            Call::ReadRecord { position } => {
                Reply::Value { value: self.records.get(position).copied(), version: None }
            }
            Call::Change(changes) => {
                for change in changes {
                    match *change {
                        Change::Put { position, value } => drop(self.records.insert(position, value)),
                        Change::Remove { position } => drop(self.records.remove(&position)),
                        Change::Trim { below } => self.records.retain(|&position, _| position >= below),
                    }
                }
                Reply::Done { version: None }
            }
            Call::Add(elements) => {
                self.set.extend(elements);
                Reply::Done { version: None }
            }
            Call::Append(elements) => {
                self.list.extend(elements);
                Reply::Done { version: None }
            }
            Call::Scan if !self.records.is_empty() => {
                Reply::Records(self.records.iter().map(|(&position, &value)| (position, value)).collect())
            }
            Call::Scan if !self.list.is_empty() => Reply::Elements(self.list.clone()),
            Call::Scan => Reply::Elements(self.set.iter().copied().collect()),
            Call::Increment(by) => {
                self.count += by;
                Reply::Done { version: None }
            }
            Call::Resolve(_) => Reply::Forgotten,
        }
    }

    fn set(&mut self, value: Option<u64>, versions: bool) -> Reply {
        self.value = value;
        self.version += 1;
        Reply::Done { version: versions.then_some(self.version) }
    }
}
