//! A node of a Thermocline cluster as a library in a program: the peers' command line and front, and no server.

use std::error::Error;
use std::fmt::Write;

use bytes::Bytes;
use clap::Parser;
use peers::{Arguments, Refusal, Store, serve};
use thermocline::{Config, Key, Topology};

struct Embedded(thermocline::Store);

impl Store for Embedded {
    async fn set(&self, key: Bytes, value: Bytes) -> Result<(), Refusal> {
        self.0.put(&Key::undated(key), value).await.map(drop).map_err(refusal)
    }

    async fn get(&self, key: Bytes) -> Result<Option<Bytes>, Refusal> {
        let found = self.0.get(&Key::undated(key)).await.map_err(refusal)?;
        Ok(found.map(|record| record.value))
    }

    fn info(&self) -> String {
        "embedded".to_owned()
    }
}

fn refusal(error: thermocline::Error) -> Refusal {
    match error {
        thermocline::Error::Unknown { .. } => Refusal::Unknown,
        other => Refusal::Failed(other.to_string()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut topology = "cluster = \"bench\"\nreplicas = 3\n".to_owned();
    for peer in &arguments.peers {
        // A zone each: losing a node is losing a zone.
        writeln!(topology, "[[node]]\nid = {0}\nzone = \"zone-{0}\"\naddress = \"{1}\"", peer.id, peer.at)?;
    }
    let id = u16::try_from(arguments.id)?;
    // One worker, as three nodes and their clients share the cores of one machine.
    let config = Config::node(Topology::from_toml(&topology)?, id)
        .directory(arguments.directory.join("data"))
        .workers(1_u32);
    arguments.runtime()?.block_on(async {
        let store = thermocline::Store::open(config).await?;
        serve(arguments.redis.clone(), Embedded(store)).await?;
        Ok(())
    })
}
