//! Lists, judged by a checker that others wrote: it looks for cycles between transactions and knows nothing of versions or searches.

use std::collections::HashMap;

use adya::{Opts, Valid, Workload, check};
use serde_json::{Value, json};
use thermocline_checkers::history::write_json_lines;
use thermocline_checkers::{Operation, linearizability, list_append};

use crate::common::generate::{Thing, history, steps};
use crate::common::wrong::{self, Wrong};

/// What the other checker says of a history of one list.
fn elsewhere(history: &[Operation]) -> Valid {
    let mut lines = Vec::new();
    write_json_lines(history, &mut lines).unwrap();
    let mut asked: HashMap<String, Value> = HashMap::new();
    let mut translated = String::new();
    for line in String::from_utf8(lines).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let (process, kind) = (&event["process"], event["type"].as_str().unwrap());
        let steps = match (event["f"].as_str().unwrap(), kind) {
            ("scan", "ok") => json!([["r", 1, event["value"]]]),
            ("scan", _) => json!([["r", 1, null]]),
            (_, "invoke") => {
                let append = |element: &Value| json!(["append", 1, element]);
                event["value"].as_array().unwrap().iter().map(append).collect()
            }
            _ => asked[&process.to_string()].clone(),
        };
        asked.insert(process.to_string(), steps.clone());
        let event = json!({"type": kind, "process": process, "value": steps});
        translated.push_str(&format!("{event}\n"));
    }
    let options = Opts { models: vec!["strict-serializable".into()], ..Opts::default() };
    check(&adya::History::from_json(&translated).unwrap(), Workload::ListAppend, &options).valid
}

#[test]
fn a_checker_of_transactions_agrees_on_lists() {
    let mut wrong_ones = 0;
    for seed in 0..150 {
        let right = history(Thing::List, &steps(seed, 40), 16);
        assert_eq!(elsewhere(&right), Valid::True, "seed {seed}: a right history");
        for how in [Wrong::Lost, Wrong::ElementsSwapped, Wrong::HalfBatch] {
            let Some(wrong) = wrong::make(&right, how) else { continue };
            wrong_ones += 1;
            assert!(linearizability::check(&wrong).violated(), "seed {seed}, {how:?}");
            assert_eq!(elsewhere(&wrong), Valid::False, "seed {seed}, {how:?}");
        }
        // It can infer less where something was never read, and never more.
        let disturbed = wrong::disturb(&right, seed as usize, 7 * seed as usize + 3);
        let (searched, ordered) = (linearizability::check(&disturbed), list_append::check(&disturbed));
        if elsewhere(&disturbed) == Valid::False {
            assert!(searched.violated(), "seed {seed}: {searched}");
        }
        assert_eq!(searched.violated(), ordered.violated(), "seed {seed}: {searched}; {ordered}");
    }
    assert!(wrong_ones > 100, "only {wrong_ones} histories were made wrong");
}
