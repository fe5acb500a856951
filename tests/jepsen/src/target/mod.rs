//! What is tested: how its nodes are started, and how it is asked.

mod redis;
mod thermocline;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use thermocline_checkers::{Call, Outcome, Reply};

use crate::resp::{Answer, Connection};

/// What is tested.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// The store, as this binary serves it.
    Thermocline(PathBuf),
    /// A Redis with asynchronous replicas that are read from: wrong on purpose, to see that this is found.
    Redis,
}

/// Where a node is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// For the other nodes, as each of them sees it: the address that node `n` is to use for this one.
    pub(crate) peers: Vec<SocketAddr>,
    /// For clients.
    pub(crate) clients: SocketAddr,
    /// What it may write to.
    pub(crate) directory: PathBuf,
}

/// What was learnt by asking: an outcome, and the token of a write of unknown outcome.
pub(crate) struct Learnt {
    pub(crate) outcome: Answered,
    pub(crate) token: Option<String>,
}

/// An outcome without its time.
pub(crate) enum Answered {
    Ok(Reply),
    Failed,
    Unknown,
}

impl Answered {
    pub(crate) fn at(self, at: u64) -> Outcome {
        match self {
            Self::Ok(reply) => Outcome::Ok { at, reply },
            Self::Failed => Outcome::Failed { at },
            Self::Unknown => Outcome::Unknown,
        }
    }
}

impl Target {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Thermocline(_) => "thermocline",
            Self::Redis => "redis with asynchronous replicas",
        }
    }

    /// Writes what the nodes need to know before they start.
    pub(crate) fn prepare(&self, root: &Path, places: &[Place]) -> std::io::Result<()> {
        match self {
            Self::Thermocline(_) => thermocline::prepare(root, places),
            Self::Redis => Ok(()),
        }
    }

    /// The command that runs a node.
    pub(crate) fn command(&self, root: &Path, places: &[Place], node: usize) -> Command {
        match self {
            Self::Thermocline(binary) => thermocline::command(binary, root, places, node),
            Self::Redis => redis::command(places, node),
        }
    }

    /// Whether a node serves, as far as it says itself; whether it has all that it needs to vote, too.
    pub(crate) fn health(&self, address: SocketAddr) -> Health {
        match self {
            Self::Thermocline(_) => thermocline::health(address),
            Self::Redis => redis::health(address),
        }
    }

    /// The node that a call has to go to, if not any will do.
    pub(crate) fn only_at(&self, call: &Call) -> Option<usize> {
        match self {
            Self::Redis if !matches!(call, Call::Read | Call::Scan) => Some(0),
            _ => None,
        }
    }

    /// Whether the target can be asked this at all.
    pub(crate) fn knows_versions(&self) -> bool {
        matches!(self, Self::Thermocline(_))
    }

    /// Asks a node. A connection that fails is gone afterwards; whether the call was applied is then unknown.
    pub(crate) fn ask(
        &self,
        connection: &mut Option<Connection>,
        kind: Kind,
        key: u64,
        call: &Call,
    ) -> Learnt {
        let asked = |words: Vec<String>| -> Result<Answer, ()> {
            let answer = connection.as_mut().ok_or(())?.call(&words);
            answer.map_err(|_| *connection = None)
        };
        match self {
            Self::Thermocline(_) => thermocline::ask(asked, kind, key, call),
            Self::Redis => redis::ask(asked, kind, key, call),
        }
    }
}

/// What a key is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Reads, writes, deletes, compare-and-set on versions.
    Register,
    /// Records appended to an entity, and scans of it.
    Entity,
    /// A list in one record that grows by compare-and-set.
    List,
    /// A number in one record that grows by compare-and-set.
    Counter,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Register, Self::Entity, Self::List, Self::Counter];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Entity => "entity",
            Self::List => "list",
            Self::Counter => "counter",
        }
    }

    /// The name of a key of this kind.
    fn key(self, number: u64) -> String {
        format!("{}-{number}", self.name())
    }
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It does not answer.
    Silent,
    /// It answers, and is still learning.
    Learning,
    /// It has all that it needs.
    Whole,
}
