//! What must hold of what the clients saw, looked at after the run, by checkers that know nothing of the store.
//!
//! Each record of an entity with registers is a key of its own. A series or a log is one key, of which each scan shows a state.

use thermocline::{Expect, Mutation, Position};
use thermocline_checkers::{
    Call, Change, History, Operation as Checked, Outcome as Known, Reply, Verdict, batches, linearizability,
    lost_writes, scans, versions,
};

use crate::history::{Action, EXPIRED_MS, Kind, Operation, Outcome, kind};
use crate::pages;

/// How many configurations the search of a log may visit: each holds all of the log.
const OF_A_LOG_MAX: u64 = 100_000;

/// Looks at a history: `finals` is when its last reads began, of which each of `nodes` did all.
///
/// # Errors
/// The first property that does not hold, or about which a checker could not make up its mind.
pub(crate) fn judge(history: &[Operation], finals: u64, nodes: usize) -> Result<(), String> {
    pages::check(history)?;
    let Histories { registers, series, logs } = translate(history);
    let verdicts = [
        ("versions", &registers, versions::check(&registers)),
        ("linearizability", &registers, linearizability::check(&registers)),
        ("scans", &series, scans::check(&series)),
        ("batches", &series, batches::check(&series)),
        ("linearizability of logs", &logs, linearizability::check_within(&logs, OF_A_LOG_MAX)),
        ("batches of logs", &logs, batches::check(&logs)),
        ("lost writes", &registers, lost_writes::check(&registers, finals, nodes)),
        ("lost appends", &series, lost_writes::check(&series, finals, nodes)),
        ("last scans of logs", &logs, lost_writes::check(&logs, finals, nodes)),
    ];
    for (name, of, verdict) in verdicts {
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

/// The history in the checkers' words.
#[derive(Default)]
struct Histories {
    registers: History,
    series: History,
    logs: History,
}

fn translate(history: &[Operation]) -> Histories {
    let mut histories = Histories::default();
    for operation in history {
        let entity = operation.action.entity();
        let of_entity = match kind(entity) {
            Kind::Registers => {
                translate_registers(operation, entity, &mut histories.registers);
                continue;
            }
            Kind::Series => &mut histories.series,
            Kind::Log => &mut histories.logs,
        };
        let call = match &operation.action {
            Action::Write { mutations, .. } => Call::Change(mutations.iter().map(change).collect()),
            Action::Get { position, .. } => Call::ReadRecord { position: order(*position) },
            Action::Scan { .. } if matches!(operation.outcome, Outcome::Page(_, true)) => Call::Scan,
            Action::Scan { .. } => continue,
        };
        of_entity.push(operation.checked(entity, call));
    }
    histories
}

fn translate_registers(operation: &Operation, entity: u64, registers: &mut History) {
    match &operation.action {
        Action::Write { mutations, .. } => {
            for (position, call) in mutations.iter().filter_map(of_register) {
                registers.push(operation.checked(key(entity, position), call));
            }
        }
        Action::Get { position, .. } => {
            registers.push(operation.checked(key(entity, *position), Call::Read));
        }
        Action::Scan { .. } => {}
    }
}

/// What a mutation does to the records of a series or a log.
fn change(mutation: &Mutation) -> Change {
    match mutation {
        Mutation::Put { position, expires_at: Some(EXPIRED_MS), .. } | Mutation::Delete { position, .. } => {
            Change::Remove { position: order(*position) }
        }
        Mutation::Put { position, value, .. } => {
            Change::Put { position: order(*position), value: number(value) }
        }
        Mutation::Trim { through } => Change::Trim { below: order(Position::dated(through + 1, 0)) },
    }
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
