//! What must hold of what the clients saw. One file for each property; each looks at the whole history after the run.

mod conditions;
mod reads;
mod scans;
mod values;

use std::collections::BTreeMap;

use bytes::Bytes;
use thermocline::{Position, Version};

use crate::history::{Action, Operation, Outcome, changes};
use crate::queue::Time;

/// Whether a property holds, and if not, how it was broken.
pub(crate) type Checked = Result<(), String>;

/// Looks at all of it.
///
/// # Errors
/// The first property that does not hold.
pub(crate) fn check(history: &[Operation]) -> Checked {
    let keys = keys(history);
    for ((entity, position), key) in &keys {
        let at = |error: String| format!("entity {entity}, {position:?}: {error}");
        values::check(key).map_err(at)?;
        reads::check(key).map_err(at)?;
        conditions::check(key).map_err(at)?;
    }
    scans::check(history)
}

/// What was done to one record.
#[derive(Debug, Default)]
pub(crate) struct KeyHistory<'a> {
    /// Writes of it.
    pub(crate) writes: Vec<KeyWrite<'a>>,
    /// Reads of it alone, with what was found.
    pub(crate) reads: Vec<KeyRead<'a>>,
    /// The records found by scans.
    pub(crate) seen: Vec<(&'a Operation, Version, &'a Bytes)>,
}

/// A write of one record.
#[derive(Debug)]
pub(crate) struct KeyWrite<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) value: Option<&'a Bytes>,
    pub(crate) expect: thermocline::Expect,
}

/// A read of one record.
#[derive(Debug)]
pub(crate) struct KeyRead<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) found: Option<(Version, &'a Bytes)>,
    pub(crate) completed: Time,
}

impl KeyWrite<'_> {
    /// The version, if it is known to be applied.
    pub(crate) fn version(&self) -> Option<Version> {
        if let Outcome::Written(version) = self.operation.outcome { Some(version) } else { None }
    }

    /// Whether it may have been applied.
    pub(crate) fn may_be_applied(&self) -> bool {
        matches!(self.operation.outcome, Outcome::Written(_) | Outcome::Unknown)
    }
}

fn keys(history: &[Operation]) -> BTreeMap<(u64, Position), KeyHistory<'_>> {
    let mut keys: BTreeMap<(u64, Position), KeyHistory<'_>> = BTreeMap::new();
    for operation in history {
        match (&operation.action, &operation.outcome) {
            (Action::Write { entity, mutations }, _) => {
                for change in changes(mutations) {
                    let key = keys.entry((*entity, change.position)).or_default();
                    key.writes.push(KeyWrite { operation, value: change.value, expect: change.expect });
                }
            }
            (Action::Get { entity, position }, Outcome::Got(found)) => {
                let found = found.as_ref().map(|(_, version, value)| (*version, value));
                let completed = operation.completed.unwrap_or(Time::MAX);
                let key = keys.entry((*entity, *position)).or_default();
                key.reads.push(KeyRead { operation, found, completed });
            }
            (Action::Scan { entity, .. }, Outcome::Page(page, _)) => {
                for (position, version, value) in page {
                    let key = keys.entry((*entity, *position)).or_default();
                    key.seen.push((operation, *version, value));
                }
            }
            _ => {}
        }
    }
    keys
}
