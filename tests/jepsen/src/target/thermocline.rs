//! The store itself.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use thermocline_checkers::{Call, Reply};

use super::{Answered, Health, Kind, Learnt, Place};
use crate::resp::{Answer, Connection};

/// How many buckets: few, so that a wiped node has soon learnt them all.
const BUCKETS: u32 = 1024;

const SETTINGS: &str = "workers = 1\n\
                        deadline_default_ms = 2000\n\
                        segment_bytes = 16777216\n\
                        journal_retain_bytes = 17179869184\n";

/// Each node has a topology file of its own: its peers may be behind proxies.
pub(super) fn prepare(root: &Path, places: &[Place]) -> io::Result<()> {
    std::fs::write(root.join("settings.toml"), SETTINGS)?;
    for reader in 0..places.len() {
        let mut text = format!("cluster = \"jepsen\"\nreplicas = {}\nbuckets = {BUCKETS}\n", places.len());
        for (node, place) in places.iter().enumerate() {
            text.push_str(&format!(
                "[[node]]\nid = {}\nzone = \"z{node}\"\naddress = \"{}\"\nredis = \"{}\"\n",
                node + 1,
                place.peers[reader],
                place.clients,
            ));
        }
        std::fs::write(topology(root, reader), text)?;
    }
    Ok(())
}

fn topology(root: &Path, node: usize) -> PathBuf {
    root.join(format!("topology-{}.toml", node + 1))
}

pub(super) fn command(binary: &Path, root: &Path, places: &[Place], node: usize) -> Command {
    let mut command = Command::new(binary);
    command.args(["serve", "--log", "warn", "--node", &(node + 1).to_string(), "--topology"]);
    command.arg(topology(root, node)).arg("--config").arg(root.join("settings.toml"));
    command.arg("--directory").arg(places[node].directory.join("data"));
    command
}

pub(super) fn health(address: SocketAddr) -> Health {
    let patience = Duration::from_millis(1500);
    let info = Connection::open(address, patience).and_then(|mut node| node.call(&["INFO".to_owned()]));
    match info {
        Ok(Answer::Bulk(text))
            if text.contains("buckets_learning:0\r\n") && !text.contains("buckets_voting:0\r\n") =>
        {
            Health::Whole
        }
        Ok(_) => Health::Learning,
        Err(_) => Health::Silent,
    }
}

/// Asks, and puts the answer into the history's words. `ask` fails if the connection does.
pub(super) fn ask(
    mut ask: impl FnMut(Vec<String>) -> Result<Answer, ()>,
    kind: Kind,
    key: u64,
    call: &Call,
) -> Learnt {
    let key = kind.key(key);
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    match (kind, call) {
        (Kind::Register, Call::Read) => learn(ask(words(&["TC.GET", &key])), versioned),
        (Kind::Register, Call::Write(value)) => {
            learn(ask(words(&["SET", &key, &value.to_string()])), |answer| {
                (*answer == Answer::Word("OK".to_owned())).then_some(Reply::Done { version: None })
            })
        }
        (Kind::Register, Call::CompareAndSetVersion { expected, value }) => {
            cas(&mut ask, &key, *expected, &value.to_string())
        }
        (Kind::Register, Call::Delete) => learn(ask(words(&["DEL", &key])), |answer| match answer {
            Answer::Number(0) => Some(Reply::Refused { current: Some(0) }),
            Answer::Number(1) => Some(Reply::Done { version: None }),
            _ => None,
        }),
        (Kind::Entity, Call::Add(elements)) if elements.len() == 1 => {
            let (id, element) = (id(elements[0]), elements[0].to_string());
            learn(ask(words(&["XADD", &key, &id, "e", &element])), |answer| {
                (*answer == Answer::Bulk(id.clone())).then_some(Reply::Done { version: None })
            })
        }
        (Kind::Entity, Call::Scan) => learn(ask(words(&["XRANGE", &key, "-", "+"])), entries),
        (Kind::List, Call::Scan) => learn(ask(words(&["TC.GET", &key])), |answer| {
            Some(Reply::Elements(list(&held(answer)?.map(|held| held.0).unwrap_or_default())?))
        }),
        (Kind::Counter, Call::Read) => learn(ask(words(&["TC.GET", &key])), |answer| {
            Some(Reply::Count(held(answer)?.map_or(Some(0), |held| held.0.parse().ok())?))
        }),
        (Kind::List | Kind::Counter, Call::Append(_) | Call::Increment(_)) => {
            // Read, then changed if nothing else changed it meanwhile.
            let before = match ask(words(&["TC.GET", &key])) {
                Ok(answer) => held(&answer),
                Err(()) => None,
            };
            // Nothing has been written yet.
            let Some(before) = before else { return failed() };
            let (text, version) = before.unwrap_or_default();
            let changed = match call {
                Call::Append(elements) => {
                    let more: Vec<String> = elements.iter().map(u64::to_string).collect();
                    if text.is_empty() { more.join(",") } else { format!("{text},{}", more.join(",")) }
                }
                Call::Increment(by) => {
                    match text.parse::<i64>().or(if text.is_empty() { Ok(0) } else { Err(()) }) {
                        Ok(count) => (count + by).to_string(),
                        Err(()) => return failed(),
                    }
                }
                _ => return failed(),
            };
            let mut learnt = cas(&mut ask, &key, version, &changed);
            // A refusal tells nothing of the list.
            if let Answered::Ok(Reply::Refused { current }) = &mut learnt.outcome {
                *current = None;
            }
            learnt
        }
        (_, Call::Resolve(token)) => learn(ask(words(&["TC.RESOLVE", token])), |answer| match answer {
            Answer::Array(parts) => match parts.as_slice() {
                [Answer::Bulk(word), Answer::Number(version)] if word == "COMMITTED" => {
                    Some(Reply::Committed(u64::try_from(*version).ok()?))
                }
                [Answer::Bulk(word)] if word == "NOTCOMMITTED" => Some(Reply::NotCommitted),
                [Answer::Bulk(word)] if word == "FORGOTTEN" => Some(Reply::Forgotten),
                _ => None,
            },
            _ => None,
        }),
        _ => failed(),
    }
}

