//! A Redis that acknowledges before it replicates, and whose replicas are read from. Everything that is wrong with that must be
//! found.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use thermocline_checkers::{Call, Reply};

use super::{Answered, Health, Kind, Learnt, Place};
use crate::resp::{Answer, Connection};

pub(super) fn command(places: &[Place], node: usize) -> Command {
    let place = &places[node];
    let mut command = Command::new("redis-server");
    command.args(["--port", &place.clients.port().to_string(), "--bind", &place.clients.ip().to_string()]);
    command.args([
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--protected-mode",
        "no",
    ]);
    command.arg("--dir").arg(&place.directory);
    if node > 0 {
        let primary = places[0].clients;
        command.args(["--replicaof", &primary.ip().to_string(), &primary.port().to_string()]);
    }
    command
}

pub(super) fn health(address: SocketAddr) -> Health {
    let patience = Duration::from_millis(1500);
    let pong = Connection::open(address, patience).and_then(|mut node| node.call(&["PING".to_owned()]));
    match pong {
        Ok(Answer::Word(_)) => Health::Whole,
        Ok(_) => Health::Learning,
        Err(_) => Health::Silent,
    }
}

/// Asks, and puts the answer into the history's words. `ask` fails if the connection does.
pub(super) fn ask(
    ask: impl FnOnce(Vec<String>) -> Result<Answer, ()>,
    kind: Kind,
    key: u64,
    call: &Call,
) -> Learnt {
    let key = kind.key(key);
    let words = match (kind, call) {
        (Kind::Register, Call::Read) => vec!["GET".to_owned(), key],
        (Kind::Register, Call::Write(value)) => vec!["SET".to_owned(), key, value.to_string()],
        // A set stands for what the store has streams for: a stream of Redis takes ids in rising order only.
        (Kind::Entity, Call::Add(elements)) if elements.len() == 1 => {
            vec!["SADD".to_owned(), key, elements[0].to_string()]
        }
        (Kind::Entity, Call::Scan) => vec!["SMEMBERS".to_owned(), key],
        _ => return Learnt { outcome: Answered::Failed, token: None },
    };
    let answer = match ask(words) {
        Err(()) => return Learnt { outcome: Answered::Unknown, token: None },
        Ok(answer) => answer,
    };
    let reply = match (call, &answer) {
        (Call::Read, Answer::Nil) => Some(Reply::Value { value: None, version: None }),
        (Call::Read, Answer::Bulk(text)) => {
            text.parse().ok().map(|value| Reply::Value { value: Some(value), version: None })
        }
        (Call::Write(_), Answer::Word(_)) | (Call::Add(_), Answer::Number(_)) => {
            Some(Reply::Done { version: None })
        }
        (Call::Scan, Answer::Array(parts)) => {
            let element = |part: &Answer| match part {
                Answer::Bulk(text) => text.parse().ok(),
                _ => None,
            };
            parts.iter().map(element).collect::<Option<Vec<u64>>>().map(|mut elements| {
                elements.sort_unstable();
                Reply::Elements(elements)
            })
        }
        _ => None,
    };
    let outcome = reply.map_or(Answered::Failed, Answered::Ok);
    Learnt { outcome, token: None }
}
