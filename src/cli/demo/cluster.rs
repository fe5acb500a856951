//! Three nodes in this process, which talk over TCP as three machines would.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::TempDir;

use crate::cli::exit::Failure;
use crate::cli::members::Members;
use crate::config::Config;
use crate::store::Store;
use crate::topology::Topology;

/// How many nodes there are: one for each replica.
pub(super) const NODES: usize = 3;

/// The nodes and where they are.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) members: Arc<Members>,
    topology: Topology,
    directory: PathBuf,
    temporary: Mutex<Option<TempDir>>,
}

impl Cluster {
    /// Makes or opens the three nodes in a directory, or in a temporary one.
    pub(super) async fn open(directory: Option<&Path>) -> Result<Self, Failure> {
        let temporary = match directory {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("thermocline-demo-").tempdir()?),
        };
        let directory = match (&temporary, directory) {
            (Some(temporary), _) => temporary.path().to_path_buf(),
            (None, given) => given.unwrap_or(Path::new(".")).to_path_buf(),
        };
        let topology = topology()?;
        // A new cluster founds itself only when all its nodes are there, so they are opened at the same time.
        let open = |place| {
            let config = config(&topology, &directory, place);
            tokio::spawn(async move { Store::open(config).await })
        };
        let opening: [_; NODES] = std::array::from_fn(open);
        let mut stores = Vec::with_capacity(NODES);
        for (place, opening) in opening.into_iter().enumerate() {
            let store = opening.await.map_err(|error| Failure::other(error.to_string()))?;
            stores.push(
                store.map_err(|error| Failure::from(error).during(format_args!("node {}", place + 1)))?,
            );
        }
        let members = Arc::new(Members::new(stores));
        Ok(Self { members, topology, directory, temporary: Mutex::new(temporary) })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn addresses(&self) -> String {
        let addresses: Vec<_> = self.topology.nodes.iter().map(|node| node.address.as_str()).collect();
        addresses.join(", ")
    }

    /// Kills a node, as a crash would. Callers that had it go elsewhere.
    pub(super) async fn kill(&self, place: usize) {
        if let Some(store) = self.members.take(place) {
            store.kill().await;
        }
    }

    /// Removes all that a killed node had.
    pub(super) fn wipe(&self, place: usize) -> Result<(), Failure> {
        let id = self.topology.nodes[place].id;
        Ok(std::fs::remove_dir_all(self.directory.join(format!("node-{id}")))?)
    }

    /// Opens a killed node again, with what its disk remembers.
    pub(super) async fn restart(&self, place: usize) -> Result<(), Failure> {
        let store = Store::open(config(&self.topology, &self.directory, place))
            .await
            .map_err(|error| Failure::from(error).during(format_args!("node {}, coming back", place + 1)))?;
        self.members.put(place, store);
        Ok(())
    }

    /// Removes the directory, if it is a temporary one. The nodes must be closed.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        match self.temporary.lock().take() {
            Some(temporary) => Ok(temporary.close()?),
            None => Ok(()),
        }
    }

    /// What all files of all nodes take.
    pub(super) fn bytes_on_disk(&self) -> Result<u64, Failure> {
        Ok(bytes_under(&self.directory)?)
    }
}

fn config(topology: &Topology, directory: &Path, place: usize) -> Config {
    let id = topology.nodes[place].id;
    Config::node(topology.clone(), id).directory(directory.join(format!("node-{id}")))
}

/// A topology of three nodes at ports that are free now. They are held until all are known, so that they differ.
fn topology() -> Result<Topology, Failure> {
    let mut text = String::from("cluster = \"demo\"\nreplicas = 3\n");
    let mut held = Vec::with_capacity(NODES);
    for (id, zone) in (1..=NODES).zip(["a", "b", "c"]) {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        text.push_str(&format!("[[node]]\nid = {id}\nzone = \"{zone}\"\naddress = \"{address}\"\n"));
        held.push(listener);
    }
    Ok(Topology::from_toml(&text)?)
}

fn bytes_under(directory: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        // Blocks, not lengths: a file may have holes. A block of `stat` has 512 bytes.
        bytes += if metadata.is_dir() { bytes_under(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}
