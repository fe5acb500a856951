//! `cargo sim`: runs a seed and prints what happens, or many and prints what they came to.

use std::process::ExitCode;

use thermocline_simulator::{explore, run};

const USAGE: &str = "\
cargo sim SEED                                      runs a seed, and prints what happens
cargo sim --seeds N [--from SEED] [--threads N]     runs many seeds, and prints what they went through";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match parse(&arguments) {
        Some(Order::One(seed)) => one(seed),
        Some(Order::Many { first, count, threads }) => many(first, count, threads),
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

enum Order {
    One(u64),
    Many { first: u64, count: u64, threads: usize },
}

fn parse(arguments: &[String]) -> Option<Order> {
    if let [seed] = arguments {
        return seed.parse().ok().map(Order::One);
    }
    let (mut first, mut count) = (1, None);
    let mut threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for pair in arguments.chunks(2) {
        match pair {
            [name, number] if name == "--seeds" => count = Some(number.parse().ok()?),
            [name, number] if name == "--from" => first = number.parse().ok()?,
            [name, number] if name == "--threads" => threads = number.parse().ok()?,
            _ => return None,
        }
    }
    Some(Order::Many { first, count: count?, threads })
}

fn one(seed: u64) -> ExitCode {
    let run = run(seed, true);
    println!("\n{:#?}\ntrace hash {:016x}", run.tally, run.hash);
    match run.failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            println!("\nFAILED: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn many(first: u64, count: u64, threads: usize) -> ExitCode {
    let explored = explore::explore(first, count, threads);
    explore::print(&explored);
    if explored.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
