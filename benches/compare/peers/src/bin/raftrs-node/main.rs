//! A three-node store on raft-rs: one thread drives the library, all entries of a turn share one `fdatasync`, and a
//! read is confirmed by a majority (`ReadOnlyOption::Safe`), one confirmation for all reads of a turn.

mod driver;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

use bytes::Bytes;
use clap::Parser;
use peers::{Arguments, Links, LogFile, Refusal, Set, Store, serve};
use tokio::sync::oneshot;

use driver::{Driver, Event};

struct Front {
    id: u64,
    /// The leader this node follows, 0 for none: lets a follower refuse without asking the driver.
    leader: Arc<AtomicU64>,
    events: Sender<Event>,
}

impl Front {
    async fn ask<T>(
        &self,
        event: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Event,
    ) -> Result<T, Refusal> {
        if self.leader.load(Ordering::Relaxed) != self.id {
            return Err(Refusal::NotLeader);
        }
        let (tell, told) = oneshot::channel();
        if self.events.send(event(tell)).is_err() {
            return Err(Refusal::Failed("the driver has stopped".to_owned()));
        }
        told.await.unwrap_or(Err(Refusal::Unknown))
    }
}

impl Store for Front {
    async fn set(&self, key: Bytes, value: Bytes) -> Result<(), Refusal> {
        let data = Set { key, value }.encode();
        self.ask(|tell| Event::Set { data, tell }).await
    }

    async fn get(&self, key: Bytes) -> Result<Option<Bytes>, Refusal> {
        let key = Bytes::copy_from_slice(&key);
        self.ask(|tell| Event::Get { key, tell }).await
    }

    fn info(&self) -> String {
        format!("leader:{}", self.leader.load(Ordering::Relaxed))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let runtime = arguments.runtime()?;
    let log = LogFile::create(&arguments.directory.join("log"), arguments.zero_filled_mib)?;
    let links = Links::start(runtime.handle(), arguments.others());
    let leader = Arc::new(AtomicU64::new(0));
    let (events, waiting) = channel();

    let from_peers = events.clone();
    runtime.spawn(or_exit(
        "peer listener",
        Links::listen(arguments.own_address()?, move |frame| {
            drop(from_peers.send(Event::Message(frame)));
        }),
    ));
    let front = Front { id: arguments.id, leader: Arc::clone(&leader), events };
    runtime.spawn(or_exit("client listener", serve(arguments.redis.clone(), front)));

    let ids = arguments.peers.iter().map(|peer| peer.id).collect();
    Driver::new(arguments.id, ids, log, links, leader)?.run(&waiting)
}

/// A node that cannot listen is of no use to anyone.
async fn or_exit(what: &str, listening: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = listening.await {
        eprintln!("{what}: {error}");
        std::process::exit(1);
    }
}
