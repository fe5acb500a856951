//! Jepsen-style runs: real nodes, real faults, and histories that are checked.
//!
//! `run` is one run, with all faults and all kinds of keys unless told otherwise. `matrix` is a run for each kind of fault. `wrong` runs
//! against a target that is wrong on purpose and fails if that is not found.

mod clients;
mod cluster;
mod ground;
mod judge;
mod nemesis;
mod random;
mod report;
mod resp;
mod run;
mod target;
mod workload;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};

use nemesis::Fault;
use run::{Order, Outcomes};
use target::{Kind, Target};

/// Real nodes, real faults, and histories that are checked.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One run.
    Run(Options),
    /// A run for each kind of fault, and one for all of them together.
    Matrix(Options),
    /// A run against a target that is wrong on purpose: it fails if nothing is found.
    Wrong(Options),
}

#[derive(Debug, Args)]
struct Options {
    /// How long the load lasts, in seconds: a minute, or twenty for a soak.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What happens when; by default another one each time.
    #[arg(long)]
    seed: Option<u64>,
    /// `all`, `none`, or kinds of faults, with commas between them. `roll-back` is not promised to be survived: `all` is without it.
    #[arg(long, default_value = "all")]
    faults: String,
    /// `all`, or kinds of keys, with commas between them: register, entity, list, counter.
    #[arg(long, default_value = "all")]
    keys: String,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=900))]
    clients: u16,
    /// The program under test; by default the one that was built beside this one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// All nodes on loopback, with directories for disks, even where more can be had.
    #[arg(long)]
    loopback: bool,
    /// Where the files of the runs are; by default in a directory for temporary files.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Keeps the whole history of every run, as EDN and as JSON Lines.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Run(options) => one(&options),
        What::Matrix(options) => matrix(&options),
        What::Wrong(options) => wrong(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn one(options: &Options) -> io::Result<bool> {
    let order = options.order("run")?;
    let outcomes = carry_out(&order)?;
    println!("{}\n{}", report::head(), outcomes.line("as told"));
    Ok(outcomes.failures().is_empty())
}

fn matrix(options: &Options) -> io::Result<bool> {
    let all = options.order("all")?;
    let mut table = vec![report::head()];
    let mut passed = true;
    let singles = all.faults.iter().map(|&fault| (fault.name(), vec![fault]));
    for (name, faults) in singles.chain([("all", all.faults.clone())]) {
        let order = Order { faults, ..options.order(name)? };
        let outcomes = carry_out(&order)?;
        passed &= outcomes.failures().is_empty();
        table.push(outcomes.line(name));
    }
    println!("{}", table.join("\n"));
    Ok(passed)
}

fn wrong(options: &Options) -> io::Result<bool> {
    if !ground::has("redis-server") {
        println!("skipped: a target that is wrong on purpose needs redis-server");
        return Ok(true);
    }
    let order = Order { target: Target::Redis, ..options.order("wrong")? };
    let outcomes = carry_out(&order)?;
    let found = !outcomes.judgement.violations.is_empty();
    println!(
        "{}",
        if found {
            "the wrong target was found to be wrong, as it should be"
        } else {
            "THE WRONG TARGET WAS NOT FOUND OUT"
        }
    );
    Ok(found)
}

fn carry_out(order: &Order) -> io::Result<Outcomes> {
    println!("files in {}", order.directory.display());
    let outcomes = run::run(order)?;
    print!("{}", outcomes.text(order));
    let failures = outcomes.failures();
    failures.iter().for_each(|failure| println!("  {failure}"));
    if failures.is_empty() && !order.keep {
        std::fs::remove_dir_all(&order.directory)?;
    }
    Ok(outcomes)
}

impl Options {
    fn order(&self, name: &str) -> io::Result<Order> {
        let binary = match &self.binary {
            Some(binary) => binary.clone(),
            None => std::env::current_exe()?.with_file_name("thermocline"),
        };
        if !binary.is_file() {
            return Err(io::Error::other(format!(
                "{} is not there: build it first, or name it with --binary",
                binary.display()
            )));
        }
        let seed = self.seed.unwrap_or_else(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(1, |now| now.as_nanos() as u64 % 1_000_000_007)
        });
        let base = self.directory.clone().unwrap_or_else(std::env::temp_dir);
        Ok(Order {
            target: Target::Thermocline(binary),
            nodes: usize::from(self.nodes),
            clients: usize::from(self.clients),
            duration: Duration::from_secs(self.seconds),
            seed,
            faults: chosen(&self.faults, &Fault::PROMISED, &Fault::UNPROMISED, Fault::name)?,
            kinds: chosen(&self.keys, &Kind::ALL, &[], Kind::name)?,
            isolated: !self.loopback,
            directory: base.join(format!("thermocline-jepsen-{}-{name}", std::process::id())),
            keep: self.keep,
        })
    }
}

/// What a list of names stands for. `all` does not stand for what has to be named.
fn chosen<T: Copy>(
    names: &str,
    all: &[T],
    named: &[T],
    name: impl Fn(T) -> &'static str,
) -> io::Result<Vec<T>> {
    match names {
        "all" => Ok(all.to_vec()),
        "none" => Ok(Vec::new()),
        _ => {
            let one = |wanted: &str| {
                let found = all.iter().chain(named).copied().find(|&one| name(one) == wanted);
                let known: Vec<_> = all.iter().chain(named).map(|&one| name(one)).collect();
                found.ok_or_else(|| io::Error::other(format!("{wanted} is none of {}", known.join(", "))))
            };
            names.split(',').map(one).collect()
        }
    }
}
