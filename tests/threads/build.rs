//! Copies of the product's files with one bug each, which the models must find.

use std::path::Path;
use std::{env, fs};

/// A name, the file, what stands there, and the bug in its place.
const BUGS: [(&str, &str, &str, &str); 7] = [
    (
        "first_input_wakes_nobody",
        "src/runtime/gathering.rs",
        "state.inputs.len() == 1 && state.gathering.is_none()",
        "state.inputs.len() == 2 && state.gathering.is_none()",
    ),
    (
        "urgent_input_gathers_too",
        "src/runtime/gathering.rs",
        "self.most_urgent >= Some(until.urgency) || ",
        "",
    ),
    ("enough_gathers_too", "src/runtime/gathering.rs", " || self.inputs.len() >= until.many", ""),
    (
        "gathering_goes_on",
        "src/runtime/gathering.rs",
        "(state.gathering, state.most_urgent) = (None, None);",
        "state.most_urgent = None;",
    ),
    (
        "killed_in_its_sleep",
        "src/runtime/gathering.rs",
        "        self.close();\n        self.wake.notify_one();\n",
        "        self.close();\n",
    ),
    (
        "announced_too_early",
        "src/runtime/announced.rs",
        "        if self.0.swap(value, Ordering::SeqCst) != value {\n            announce();\n        }\n",
        "        if self.get() != value {\n            announce();\n            self.0.swap(value, Ordering::SeqCst);\n        }\n",
    ),
    (
        "number_read_last",
        "tiers/src/hot/journal/numbering.rs",
        "    let next = next.get();\n    kept.find_map(FirstSequence::get).unwrap_or(next)\n",
        "    kept.find_map(FirstSequence::get).unwrap_or_else(|| next.get())\n",
    ),
];

fn main() {
    let own = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    for (name, file, right, wrong) in BUGS {
        let path = Path::new(&own).join("../..").join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(source.matches(right).count(), 1, "{file} does not say any more, or says twice: {right}");
        // What is included in the middle of a file cannot begin with the documentation of a module.
        let copy: String = source
            .replace(right, wrong)
            .lines()
            .filter(|line| !line.starts_with("//!"))
            .map(|line| format!("{line}\n"))
            .collect();
        let target = Path::new(&out).join(format!("{name}.rs"));
        fs::write(&target, copy).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
    }
}
