//! The things that a linearizable key behaves like. Each does one operation at a time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

use crate::history::{Call, Change, Operation, Reply};
use crate::plant::{self, Plant};
use crate::tokens::see;

/// A thing that does one operation at a time.
pub trait Model {
    /// What it remembers.
    type State: Clone + Eq + Hash;

    /// What it remembers in the beginning.
    fn initial(&self) -> Self::State;

    /// What it remembers after an operation; `None` if it would have answered otherwise. An operation without an answer is
    /// taken to have been applied; `None` if it then changes nothing, because that is the same as not being applied.
    fn step(&self, state: &Self::State, operation: &Operation) -> Option<Self::State>;

    /// Operations of unknown outcome that cannot matter, because whatever they may have done was seen by nobody.
    fn unseen(&self, _history: &[Operation], _places: &[usize]) -> HashSet<usize> {
        HashSet::new()
    }
}

/// A register with versions: reads, writes, deletes, compare-and-set on the value and on the version.
#[derive(Clone, Copy, Debug)]
pub struct Register;

/// What a register holds, and what is known of its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    value: Option<u64>,
    /// The version of the last change, or a lower bound of it.
    version: u64,
    /// Whether it is the version itself.
    exact: bool,
}

impl Held {
    /// The value.
    pub(super) fn value(self) -> Option<u64> {
        self.value
    }

    /// The version, or the least that it can be.
    pub(super) fn version_min(self) -> u64 {
        self.version
    }

    /// Whether, of equal values, this can have every version that the other can have.
    pub(super) fn allows_all_of(self, other: Self) -> bool {
        // Of a value that is not there, nobody sees the version.
        let unseen = self.value.is_none() || !self.exact && !other.exact;
        self == other || unseen && self.version <= other.version
    }

    /// After a change whose version may be known.
    fn changed(self, value: Option<u64>, version: Option<u64>) -> Option<Self> {
        match version {
            Some(version) if version > self.version => Some(Self { value, version, exact: true }),
            Some(_) => None,
            None => Some(Self { value, version: self.version + 1, exact: false }),
        }
    }

    /// After somebody saw this version.
    fn seen(self, version: Option<u64>) -> Option<Self> {
        match version {
            None => Some(self),
            Some(version) if version == self.version || (!self.exact && version > self.version) => {
                Some(Self { version, exact: true, ..self })
            }
            Some(_) => None,
        }
    }

    /// Whether its version is this one, where 0 means that there is no value; what is known of the version then.
    fn meets(self, expected: u64) -> Option<Self> {
        match (self.value, expected) {
            (None, 0) => Some(self),
            (None, _) | (Some(_), 0) => None,
            (Some(_), expected) => self.seen(Some(expected)),
        }
    }
}

impl Model for Register {
    type State = Held;

    fn initial(&self) -> Held {
        Held { value: None, version: 0, exact: true }
    }

    fn step(&self, held: &Held, operation: &Operation) -> Option<Held> {
        let held = *held;
        match (&operation.call, operation.reply()) {
            (Call::Read, Some(Reply::Value { .. })) if plant::on(Plant::ReadsIgnored) => Some(held),
            (Call::Read, Some(Reply::Value { value, version })) => {
                if *value != held.value {
                    return None;
                }
                if value.is_some() { held.seen(*version) } else { Some(held) }
            }
            (Call::Write(value), None) => held.changed(Some(*value), None),
            (Call::Write(value), Some(Reply::Done { version })) => held.changed(Some(*value), *version),
            (Call::Delete, None) => held.value.and_then(|_| held.changed(None, None)),
            (Call::Delete, Some(Reply::Done { version })) => held.changed(None, *version),
            (Call::CompareAndSet { expected, value }, None) => {
                (held.value == *expected).then(|| held.changed(Some(*value), None))?
            }
            (Call::CompareAndSet { expected, value }, Some(Reply::Done { version })) => {
                let met = held.value == *expected || plant::on(Plant::ConditionIgnored);
                met.then(|| held.changed(Some(*value), *version))?
            }
            (Call::CompareAndSet { expected, .. }, Some(Reply::Refused { .. })) => {
                (held.value != *expected).then_some(held)
            }
            (Call::CompareAndSetVersion { expected, value }, None) => {
                held.meets(*expected)?.changed(Some(*value), None)
            }
            (Call::CompareAndSetVersion { expected, value }, Some(Reply::Done { version })) => {
                let met = if plant::on(Plant::ConditionIgnored) { held } else { held.meets(*expected)? };
                met.changed(Some(*value), *version)
            }
            (
                Call::CompareAndSetVersion { expected, .. },
                Some(Reply::Refused { current: Some(current) }),
            ) => {
                if current == expected {
                    None
                } else {
                    held.meets(*current)
                }
            }
            (Call::CompareAndSetVersion { expected, .. }, Some(Reply::Refused { current: None })) => {
                let met = if held.value.is_none() {
                    *expected == 0
                } else {
                    held.exact && held.version == *expected
                };
                (!met).then_some(held)
            }
            (Call::Write(_) | Call::Delete, Some(Reply::Refused { current: Some(current) })) => {
                held.meets(*current)
            }
            _ => None,
        }
    }

