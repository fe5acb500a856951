//! Linearizability: whether every operation can be given one instant between its call and its answer, so that a thing that
//! does one operation at a time would have answered the same.
//!
//! Keys are independent (linearizability is local), so each is searched for itself. Three methods that share nothing but the models
//! answer the same question:
//!
//! - [`search`]: Wing and Gong's depth-first search with Lowe's memory of configurations, the fast one;
//! - [`frontier`]: all configurations that are possible at each answer, side by side; slower where much is concurrent, but
//!   simple enough to be believed;
//! - [`counted`]: registers only, what the search gives up on: operations of unknown outcome are counted, not told apart.
//!
//! An operation of unknown outcome may be given an instant anywhere behind its call, or none. Each such operation of a key can
//! double the work of the first two methods.

pub mod counted;
pub mod frontier;
mod model;
pub mod search;

pub use model::{Counter, Entity, List, Model, Register, Set};

use crate::history::{Call, Operation, Reply, by_key};
use crate::plant::{self, Plant};
use crate::verdict::{Verdict, Violation};

/// How many configurations the search of one key may visit, unless said otherwise.
pub const CONFIGURATIONS_MAX: u64 = 5_000_000;

/// How many configurations [`counted`] may keep at a time: those that cannot stand in for each other are compared, all with all.
const CONFIGURATIONS_ALIVE_MAX: usize = 20_000;

/// Whether every key is linearizable.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    check_within(history, CONFIGURATIONS_MAX)
}

/// The same, with so many configurations for each key.
#[must_use]
pub fn check_within(history: &[Operation], configurations_max: u64) -> Verdict {
    let of_key = |(key, places): (u64, Vec<usize>)| match kind(history, &places) {
        None => Verdict::Unknown(format!("key {key} is used as two kinds of thing")),
        Some(Kind::Register) => register(history, key, &places, configurations_max),
        Some(Kind::Entity) => of(&Entity, history, key, &places, configurations_max),
        Some(Kind::Set) => of(&Set, history, key, &places, configurations_max),
        Some(Kind::List) => of(&List, history, key, &places, configurations_max),
        Some(Kind::Counter) => of(&Counter, history, key, &places, configurations_max),
    };
    by_key(history).into_iter().map(of_key).fold(Verdict::Holds, Verdict::and)
}

fn register(history: &[Operation], key: u64, places: &[usize], max: u64) -> Verdict {
    match search::search(&Register, history, places, max) {
        search::End::GaveUp => {
            let max_alive = usize::try_from(max).unwrap_or(usize::MAX).min(CONFIGURATIONS_ALIVE_MAX);
            verdict(counted::decide(history, places, max_alive), key, max)
        }
        end => verdict(end, key, max),
    }
}

fn of<M: Model>(model: &M, history: &[Operation], key: u64, places: &[usize], max: u64) -> Verdict {
    verdict(search::search(model, history, places, max), key, max)
}

fn verdict(end: search::End, key: u64, max: u64) -> Verdict {
    match end {
        search::End::Found => Verdict::Holds,
        search::End::Impossible { stuck } => {
            let what =
                "no order of the operations explains all answers; the longest order found ends before these";
            Verdict::of(vec![Violation::new(key, what, stuck)])
        }
        search::End::GaveUp if plant::on(Plant::GivesUpSilently) => Verdict::Holds,
        search::End::GaveUp => Verdict::Unknown(format!("key {key}: more than {max} configurations")),
    }
}

/// What a key is used as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Register,
    Entity,
    Set,
    List,
    Counter,
}

/// What the calls on a key are calls on. Reads and scans fit several kinds, and alone are a register's and an entity's.
fn kind(history: &[Operation], places: &[usize]) -> Option<Kind> {
    let (mut found, mut scans) = (None, false);
    for &place in places {
        let kind = match history[place].call {
            Call::Write(_)
            | Call::CompareAndSet { .. }
            | Call::CompareAndSetVersion { .. }
            | Call::Delete => Kind::Register,
            Call::Change(_) | Call::ReadRecord { .. } => Kind::Entity,
            Call::Add(_) => Kind::Set,
            Call::Append(_) => Kind::List,
            Call::Increment(_) => Kind::Counter,
            Call::Scan => {
                scans = true;
                continue;
            }
            Call::Read if matches!(history[place].reply(), Some(Reply::Count(_))) => Kind::Counter,
            Call::Read | Call::Resolve(_) => continue,
        };
        if *found.get_or_insert(kind) != kind {
            return None;
        }
    }
    found.or(Some(if scans { Kind::Entity } else { Kind::Register }))
}
