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
    let file = folder.join("topology.toml");
    std::fs::write(&file, toml::to_string(&topology).map_err(io::Error::other)?)?;
    Ok(vec![
        "serve".to_owned(),
        "--topology".to_owned(),
        file.to_string_lossy().into_owned(),
        "--node".to_owned(),
        id.to_string(),
    ])
}
