//! Opening a node: configuration, recovery, threads, founding.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thermocline_paxos::NodeId;
use thermocline_routing_table::{GroupCount, Machine, Placement, ReplicaCount, Table, Zone};
use thermocline_tiers::disk::{Disk, File, Lock, OpenMode, RealDisk};
use thermocline_tiers::hot::journal::JournalConfig;
use thermocline_tiers::hot::state::StateConfig;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot};

use super::clock::Clock;
use super::disk_pool::DiskPool;
use super::journal::{self, JournalGate};
use super::mailbox::{Input, Mailbox};
use super::{Runtime, Threads};
use super::{open_files, worker_thread};
use crate::config::{Config, Sync};
use crate::error::{Error, StorageKind};
use crate::node::command::VALUE_BYTES_LIMIT;
use crate::node::founding::{Founder, Told};
use crate::node::identity::Identity;
use crate::node::reclaim::Retained;
use crate::node::recovery::{self, Plan, Recovered};
use crate::node::route::Route;
use crate::node::wire::Founding;
use crate::node::worker::Settings;
use crate::token::OUTCOME_SLOTS;
use crate::topology::Topology;
use crate::transport::{self, Counts, Hello, Limits, Listener, PROTOCOL_VERSION, Setup};

/// The longest payload of a journal record: a command of one entry with the longest value, and what is around it.
const PAYLOAD_BYTES_MAX: u32 = VALUE_BYTES_LIMIT as u32 + (1 << 20);

/// So many words of other nodes about their founding may wait to be heard.
const FOUNDINGS_MAX: usize = 1024;

/// A founding that could not be written down is tried again after so long.
const FOUNDING_PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn open(config: Config) -> Result<Runtime, Error> {
    let opened = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || recover(&config)).await.map_err(|error| {
            Error::storage(StorageKind::System, format!("recovery ended early: {error}"))
        })??
    };
    start(config, opened).await
}

struct Opened {
    recovered: Recovered,
    route: Arc<Route>,
    table: u64,
    lock: Box<dyn Lock>,
}

fn recover(config: &Config) -> Result<Opened, Error> {
    let directory = config.data_directory().ok_or_else(|| Error::invalid("directory", "none", "a path"))?;
    if directory.exists() && !directory.is_dir() {
        return Err(Error::invalid(
            "directory",
            directory.display().to_string(),
            "a directory, or not there yet",
        ));
    }
    let real = RealDisk::new(directory).map_err(|error| Error::file(directory, &error))?;
    let disk: Arc<dyn Disk> = match config.sync {
        Sync::Disk => Arc::new(real),
        Sync::None => Arc::new(Unsynced(real)),
    };
    let lock = disk.lock(Path::new("")).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            let what =
                format!("{} is in use, by another process or another store of this one", directory.display());
            Error::storage(StorageKind::Locked, what)
        }
        _ => Error::file(directory, &error),
    })?;
    let topology = config.topology();
    let (route, table) = route(topology)?;
    let wanted = Identity {
        cluster: topology.cluster.clone(),
        node: config.node_id,
        disk: random()?,
        buckets: topology.buckets,
        window_span_ms: topology.window_ms,
        table,
        parts: config.parts,
        ..Identity::default()
    };
    let seed = random()?;
    let plan = Plan {
        disk: disk.clone(),
        identity: wanted,
        workers: config.workers,
        journal: journal_config(config),
        state: StateConfig {
            window_span_ms: topology.window_ms,
            outcome_slots: OUTCOME_SLOTS,
            sinks: false,
            memtable_bytes: config.memtable_bytes as usize,
            value_bytes_max: VALUE_BYTES_LIMIT,
            open_runs_max: open_files::runs_of_a_part(config.parts),
            ..StateConfig::default()
        },
        route: route.clone(),
        peers: peers(config).iter().map(|node| NodeId(node.0)).collect(),
        settings: Settings {
            calls_max: config.calls_max as usize,
            command_bytes_max: config.command_bytes_max as usize,
            hedge_ms: u64::from(config.hedge_ms),
            resend_ms: u64::from(config.resend_ms),
            transfer_bytes_s_max: config.transfer_bytes_s_max / u64::from(config.workers.max(1)),
            audit_every_ms: u64::from(config.audit_every_s) * 1_000,
            replay_bytes: config.journal_replay_bytes,
            is_durable: config.sync == Sync::Disk,
            address: own_address(config),
            ..Settings::new(NodeId(config.node_id), seed)
        },
        clients: (0..config.workers).map(|_| random()).collect::<Result<_, _>>()?,
    };
    let recovered = recovery::recover(plan).map_err(|error| error.in_directory(directory))?;
    for damage in &recovered.report.damage {
        tracing::warn!(%damage, "the disk is damaged");
    }
    Ok(Opened { recovered, route, table, lock })
}