    /// A write that nobody read, in a register where each refusal tells which other write it saw.
    fn unseen(&self, history: &[Operation], places: &[usize]) -> HashSet<usize> {
        let versions: HashSet<u64> =
            places.iter().filter_map(|&place| seen_version(&history[place])).collect();
        let mut seen = HashSet::new();
        for &place in places {
            let operation = &history[place];
            match (&operation.call, operation.reply()) {
                (_, Some(Reply::Refused { current: Some(current) }))
                    if *current == 0 || versions.contains(current) => {}
                (_, Some(Reply::Refused { .. })) => return HashSet::new(),
                (_, Some(Reply::Value { value: Some(value), .. })) => {
                    seen.insert(*value);
                }
                _ => {}
            }
            if let Call::CompareAndSet { expected: Some(expected), .. } = operation.call {
                seen.insert(expected);
            }
        }
        let unseen = |place: &usize| {
            let operation = &history[*place];
            operation.reply().is_none() && operation.written().is_some_and(|value| !seen.contains(&value))
        };
        // A compare-and-set on a version that no answer gave may follow an unseen write.
        let guessed = places.iter().any(|&place| match history[place].call {
            Call::CompareAndSetVersion { expected, .. } => expected != 0 && !versions.contains(&expected),
            _ => false,
        });
        if guessed { HashSet::new() } else { places.iter().copied().filter(unseen).collect() }
    }
}

/// The version of a write or a read whose value is known too.
fn seen_version(operation: &Operation) -> Option<u64> {
    match operation.reply()? {
        Reply::Done { version } | Reply::Value { value: Some(_), version } => *version,
        _ => None,
    }
}

/// An entity: records by position, changed in batches, read one at a time and in whole scans.
#[derive(Clone, Copy, Debug)]
pub struct Entity;

impl Model for Entity {
    type State = BTreeMap<u64, u64>;

    fn initial(&self) -> Self::State {
        BTreeMap::new()
    }

    fn step(&self, records: &Self::State, operation: &Operation) -> Option<Self::State> {
        let is = |met: bool| met.then(|| records.clone());
        match (&operation.call, operation.reply()) {
            (Call::Change(changes), None | Some(Reply::Done { .. })) => {
                let mut records = records.clone();
                changes.iter().for_each(|change| apply(&mut records, *change));
                Some(records)
            }
            (Call::ReadRecord { position }, Some(Reply::Value { value, .. })) => {
                is(records.get(position) == value.as_ref())
            }
            (Call::Scan, Some(Reply::Records(shown))) => {
                is(records.iter().map(|(&p, &v)| (p, v)).eq(shown.iter().copied()))
            }
            (Call::Scan, Some(Reply::Elements(shown))) => is(records.is_empty() && shown.is_empty()),
            _ => None,
        }
    }