fn failed() -> Learnt {
    Learnt { outcome: Answered::Failed, token: None }
}

fn cas(
    ask: &mut impl FnMut(Vec<String>) -> Result<Answer, ()>,
    key: &str,
    expected: u64,
    value: &str,
) -> Learnt {
    let words = ["TC.CAS", key, &expected.to_string(), value].map(str::to_owned).to_vec();
    learn(ask(words), |answer| match answer {
        Answer::Number(version) => Some(Reply::Done { version: Some(u64::try_from(*version).ok()?) }),
        Answer::Error(text) => {
            let current = text.strip_prefix("CONFLICT ")?.split(' ').next()?.parse().ok()?;
            Some(Reply::Refused { current: Some(current) })
        }
        _ => None,
    })
}

/// The three outcomes, by the first word of an error. An answer that means nothing would be a mistake of the store or of this
/// harness: it is no outcome at all.
fn learn(answer: Result<Answer, ()>, understood: impl Fn(&Answer) -> Option<Reply>) -> Learnt {
    let unknown = |token| Learnt { outcome: Answered::Unknown, token };
    let Ok(answer) = answer else { return unknown(None) };
    if let Some(reply) = understood(&answer) {
        return Learnt { outcome: Answered::Ok(reply), token: None };
    }
    match &answer {
        Answer::Error(text) => match text.split_once(' ').unwrap_or((text, "")) {
            ("UNKNOWN", rest) => unknown(rest.split(' ').next().map(str::to_owned)),
            ("UNAVAILABLE" | "ERR", _) => failed(),
            _ => panic!("an error that the README does not name: {text}"),
        },
        other => panic!("an answer that means nothing: {other:?}"),
    }
}

fn versioned(answer: &Answer) -> Option<Reply> {
    let held = held(answer)?;
    let (value, version) = match held {
        Some((text, version)) => (Some(text.parse().ok()?), Some(version)),
        None => (None, None),
    };
    Some(Reply::Value { value, version })
}

/// What `TC.GET` tells: a value and its version, or that there is none; `None` if it tells neither.
fn held(answer: &Answer) -> Option<Option<(String, u64)>> {
    match answer {
        Answer::Nil => Some(None),
        Answer::Array(parts) => match parts.as_slice() {
            [Answer::Bulk(value), Answer::Number(version)] => {
                Some(Some((value.clone(), u64::try_from(*version).ok()?)))
            }
            _ => None,
        },
        _ => None,
    }
}

fn list(text: &str) -> Option<Vec<u64>> {
    text.split(',').filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
}

/// An element's id: a time and a sequence that come in another order than the elements are added.
fn id(element: u64) -> String {
    format!("{}-{}", (element >> 16) + 1, element & 0xffff)
}

