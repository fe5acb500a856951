//! Clusters for tests.

use std::net::TcpListener;
use std::path::Path;

use thermocline::{Config, Error, Store, Topology};

/// So many ports that were free a moment ago.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// A topology of nodes 1, 2, ... in as many zones as there are replicas.
pub(crate) fn topology(nodes: usize, replicas: u32) -> Topology {
    let mut text = format!("cluster = \"test\"\nreplicas = {replicas}\nbuckets = 1024\n");
    for (index, port) in free_ports(nodes).into_iter().enumerate() {
        let zone = index % replicas as usize;
        let id = index + 1;
        text.push_str(&format!("[[node]]\nid = {id}\nzone = \"z{zone}\"\naddress = \"127.0.0.1:{port}\"\n"));
    }
    Topology::from_toml(&text).unwrap()
}

/// A node with little memory and one worker, so that many fit a test.
pub(crate) fn config(topology: &Topology, node: u16, root: &Path) -> Config {
    Config::node(topology.clone(), node)
        .directory(root.join(format!("node-{node}")))
        .workers(1)
        .parts(4)
        .memtable_bytes(1 << 20)
}

/// Nodes of one cluster in this process, each with files and sockets of its own.
pub(crate) struct Cluster {
    pub(crate) topology: Topology,
    pub(crate) root: tempfile::TempDir,
    pub(crate) nodes: Vec<Option<Store>>,
}

impl Cluster {
    pub(crate) async fn start(nodes: usize, replicas: u32) -> Self {
        let topology = topology(nodes, replicas);
        let root = tempfile::tempdir().unwrap();
        let mut cluster = Self { topology, root, nodes: vec![None; nodes] };
        for node in 1..=nodes as u16 {
            cluster.open(node).await;
        }
        cluster
    }

    pub(crate) async fn open(&mut self, node: u16) {
        let store = Store::open(config(&self.topology, node, self.root.path())).await.unwrap();
        self.nodes[usize::from(node) - 1] = Some(store);
    }

    pub(crate) fn node(&self, node: u16) -> &Store {
        self.nodes[usize::from(node) - 1].as_ref().unwrap()
    }

    pub(crate) async fn close(&mut self, node: u16) {
        if let Some(store) = self.nodes[usize::from(node) - 1].take() {
            store.close().await;
        }
    }

    pub(crate) async fn close_all(&mut self) {
        for node in 1..=self.nodes.len() as u16 {
            self.close(node).await;
        }
    }
}

/// Tries again as long as the error says that trying again can help.
pub(crate) async fn retrying<T, F: Future<Output = Result<T, Error>>>(mut attempt: impl FnMut() -> F) -> T {
    for _ in 0..200 {
        match attempt().await {
            Ok(value) => return value,
            Err(error) if error.is_retryable() => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("not served after 200 attempts");
}
