//! Commands that concern the connection only.

use super::command::{RULES, Touch, Verb, number, shown};
use super::frame::Request;
use super::reply::{Protocol, Reply};

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Goes on with the requests that have arrived.
    Request,
    /// Waits for more bytes.
    Bytes,
    /// Closes.
    Close,
}

/// What a connection remembers from request to request.
#[derive(Debug, Default)]
pub(super) struct Session {
    protocol: Protocol,
}

impl Session {
    /// The form of the protocol that replies are written in.
    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Carries out a command whose rule says that it is the session's.
    pub(super) fn execute(&mut self, verb: Verb, request: &Request) -> (Reply, Next) {
        let reply = match verb {
            Verb::Ping if request.len() == 1 => Reply::Word("PONG"),
            Verb::Ping | Verb::Echo => Reply::Bulk(request.share(1)),
            Verb::Hello => self.hello(request),
            Verb::Client => client(request),
            Verb::Command => command(request),
            Verb::Select => match request.argument(1) {
                b"0" => Reply::Word("OK"),
                _ => Reply::err("DB index is out of range: there is only database 0"),
            },
            Verb::Quit => return (Reply::Word("OK"), Next::Close),
            other => unreachable!("{other:?} is not the session's"),
        };
        (reply, Next::Request)
    }

    fn hello(&mut self, request: &Request) -> Reply {
        let wanted = match request.len() {
            1 => self.protocol,
            _ => match number(request.argument(1)) {
                Some(2) => Protocol::Resp2,
                Some(3) => Protocol::Resp3,
                _ => return Reply::Error("NOPROTO unsupported protocol version: 2 or 3".to_owned()),
            },
        };
        let mut at = 2;
        while at < request.len() {
            let option = request.argument(at);
            if option.eq_ignore_ascii_case(b"SETNAME") && at + 1 < request.len() {
                at += 2;
            } else if option.eq_ignore_ascii_case(b"AUTH") {
                return Reply::err("AUTH is not supported: there are no users and no passwords");
            } else {
                return Reply::err(format_args!("syntax error in HELLO option '{}'", shown(option)));
            }
        }
        self.protocol = wanted;
        let text = |text: &str| Reply::bulk(text);
        Reply::Map(vec![
            (text("server"), text("thermocline")),
            (text("version"), text(env!("CARGO_PKG_VERSION"))),
            (text("proto"), Reply::Number(if wanted == Protocol::Resp3 { 3 } else { 2 })),
            (text("mode"), text("standalone")),
            (text("role"), text("master")),
            (text("modules"), Reply::Array(Vec::new())),
        ])
    }
}

fn client(request: &Request) -> Reply {
    let what = request.argument(1);
    if what.eq_ignore_ascii_case(b"SETNAME") || what.eq_ignore_ascii_case(b"SETINFO") {
        return Reply::Word("OK");
    }
    Reply::err(format_args!("CLIENT {} is not supported; SETNAME and SETINFO are accepted", shown(what)))
}

/// What clients ask to learn which commands there are.
fn command(request: &Request) -> Reply {
    if request.len() == 1 {
        return Reply::Array(RULES.iter().map(|rule| Reply::Array(description(rule))).collect());
    }
    let what = request.argument(1);
    if what.eq_ignore_ascii_case(b"COUNT") {
        return Reply::Number(RULES.len() as u64);
    }
    if what.eq_ignore_ascii_case(b"DOCS") {
        return Reply::Map(Vec::new());
    }
    Reply::err(format_args!(
        "COMMAND {} is not supported; use COMMAND, COMMAND COUNT or COMMAND DOCS",
        shown(what)
    ))
}

/// Name, arity (as text where it is negative, a minimum), flags, and where the keys are.
fn description(rule: &super::command::Rule) -> Vec<Reply> {
    let (fewest, most) = rule.arguments;
    let arity = if fewest == most { Reply::Number(fewest as u64) } else { Reply::Negative(fewest as u64) };
    let (flag, keys) = match rule.touch {
        Touch::Reads(keys) => ("readonly", Some(keys)),
        Touch::Writes(keys) => ("write", Some(keys)),
        Touch::Store | Touch::Session => ("fast", None),
    };
    let (first, last, step) = match keys {
        Some(super::command::Keys::First) => (Reply::Number(1), Reply::Number(1), 1),
        Some(super::command::Keys::All) => (Reply::Number(1), Reply::Negative(1), 1),
        None => (Reply::Number(0), Reply::Number(0), 0),
    };
    let name = Reply::bulk(rule.name.to_ascii_lowercase());
    vec![name, arity, Reply::Array(vec![Reply::Word(flag)]), first, last, Reply::Number(step)]
}
