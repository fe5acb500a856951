//! The formats in which histories are kept.

use thermocline_checkers::history::{read_edn, read_json_lines, write_edn, write_json_lines};
use thermocline_checkers::{Call, Change, Operation, Reply};

use crate::common::build::{cas, done, elements, failed, ok, under, unknown, value};

/// Every kind of call, outcome and reply.
fn one_of_each() -> Vec<Operation> {
    let changes = vec![
        Change::Put { position: 4, value: 9 },
        Change::Remove { position: 5 },
        Change::Trim { below: 2 },
    ];
    let cas_value = |expected| Call::CompareAndSet { expected, value: 4 };
    vec![
        ok(1, 0..1, Call::Write(u64::MAX), done(1)),
        ok(1, 2..3, Call::Read, value(5, 1)),
        ok(1, 4..5, cas(1, 6), Reply::Refused { current: Some(2) }),
        ok(1, 6..7, cas_value(None), Reply::Refused { current: None }),
        ok(1, 8..9, cas_value(Some(3)), Reply::Done { version: None }),
        failed(1, 10..11, Call::Delete),
        ok(1, 12..13, Call::Change(changes), done(7)),
        ok(1, 14..15, Call::ReadRecord { position: 4 }, Reply::Value { value: None, version: None }),
        ok(1, 16..17, Call::Scan, Reply::Records(vec![(4, 9)])),
        ok(1, 18..19, Call::Add(vec![1, 2]), Reply::Done { version: None }),
        ok(1, 20..21, Call::Append(vec![3]), Reply::Done { version: None }),
        ok(1, 22..23, Call::Scan, elements(&[1, 2])),
        ok(1, 24..25, Call::Increment(-4), Reply::Done { version: None }),
        ok(1, 26..27, Call::Read, Reply::Count(-4)),
        ok(1, 28..29, Call::Resolve("1:2:3".into()), Reply::Committed(8)),
        ok(1, 30..31, Call::Resolve("\"quoted\" text".into()), Reply::NotCommitted),
        ok(1, 32..33, Call::Resolve("word".into()), Reply::Forgotten),
        under("1:2:4", unknown(1, 34, Call::Write(7))),
    ]
}

#[test]
fn every_kind_of_operation_comes_back_from_json_lines_and_from_edn() {
    let history = one_of_each();
    let (mut lines, mut edn) = (Vec::new(), Vec::new());
    write_json_lines(&history, &mut lines).unwrap();
    write_edn(&history, &mut edn).unwrap();
    assert_eq!(read_json_lines(lines.as_slice()).unwrap(), history);
    assert_eq!(read_edn(edn.as_slice()).unwrap(), history);
}

#[test]
fn edn_is_read_as_others_write_it() {
    let text = "\n{:type :invoke, :f :write, :value 3, :process 0, :time 10, :index 0, :key 1}\n\
                {:type :invoke :f :scan :value nil :process 1 :time 11 :index 1 :key 1 :more {:of (1 2)}}\n\
                {:index 2 :type :ok :f :scan :process 1 :time 12 :key 1 :value #{7 8}}\n\
                {:index 3 :type :info :f :write :process 0 :time 13 :key 1 :value 3}\n";
    let history = read_edn(text.as_bytes()).unwrap();
    assert_eq!(history, [unknown(0, 10, Call::Write(3)), ok(1, 11..12, Call::Scan, elements(&[7, 8]))]);
}

#[test]
fn what_is_no_history_is_refused_with_its_place() {
    let refused = |text: &str| read_edn(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(refused("{:index 1"), "line 1: '}' is missing");
    assert_eq!(refused("\n{:a}"), "line 2: a map has a name without a value");
    assert!(refused(&"[".repeat(50)).contains("nested deeper"));
    let event = |index, kind, f, value| {
        format!("{{:index {index} :time 1 :process 4 :key 1 :type {kind} :f {f} :value {value}}}\n")
    };
    assert_eq!(refused(&event(7, ":ok", ":read", "nil")), "event 7: its process has asked nothing");
    assert_eq!(refused(&event(7, ":invoke", ":dance", "nil")), "event 7: asks nothing that is known");
    let twice = event(7, ":invoke", ":read", "nil") + &event(8, ":invoke", ":read", "nil");
    assert_eq!(refused(&twice), "event 8: its process is busy");
    let nonsense = event(7, ":invoke", ":read", "nil") + &event(8, ":ok", ":read", ":what");
    assert_eq!(refused(&nonsense), "event 8: is no answer to its call");
    assert!(
        read_json_lines("{}".as_bytes()).unwrap_err().to_string().starts_with("line 1: `type` is missing")
    );
}