fn entries(answer: &Answer) -> Option<Reply> {
    let Answer::Array(entries) = answer else { return None };
    let mut elements = Vec::with_capacity(entries.len());
    for entry in entries {
        let Answer::Array(parts) = entry else { return None };
        let [Answer::Bulk(shown), Answer::Array(fields)] = parts.as_slice() else { return None };
        let [_, Answer::Bulk(value)] = fields.as_slice() else { return None };
        let element = value.parse().ok()?;
        if *shown != id(element) {
            return None;
        }
        elements.push(element);
    }
    // By id, each once.
    elements.windows(2).all(|pair| pair[0] < pair[1]).then_some(Reply::Elements(elements))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is learnt when the node answers this, one after the other; an `Err` is a connection that broke.
    fn learnt(
        kind: Kind,
        call: &Call,
        answers: Vec<Result<Answer, ()>>,
    ) -> (Option<Reply>, &'static str, Option<String>) {
        let mut answers = answers.into_iter();
        let learnt = ask(|_| answers.next().unwrap_or(Err(())), kind, 7, call);
        let (reply, how) = match learnt.outcome {
            Answered::Ok(reply) => (Some(reply), "ok"),
            Answered::Failed => (None, "failed"),
            Answered::Unknown => (None, "unknown"),
        };
        (reply, how, learnt.token)
    }

    fn error(text: &str) -> Vec<Result<Answer, ()>> {
        vec![Ok(Answer::Error(text.to_owned()))]
    }

    fn held(value: &str, version: i64) -> Result<Answer, ()> {
        Ok(Answer::Array(vec![Answer::Bulk(value.to_owned()), Answer::Number(version)]))
    }

    #[test]
    fn three_outcomes_are_told_apart() {
        let write = Call::Write(5);
        let register = |answers| learnt(Kind::Register, &write, answers);
        let done = Some(Reply::Done { version: None });
        assert_eq!(register(vec![Ok(Answer::Word("OK".to_owned()))]), (done, "ok", None));
        assert_eq!(register(error("UNAVAILABLE no majority")), (None, "failed", None));
        assert_eq!(register(error("ERR wrong")), (None, "failed", None));
        assert_eq!(register(error("UNKNOWN ab-1-2-3")), (None, "unknown", Some("ab-1-2-3".to_owned())));
        assert_eq!(register(vec![Err(())]), (None, "unknown", None));
    }

    #[test]
    fn a_refused_condition_tells_the_version_that_was_there() {
        let cas = Call::CompareAndSetVersion { expected: 3, value: 9 };
        let refused = Some(Reply::Refused { current: Some(4) });
        assert_eq!(learnt(Kind::Register, &cas, error("CONFLICT 4")), (refused, "ok", None));
        assert_eq!(
            learnt(Kind::Register, &cas, vec![Ok(Answer::Number(8))]).0,
            Some(Reply::Done { version: Some(8) })
        );
    }

    #[test]
    fn an_append_whose_read_was_lost_was_not_applied_and_one_whose_write_was_lost_is_unknown() {
        let append = Call::Append(vec![9]);
        let list = |answers| learnt(Kind::List, &append, answers).1;
        assert_eq!(list(vec![Err(())]), "failed");
        assert_eq!(list(vec![held("1,2", 6), Err(())]), "unknown");
        assert_eq!(list(vec![held("1,2", 6), Ok(Answer::Number(7))]), "ok");
    }

    #[test]
    fn what_a_token_says_is_understood() {
        let resolve = Call::Resolve("ab-1-2-3".into());
        let word = |word: &str| Answer::Bulk(word.to_owned());
        let committed = vec![Ok(Answer::Array(vec![word("COMMITTED"), Answer::Number(12)]))];
        assert_eq!(learnt(Kind::Register, &resolve, committed).0, Some(Reply::Committed(12)));
        let not = vec![Ok(Answer::Array(vec![word("NOTCOMMITTED")]))];
        assert_eq!(learnt(Kind::Register, &resolve, not).0, Some(Reply::NotCommitted));
    }

    #[test]
    #[should_panic(expected = "means nothing")]
    fn entries_out_of_order_are_no_answer() {
        let entry = |element: u64| {
            let fields = Answer::Array(vec![Answer::Bulk("e".to_owned()), Answer::Bulk(element.to_string())]);
            Answer::Array(vec![Answer::Bulk(id(element)), fields])
        };
        let answer = Answer::Array(vec![entry(70_000), entry(3)]);
        learnt(Kind::Entity, &Call::Scan, vec![Ok(answer)]);
    }
}
