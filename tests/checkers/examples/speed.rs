//! How long the checkers take for one register: right histories by construction, five clients, one operation in 256 without an
//! answer.

#[path = "../tests/common/generate.rs"]
#[allow(dead_code, reason = "only registers are generated here")]
mod generate;

use std::time::Instant;

use generate::{Thing, history, steps};
use thermocline_checkers::{linearizability, versions};

fn main() {
    for count in [1_000, 10_000, 100_000] {
        for (name, thing) in [("with versions", Thing::Register), ("without", Thing::Unversioned)] {
            let history = history(thing, &steps(7, count), 1);
            let began = Instant::now();
            let verdict = linearizability::check(&history);
            let searched = began.elapsed();
            let ordered = versions::check(&history);
            let both = began.elapsed();
            println!(
                "{count:>7} operations {name:<13}: search {:>8.1} ms ({verdict}), versions {:>7.1} ms ({ordered})",
                searched.as_secs_f64() * 1e3,
                (both - searched).as_secs_f64() * 1e3,
            );
        }
    }
}