fn journal_config(config: &Config) -> JournalConfig {
    // A segment holds at least one commit of the longest record.
    let segment_bytes = (config.segment_bytes as u32).max(2 * PAYLOAD_BYTES_MAX).next_multiple_of(4096);
    let base = JournalConfig::with_segment_bytes(segment_bytes);
    let commit_bytes_max = (PAYLOAD_BYTES_MAX + (1 << 20)).next_multiple_of(4096);
    JournalConfig {
        commit_bytes_max,
        payload_bytes_max: PAYLOAD_BYTES_MAX,
        batch_bytes_max: commit_bytes_max,
        segments_max: 65_536,
        ..base
    }
}

/// The routing of a topology, and the table's number.
fn route(topology: &Topology) -> Result<(Arc<Route>, u64), Error> {
    let invalid = |what: &str, error: &dyn std::fmt::Display| {
        Error::invalid(what, error.to_string(), "a possible topology")
    };
    let groups = GroupCount::new(u32::from(topology.groups())).map_err(|error| invalid("group", &error))?;
    let buckets = thermocline_routing_table::BucketCount::new(topology.buckets)
        .map_err(|error| invalid("buckets", &error))?;
    let replicas = match topology.replicas {
        1 => ReplicaCount::One,
        3 => ReplicaCount::Three,
        5 => ReplicaCount::Five,
        other => return Err(Error::invalid("replicas", other.to_string(), "1, 3 or 5")),
    };
    let mut zones = BTreeMap::new();
    let mut placements = Vec::new();
    for group in 0..topology.groups() {
        let machines: Vec<Machine> = topology
            .nodes_of(group)
            .map(|node| {
                let next = zones.len() as u16;
                let zone = *zones.entry(node.zone.clone()).or_insert(next);
                Machine { node: thermocline_routing_table::NodeId(node.id), zone: Zone(zone) }
            })
            .collect();
        placements.push(Placement::new(&machines, replicas).map_err(|error| invalid("node", &error))?);
    }
    let map = Table::for_groups(groups, buckets);
    Ok((Arc::new(Route::new(&map, &placements)), Table::id().0))
}

/// The other nodes of the node's group, with their addresses as written.
fn peers(config: &Config) -> Vec<(u16, String)> {
    config
        .topology()
        .nodes
        .iter()
        .filter(|node| node.id != config.node_id)
        .map(|node| (node.id, node.address.clone()))
        .collect()
}

