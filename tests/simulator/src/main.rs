//! `cargo sim`: runs a seed and prints what happens, or many and prints what they came to.

use std::process::ExitCode;

use thermocline_simulator::explore::{Exploration, explore, print};
use thermocline_simulator::{Bias, run};

const USAGE: &str = "\
cargo sim SEED [--losses]                           runs a seed, and prints what happens
cargo sim --seeds N [--from SEED] [--threads N] [--losses]  runs many seeds, and prints what they went through
cargo sim --plants [--only BUG] [--seeds N] [--threads N]  puts bugs in, and prints what notices each: a seed, or else a test";

/// How many seeds a bug is hunted for: with all bugs together, ten minutes of processor time.
const PLANT_SEEDS: u64 = 300;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match parse(&arguments) {
        Some(Order::One(seed, bias)) => one(seed, bias),
        Some(Order::Many(exploration)) => many(&exploration),
        Some(Order::Plants { only, count, threads }) => plants(only.as_deref(), count, threads),
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

enum Order {
    One(u64, Bias),
    Many(Exploration),
    Plants { only: Option<String>, count: u64, threads: usize },
}

fn parse(arguments: &[String]) -> Option<Order> {
    let bias =
        if arguments.iter().any(|argument| argument == "--losses") { Bias::Losses } else { Bias::None };
    let arguments: Vec<String> =
        arguments.iter().filter(|argument| *argument != "--losses").cloned().collect();
    if let [seed] = &arguments[..] {
        return seed.parse().ok().map(|seed| Order::One(seed, bias));
    }
    let (mut first, mut count, mut plants, mut only) = (1, None, false, None);
    let mut threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seeds" => count = Some(rest.next()?.parse().ok()?),
            "--from" => first = rest.next()?.parse().ok()?,
            "--threads" => threads = rest.next()?.parse().ok()?,
            "--plants" => plants = true,
            "--only" => only = Some(rest.next()?.clone()),
            _ => return None,
        }
    }
    if plants {
        return Some(Order::Plants { only, count: count.unwrap_or(PLANT_SEEDS), threads });
    }
    Some(Order::Many(Exploration { bias, ..Exploration::new(first, count?, threads) }))
}

fn one(seed: u64, bias: Bias) -> ExitCode {
    let run = run(seed, bias, true);
    println!("\n{:#?}\ntrace hash {:016x}", run.tally, run.hash);
    match run.failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            println!("\nFAILED: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn many(exploration: &Exploration) -> ExitCode {
    let explored = explore(exploration);
    print(&explored, exploration.bias);
    if explored.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(feature = "plant")]
fn plants(only: Option<&str>, count: u64, threads: usize) -> ExitCode {
    let missed = thermocline_simulator::plants::hunt_all(only, count, threads);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(not(feature = "plant"))]
fn plants(_: Option<&str>, _: u64, _: usize) -> ExitCode {
    eprintln!("built without the feature plant: there is no bug to put in");
    ExitCode::from(2)
}
