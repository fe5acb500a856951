//! What must hold of what the clients saw, looked at after the run, by checkers that know nothing of the store.
//!
//! Each record of an entity with registers is a key of its own. An entity that is appended to is one key, of which each scan
//! shows a state.

use thermocline::{Expect, Mutation, Position};
use thermocline_checkers::{
    Call, Change, History, Operation as Checked, Outcome as Known, Reply, Verdict, batches, linearizability,
    lost_writes, scans, versions,
};

use crate::history::{Action, Operation, Outcome, changes};
use crate::pages;

/// Looks at a history: `finals` is when its last reads began, of which each of `nodes` did all.
///
/// # Errors
/// The first property that does not hold, or about which a checker could not make up its mind.
pub(crate) fn judge(history: &[Operation], finals: u64, nodes: usize) -> Result<(), String> {
    pages::check(history)?;
    let (registers, series) = translate(history);
    let verdicts = [
        ("versions", versions::check(&registers)),
        ("linearizability", linearizability::check(&registers)),
        ("scans", scans::check(&series)),
        ("batches", batches::check(&series)),
        ("lost writes", lost_writes::check(&registers, finals, nodes)),
        ("lost appends", lost_writes::check(&series, finals, nodes)),
    ];
    for (name, verdict) in verdicts {
        let of =
            if matches!(name, "versions" | "linearizability" | "lost writes") { &registers } else { &series };
        if !verdict.holds() {
            return Err(format!("{name}: {verdict}{}", shown(&verdict, of)));
        }
    }
    Ok(())
}

/// The operations that a verdict speaks of.
fn shown(verdict: &Verdict, history: &History) -> String {
    let Verdict::Violated(violations) = verdict else { return String::new() };
    let places = violations.iter().flat_map(|violation| &violation.operations).take(6);
    places.map(|place| format!("\n    {place}: {:?}", history.get(*place))).collect()
}

/// The history in the checkers' words: the registers, and the series.
fn translate(history: &[Operation]) -> (History, History) {
    let (mut registers, mut series) = (History::new(), History::new());
    for operation in history {
        match &operation.action {
            Action::Write { entity, mutations } if entity % 2 == 0 => {
                for mutation in mutations {
                    let Some((position, call)) = of_register(mutation) else { continue };
                    registers.push(operation.checked(key(*entity, position), call));
                }
            }
            Action::Write { entity, mutations } => {
                let puts = changes(mutations).filter_map(|change| {
                    let put = (order(change.position), number(change.value?));
                    Some(Change::Put { position: put.0, value: put.1 })
                });
                series.push(operation.checked(*entity, Call::Change(puts.collect())));
            }
            Action::Get { entity, position } => {
                registers.push(operation.checked(key(*entity, *position), Call::Read));
            }
            Action::Scan { entity, .. } => {
                if matches!(operation.outcome, Outcome::Page(_, true)) {
                    series.push(operation.checked(*entity, Call::Scan));
                }
            }
        }
    }
    (registers, series)
}

/// What a mutation does to the one register that it changes.
fn of_register(mutation: &Mutation) -> Option<(Position, Call)> {
    match mutation {
        Mutation::Put { position, value, expect, .. } => {
            let value = number(value);
            let call = match expect {
                Expect::Version(version) => Call::CompareAndSetVersion { expected: version.0, value },
                Expect::Absent => Call::CompareAndSetVersion { expected: 0, value },
                Expect::Any | Expect::Present => Call::Write(value),
            };
            Some((*position, call))
        }
        Mutation::Delete { position, .. } => Some((*position, Call::Delete)),
        Mutation::Trim { .. } => None,
    }
}

impl Operation {
    fn checked(&self, key: u64, call: Call) -> Checked {
        let at = self.completed.unwrap_or(u64::MAX);
        let reply = match &self.outcome {
            Outcome::Written(version) => Some(Reply::Done { version: Some(version.0) }),
            Outcome::Conflict(current) => {
                Some(Reply::Refused { current: Some(current.map_or(0, |version| version.0)) })
            }
            Outcome::Got(found) => Some(Reply::Value {
                value: found.as_ref().map(|(_, _, value)| number(value)),
                version: found.as_ref().map(|(_, version, _)| version.0),
            }),
            Outcome::Page(page, _) => {
                let mut records: Vec<(u64, u64)> =
                    page.iter().map(|(position, _, value)| (order(*position), number(value))).collect();
                records.sort_unstable();
                Some(Reply::Records(records))
            }
            Outcome::Unknown | Outcome::NotApplied => None,
        };
        let outcome = match (reply, &self.outcome) {
            (Some(reply), _) => Known::Ok { at, reply },
            (None, Outcome::NotApplied) => Known::Failed { at },
            (None, _) => Known::Unknown,
        };
        Checked { process: self.process, key, call, invoked: self.invoked, outcome, token: None }
    }
}

/// A record of an entity with registers, as a key.
fn key(entity: u64, position: Position) -> u64 {
    entity << 32 | order(position)
}

/// A position as a number; the positions that are used here have different ones.
fn order(position: Position) -> u64 {
    match position {
        Position::Undated => 0,
        Position::Dated { timestamp, sequence } => 1 + timestamp * 16 + sequence,
    }
}

/// A value as a number: that is how the clients make them.
fn number(value: &[u8]) -> u64 {
    value.iter().fold(0, |number: u64, digit| number.wrapping_mul(10).wrapping_add(u64::from(*digit & 15)))
}
