//! The nodes as processes: started, killed, stopped, and watched for ending by themselves.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::ground::Ground;
use crate::target::{Health, Target};

/// Where distributions put the library that lies about the time.
const FAKETIME: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

/// How long a tracer may take to attach itself to all threads of a node.
const TRACER_MAX: Duration = Duration::from_secs(5);

/// A running cluster and what it stands on.
pub(crate) struct Cluster {
    pub(crate) target: Target,
    pub(crate) ground: Ground,
    nodes: Vec<Mutex<Node>>,
    /// Nodes that ended although nobody ended them.
    ended: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Node {
    child: Option<Child>,
    /// What its clock is off by, as `libfaketime` reads it.
    clock: Option<String>,
    /// Slows its disk down.
    tracer: Option<Child>,
    /// It may end by itself now: its disk is full, say.
    may_end: bool,
}

impl Cluster {
    /// Starts all nodes and waits until all have met.
    pub(crate) fn start(target: Target, ground: Ground) -> io::Result<Self> {
        target.prepare(&ground.root, &ground.places)?;
        let nodes = ground.places.iter().map(|_| Mutex::default()).collect();
        let cluster = Self { target, ground, nodes, ended: Mutex::default() };
        for node in 0..cluster.len() {
            cluster.start_node(node)?;
        }
        if !cluster.wait_until_whole(Duration::from_secs(120)) {
            return Err(io::Error::other("the nodes do not come up; their logs say why"));
        }
        Ok(cluster)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Starts a node that is down.
    pub(crate) fn start_node(&self, number: usize) -> io::Result<()> {
        let mut node = self.nodes[number].lock();
        if node.child.is_some() {
            return Ok(());
        }
        let mut command = self.target.command(&self.ground.root, &self.ground.places, number);
        let log = OpenOptions::new().create(true).append(true).open(self.log(number))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        if let (Some(clock), Some(library)) = (&node.clock, faketime()) {
            command.env("LD_PRELOAD", library).env("FAKETIME", clock).env("DONT_FAKE_MONOTONIC", "1");
        }
        die_with_parent(&mut command);
        self.ground.network.enter(number, &mut command)?;
        node.child = Some(command.spawn()?);
        Ok(())
    }

    fn log(&self, node: usize) -> PathBuf {
        self.ground.root.join(format!("node-{}.log", node + 1))
    }

    /// `kill -9`; says whether there was something to kill.
    pub(crate) fn kill(&self, number: usize) -> bool {
        let mut node = self.nodes[number].lock();
        stop_tracer(&mut node);
        let Some(mut child) = node.child.take() else { return false };
        let alive = child.try_wait().is_ok_and(|ended| ended.is_none());
        let _ = child.kill();
        let _ = child.wait();
        alive
    }

    /// Stops a node where it is; says whether it stands.
    pub(crate) fn pause(&self, number: usize) -> bool {
        let node = self.nodes[number].lock();
        let Some(child) = &node.child else { return false };
        signal(child, libc::SIGSTOP);
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            if state(child) == Some('T') {
                return true;
            }
            thread::sleep(Duration::from_millis(1));
        }
        false
    }

    pub(crate) fn resume(&self, number: usize) {
        if let Some(child) = &self.nodes[number].lock().child {
            signal(child, libc::SIGCONT);
        }
    }

    /// What a node's clock is off by from its next start on; `None`: it is right.
    pub(crate) fn set_clock(&self, number: usize, clock: Option<String>) {
        self.nodes[number].lock().clock = clock;
    }

    /// Makes a node's writes and syncs take longer, or fail; says whether that was possible.
    pub(crate) fn disturb_disk(&self, number: usize, how: Disturbance) -> bool {
        let mut node = self.nodes[number].lock();
        let calls = "fsync,fdatasync,pwrite64,pwritev,pwritev2";
        let injected = match how {
            Disturbance::Slow { milliseconds } => {
                format!("inject={calls}:delay_exit={}", milliseconds * 1000)
            }
            Disturbance::Failing => format!("inject={calls}:error=EIO"),
        };
        node.tracer = tracer(&node, &["-e", &format!("trace={calls}"), "-e", &injected]);
        is_traced_soon(&mut node)
    }

