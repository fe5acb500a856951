//! What clients ask. Clients work in small groups, each on a few keys of its own; a key is given up after some hundred operations, or
//! when the outcome of several is unknown: so checking it always ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use thermocline_checkers::{Call, Operation, Outcome, Reply};

use crate::random::Random;
use crate::target::Kind;

/// How many clients share keys.
pub(crate) const CLIENTS_OF_A_GROUP: usize = 5;
/// How many keys a group works on at a time.
const KEYS_OF_A_GROUP: usize = 4;
const OPERATIONS_OF_A_KEY: u64 = 200;
const UNKNOWN_OF_A_KEY: u64 = 3;
/// A longer range is read in several pages, each of a moment of its own, and is no one state of the entity.
const ELEMENTS_OF_AN_ENTITY: u64 = 100;

/// The keys of a run.
pub(crate) struct Workload {
    kinds: Vec<Kind>,
    versions: bool,
    groups: Vec<Mutex<Vec<Key>>>,
    next_key: AtomicU64,
    next_value: AtomicU64,
    all: Mutex<BTreeMap<u64, Kind>>,
}

/// A key that is being worked on.
struct Key {
    kind: Kind,
    number: u64,
    asked: u64,
    unknown: u64,
    added: u64,
    /// The last version that somebody saw.
    version: u64,
}

impl Workload {
    /// `versions`: whether the target tells them.
    pub(crate) fn new(kinds: &[Kind], groups: usize, versions: bool) -> Self {
        Self {
            kinds: kinds
                .iter()
                .copied()
                .filter(|kind| versions || matches!(kind, Kind::Register | Kind::Entity))
                .collect(),
            versions,
            groups: (0..groups).map(|_| Mutex::default()).collect(),
            next_key: AtomicU64::new(1),
            next_value: AtomicU64::new(1),
            all: Mutex::default(),
        }
    }

    /// The next thing for a client of a group to ask.
    pub(crate) fn next(&self, group: usize, random: &mut Random) -> (Kind, u64, Call) {
        let mut keys = self.groups[group].lock();
        while keys.len() < KEYS_OF_A_GROUP {
            keys.push(self.new_key(random));
        }
        let at = random.below(keys.len() as u64) as usize;
        let key = &mut keys[at];
        key.asked += 1;
        let (kind, number) = (key.kind, key.number);
        let call = self.call(key, random);
        key.added += u64::from(matches!(call, Call::Add(_)));
        if key.asked >= OPERATIONS_OF_A_KEY || key.added >= ELEMENTS_OF_AN_ENTITY {
            keys.swap_remove(at);
        }
        (kind, number, call)
    }

    fn new_key(&self, random: &mut Random) -> Key {
        let number = self.next_key.fetch_add(1, Ordering::SeqCst);
        let kind = random.pick(&self.kinds).copied().unwrap_or(Kind::Register);
        self.all.lock().insert(number, kind);
        Key { kind, number, asked: 0, unknown: 0, added: 0, version: 0 }
    }

    fn call(&self, key: &Key, random: &mut Random) -> Call {
        let unique = || self.next_value.fetch_add(1, Ordering::SeqCst);
        let chance = random.below(100);
        match key.kind {
            Kind::Register if !self.versions => {
                if chance < 50 {
                    Call::Read
                } else {
                    Call::Write(unique())
                }
            }
            Kind::Register => match chance {
                0..40 => Call::Read,
                40..58 => Call::Write(unique()),
                // Only some keys, because where nothing is deleted more can be said of the versions.
                58..62 if key.number.is_multiple_of(3) => Call::Delete,
                _ => Call::CompareAndSetVersion { expected: key.version, value: unique() },
            },
            Kind::Entity => {
                if chance < 45 {
                    Call::Scan
                } else {
                    Call::Add(vec![scattered(unique())])
                }
            }
            Kind::List => {
                if chance < 50 {
                    Call::Scan
                } else {
                    Call::Append(vec![unique()])
                }
            }
            Kind::Counter => {
                if chance < 50 {
                    Call::Read
                } else {
                    Call::Increment(random.between(1, 9) as i64)
                }
            }
        }
    }

    /// Takes note of what came of a call.
    pub(crate) fn learn(&self, group: usize, operation: &Operation) {
        let mut keys = self.groups[group].lock();
        let Some(at) = keys.iter().position(|key| key.number == operation.key) else { return };
        let key = &mut keys[at];
        match &operation.outcome {
            Outcome::Unknown if operation.changes() => key.unknown += 1,
            Outcome::Ok { reply, .. } => match reply {
                Reply::Done { version: Some(version) } | Reply::Value { version: Some(version), .. } => {
                    key.version = key.version.max(*version);
                }
                Reply::Refused { current: Some(current) } => key.version = *current,
                Reply::Value { value: None, .. } => key.version = 0,
                _ => {}
            },
            _ => {}
        }
        if key.unknown >= UNKNOWN_OF_A_KEY {
            keys.swap_remove(at);
        }
    }

    /// All keys there were.
    pub(crate) fn keys(&self) -> BTreeMap<u64, Kind> {
        self.all.lock().clone()
    }
}

/// A number that comes once, but in no order: elements are not added in the order in which scans show them.
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (1 << 48)
}
