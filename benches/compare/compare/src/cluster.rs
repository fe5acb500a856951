//! Three processes that make a cluster, for as long as this value lives.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::build::Binaries;
use crate::slice::Slice;
use crate::target::{Program, Target};
use crate::thermocline;

const NODES: u64 = 3;
/// A cluster that does not serve after this long has failed.
const READY: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// One probe waits this long for its answer.
const PROBE: Duration = Duration::from_millis(500);
/// Clients in a node's process report after this long at most.
const DRIVEN: Duration = Duration::from_secs(3600);
const REPORT_BYTES_MAX: usize = 16 << 20;

/// One node, before it is a process.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) directory: PathBuf,
    peer_port: u16,
    redis_port: u16,
}

impl Node {
    /// Node `id`, with its files under `folder`.
    pub(crate) fn new(id: u64, folder: &Path, peer_port: u16, redis_port: u16) -> Node {
        Node { id, directory: folder.join(format!("node-{id}")), peer_port, redis_port }
    }

    /// Where the other nodes reach it.
    pub(crate) fn peer_address(&self) -> String {
        format!("127.0.0.1:{}", self.peer_port)
    }

    /// Where clients reach it.
    pub(crate) fn redis_address(&self) -> String {
        format!("127.0.0.1:{}", self.redis_port)
    }
}

/// Running processes; dropping it kills them and removes their files.
#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    processes: Vec<Child>,
    folder: PathBuf,
    /// The node clients go to first.
    first: usize,
}

