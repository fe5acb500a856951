//! A history as a series of events, as Jepsen writes it: each operation is invoked, and then is `ok`, `fail` or `info`.

use std::collections::HashMap;

use serde_json::{Value, json};
use thiserror::Error;

use super::{Call, Change, History, Operation, Outcome, Reply};

/// One event. `f` and `value` say what was asked; when it is completed, `value` is what was answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    /// Its place in the series.
    pub(super) index: u64,
    /// When, in nanoseconds.
    pub(super) time: u64,
    /// Who.
    pub(super) process: u64,
    /// Which key.
    pub(super) key: u64,
    /// Which half of an operation, and how it ended.
    pub(super) kind: Kind,
    /// What is asked.
    pub(super) f: String,
    /// Its arguments, or its answer.
    pub(super) value: Value,
    /// The token of a write whose outcome is unknown.
    pub(super) token: Option<String>,
}

/// Which half of an operation, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It was asked.
    Invoke,
    /// It was answered.
    Ok,
    /// It was not applied.
    Fail,
    /// Nobody knows.
    Info,
}

/// Why a text is not a history.
#[derive(Debug, Error)]
pub enum NotAHistory {
    /// A line or form cannot be read.
    #[error("line {line}: {why}")]
    Syntax {
        /// Which, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// An event does not fit those before it, or means nothing.
    #[error("event {index}: {why}")]
    Event {
        /// Which, by its index.
        index: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The text cannot be had.
    #[error("the history cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

impl Kind {
    pub(super) const ALL: [(Self, &'static str); 4] =
        [(Self::Invoke, "invoke"), (Self::Ok, "ok"), (Self::Fail, "fail"), (Self::Info, "info")];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

impl Event {
    pub(super) fn to_json(&self) -> Value {
        let mut map = json!({
            "index": self.index, "time": self.time, "process": self.process, "key": self.key,
            "type": self.kind.name(), "f": self.f, "value": self.value,
        });
        if let (Some(token), Value::Object(fields)) = (&self.token, &mut map) {
            fields.insert("token".to_owned(), json!(token));
        }
        map
    }

    pub(super) fn from_json(map: &Value, line: usize) -> Result<Self, NotAHistory> {
        let syntax = |why: String| NotAHistory::Syntax { line, why };
        let number = |name: &str| {
            map.get(name)
                .and_then(Value::as_u64)
                .ok_or_else(|| syntax(format!("`{name}` is no number of 0 or more")))
        };
        let text = |name: &str| {
            map.get(name)
                .and_then(Value::as_str)
                .ok_or_else(|| syntax(format!("`{name}` is missing or no word")))
        };
        let kind = text("type")?;
        let kind = Kind::ALL.iter().find(|(_, name)| *name == kind);
        Ok(Self {
            index: number("index")?,
            time: number("time")?,
            process: number("process")?,
            key: number("key")?,
            kind: kind.ok_or_else(|| syntax("`type` is none of invoke, ok, fail, info".to_owned()))?.0,
            f: text("f")?.to_owned(),
            value: map.get("value").cloned().unwrap_or(Value::Null),
            token: map.get("token").and_then(Value::as_str).map(str::to_owned),
        })
    }
}

/// The events of a history, in the order of their times.
#[must_use]
pub(super) fn events(history: &[Operation]) -> Vec<Event> {
    // At one instant what begins comes before what ends, so that the two count as concurrent; `info` comes last of all.
    let mut order: Vec<(u64, u8, usize)> = Vec::with_capacity(2 * history.len());
    for (place, operation) in history.iter().enumerate() {
        order.push((operation.invoked, 0, place));
        order.push((operation.ended().unwrap_or(u64::MAX), 1, place));
    }
    order.sort_unstable();
    let last = history.iter().filter_map(Operation::ended).max().unwrap_or(0);
    let event = |(index, (time, half, place)): (usize, (u64, u8, usize))| {
        let operation = &history[place];
        let (kind, value) = match (&operation.outcome, half) {
            (_, 0) => (Kind::Invoke, arguments(&operation.call)),
            (Outcome::Ok { reply, .. }, _) => (Kind::Ok, answer(reply)),
            (Outcome::Failed { .. }, _) => (Kind::Fail, arguments(&operation.call)),
            (Outcome::Unknown, _) => (Kind::Info, arguments(&operation.call)),
        };
        Event {
            index: index as u64,
            time: if time == u64::MAX { last.max(operation.invoked) } else { time },
            process: operation.process,
            key: operation.key,
            kind,
            f: name(&operation.call).to_owned(),
            value,
            token: operation.token.as_deref().map(str::to_owned).filter(|_| half == 1),
        }
    };
    order.into_iter().enumerate().map(event).collect()
}

/// The history of a series of events. What is invoked and never completed is unknown.
pub(super) fn history(events: &[Event]) -> Result<History, NotAHistory> {
    let mut history = History::new();
    let mut open: HashMap<u64, usize> = HashMap::new();
    for event in events {
        let wrong = |why: &str| NotAHistory::Event { index: event.index, why: why.to_owned() };
        if event.kind == Kind::Invoke {
            let call = call(&event.f, &event.value).ok_or_else(|| wrong("asks nothing that is known"))?;
            if open.insert(event.process, history.len()).is_some() {
                return Err(wrong("its process is busy"));
            }
            history.push(Operation {
                process: event.process,
                key: event.key,
                call,
                invoked: event.time,
                outcome: Outcome::Unknown,
                token: None,
            });
            continue;
        }
        let place = open.remove(&event.process).ok_or_else(|| wrong("its process has asked nothing"))?;
        let operation = &mut history[place];
        operation.token = event.token.as_deref().map(Box::from);
        operation.outcome = match event.kind {
            Kind::Ok => {
                let reply =
                    reply(&operation.call, &event.value).ok_or_else(|| wrong("is no answer to its call"))?;
                Outcome::Ok { at: event.time, reply }
            }
            Kind::Fail => Outcome::Failed { at: event.time },
            Kind::Info | Kind::Invoke => Outcome::Unknown,
        };
    }
    Ok(history)
}

fn name(call: &Call) -> &'static str {
    match call {
        Call::Read => "read",
        Call::ReadRecord { .. } => "read-record",
        Call::Write(_) => "write",
        Call::CompareAndSet { .. } => "cas",
        Call::CompareAndSetVersion { .. } => "cas-version",
        Call::Delete => "delete",
        Call::Change(_) => "change",
        Call::Add(_) => "add",
        Call::Append(_) => "append",
        Call::Scan => "scan",
        Call::Increment(_) => "increment",
        Call::Resolve(_) => "resolve",
    }
}

fn arguments(call: &Call) -> Value {
    match call {
        Call::Read | Call::Scan | Call::Delete => Value::Null,
        Call::Write(value) => json!(value),
        Call::ReadRecord { position } => json!(position),
        Call::CompareAndSet { expected, value } => json!([expected, value]),
        Call::CompareAndSetVersion { expected, value } => json!([expected, value]),
        Call::Change(changes) => Value::Array(changes.iter().map(change).collect()),
        Call::Add(elements) | Call::Append(elements) => json!(elements),
        Call::Increment(by) => json!(by),
        Call::Resolve(token) => json!(token),
    }
}

fn change(change: &Change) -> Value {
    match *change {
        Change::Put { position, value } => json!(["put", position, value]),
        Change::Remove { position } => json!(["remove", position]),
        Change::Trim { below } => json!(["trim", below]),
    }
}

fn call(f: &str, value: &Value) -> Option<Call> {
    let pair = || value.as_array().filter(|pair| pair.len() == 2);
    Some(match f {
        "read" => Call::Read,
        "read-record" => Call::ReadRecord { position: value.as_u64()? },
        "scan" => Call::Scan,
        "delete" => Call::Delete,
        "write" => Call::Write(value.as_u64()?),
        "cas" => {
            let pair = pair()?;
            let expected = if pair[0].is_null() { None } else { Some(pair[0].as_u64()?) };
            Call::CompareAndSet { expected, value: pair[1].as_u64()? }
        }
        "cas-version" => {
            let pair = pair()?;
            Call::CompareAndSetVersion { expected: pair[0].as_u64()?, value: pair[1].as_u64()? }
        }
        "change" => Call::Change(value.as_array()?.iter().map(read_change).collect::<Option<_>>()?),
        "add" => Call::Add(numbers(value)?),
        "append" => Call::Append(numbers(value)?),
        "increment" => Call::Increment(value.as_i64()?),
        "resolve" => Call::Resolve(value.as_str()?.into()),
        _ => return None,
    })
}

fn read_change(value: &Value) -> Option<Change> {
    let parts = value.as_array()?;
    let number = |at: usize| parts.get(at).and_then(Value::as_u64);
    Some(match parts.first()?.as_str()? {
        "put" => Change::Put { position: number(1)?, value: number(2)? },
        "remove" => Change::Remove { position: number(1)? },
        "trim" => Change::Trim { below: number(1)? },
        _ => return None,
    })
}

fn answer(reply: &Reply) -> Value {
    match reply {
        Reply::Done { version } => json!(["done", version]),
        Reply::Refused { current } => json!(["refused", current]),
        Reply::Value { value, version } => json!([value, version]),
        Reply::Elements(elements) => json!(elements),
        Reply::Records(records) => json!(records),
        Reply::Count(count) => json!(count),
        Reply::Committed(version) => json!(["committed", version]),
        Reply::NotCommitted => json!(["not-committed"]),
        Reply::Forgotten => json!(["forgotten"]),
    }
}

fn reply(call: &Call, value: &Value) -> Option<Reply> {
    let optional = |value: &Value| if value.is_null() { Some(None) } else { value.as_u64().map(Some) };
    let parts = value.as_array();
    match call {
        Call::Scan => return records(value).or_else(|| numbers(value).map(Reply::Elements)),
        Call::Read | Call::ReadRecord { .. } => {
            return match parts {
                Some(parts) => {
                    let [value, version] = parts.as_slice() else { return None };
                    Some(Reply::Value { value: optional(value)?, version: optional(version)? })
                }
                None => value.as_i64().map(Reply::Count),
            };
        }
        _ => {}
    }
    let parts = parts?;
    let second = parts.get(1).unwrap_or(&Value::Null);
    Some(match parts.first()?.as_str()? {
        "done" => Reply::Done { version: optional(second)? },
        "refused" => Reply::Refused { current: optional(second)? },
        "committed" => Reply::Committed(second.as_u64()?),
        "not-committed" => Reply::NotCommitted,
        "forgotten" => Reply::Forgotten,
        _ => return None,
    })
}

fn numbers(value: &Value) -> Option<Vec<u64>> {
    value.as_array()?.iter().map(Value::as_u64).collect()
}

/// Records; an empty answer has none, and counts as elements.
fn records(value: &Value) -> Option<Reply> {
    let rows = value.as_array().filter(|rows| !rows.is_empty())?;
    let record = |row: &Value| match row.as_array()?.as_slice() {
        [position, value] => Some((position.as_u64()?, value.as_u64()?)),
        _ => None,
    };
    rows.iter().map(record).collect::<Option<_>>().map(Reply::Records)
}
