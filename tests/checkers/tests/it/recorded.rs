//! Recorded runs against etcd with known verdicts. They are not part of the repository: the directory that
//! `CHECKERS_HISTORIES` names has them, or `../shared/data/histories` beside the repository. Without them the test says so.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use thermocline_checkers::history::by_key;
use thermocline_checkers::linearizability::{self, Register, frontier, search};
use thermocline_checkers::{Call, History, Operation, Outcome, Reply};

fn directory() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/histories");
    let directory = std::env::var_os("CHECKERS_HISTORIES").map_or(beside, PathBuf::from);
    directory.join("VERDICTS").exists().then_some(directory)
}

/// `process<tab>:kind<tab>:what<tab>argument`, behind a prefix. An event's place in the file is its time.
fn parse(text: &str) -> History {
    let mut history = History::new();
    let mut open: HashMap<u64, usize> = HashMap::new();
    for (time, line) in text.lines().enumerate() {
        let fields: Vec<&str> = line.rsplit(" - ").next().unwrap().split('\t').collect();
        let [process, kind, what, argument] = fields[..] else { panic!("{line:?} has not four fields") };
        let process: u64 = process.parse().unwrap();
        let time = time as u64;
        if kind == ":invoke" {
            open.insert(process, history.len());
            let call = call(what, argument);
            history.push(Operation {
                process,
                key: 1,
                call,
                invoked: time,
                outcome: Outcome::Unknown,
                token: None,
            });
            continue;
        }
        let operation = &mut history[open.remove(&process).unwrap()];
        let reply = match (kind, &operation.call) {
            (":info", _) => continue,
            (":ok", Call::Read) => Reply::Value { value: argument.parse().ok(), version: None },
            (":ok", _) => Reply::Done { version: None },
            (":fail", Call::CompareAndSet { .. }) => Reply::Refused { current: None },
            _ => panic!("{line:?}"),
        };
        operation.outcome = Outcome::Ok { at: time, reply };
    }
    history
}

fn call(what: &str, argument: &str) -> Call {
    let numbers: Vec<u64> = argument
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    match (what, &numbers[..]) {
        (":read", _) => Call::Read,
        (":write", &[value]) => Call::Write(value),
        (":cas", &[expected, value]) => Call::CompareAndSet { expected: Some(expected), value },
        _ => panic!("{what} {argument}"),
    }
}

#[test]
fn recorded_runs_are_judged_as_they_should_be() {
    let Some(directory) = directory() else {
        println!("skipped: there are no recorded histories (CHECKERS_HISTORIES)");
        return;
    };
    let verdicts = fs::read_to_string(directory.join("VERDICTS")).unwrap();
    let mut judged = 0;
    for line in verdicts.lines() {
        let (name, right) = line.split_once(' ').unwrap();
        let history = parse(&fs::read_to_string(directory.join(name)).unwrap());
        let verdict = linearizability::check(&history);
        assert_eq!(
            (verdict.holds(), verdict.violated()),
            (right == "true", right == "false"),
            "{name}: {verdict}"
        );
        let second = frontier::decide(&Register, &history, &by_key(&history)[&1], 5_000_000);
        assert_eq!(second == search::End::Found, right == "true", "{name}: {second:?}");
        assert_ne!(second, search::End::GaveUp, "{name}");
        judged += 1;
    }
    println!("{judged} recorded runs judged, by two methods");
    assert!(judged > 0);
}