async fn start(config: Config, opened: Opened) -> Result<Runtime, Error> {
    let Opened { mut recovered, route, table, lock } = opened;
    recovered.write_first_commit()?;
    let Recovered { identity: file, peers: remembered, journal, workers, history, dealing, .. } = recovered;
    let identity = file.read();
    let mailboxes: Vec<Arc<Mailbox>> = workers.iter().map(|_| Arc::default()).collect();
    let gate = JournalGate::new(workers.len());
    let lock: Arc<dyn Lock> = Arc::from(lock);
    let (pool, disk_threads) = DiskPool::start(&journal.reader(), &lock)?;
    let retain = Retained::new(config.journal_retain_bytes, config.topology().replicas > 1);
    let (queue, journal_thread) =
        journal::start(journal, mailboxes.clone(), gate.clone(), retain, history, lock)?;
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        cluster: identity.cluster.clone(),
        node: transport::NodeId(identity.node),
        boot: transport::Boot { disk: identity.disk, count: identity.boots },
        worker: 0,
        workers: workers.len() as u16,
        buckets: identity.buckets,
        window_span_ms: identity.window_span_ms,
        table_id: table,
        replicas: config.topology().replicas as u8,
        epoch: config.topology().epoch,
        groups: u32::from(config.topology().groups()),
    };
    let nodes = config.topology().nodes.iter().map(|node| transport::NodeId(node.id));
    let counts = Arc::new(Counts::default());
    let setup = Setup {
        identity: transport::Identity::new(hello, nodes),
        limits: Limits { peer_buffer_bytes_max: config.peer_buffer_bytes_max as usize, ..Limits::default() },
        counts: Arc::clone(&counts),
    };
    let epoch = config.topology().epoch;
    let addresses = peers(&config)
        .iter()
        .map(|(node, address)| {
            // What the node itself told may be newer than the topology: it may have taken a dead one's place.
            let known = remembered.of(*node);
            let told = known.as_ref().and_then(|known| known.address_beyond(epoch));
            (NodeId(*node), told.unwrap_or(address).to_owned())
        })
        .collect::<Vec<_>>();
    let (foundings, heard) = mpsc::channel(FOUNDINGS_MAX);
    let clock = Clock::start();
    let (stop, stopped) = mpsc::channel(1);
    // Dropped at any point from here on, it ends the threads that there are.
    let mut runtime = Runtime {
        boot: identity.boots,
        disk_id: identity.disk,
        counts,
        route,
        dealing,
        mailboxes: mailboxes.clone(),
        handles: Vec::new(),
        journal: queue,
        gate,
        threads: Arc::new(parking_lot::Mutex::new(Threads {
            workers: Vec::new(),
            journal: Some(journal_thread),
            disk: disk_threads,
        })),
        stop: parking_lot::Mutex::new(Some(stop)),
        #[cfg(feature = "server")]
        next: std::sync::atomic::AtomicUsize::new(0),
        config: config.clone(),
    };
    let all: Arc<[_]> = mailboxes.as_slice().into();
    for (index, worker) in workers.into_iter().enumerate() {
        let parts = worker_thread::Parts {
            index,
            worker,
            mailbox: mailboxes[index].clone(),
            mailboxes: all.clone(),
            journal: runtime.journal.clone(),
            gate: runtime.gate.clone(),
            pool: pool.clone(),
            clock,
            setup: setup.clone(),
            peers: addresses.clone(),
            foundings: foundings.clone(),
            seed: random()?,
        };
        let (thread, handle) = spawn_worker(parts)?;
        runtime.threads.lock().workers.push(thread);
        runtime.handles.push(handle.await.map_err(worker_thread::closed)??);
    }
    if !addresses.is_empty() {
        listen(&config, setup, &mailboxes, &runtime.handles[0]).await?;
    }
    let others: Vec<u16> = group_peers(&config);
    let alone = others.is_empty();
    let mut founder = Founder::new(file, others);
    tell(&mailboxes, founder.begin()?);
    if !alone {
        runtime.handles[0].spawn(found(founder, mailboxes, heard, stopped));
    }
    Ok(runtime)
}

/// The other nodes of this node's group.
fn group_peers(config: &Config) -> Vec<u16> {
    let topology = config.topology();
    let group = config.topology_node().map_or(0, |node| node.group);
    topology.nodes_of(group).map(|node| node.id).filter(|id| *id != config.node_id).collect()
}

/// Tells a worker's tokio runtime once there is one, or why there is none.
type Started = oneshot::Receiver<Result<tokio::runtime::Handle, Error>>;

/// A thread with a tokio runtime of its own, on which the worker and what is spawned beside it run.
fn spawn_worker(parts: worker_thread::Parts) -> Result<(std::thread::JoinHandle<()>, Started), Error> {
    let cannot =
        |error: io::Error| Error::storage(StorageKind::System, format!("cannot start a worker: {error}"));
    let (started, handle) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name(format!("worker-{}", parts.index))
        .spawn(move || {
            let built = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default());
            let runtime = match built {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(cannot(error)))),
            };
            let _ = started.send(Ok(runtime.handle().clone()));
            // As a task of its own it is woken by a push to the thread's own queue. The future that a runtime blocks on is woken by two
            // system calls instead, even from its own thread.
            let worker = runtime.spawn_local(worker_thread::run(parts));
            let end = runtime.block_on(worker);
            runtime.shutdown_background();
            if let Err(failure) = end {
                std::panic::resume_unwind(failure.into_panic());
            }
        })
        .map_err(cannot)?;
    Ok((thread, handle))
}

