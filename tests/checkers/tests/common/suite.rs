//! What every checker must say of generated histories.

use thermocline_checkers::history::{read_edn, read_json_lines, write_edn, write_json_lines};
use thermocline_checkers::linearizability::{
    self, Counter, Entity, List, Model, Register, Set, counted, frontier, search,
};
use thermocline_checkers::{
    Call, History, Operation, Verdict, batches, counter, list_append, scans, set, versions,
};

use super::generate::Thing;
use super::wrong::Wrong;

/// So many configurations are gone through, where giving up is no answer to complain of: it takes seconds, and not minutes.
pub(crate) const CONFIGURATIONS: u64 = 200_000;

/// What is wrong with the checkers, judged by a history that is right.
pub(crate) fn right(thing: Thing, history: &[Operation]) -> Result<(), String> {
    for (name, check) in checkers(thing) {
        let verdict = check(history);
        if !verdict.holds() {
            return Err(format!("{name} accuses a right history of a {thing:?}: {verdict}"));
        }
    }
    // Lost operations may have happened in any order, and ten of them in millions: sometimes more than it can go through.
    let verdict = linearizability::check_within(history, CONFIGURATIONS);
    if verdict.violated() {
        return Err(format!("linearizability accuses a right history of a {thing:?}: {verdict}"));
    }
    // And too many for the frontier to keep side by side.
    if let end @ search::End::Impossible { .. } = by_frontier(thing, history) {
        return Err(format!("the frontier accuses a right history of a {thing:?}: {end:?}"));
    }
    if let Some(end @ search::End::Impossible { .. }) = by_counting(thing, history) {
        return Err(format!("counting accuses a right history of a {thing:?}: {end:?}"));
    }
    for (format, back) in round_trips(history) {
        let sorted = |history: &[Operation]| {
            let mut history = history.to_vec();
            history.sort_by_key(|operation| (operation.invoked, operation.process));
            history
        };
        if sorted(&back) != sorted(history) {
            return Err(format!("a history does not come back from {format}"));
        }
    }
    Ok(())
}

/// What is wrong with the checkers, judged by a history that was made wrong.
pub(crate) fn wrong(thing: Thing, how: Wrong, history: &[Operation]) -> Result<(), String> {
    let sharp: Vec<&(&str, Checker)> =
        checkers(thing).iter().filter(|(name, _)| notices(thing, name, how)).collect();
    for (name, check) in sharp.into_iter().chain([&("linearizability", linearizability::check as Checker)]) {
        if !check(history).violated() {
            return Err(format!("{name} does not notice {how:?} in a history of a {thing:?}"));
        }
    }
    if by_counting(thing, history) == Some(search::End::Found) {
        return Err(format!("counting does not notice {how:?} in a history of a {thing:?}"));
    }
    if by_frontier(thing, history) == search::End::Found {
        return Err(format!("the frontier does not notice {how:?} in a history of a {thing:?}"));
    }
    Ok(())
}

/// Whether the methods agree on a history that may be right or wrong.
pub(crate) fn agree(thing: Thing, history: &[Operation]) -> Result<Verdict, String> {
    let searched = linearizability::check(history);
    let counted = by_counting(thing, history).unwrap_or(search::End::GaveUp);
    if counted != search::End::GaveUp && searched.holds() != (counted == search::End::Found) {
        return Err(format!("the search says {searched}, counting {counted:?}, of a {thing:?}"));
    }
    let decided = by_frontier(thing, history);
    if decided == search::End::GaveUp {
        return Ok(searched);
    }
    if searched.holds() != (decided == search::End::Found) {
        return Err(format!("the search says {searched}, the frontier {decided:?}, of a {thing:?}"));
    }
    for (name, check) in checkers(thing) {
        let verdict = check(history);
        let certain = history.iter().all(|operation| operation.reply().is_some());
        let exact = matches!((*name, thing), ("versions", Thing::Register) | ("scans", Thing::Set));
        if searched.holds() && !verdict.holds() {
            return Err(format!("{name} accuses a linearizable history of a {thing:?}: {verdict}"));
        }
        if exact && certain && !searched.holds() && verdict.holds() {
            return Err(format!(
                "{name} says nothing of a history of a {thing:?} that has no linearization: {searched}"
            ));
        }
    }
    Ok(searched)
}

type Checker = fn(&[Operation]) -> Verdict;

/// The checkers for a thing, beside linearizability.
fn checkers(thing: Thing) -> &'static [(&'static str, Checker)] {
    match thing {
        Thing::Register | Thing::Unversioned | Thing::Terse => &[("versions", versions::check)],
        Thing::Entity => &[("batches", batches::check), ("scans", scans::check)],
        Thing::Set => &[("set", set::check), ("scans", scans::check), ("batches", batches::check)],
        Thing::List => &[("list_append", list_append::check), ("batches", batches::check)],
        Thing::Counter => &[("counter", counter::check)],
    }
}

/// Whether a checker beside linearizability is there to notice something.
fn notices(thing: Thing, checker: &str, how: Wrong) -> bool {
    match how {
        Wrong::Phantom => checker == "versions",
        // Who tells no versions cannot have them compared.
        _ if thing == Thing::Unversioned => false,
        Wrong::StaleRead | Wrong::ReadsSwapped | Wrong::ConditionTwice => checker == "versions",
        Wrong::Lost => checker != "versions" && checker != "counter" && checker != "list_append",
        Wrong::HalfBatch => checker == "batches",
        Wrong::ElementsSwapped => checker == "list_append",
        Wrong::CountTooLow | Wrong::CountTooHigh => checker == "counter",
    }
}

/// The second method's answer.
pub(crate) fn by_frontier(thing: Thing, history: &[Operation]) -> search::End {
    fn decide<M: Model>(model: &M, history: &[Operation]) -> search::End {
        let places: Vec<usize> = (0..history.len()).collect();
        frontier::decide(model, history, &places, 100_000)
    }
    match thing {
        Thing::Register | Thing::Unversioned | Thing::Terse => decide(&Register, history),
        Thing::Entity => decide(&Entity, history),
        Thing::Set => decide(&Set, history),
        Thing::List => decide(&List, history),
        Thing::Counter => decide(&Counter, history),
    }
}

/// The answer of the method for many lost operations, of a register.
pub(crate) fn by_counting(thing: Thing, history: &[Operation]) -> Option<search::End> {
    let places: Vec<usize> = (0..history.len()).collect();
    Thing::REGISTERS.contains(&thing).then(|| counted::decide(history, &places, 20_000))
}

/// The history written and read again, in both formats.
fn round_trips(history: &[Operation]) -> [(&'static str, History); 2] {
    let (mut lines, mut edn) = (Vec::new(), Vec::new());
    write_json_lines(history, &mut lines).unwrap();
    write_edn(history, &mut edn).unwrap();
    [("JSON Lines", read_json_lines(lines.as_slice()).unwrap()), ("EDN", read_edn(edn.as_slice()).unwrap())]
}

/// Whether a history has an operation that counts on what others wrote.
pub(crate) fn looks(history: &[Operation]) -> bool {
    history
        .iter()
        .any(|operation| matches!(operation.call, Call::Read | Call::Scan) && operation.reply().is_some())
}
