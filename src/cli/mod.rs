//! The command line: `thermocline demo`, `load`, `serve`, `verify`, `replace`, `lose-acknowledged-writes`.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

mod demo;
mod exit;
mod load;
mod members;
mod operate;
mod serve;
mod table;
mod tally;
mod writers;

use exit::Failure;

/// A replicated, tiered key-value store for data that keeps growing along time.
#[derive(Debug, Parser)]
#[command(name = "thermocline", version, after_help = exit::HELP, propagate_version = true)]
struct Arguments {
    /// What is logged to standard error: error, warn, info, debug, trace, or a filter such as thermocline=debug.
    #[arg(long, global = true, value_name = "FILTER", env = "THERMOCLINE_LOG")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Three nodes in this process, the flight log of 2013, a node that dies and comes back, and every record compared.
    Demo(demo::Arguments),
    /// Load a CSV or JSON Lines file.
    Load(load::Arguments),
    /// Run one node of a cluster, and serve Redis clients.
    Serve(serve::Arguments),
    /// Compare what lies on the disks of all replicas, and mend what differs.
    Verify(operate::VerifyArguments),
    /// Run a node on an empty disk, in the place of one whose disk is lost.
    Replace(operate::ReplaceArguments),
    /// Go on when more than a minority of the disks is lost for good. ACKNOWLEDGED WRITES MAY BE GONE AFTERWARDS.
    LoseAcknowledgedWrites(operate::LoseArguments),
}

/// Runs the command line; what it returns is listed in `thermocline --help`.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("thermocline: {failure}");
            failure.code.into()
        }
    }
}

/// Has the process open as many files as it may: what it is given at first is often meant for a shell.
fn take_all_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(?current, ?maximum, %error, "the limit on open files stays as it was");
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let quiet = !matches!(arguments.command, Command::Serve(_) | Command::Replace(_));
    let filter = arguments.log.unwrap_or_else(|| if quiet { "warn" } else { "info" }.to_owned());
    let filter = EnvFilter::try_new(&filter)
        .map_err(|error| Failure::usage(format!("invalid --log: {filter}: {error}")))?;
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    take_all_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other(format!("the runtime cannot start: {error}")))?;
    let outcome = match arguments.command {
        Command::Demo(arguments) => runtime.block_on(demo::run(arguments)),
        Command::Load(arguments) => runtime.block_on(load::run(arguments)),
        Command::Serve(arguments) => runtime.block_on(serve::run(arguments)),
        Command::Verify(arguments) => runtime.block_on(operate::verify(arguments)),
        Command::Replace(arguments) => runtime.block_on(operate::replace(arguments)),
        Command::LoseAcknowledgedWrites(arguments) => runtime.block_on(operate::lose(arguments)),
    };
    // A thread may still wait for standard input, which may never come.
    runtime.shutdown_background();
    outcome
}
