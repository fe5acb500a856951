//! The program itself, as processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use crate::support::free_ports;

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
    _root: tempfile::TempDir,
    pub(crate) topology: PathBuf,
    pub(crate) redis_ports: Vec<u16>,
    nodes: Vec<Option<Child>>,
}

impl Processes {
    /// Writes a topology and starts its nodes.
    pub(crate) fn start(nodes: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
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
        let mut processes =
            Self { _root: root, topology, redis_ports, nodes: (0..nodes).map(|_| None).collect() };
        // A new cluster founds itself when all its nodes are there: all are started before one is waited for.
        let starting: Vec<_> = (0..nodes).map(|node| processes.spawn(node)).collect();
        for (node, child) in starting.into_iter().enumerate() {
            processes.nodes[node] = Some(up(child));
        }
        // Being up is not being founded: each node serves once all of them have met.
        for node in 0..nodes {
            let mut client = processes.client(node);
            while !client.call(&["INFO"]).contains("buckets_learning:0\r\n") {
                std::thread::yield_now();
            }
        }
        processes
    }

    fn spawn(&self, node: usize) -> Child {
        let id = (node + 1).to_string();
        thermocline(&["serve", "--node", &id, "--log", "error", "--topology"])
            .arg(&self.topology)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
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
        let stream = TcpStream::connect(("127.0.0.1", self.redis_ports[node])).unwrap();
        Client { stream: BufReader::new(stream) }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until a node says that it is up.
fn up(mut child: Child) -> Child {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("node "), "the node said {line:?} and ended with {:?}", child.try_wait());
    child
}

/// A Redis client of a few lines.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
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