/// Accepts other nodes' links on the first worker's thread.
async fn listen(
    config: &Config,
    setup: Setup,
    mailboxes: &[Arc<Mailbox>],
    handle: &tokio::runtime::Handle,
) -> Result<(), Error> {
    let address = config.topology_node().map(|node| node.address.clone()).unwrap_or_default();
    let address = resolve(&address)?;
    let mailboxes = mailboxes.to_vec();
    let bound = handle.spawn(async move { Listener::bind(address, setup).await }).await;
    let cannot = |error: &dyn std::fmt::Display| {
        Error::storage(StorageKind::System, format!("cannot listen at {address}: {error}"))
    };
    let listener = match bound {
        Ok(Ok(listener)) => listener,
        Ok(Err(error)) => return Err(cannot(&error)),
        Err(error) => return Err(cannot(&error)),
    };
    handle.spawn(listener.run(
        move |worker, incoming| {
            mailboxes[usize::from(worker) % mailboxes.len()].push(Input::Incoming(incoming))
        },
        |from, why| tracing::warn!(%from, %why, "a connection was refused"),
    ));
    Ok(())
}

/// Where this node can be reached; nobody asks a node that has no peers.
fn own_address(config: &Config) -> Option<(u64, String)> {
    let address = config.topology_node()?.address.clone();
    (!address.is_empty()).then_some((config.topology().epoch, address))
}

fn resolve(address: &str) -> Result<SocketAddr, Error> {
    let unknown =
        |why: &str| Error::invalid("address", address, format!("an address that can be resolved{why}"));
    let mut found = address.to_socket_addrs().map_err(|error| unknown(&format!(" ({error})")))?;
    found.next().ok_or_else(|| unknown(""))
}

/// Hears the other nodes until the store stops, and tells the workers what follows.
async fn found(
    mut founder: Founder,
    mailboxes: Vec<Arc<Mailbox>>,
    mut heard: mpsc::Receiver<(NodeId, Founding)>,
    mut stopped: mpsc::Receiver<()>,
) {
    loop {
        let (from, founding) = tokio::select! {
            biased;
            _ = stopped.recv() => return,
            next = heard.recv() => match next {
                Some(next) => next,
                None => return,
            },
        };
        loop {
            match founder.hear(from.0, founding.clone()) {
                Ok(told) => break told.into_iter().for_each(|told| tell(&mailboxes, told)),
                Err(error) => {
                    tracing::error!(%error, "the founding could not be written down; it is tried again")
                }
            }
            tokio::select! {
                _ = stopped.recv() => return,
                () = tokio::time::sleep(FOUNDING_PAUSE) => {}
            }
        }
    }
}

fn tell(mailboxes: &[Arc<Mailbox>], told: Told) {
    for mailbox in mailboxes {
        mailbox.push(Input::Founded { founding: told.founding.clone(), late: told.late });
    }
}

/// A disk that never waits for the medium: [`Sync::None`].
struct Unsynced(RealDisk);

impl Disk for Unsynced {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(UnsyncedFile(self.0.open(path, mode)?)))
    }

    fn open_direct(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path, OpenMode::ReadWrite)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.0.create_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<std::path::PathBuf>> {
        self.0.list(path)
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn room(&self, path: &Path) -> io::Result<u64> {
        self.0.room(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.0.lock(path)
    }
}

struct UnsyncedFile(Arc<dyn File>);

impl File for UnsyncedFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, buffer: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

/// A random number of the operating system's.
fn random() -> Result<u64, Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::storage(StorageKind::System, format!("the system gives no random numbers: {error}"))
    })?;
    Ok(u64::from_le_bytes(bytes))
}
