//! The program itself, as processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::free_ports;

/// A node that is not as it should be after so long never will be.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program, with its arguments.
pub(crate) fn thermocline(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thermocline"));
    command.args(arguments);
    command
}

/// What the program says and how it ends.
pub(crate) fn ends(arguments: &[&str]) -> Output {
    thermocline(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The nodes of a cluster as processes.
pub(crate) struct Processes {
    pub(crate) root: tempfile::TempDir,
    pub(crate) topology: PathBuf,
    pub(crate) redis_ports: Vec<u16>,
    nodes: Vec<Option<Child>>,
    /// Machines whose place was taken, and that were switched on again.
    ghosts: Vec<Child>,
}

impl Processes {
    /// Writes a topology and starts its nodes.
    pub(crate) fn start(nodes: usize) -> Self {
        Self::start_with(nodes, "")
    }

    /// The same, with settings.
    pub(crate) fn start_with(nodes: usize, settings: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("settings.toml"), settings).unwrap();
        let ports = free_ports(2 * nodes);
        let (peers, redis_ports) = ports.split_at(nodes);
        let mut text = format!("cluster = \"processes\"\nreplicas = {nodes}\nbuckets = 1024\n");
        for (index, (peer, redis)) in peers.iter().zip(redis_ports).enumerate() {
            let directory = root.path().join(format!("node-{}", index + 1));
            text.push_str(&format!(
                "[[node]]\nid = {}\nzone = \"z{index}\"\naddress = \"127.0.0.1:{peer}\"\nredis = \"127.0.0.1:{redis}\"\ndirectory = {:?}\n",
                index + 1,
                directory
            ));
        }
        let topology = root.path().join("topology.toml");
        std::fs::write(&topology, text).unwrap();
        let redis_ports = redis_ports.to_vec();
        let dead = (0..nodes).map(|_| None).collect();
        let mut processes = Self { root, topology, redis_ports, nodes: dead, ghosts: Vec::new() };
        // A new cluster founds itself when all its nodes are there.
        let all: Vec<usize> = (0..nodes).collect();
        processes.start_together(&all);
        // Being up is not being founded: each node serves once all of them have met.
        for node in 0..nodes {
            processes.wait_until(node, &["buckets_learning:0"]);
        }
        processes
    }

    /// Waits until a node says all of this of itself.
    pub(crate) fn wait_until(&self, node: usize, lines: &[&str]) {
        let mut client = self.client(node);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let info = client.call(&["INFO"]);
            if lines.iter().all(|line| info.contains(&format!("{line}\r\n"))) {
                return;
            }
            assert!(Instant::now() < deadline, "node {} is not at {lines:?}:\n{info}", node + 1);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn command(&self, what: &str, node: usize) -> Command {
        let mut command = thermocline(&[what, "--log", "error", "--node", &(node + 1).to_string()]);
        command.arg("--topology").arg(&self.topology);
        command.arg("--config").arg(self.root.path().join("settings.toml"));
        command.stdout(Stdio::piped());
        command
    }

    fn spawn(&self, node: usize) -> Child {
        self.command("serve", node).spawn().unwrap()
    }

    /// Has a new machine, with an empty directory and addresses of its own, take a dead node's place.
    pub(crate) fn replace(&mut self, node: usize) {
        let ports = free_ports(2);
        let [address, redis] = [ports[0], ports[1]].map(|port| format!("127.0.0.1:{port}"));
        let mut replace = self.command("replace", node);
        replace.args(["--address", &address, "--redis", &redis, "--directory"]);
        replace.arg(self.root.path().join("new-machine"));
        self.redis_ports[node] = ports[1];
        self.nodes[node] = Some(up(replace.spawn().unwrap()));
    }

    /// Where a node of the topology keeps its files.
    pub(crate) fn directory(&self, node: usize) -> PathBuf {
        self.root.path().join(format!("node-{}", node + 1))
    }

    /// Switches a machine on again whose place was taken; a client of it.
    pub(crate) fn raise(&mut self, node: usize) -> Client {
        let (line, ghost) = first_line(self.spawn(node));
        self.ghosts.push(ghost);
        let port = line.trim_end().rsplit(':').next().unwrap().parse().unwrap();
        Client::of(port)
    }

    /// Starts several nodes before one is waited for.
    pub(crate) fn start_together(&mut self, nodes: &[usize]) {
        let starting: Vec<_> = nodes.iter().map(|&node| (node, self.spawn(node))).collect();
        for (node, child) in starting {
            self.nodes[node] = Some(up(child));
        }
    }

    /// Starts a node again, and waits until it serves.
    pub(crate) fn restart(&mut self, node: usize) {
        self.nodes[node] = Some(up(self.spawn(node)));
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, node: usize) {
        let mut child = self.nodes[node].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Tells a node to stop, and waits until it has.
    pub(crate) fn terminate(&mut self, node: usize) -> ExitStatus {
        let mut child = self.nodes[node].take().unwrap();
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        child.wait().unwrap()
    }

    /// A connection to a node's front.
    pub(crate) fn client(&self, node: usize) -> Client {
        Client::of(self.redis_ports[node])
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten().chain(&mut self.ghosts) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until a node says that it is up.
fn up(child: Child) -> Child {
    first_line(child).1
}

/// The line with which a node says that it is up.
fn first_line(mut child: Child) -> (String, Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("node "), "the node said {line:?} and ended with {:?}", child.try_wait());
    (line, child)
}

/// A Redis client of a few lines.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn of(port: u16) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap()) }
    }

    /// Sends one request and returns its reply as text: parts of an array between brackets, nil as `nil`.
    pub(crate) fn call(&mut self, words: &[&str]) -> String {
        self.send(words);
        self.reply()
    }

    pub(crate) fn send(&mut self, words: &[&str]) {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        self.stream.get_mut().write_all(&bytes).unwrap();
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// What is left until the connection ends.
    pub(crate) fn rest(mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).unwrap();
        rest
    }

    pub(crate) fn reply(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let (kind, text) = line.trim_end().split_at(1);
        match kind {
            "+" | "-" | ":" => text.to_owned(),
            "_" => "nil".to_owned(),
            "$" | "=" => match text.parse::<i64>().unwrap() {
                -1 => "nil".to_owned(),
                length => {
                    let mut bytes = vec![0; length as usize + 2];
                    self.stream.read_exact(&mut bytes).unwrap();
                    assert_eq!(&bytes[length as usize..], b"\r\n");
                    String::from_utf8(bytes[..length as usize].to_vec()).unwrap()
                }
            },
            "*" | "%" => match text.parse::<i64>().unwrap() {
                -1 => "nil".to_owned(),
                count => {
                    let count = if kind == "%" { 2 * count } else { count };
                    let parts: Vec<_> = (0..count).map(|_| self.reply()).collect();
                    format!("[{}]", parts.join(" "))
                }
            },
            other => panic!("{other} is no kind of reply: {line:?}"),
        }
    }

    /// Calls until the reply is not that trying again can help.
    pub(crate) fn call_until_served(&mut self, words: &[&str]) -> String {
        for _ in 0..200 {
            let reply = self.call(words);
            if !reply.starts_with("UNAVAILABLE") && !reply.starts_with("UNKNOWN") {
                return reply;
            }
        }
        panic!("{words:?} was not served after 200 attempts");
    }
}

/// The text of a path.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
