//! Tokens: a write takes effect at most once however often it is sent, and what is said of it never changes.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::history::{Call, History, Operation, Outcome, Reply};
use crate::plant::{self, Plant};
use crate::verdict::{Verdict, Violation};

/// What was said under one token.
#[derive(Default)]
struct Said {
    /// The version that a write or a resolution gave, and which.
    committed: Vec<(u64, usize)>,
    /// Writes that were acknowledged without a version.
    acknowledged: Vec<usize>,
    not_committed: Vec<usize>,
    /// The writes that were sent.
    sent: Vec<usize>,
}

/// Whether everything that was said under a token fits together, and with what was read.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    let mut tokens: BTreeMap<&str, Said> = BTreeMap::new();
    let mut seen: HashMap<u64, HashSet<u64>> = HashMap::new();
    for (place, operation) in history.iter().enumerate() {
        match (&operation.call, operation.reply()) {
            (Call::Resolve(token), Some(Reply::Committed(version))) => {
                tokens.entry(token).or_default().committed.push((*version, place));
            }
            (Call::Resolve(token), Some(Reply::NotCommitted)) => {
                tokens.entry(token).or_default().not_committed.push(place);
            }
            (_, Some(reply)) => {
                see(seen.entry(operation.key).or_default(), reply);
            }
            _ => {}
        }
        if let Some(token) = operation.token.as_deref().filter(|_| operation.changes()) {
            let said = tokens.entry(token).or_default();
            said.sent.push(place);
            match operation.version() {
                Some(version) => said.committed.push((version, place)),
                None if operation.acknowledged() => said.acknowledged.push(place),
                None => {}
            }
        }
    }
    let mut violations = Vec::new();
    for (token, said) in tokens {
        let key = said.sent.first().map_or(0, |&place| history[place].key);
        let mut violation =
            |what: String, places: Vec<usize>| violations.push(Violation::new(key, what, places));
        if let Some((first, others)) = said.committed.split_first()
            && let Some(other) = others.iter().find(|other| other.0 != first.0)
            && !plant::on(Plant::TokenTwice)
        {
            violation(
                format!("token {token} took effect as version {} and as {}", first.0, other.0),
                vec![first.1, other.1],
            );
        }
        let Some(&not) = said.not_committed.first() else { continue };
        if let Some(place) =
            said.committed.iter().map(|committed| committed.1).chain(said.acknowledged.clone()).next()
        {
            violation(format!("token {token} was committed and not committed"), vec![place, not]);
        }
        for &place in &said.sent {
            let value = effects(&history[place].call);
            let shown = seen.get(&history[place].key);
            if value.iter().any(|value| shown.is_some_and(|shown| shown.contains(value))) {
                violation(
                    format!("token {token} was not committed, and its effect was seen"),
                    vec![place, not],
                );
            }
        }
    }
    Verdict::of(violations)
}

/// The history as it is known once tokens were resolved: a write of unknown outcome that turned out to be committed succeeded at
/// the latest when that was said, one that turned out not to be failed.
#[must_use]
pub fn settle(history: &[Operation]) -> History {
    let mut resolved: HashMap<&str, (u64, Reply)> = HashMap::new();
    for operation in history {
        if let (Call::Resolve(token), Outcome::Ok { at, reply }) = (&operation.call, &operation.outcome)
            && *reply != Reply::Forgotten
        {
            resolved.entry(token).or_insert((*at, reply.clone()));
        }
    }
    let settled = |operation: &Operation| {
        let mut operation = operation.clone();
        let known = operation.token.as_deref().and_then(|token| resolved.get(token));
        if let (Outcome::Unknown, Some((at, reply))) = (&operation.outcome, known) {
            operation.outcome = match reply {
                Reply::Committed(version) => {
                    Outcome::Ok { at: *at, reply: Reply::Done { version: Some(*version) } }
                }
                _ => Outcome::Failed { at: *at },
            };
        }
        operation
    };
    history.iter().map(settled).collect()
}

/// What an answer shows of a key.
pub(crate) fn see(seen: &mut HashSet<u64>, reply: &Reply) {
    match reply {
        Reply::Value { value, .. } => seen.extend(value),
        Reply::Elements(elements) => seen.extend(elements),
        Reply::Records(records) => seen.extend(records.iter().map(|(_, value)| value)),
        _ => {}
    }
}

/// What a write would show of itself.
fn effects(call: &Call) -> Vec<u64> {
    use crate::history::Change;
    match call {
        Call::Write(value) | Call::CompareAndSet { value, .. } | Call::CompareAndSetVersion { value, .. } => {
            vec![*value]
        }
        Call::Add(elements) | Call::Append(elements) => elements.clone(),
        Call::Change(changes) => {
            let put = |change: &Change| match *change {
                Change::Put { value, .. } => Some(value),
                Change::Remove { .. } | Change::Trim { .. } => None,
            };
            changes.iter().filter_map(put).collect()
        }
        _ => Vec::new(),
    }
}
