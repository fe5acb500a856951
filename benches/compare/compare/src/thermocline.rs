//! How a Thermocline node is started: the one place that knows its command line and its topology file.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cluster::Node;

#[derive(Serialize)]
struct Topology<'a> {
    cluster: &'a str,
    replicas: usize,
    node: Vec<NodeOfTopology>,
}

#[derive(Serialize)]
struct NodeOfTopology {
    id: u64,
    zone: String,
    address: String,
    redis: String,
    directory: PathBuf,
}

/// Writes the topology into `folder` and returns the arguments of node `id`.
pub(crate) fn arguments(folder: &Path, nodes: &[Node], id: u64) -> io::Result<Vec<String>> {
    // A file for each node: the others may be reading theirs at this moment.
    let file = folder.join(format!("topology-{id}.toml"));
    std::fs::write(&file, topology(nodes)?)?;
    // One worker for each core is the default; here three nodes and their clients share the cores of one machine.
    let config = folder.join(format!("config-{id}.toml"));
    std::fs::write(&config, "workers = 1\n")?;
    Ok(vec![
        "serve".to_owned(),
        "--topology".to_owned(),
        file.to_string_lossy().into_owned(),
        "--node".to_owned(),
        id.to_string(),
        "--config".to_owned(),
        config.to_string_lossy().into_owned(),
    ])
}

fn topology(nodes: &[Node]) -> io::Result<String> {
    let topology = Topology {
        cluster: "bench",
        replicas: nodes.len(),
        node: nodes
            .iter()
            .map(|node| NodeOfTopology {
                id: node.id,
                // A zone each: losing a node is losing a zone.
                zone: format!("zone-{}", node.id),
                address: node.peer_address(),
                redis: node.redis_address(),
                directory: node.directory.clone(),
            })
            .collect(),
    };
    toml::to_string(&topology).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topology_is_the_documented_one() {
        let folder = Path::new("data");
        let nodes = [Node::new(1, folder, 7201, 7101), Node::new(2, folder, 7202, 7102)];
        let expected = r#"cluster = "bench"
replicas = 2

[[node]]
id = 1
zone = "zone-1"
address = "127.0.0.1:7201"
redis = "127.0.0.1:7101"
directory = "data/node-1"

[[node]]
id = 2
zone = "zone-2"
address = "127.0.0.1:7202"
redis = "127.0.0.1:7102"
directory = "data/node-2"
"#;
        assert_eq!(topology(&nodes).unwrap(), expected);
    }
}
