//! Which commands there are, what they touch, and who carries them out.

use bytes::Bytes;

use super::frame::Request;
use super::reply::Reply;
use super::{info, stream, string};
use crate::store::Store;

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Set,
    Mget,
    Del,
    Exists,
    TcGet,
    TcCas,
    TcResolve,
    TcVerify,
    TcLose,
    Xadd,
    Xrange,
    Xrevrange,
    Xlen,
    Xdel,
    Info,
    Ping,
    Echo,
    Hello,
    Client,
    Command,
    Select,
    Quit,
}

/// Which entities a command touches, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// Reads these.
    Reads(Keys),
    /// Changes these.
    Writes(Keys),
    /// The store, but no entity.
    Store,
    /// The connection only.
    Session,
}

/// Which arguments name entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// The first behind the command's name.
    First,
    /// All behind the command's name.
    All,
}

/// What is known of a command before it is carried out.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) verb: Verb,
    pub(super) name: &'static str,
    /// The fewest and the most arguments, the name included.
    pub(super) arguments: (usize, usize),
    pub(super) touch: Touch,
}

const ANY: usize = usize::MAX;

/// The commands, the most frequent first.
pub(super) static RULES: [Rule; 23] = {
    use Keys::{All, First};
    use Touch::{Reads, Session, Writes};
    const fn rule(verb: Verb, name: &'static str, arguments: (usize, usize), touch: Touch) -> Rule {
        Rule { verb, name, arguments, touch }
    }
    [
        rule(Verb::Get, "GET", (2, 2), Reads(First)),
        rule(Verb::Set, "SET", (3, ANY), Writes(First)),
        rule(Verb::Xadd, "XADD", (5, ANY), Writes(First)),
        rule(Verb::Xrange, "XRANGE", (4, 6), Reads(First)),
        rule(Verb::Xrevrange, "XREVRANGE", (4, 6), Reads(First)),
        rule(Verb::Mget, "MGET", (2, ANY), Reads(All)),
        rule(Verb::Del, "DEL", (2, ANY), Writes(All)),
        rule(Verb::Exists, "EXISTS", (2, ANY), Reads(All)),
        rule(Verb::TcGet, "TC.GET", (2, 2), Reads(First)),
        rule(Verb::TcCas, "TC.CAS", (4, 4), Writes(First)),
        rule(Verb::TcResolve, "TC.RESOLVE", (2, 2), Touch::Store),
        rule(Verb::TcVerify, "TC.VERIFY", (1, 1), Touch::Store),
        rule(Verb::TcLose, "TC.LOSE-ACKNOWLEDGED-WRITES", (2, 2), Touch::Store),
        rule(Verb::Xlen, "XLEN", (2, 2), Reads(First)),
        rule(Verb::Xdel, "XDEL", (3, ANY), Writes(First)),
        rule(Verb::Info, "INFO", (1, ANY), Touch::Store),
        rule(Verb::Ping, "PING", (1, 2), Session),
        rule(Verb::Echo, "ECHO", (2, 2), Session),
        rule(Verb::Hello, "HELLO", (1, ANY), Session),
        rule(Verb::Client, "CLIENT", (2, ANY), Session),
        rule(Verb::Command, "COMMAND", (1, ANY), Session),
        rule(Verb::Select, "SELECT", (2, 2), Session),
        rule(Verb::Quit, "QUIT", (1, ANY), Session),
    ]
};

impl Rule {
    /// The rule for a request, or the reply that refuses it.
    pub(super) fn of(request: &Request) -> Result<&'static Self, Reply> {
        let name = request.argument(0);
        let rule = RULES.iter().find(|rule| rule.name.as_bytes().eq_ignore_ascii_case(name));
        let Some(rule) = rule else {
            return Err(Reply::err(format_args!("unknown command '{}'", shown(name))));
        };
        let (fewest, most) = rule.arguments;
        if request.len() < fewest || request.len() > most {
            let name = rule.name.to_ascii_lowercase();
            return Err(Reply::err(format_args!("wrong number of arguments for '{name}' command")));
        }
        Ok(rule)
    }

    /// The entities that a request touches, and whether it may change them.
    pub(super) fn touched<'a>(&self, request: &'a Request) -> (bool, impl Iterator<Item = &'a [u8]> + Clone) {
        let (writes, end) = match self.touch {
            Touch::Reads(Keys::First) => (false, 2),
            Touch::Reads(Keys::All) => (false, request.len()),
            Touch::Writes(Keys::First) => (true, 2),
            Touch::Writes(Keys::All) => (true, request.len()),
            Touch::Store | Touch::Session => (false, 1),
        };
        (writes, (1..end).map(|number| request.argument(number)))
    }
}

/// Carries a command out. The two most frequent stand here themselves, so that their future is small.
pub(super) async fn execute(store: &Store, verb: Verb, request: Request) -> Reply {
    match verb {
        Verb::Get => string::get(store, request.share(1)).await,
        Verb::Set if request.len() == 3 => string::set(store, request.share(1), request.share(2)).await,
        _ => Box::pin(execute_other(store, verb, request)).await,
    }
}

async fn execute_other(store: &Store, verb: Verb, request: Request) -> Reply {
    match verb {
        Verb::Get => string::get(store, request.share(1)).await,
        Verb::Set => string::set_if(store, &request).await,
        Verb::Mget => string::mget(store, &request).await,
        Verb::Del => string::del(store, &request).await,
        Verb::Exists => string::exists(store, &request).await,
        Verb::TcGet => string::get_versioned(store, request.share(1)).await,
        Verb::TcCas => string::compare_and_set(store, &request).await,
        Verb::TcResolve => string::resolve(store, request.argument(1)).await,
        Verb::Xadd => stream::add(store, &request).await,
        Verb::Xrange => stream::range(store, &request, false).await,
        Verb::Xrevrange => stream::range(store, &request, true).await,
        Verb::Xlen => stream::len(store, request.share(1)).await,
        Verb::Xdel => stream::del(store, &request).await,
        Verb::TcVerify => info::verify(store).await,
        Verb::TcLose => info::lose(store, request.argument(1)).await,
        Verb::Info => info::info(store).await,
        Verb::Ping | Verb::Echo | Verb::Hello | Verb::Client | Verb::Command | Verb::Select | Verb::Quit => {
            unreachable!("{verb:?} is the session's")
        }
    }
}

/// What a client sent, fit to stand in a reply: short and on one line.
pub(super) fn shown(argument: &[u8]) -> String {
    let short = &argument[..argument.len().min(64)];
    let rest = if short.len() < argument.len() { "..." } else { "" };
    format!("{}{rest}", short.escape_ascii())
}

/// An unsigned number among the arguments.
pub(super) fn number(argument: &[u8]) -> Option<u64> {
    std::str::from_utf8(argument).ok()?.parse().ok()
}

/// Several arguments, shared with the request's bytes.
pub(super) fn shares(request: &Request, from: usize) -> impl Iterator<Item = Bytes> {
    (from..request.len()).map(|number| request.share(number))
}
