//! The command line.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;

use crate::Failure;
use crate::phase::Phase;

/// Runs Thermocline and its peers in turn, three nodes each on loopback, and prints one table.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Arguments {
    /// What to run, in this order: thermocline, thermocline-spread, raftrs, raftrs-zeroed, openraft,
    /// redis, openraft-zeroed, thermocline-embedded, raftrs-embedded, openraft-embedded. By default all up to
    /// redis, as far as they are there.
    #[arg(long, value_delimiter = ',')]
    pub(crate) targets: Vec<String>,
    /// putN, getN or mixedN for N clients (mixed: 100 gets to one put), and failover.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "put1,put16,put64,put256,get1,get64,get256,mixed64,failover"
    )]
    pub(crate) phases: Vec<Phase>,
    /// How often every target has its turn.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: u32,
    /// Measured seconds of a cell.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Seconds of warm-up before them.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warm_up: f64,
    /// Keys, 16 bytes each.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) keys: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 200)]
    pub(crate) value_bytes: usize,
    /// Kills of a node for each target, each with a cluster of its own.
    #[arg(long, default_value_t = 20)]
    pub(crate) kills: u32,
    /// Clients that write while a node is killed.
    #[arg(long, default_value_t = 64)]
    pub(crate) failover_clients: u32,
    /// When such a client gives up an answer and tries the next node.
    #[arg(long, default_value_t = 100)]
    pub(crate) failover_timeout_ms: u64,
    /// The target that others are divided by, round by round.
    #[arg(long, default_value = "raftrs")]
    pub(crate) baseline: String,
    /// The scheduler slice asked for everything that is measured; 0 leaves the system's.
    #[arg(long, default_value_t = 300)]
    pub(crate) slice_us: u64,
    /// One short round and two kills: to see that it works, not to quote.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Where the clusters keep their files; it must be on a real disk.
    #[arg(long, default_value_os_t = default_data())]
    pub(crate) data: PathBuf,
    /// Where the JSON goes. By default in the data folder.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// The first port to try.
    #[arg(long, default_value_t = 7100)]
    pub(crate) port_base: u16,
    /// Use what has been built before.
    #[arg(long)]
    pub(crate) no_build: bool,
    /// The Thermocline binary, instead of building one.
    #[arg(long)]
    pub(crate) thermocline: Option<PathBuf>,
}

impl Arguments {
    /// Checks what clap cannot, and fills in what depends on other options.
    pub(crate) fn settle(&mut self) -> Result<(), Failure> {
        for (name, value) in [("--seconds", self.seconds), ("--warm-up", self.warm_up)] {
            if !(0.0..=3600.0).contains(&value) || (name == "--seconds" && value < 0.1) {
                return Err(format!("{name} {value}: not a number of seconds between 0.1 and 3600").into());
            }
        }
        if self.rounds == 0 || self.keys == 0 {
            return Err("--rounds and --keys are at least 1".into());
        }
        if self.quick {
            self.rounds = 1;
            self.seconds = 1.0;
            self.warm_up = 0.5;
            self.kills = 2;
        }
        self.data = std::path::absolute(&self.data)?;
        Ok(())
    }

    /// Where the JSON goes.
    #[expect(clippy::disallowed_methods, reason = "a name for people")]
    pub(crate) fn out_path(&self) -> PathBuf {
        let stamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.out.clone().unwrap_or_else(|| self.data.join(format!("result-{stamp}.json")))
    }
}

/// The folder this program was built into.
pub(crate) fn binary_folder() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    Ok(own.parent().ok_or("this program has no folder")?.to_owned())
}

/// Beside the binaries: /tmp is memory on some systems.
fn default_data() -> PathBuf {
    binary_folder().unwrap_or_default().join("compare-data")
}
