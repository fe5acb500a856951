//! The command line of a node.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

/// One node of the cluster: its number and the address its peers reach it at, written `1=127.0.0.1:7201`.
#[derive(Clone, Debug)]
pub struct Address {
    /// The node's number, not 0 (raft-rs keeps 0 for "nobody").
    pub id: u64,
    /// Host and port.
    pub at: String,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, at) = text.split_once('=').ok_or_else(|| format!("`{text}` is not ID=HOST:PORT"))?;
        match id.parse() {
            Ok(id) if id > 0 => Ok(Address { id, at: at.to_owned() }),
            _ => Err(format!("`{id}` is not a node number (1 or more)")),
        }
    }
}

/// How a node is started.
#[derive(Clone, Debug, Parser)]
pub struct Arguments {
    /// This node's number.
    #[arg(long)]
    pub id: u64,
    /// Every node of the cluster, this one included: ID=HOST:PORT, separated by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    pub peers: Vec<Address>,
    /// Where clients connect (Redis protocol).
    #[arg(long)]
    pub redis: String,
    /// The folder the log is written to; it must exist.
    #[arg(long)]
    pub directory: PathBuf,
    /// Write this many MiB of zeros into the log before use: a sync then has no file metadata to write.
    #[arg(long, default_value_t = 0)]
    pub zero_filled_mib: u64,
    /// Threads that serve clients and peers.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
}

impl Arguments {
    /// The address this node listens at for its peers.
    pub fn own_address(&self) -> io::Result<String> {
        self.peers.iter().find(|peer| peer.id == self.id).map(|peer| peer.at.clone()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("--peers does not name node {}", self.id))
        })
    }

    /// The other nodes' addresses by number.
    pub fn others(&self) -> BTreeMap<u64, String> {
        self.peers.iter().filter(|peer| peer.id != self.id).map(|peer| (peer.id, peer.at.clone())).collect()
    }

    /// The runtime that serves clients and peers.
    pub fn runtime(&self) -> io::Result<Runtime> {
        Builder::new_multi_thread().worker_threads(self.threads.max(1)).enable_all().build()
    }
}
