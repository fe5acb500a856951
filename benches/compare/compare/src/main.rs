//! Thermocline beside its peers: the same work, three nodes on loopback, every write synced.
//!
//! `cargo run --release` in this folder builds everything, runs the targets in turn for some rounds and prints one
//! table. What the figures mean, and how they mislead, is in README.md.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]

mod arguments;
mod build;
mod cluster;
mod floor;
mod machine;
mod phase;
mod result;
mod rounds;
mod slice;
mod table;
mod target;
mod thermocline;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use result::{Described, Results};

/// Everything that can go wrong here ends the run with a sentence.
type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("compare: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Arguments) -> Result<(), Failure> {
    arguments.settle()?;
    let binaries = build::binaries(&arguments)?;
    let targets = target::chosen(&arguments, &binaries)?;
    let slice = slice::Slice::request(arguments.slice_us);
    std::fs::create_dir_all(&arguments.data)?;
    let mut results = Results {
        machine: machine::describe(&arguments.data, &binaries, &targets),
        conditions: rounds::conditions(&arguments, &slice),
        targets: targets
            .iter()
            .map(|target| Described { name: target.name.to_owned(), what: target.what.to_owned() })
            .collect(),
        baseline: arguments.baseline.clone(),
        floors: Vec::new(),
        cells: Vec::new(),
    };
    // A run of many minutes that is cut short still leaves what it has measured.
    let outcome = rounds::run(&arguments, &binaries, &targets, &slice, &mut results);
    println!("{}", table::render(&results));
    let out = arguments.out_path();
    std::fs::write(&out, serde_json::to_string_pretty(&results)?)?;
    println!("every cell: {}", out.display());
    outcome
}