impl Cluster {
    /// Starts `target` in a fresh folder under `data` and waits until it takes writes.
    pub(crate) fn start(
        target: &Target,
        binaries: &Binaries,
        data: &Path,
        port_base: u16,
        slice: &Slice,
    ) -> Result<Cluster, Failure> {
        let folder = data.join(target.name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let ports = free_ports(port_base, 2 * NODES as usize)?;
        let (redis_ports, peer_ports) = ports.split_at(NODES as usize);
        let nodes: Vec<Node> = (1..=NODES)
            .zip(redis_ports.iter().zip(peer_ports))
            .map(|(id, (&redis_port, &peer_port))| Node::new(id, &folder, peer_port, redis_port))
            .collect();
        let mut cluster = Cluster { nodes, processes: Vec::new(), folder, first: 0 };
        for at in 0..cluster.nodes.len() {
            let process = cluster.spawn(at, target, binaries, slice)?;
            cluster.processes.push(process);
        }
        match cluster.wait_until_ready(target.program) {
            Ok(()) => Ok(cluster),
            Err(failure) => Err(format!("{}: {failure}{}", target.name, cluster.last_words()).into()),
        }
    }

    fn spawn(
        &self,
        at: usize,
        target: &Target,
        binaries: &Binaries,
        slice: &Slice,
    ) -> Result<Child, Failure> {
        let node = &self.nodes[at];
        fs::create_dir_all(&node.directory)?;
        let directory = node.directory.to_string_lossy().into_owned();
        let missing = || format!("{}: its program is not there", target.name);
        let (program, arguments) = match target.program {
            Program::Thermocline if target.embedded => {
                let program = binaries.embedded.as_ref().ok_or_else(missing)?;
                (program, self.peer_arguments(node, directory, target))
            }
            Program::Thermocline => {
                let program = binaries.thermocline.as_ref().ok_or_else(missing)?;
                (program, thermocline::arguments(&self.folder, &self.nodes, node.id)?)
            }
            Program::Raftrs => (&binaries.raftrs, self.peer_arguments(node, directory, target)),
            Program::Openraft => (&binaries.openraft, self.peer_arguments(node, directory, target)),
            Program::Redis => {
                (binaries.redis.as_ref().ok_or_else(missing)?, self.redis_arguments(node, directory))
            }
        };
        let log = File::create(self.log_path(node))?;
        let mut process = Command::new(program);
        process.args(arguments).current_dir(&node.directory).stdin(Stdio::null());
        process.stdout(log.try_clone()?).stderr(log);
        slice.give(&mut process);
        process.spawn().map_err(|error| format!("{}: {error}", program.display()).into())
    }

    fn peer_arguments(&self, node: &Node, directory: String, target: &Target) -> Vec<String> {
        let peers: Vec<String> =
            self.nodes.iter().map(|peer| format!("{}={}", peer.id, peer.peer_address())).collect();
        let options = [
            ("--id", node.id.to_string()),
            ("--peers", peers.join(",")),
            ("--redis", node.redis_address()),
            ("--directory", directory),
            ("--zero-filled-mib", target.zero_filled_mib.to_string()),
        ];
        options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    /// Every node syncs every write; the second and third follow the first.
    fn redis_arguments(&self, node: &Node, directory: String) -> Vec<String> {
        let options = [
            ("--port", node.redis_port.to_string()),
            ("--bind", "127.0.0.1".to_owned()),
            ("--dir", directory),
            ("--save", String::new()),
            ("--appendonly", "yes".to_owned()),
            ("--appendfsync", "always".to_owned()),
            ("--auto-aof-rewrite-percentage", "0".to_owned()),
        ];
        let mut arguments: Vec<String> =
            options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        if node.id != 1 {
            arguments.extend(["--replicaof", "127.0.0.1"].map(str::to_owned));
            arguments.push(self.nodes[0].redis_port.to_string());
        }
        arguments
    }

    fn wait_until_ready(&mut self, program: Program) -> Result<(), Failure> {
        let until = Instant::now() + READY;
        loop {
            for (process, node) in self.processes.iter_mut().zip(&self.nodes) {
                if let Some(status) = process.try_wait()? {
                    return Err(format!("node {} ended: {status}", node.id).into());
                }
            }
            if let Some(first) = self.serving(program) {
                self.first = first;
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("takes no writes after {} s", READY.as_secs()).into());
            }
            thread::sleep(POLL);
        }
    }

    /// The node clients should go to, once the whole cluster is there.
    fn serving(&self, program: Program) -> Option<usize> {
        let answers = |command: &[&str]| -> Vec<Option<String>> {
            self.nodes.iter().map(|node| probe(node.redis_port, command)).collect()
        };
        let pongs = answers(&["PING"]);
        if !pongs.iter().all(|answer| answer.as_deref().is_some_and(|text| text.starts_with("+PONG"))) {
            return None;
        }
        if program == Program::Redis {
            let info = probe(self.nodes[0].redis_port, &["INFO", "replication"])?;
            return (info.matches("state=online").count() == 2).then_some(0);
        }
        let sets = answers(&["SET", "probe", "x"]);
        let mut takers =
            sets.iter().map(|answer| answer.as_deref().is_some_and(|text| text.starts_with("+OK")));
        match program {
            Program::Thermocline => takers.all(|taker| taker).then_some(0),
            _ => takers.position(|taker| taker),
        }
    }

    /// Client addresses, the one to begin with first.
    pub(crate) fn endpoints(&self) -> String {
        let (before, from) = self.nodes.split_at(self.first);
        let addresses: Vec<String> = from.iter().chain(before).map(Node::redis_address).collect();
        addresses.join(",")
    }

    /// The processes' numbers.
    pub(crate) fn pids(&self) -> String {
        let pids: Vec<String> = self.processes.iter().map(|process| process.id().to_string()).collect();
        pids.join(",")
    }

    /// The process clients begin at: the leader where there is one.
    pub(crate) fn first_pid(&self) -> u32 {
        self.processes[self.first].id()
    }

    /// Has clients in the first node's process drive the store; their report as JSON.
    pub(crate) fn drive(&self, arguments: &[String]) -> Result<Vec<u8>, Failure> {
        let words: Vec<&str> = std::iter::once("DRIVE").chain(arguments.iter().map(String::as_str)).collect();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.nodes[self.first].redis_port));
        let mut answers = BufReader::new(TcpStream::connect_timeout(&address, PROBE)?);
        answers.get_mut().write_all(command(&words).as_bytes())?;
        answers.get_mut().set_read_timeout(Some(DRIVEN))?;
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let length = line.strip_prefix('$').and_then(|length| length.trim_end().parse().ok());
        let length: usize =
            length.ok_or_else(|| format!("clients in the node's process: {}", line.trim_end()))?;
        let mut report = vec![0; length.min(REPORT_BYTES_MAX)];
        answers.read_exact(&mut report)?;
        Ok(report)
    }

    /// What the nodes have written about themselves, its end.
    pub(crate) fn last_words(&self) -> String {
        let mut words = String::new();
        for node in &self.nodes {
            let log = fs::read(self.log_path(node)).unwrap_or_default();
            let end = String::from_utf8_lossy(&log[log.len().saturating_sub(500)..]).into_owned();
            if !end.trim().is_empty() {
                words.push_str(&format!("\nnode {}: {}", node.id, end.trim()));
            }
        }
        words
    }

    fn log_path(&self, node: &Node) -> PathBuf {
        self.folder.join(format!("node-{}.txt", node.id))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // One that has ended already is what we want.
            drop(process.kill());
        }
        for process in &mut self.processes {
            drop(process.wait());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Ports that nobody listens at, from `base` up. Not the system's choice: that range is used for outgoing
/// connections too, one of which could take the port of a node that was killed.
fn free_ports(base: u16, count: usize) -> Result<Vec<u16>, Failure> {
    let ports: Vec<u16> = (base..base.saturating_add(1000))
        .filter(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .take(count)
        .collect();
    if ports.len() == count {
        Ok(ports)
    } else {
        Err(format!("fewer than {count} free ports above {base}").into())
    }
}

/// A command as Redis reads it.
fn command(words: &[&str]) -> String {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    command
}

/// Sends one command on a connection of its own; the beginning of its answer.
fn probe(port: u16, arguments: &[&str]) -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PROBE).ok()?;
    stream.set_read_timeout(Some(PROBE)).ok()?;
    stream.write_all(command(arguments).as_bytes()).ok()?;
    let mut answer = vec![0; 16 << 10];
    let bytes = stream.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..bytes]).into_owned())
}
