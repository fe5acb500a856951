//! `thermocline serve`: one node of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::{Failure, read_topology};
use crate::config::{Config, bounds};
use crate::error::Error;
use crate::key::Key;
use crate::request::Consistency;
use crate::server::{self, Limits};
use crate::store::Store;
use crate::topology::Topology;

/// How many Redis clients may be connected at the same time, unless it is said.
pub(super) const CONNECTIONS: u32 = 4096;

/// How often the node is asked whether it still works.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// The options of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
SIGTERM and SIGINT stop the node: calls under way end, the journal is synced, the state in memory is written (for at most 10 seconds), the directory is freed.

A topology names the cluster and its nodes:

  cluster = \"example\"
  replicas = 3
  [[node]]
  id = 1
  zone = \"a\"
  address = \"127.0.0.1:7001\"
  redis = \"127.0.0.1:6379\"
  directory = \"data-1\"
  # and so on for nodes 2 and 3, in zones b and c")]
pub(super) struct Arguments {
    /// The cluster: a TOML file.
    #[arg(long, value_name = "FILE")]
    topology: PathBuf,
    /// Which of its nodes this is.
    #[arg(long, value_name = "ID")]
    node: u16,
    /// Where the node keeps its data; without it, the topology's or the configuration's directory.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Settings of the node: a TOML file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How many Redis clients may be connected at the same time.
    #[arg(long, default_value_t = CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
}

/// Runs the node until it is told to stop.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let topology = read_topology(&arguments.topology)?;
    run_in(topology, arguments.node, arguments.directory, arguments.config, arguments.connections).await
}

/// Runs a node of a topology that was read.
pub(super) async fn run_in(
    topology: Topology,
    node: u16,
    directory: Option<PathBuf>,
    file: Option<PathBuf>,
    connections: u32,
) -> Result<(), Failure> {
    let other = |error: std::io::Error| Failure::other(format!("signals cannot be listened to: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(other)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(other)?;
    let redis = topology.node(node).and_then(|node| node.redis.clone());
    let config = config(topology, node, directory, file)?;
    let limits =
        Limits { value_bytes_max: config.value_bytes_max as usize, connections_max: connections as usize };
    let store = tokio::select! {
        store = Store::open(config) => store?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let listener = match &redis {
        None => None,
        Some(address) => match TcpListener::bind(address).await {
            Ok(listener) => Some(listener),
            Err(error) => {
                store.close().await;
                let whose = format!("redis of node {}", node);
                return Err(Failure::other(format!(
                    "clients cannot be served at {address} ({whose}): {error}"
                )));
            }
        },
    };
    match &redis {
        Some(address) => println!("node {} is up; Redis clients at {address}", node),
        None => println!("node {} is up; the topology gives it no address for Redis clients", node),
    }
    let front = async {
        match listener {
            Some(listener) => server::serve(listener, store.clone(), limits).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
        failure = sickness(&store) => Err(failure),
        ended = front => Err(Failure::other(format!("the front ended: {ended:?}"))),
    };
    match &ended {
        Ok(signal) => tracing::info!("{signal}: closing"),
        Err(failure) => tracing::error!("closing: {failure}"),
    }
    store.close().await;
    ended.map(drop)
}

/// Waits until the node cannot go on: its journal failed, or it was closed. A full disk is no such thing: it may get room.
async fn sickness(store: &Store) -> Failure {
    let probe = Key::undated("thermocline");
    let mut interval = tokio::time::interval(HEALTH_INTERVAL);
    let mut recovering = false;
    loop {
        interval.tick().await;
        if let Ok(status) = store.status().await
            && (recovering || status.buckets_learning > 0)
        {
            recovering = status.buckets_learning > 0;
            tracing::info!("{}", status.recovery());
        }
        match store.get(&probe).consistency(Consistency::Stale).send().await {
            Err(error) if is_fatal(&error) => return error.into(),
            _ => {}
        }
    }
}

/// Whether a node that answers so to its own question cannot go on. A bucket that cannot be read is copied from another replica, and the node serves
/// the rest meanwhile.
fn is_fatal(error: &Error) -> bool {
    !error.is_retryable() && !matches!(error, Error::Corrupt { .. })
}

/// The node's settings.
fn config(
    topology: Topology,
    node: u16,
    directory: Option<PathBuf>,
    file: Option<PathBuf>,
) -> Result<Config, Failure> {
    let mut config = Config::node(topology, node);
    if let Some(file) = file {
        config = config.with_toml(&bounds::read_text("config", &file).map_err(Failure::unreadable)?)?;
    }
    if let Some(directory) = directory {
        config = config.directory(directory);
    }
    config.validate()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StorageKind;

    #[test]
    fn a_node_goes_on_without_a_bucket_and_not_without_its_journal() {
        assert!(!is_fatal(&Error::Corrupt { what: "bucket 42 cannot be read at this node".into() }));
        assert!(!is_fatal(&Error::Overloaded { what: "a queue", limit: "1".into() }));
        assert!(is_fatal(&Error::storage(StorageKind::SyncFailed, "the journal failed")));
        assert!(is_fatal(&Error::Closed));
    }
}