    /// A change that puts records which nobody was ever shown, and does nothing else.
    fn unseen(&self, history: &[Operation], places: &[usize]) -> HashSet<usize> {
        let mut shown = HashSet::new();
        places.iter().filter_map(|&place| history[place].reply()).for_each(|reply| see(&mut shown, reply));
        // Of positions that are put once: what is written over is missed, too.
        let mut puts: HashMap<u64, usize> = HashMap::new();
        for change in places.iter().flat_map(|&place| changes(&history[place])) {
            if let Change::Put { position, .. } = change {
                *puts.entry(*position).or_default() += 1;
            }
        }
        let only_hidden = |change: &Change| match change {
            Change::Put { position, value } => puts[position] == 1 && !shown.contains(value),
            Change::Remove { .. } | Change::Trim { .. } => false,
        };
        let unseen = |place: &&usize| {
            let operation = &history[**place];
            operation.reply().is_none() && changes(operation).iter().all(only_hidden)
        };
        places.iter().filter(unseen).copied().collect()
    }
}

/// What an operation changes of an entity.
fn changes(operation: &Operation) -> &[Change] {
    match &operation.call {
        Call::Change(changes) => changes,
        _ => &[],
    }
}

fn apply(records: &mut BTreeMap<u64, u64>, change: Change) {
    match change {
        Change::Put { position, value } => {
            records.insert(position, value);
        }
        Change::Remove { position } => {
            records.remove(&position);
        }
        Change::Trim { below } => *records = records.split_off(&below),
    }
}

/// A grow-only set. Elements must be added once each: a set is remembered by the sum of its elements' fingerprints.
#[derive(Clone, Copy, Debug)]
pub struct Set;

impl Model for Set {
    type State = (u128, usize);

    fn initial(&self) -> Self::State {
        (0, 0)
    }

    fn step(&self, &(sum, count): &Self::State, operation: &Operation) -> Option<Self::State> {
        let of = |elements: &[u64]| {
            let sum = elements.iter().fold(0_u128, |sum, &element| sum.wrapping_add(fingerprint(element)));
            (sum, elements.len())
        };
        match (&operation.call, operation.reply()) {
            (Call::Add(elements), None | Some(Reply::Done { .. })) => {
                let (more, number) = of(elements);
                Some((sum.wrapping_add(more), count + number))
            }
            (Call::Scan, Some(Reply::Elements(elements))) => {
                (of(elements) == (sum, count)).then_some((sum, count))
            }
            _ => None,
        }
    }
}

/// A list that grows at its end, remembered by its length and a fingerprint.
#[derive(Clone, Copy, Debug)]
pub struct List;

impl Model for List {
    type State = (u128, usize);

    fn initial(&self) -> Self::State {
        (0, 0)
    }

    fn step(&self, &(hash, count): &Self::State, operation: &Operation) -> Option<Self::State> {
        let behind = |start: (u128, usize), elements: &[u64]| {
            elements.iter().fold(start, |(hash, count), &element| (rolled(hash, element), count + 1))
        };
        match (&operation.call, operation.reply()) {
            (Call::Append(elements), None | Some(Reply::Done { .. })) => {
                Some(behind((hash, count), elements))
            }
            (Call::Append(_), Some(Reply::Refused { .. })) => Some((hash, count)),
            (Call::Scan, Some(Reply::Elements(elements))) => {
                (behind((0, 0), elements) == (hash, count)).then_some((hash, count))
            }
            _ => None,
        }
    }
}

/// A counter.
#[derive(Clone, Copy, Debug)]
pub struct Counter;

impl Model for Counter {
    type State = i64;

    fn initial(&self) -> i64 {
        0
    }

    fn step(&self, count: &i64, operation: &Operation) -> Option<i64> {
        match (&operation.call, operation.reply()) {
            (Call::Increment(by), None | Some(Reply::Done { .. })) => count.checked_add(*by),
            (Call::Increment(_), Some(Reply::Refused { .. })) => Some(*count),
            (Call::Read, Some(Reply::Count(read))) => (read == count).then_some(*count),
            _ => None,
        }
    }
}

/// Spreads a number over 128 bits, so that different sets and lists have different fingerprints but by a chance of 2^-100 or so.
pub(super) fn fingerprint(number: u64) -> u128 {
    let mix = |mut word: u64| {
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    let high = mix(number.wrapping_add(0x9e37_79b9_7f4a_7c15));
    let low = mix(number.wrapping_add(0x3c6e_f372_fe94_f82a) ^ high.rotate_left(32));
    (u128::from(high) << 64) | u128::from(low)
}

fn rolled(hash: u128, element: u64) -> u128 {
    const FACTOR: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
    hash.wrapping_mul(FACTOR).wrapping_add(fingerprint(element))
}
