//! A three-node store on openraft: the log has a thread of its own that shares syncs, entries are pipelined over one
//! connection a peer, and a read is confirmed by a majority (`ReadPolicy::ReadIndex`).

mod network;
mod storage;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use clap::Parser;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Config, Raft, ReadPolicy, SnapshotPolicy};
use peers::{Arguments, GroupCommit, LogFile, Refusal, Set, Store, serve};

use network::{Network, listen};
use storage::{Log, Map};

openraft::declare_raft_types!(
    /// The store's types: a set in, nothing out, nodes without descriptions.
    pub(crate) Types:
        D = Set,
        R = (),
        Node = (),
);

pub(crate) type Node = Raft<Types, Map>;

struct Front {
    node: Node,
    map: Map,
}

impl Store for Front {
    async fn set(&self, key: Bytes, value: Bytes) -> Result<(), Refusal> {
        match self.node.client_write(Set { key, value }).await {
            Ok(_) => Ok(()),
            Err(error) if error.forward_to_leader().is_some() => Err(Refusal::NotLeader),
            Err(error) => Err(Refusal::Failed(error.to_string())),
        }
    }

    async fn get(&self, key: Bytes) -> Result<Option<Bytes>, Refusal> {
        match self.node.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(_) => Ok(self.map.value(&key)),
            Err(error) if error.forward_to_leader().is_some() => Err(Refusal::NotLeader),
            Err(error) => Err(Refusal::Failed(error.to_string())),
        }
    }

    fn info(&self) -> String {
        self.node.metrics().borrow_watched().to_string()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    arguments.runtime()?.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let config = Config {
        heartbeat_interval: 50,
        election_timeout_min: 150,
        election_timeout_max: 300,
        max_payload_entries: 4096,
        snapshot_policy: SnapshotPolicy::Never,
        ..Config::default()
    };
    let file = LogFile::create(&arguments.directory.join("log"), arguments.zero_filled_mib)?;
    let log = Log::new(GroupCommit::start(file)?);
    let map = Map::default();
    let network = Network::new(arguments.others());
    let node = Node::new(arguments.id, Arc::new(config.validate()?), network, log, map.clone()).await?;

    let own_address = arguments.own_address()?;
    let peer_front = node.clone();
    tokio::spawn(async move {
        if let Err(error) = listen(own_address, peer_front).await {
            eprintln!("peer listener: {error}");
            std::process::exit(1);
        }
    });
    // One node tells the others who they are; it finds them as they come up.
    if arguments.peers.iter().all(|peer| peer.id >= arguments.id) {
        let members: BTreeMap<u64, ()> = arguments.peers.iter().map(|peer| (peer.id, ())).collect();
        node.initialize(members).await?;
    }
    serve(arguments.redis, Front { node, map }).await?;
    Ok(())
}
