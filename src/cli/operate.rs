//! What operators do to a running cluster: `verify`, `replace`, `lose-acknowledged-writes`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::exit::{Failure, read_topology};
use super::serve;
use crate::topology::Topology;

/// How long a node may take to be reached.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest reply that is read, in bytes.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// The options of `verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every bucket is compared once: each node compares those of which it is the first replica. What a minority has
differently, or cannot read, is copied from the majority. The exit code is 0 when all replicas are equal in the end.")]
pub(super) struct VerifyArguments {
    /// The cluster: a TOML file. Nodes are reached at their `redis` addresses.
    #[arg(long, value_name = "FILE")]
    topology: PathBuf,
    /// Only the buckets of which this node is the first replica.
    #[arg(long, value_name = "ID")]
    node: Option<u16>,
}

/// Has the nodes compare their replicas.
pub(super) async fn verify(arguments: VerifyArguments) -> Result<(), Failure> {
    let topology = read_topology(&arguments.topology)?;
    let all = topology.nodes.iter().map(|node| node.id);
    let nodes: Vec<u16> = all.filter(|node| arguments.node.is_none_or(|wanted| wanted == *node)).collect();
    if let (Some(node), true) = (arguments.node, nodes.is_empty()) {
        return Err(Failure::usage(format!("node {node} is not in the topology")));
    }
    let (mut clean, mut failed) = (true, None);
    for node in nodes {
        match ask(&topology, node, &["TC.VERIFY"]).await {
            Ok(report) => {
                clean &= report.starts_with("CLEAN ");
                println!(
                    "node {node}: {}",
                    report.trim_start_matches("UNCLEAN ").trim_start_matches("CLEAN ")
                );
            }
            // The others compare theirs all the same.
            Err(failure) => {
                println!("node {node}: not compared: {failure}");
                failed.get_or_insert(failure);
            }
        }
    }
    match failed {
        Some(failure) => Err(failure),
        None if clean => Ok(()),
        None => Err(Failure::other("not all replicas are equal")),
    }
}

/// The options of `lose-acknowledged-writes`.
#[derive(Debug, Args)]
#[command(after_help = "\
For the day when the disks of more than a minority are gone for good. Such a node says so in its log, and INFO says
`buckets_lost`. FIRST bring back every disk that can be brought back, and replace the machines that cannot; then run
this against each node that says so.

In each bucket that a majority has lost, the group goes on after the last slot that the disks that are left know.
WHAT WAS ACKNOWLEDGED LATER THAN THAT IS GONE, without a trace: a write was acknowledged when a majority had it, and
that majority may be the disks that are lost. Buckets of which a majority remembers are not touched.

A DISK THAT IS AWAY MEANWHILE MUST NOT COME BACK: it may have what is given up, and takes itself for whole. Begin its node
with an empty directory.")]
pub(super) struct LoseArguments {
    /// The cluster: a TOML file.
    #[arg(long, value_name = "FILE")]
    topology: PathBuf,
    /// The node whose buckets are lost.
    #[arg(long, value_name = "ID")]
    node: u16,
    /// The cluster's name, to be typed by who means it.
    #[arg(long, value_name = "CLUSTER")]
    i_accept_that_writes_are_lost_in: String,
}

/// Gives up what a majority has lost.
pub(super) async fn lose(arguments: LoseArguments) -> Result<(), Failure> {
    let topology = read_topology(&arguments.topology)?;
    let cluster = arguments.i_accept_that_writes_are_lost_in;
    let buckets = ask(&topology, arguments.node, &["TC.LOSE-ACKNOWLEDGED-WRITES", &cluster]).await?;
    if buckets == "0" {
        println!("Nothing was given up: no bucket of node {} is lost by a majority.", arguments.node);
    } else {
        println!(
            "Node {} goes on without what a majority had lost, in {buckets} buckets. Acknowledged writes may be gone.",
            arguments.node
        );
    }
    Ok(())
}

/// The options of `replace`.
#[derive(Debug, Args)]
#[command(after_help = "\
Run on the new machine. It takes the place of the node of that number: the others hear its address and remember it, and
the disk of the dead machine is not heard any more, should it come back. The node learns what the others know, says how
far it is, and votes again when it cannot contradict what the dead disk had promised. Then it serves like any other;
from the next start on `serve` will do, with the new address in the topology.")]
pub(super) struct ReplaceArguments {
    /// The cluster: a TOML file, with the dead machine's address or the new one.
    #[arg(long, value_name = "FILE")]
    topology: PathBuf,
    /// Whose place is taken.
    #[arg(long, value_name = "ID")]
    node: u16,
    /// Where the other nodes reach the new machine.
    #[arg(long, value_name = "HOST:PORT")]
    address: String,
    /// Where Redis clients reach it.
    #[arg(long, value_name = "HOST:PORT")]
    redis: Option<String>,
    /// An empty directory.
    #[arg(long)]
    directory: PathBuf,
    /// Settings of the node: a TOML file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs a node in a dead one's place.
pub(super) async fn replace(arguments: ReplaceArguments) -> Result<(), Failure> {
    let mut topology = read_topology(&arguments.topology)?;
    let directory = &arguments.directory;
    let is_empty = std::fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty {
        let what = format!(
            "{} is not empty; a node that still has its disk is started with `serve`",
            directory.display()
        );
        return Err(Failure::usage(what));
    }
    let Some(node) = topology.nodes.iter_mut().find(|node| node.id == arguments.node) else {
        return Err(Failure::usage(format!("node {} is not in the topology", arguments.node)));
    };
    node.address.clone_from(&arguments.address);
    if arguments.redis.is_some() {
        node.redis.clone_from(&arguments.redis);
    }
    topology.validate()?;
    // The others go by their topology file unless they hear of an address as of a later epoch.
    topology.epoch = topology.epoch.saturating_add(1);
    serve::run_in(topology, arguments.node, Some(arguments.directory), arguments.config, serve::CONNECTIONS)
        .await
}

/// Sends a command to a node's Redis port, and reads the reply's text.
async fn ask(topology: &Topology, node: u16, command: &[&str]) -> Result<String, Failure> {
    let address = topology.node(node).and_then(|node| node.redis.clone());
    let Some(address) = address else {
        return Err(Failure::usage(format!("node {node} has no redis address in the topology")));
    };
    let cannot = |error: std::io::Error| Failure::other(format!("node {node} at {address}: {error}"));
    let connecting = tokio::time::timeout(CONNECT, TcpStream::connect(&address));
    let stream = connecting
        .await
        .map_err(|_| Failure::other(format!("node {node} at {address} does not answer")))?
        .map_err(cannot)?;
    let mut stream = BufReader::new(stream);
    let mut request = format!("*{}\r\n", command.len());
    for word in command {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes()).await.map_err(cannot)?;
    let mut head = String::new();
    (&mut stream).take(4096).read_line(&mut head).await.map_err(cannot)?;
    let head = head.trim_end();
    let other = || Failure::other(format!("node {node} at {address} answered {head:?}"));
    match head.split_at_checked(1) {
        Some((":" | "+", text)) => Ok(text.to_owned()),
        Some(("-", text)) => Err(Failure::other(format!("node {node}: {text}"))),
        Some(("$", length)) => {
            let length: usize = length.parse().map_err(|_| other())?;
            if length > REPLY_BYTES_MAX {
                return Err(other());
            }
            let mut text = vec![0; length];
            stream.read_exact(&mut text).await.map_err(cannot)?;
            String::from_utf8(text).map_err(|_| other())
        }
        _ => Err(other()),
    }
}