    /// Whether a node has ended by itself and was not started again.
    pub(crate) fn has_ended(&self, number: usize) -> bool {
        let mut node = self.nodes[number].lock();
        node.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_some()))
    }

    pub(crate) fn leave_disk(&self, number: usize) {
        stop_tracer(&mut self.nodes[number].lock());
    }

    /// Whether a node may end by itself from now on without that being a finding.
    pub(crate) fn may_end(&self, number: usize, may: bool) {
        self.nodes[number].lock().may_end = may;
    }

    /// Starts again what ended by itself, and keeps in mind that it did.
    pub(crate) fn tend(&self) {
        for number in 0..self.len() {
            let mut node = self.nodes[number].lock();
            let ended = node.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = ended {
                node.child = None;
                if !node.may_end {
                    let why = format!(
                        "node {} ended by itself: {status}; its log ends: {}",
                        number + 1,
                        tail(&self.log(number))
                    );
                    self.ended.lock().push(why);
                }
                drop(node);
                if let Err(error) = self.start_node(number) {
                    self.ended.lock().push(format!("node {} cannot be started: {error}", number + 1));
                }
            }
        }
    }

    /// Nodes that ended although nobody ended them.
    pub(crate) fn ended(&self) -> Vec<String> {
        self.ended.lock().clone()
    }

    pub(crate) fn health(&self, node: usize) -> Health {
        self.target.health(self.ground.places[node].clients)
    }

    pub(crate) fn is_whole(&self) -> bool {
        (0..self.len()).all(|node| self.health(node) == Health::Whole)
    }

    pub(crate) fn wait_until_whole(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if self.is_whole() {
                return true;
            }
            self.tend();
            thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in 0..self.len() {
            self.kill(node);
        }
    }
}

/// What is done to a node's writes and syncs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disturbance {
    Slow { milliseconds: u64 },
    Failing,
}

/// The library that lies about the time, where it is installed.
pub(crate) fn faketime() -> Option<&'static str> {
    FAKETIME.into_iter().find(|path| Path::new(path).exists())
}

/// Whether one process may stand between another and the kernel here: tried out once, on one that sleeps.
pub(crate) fn can_trace() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let Ok(child) = Command::new("sleep").arg("5").spawn() else { return false };
        let mut sleeper = Node { child: Some(child), ..Node::default() };
        sleeper.tracer = tracer(&sleeper, &["-e", "trace=none"]);
        let traced = is_traced_soon(&mut sleeper);
        stop_tracer(&mut sleeper);
        if let Some(mut child) = sleeper.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        traced
    })
}

/// Puts a tracer between a node and the kernel; it takes its time to get there.
fn tracer(node: &Node, arguments: &[&str]) -> Option<Child> {
    let traced = node.child.as_ref()?.id().to_string();
    Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-p", &traced])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

/// A node must not outlive a harness that is killed.
fn die_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec only `prctl` is called, which is a bare system call.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}

/// Waits for a node's tracer to get between it and the kernel; says whether it did.
fn is_traced_soon(node: &mut Node) -> bool {
    let until = Instant::now() + TRACER_MAX;
    loop {
        if child_is_traced(node) {
            return true;
        }
        let tries =
            node.tracer.as_mut().is_some_and(|tracer| tracer.try_wait().is_ok_and(|end| end.is_none()));
        if !tries || Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether somebody stands between a process and the kernel; or did, until it ended of it.
fn child_is_traced(node: &Node) -> bool {
    let Some(child) = &node.child else { return false };
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0") || state(child) == Some('Z')
}

fn stop_tracer(node: &mut Node) {
    if let Some(mut tracer) = node.tracer.take() {
        // Not by force: it has to let go of the node first.
        signal(&tracer, libc::SIGTERM);
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && tracer.try_wait().is_ok_and(|ended| ended.is_none()) {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = tracer.kill();
        let _ = tracer.wait();
    }
}

fn signal(child: &Child, signal: libc::c_int) {
    // SAFETY: it only sends a signal, to a child that was not waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
}

/// The letter with which the kernel says what a process does.
fn state(child: &Child) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().take(3).collect::<Vec<_>>().join(" | ")
}
