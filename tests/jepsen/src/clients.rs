//! The clients: each asks one thing after the other, writes down what it asked and what it was answered, and knows nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use thermocline_checkers::{Call, History, Operation, Outcome};

use crate::cluster::Cluster;
use crate::random::Random;
use crate::resp::Connection;
use crate::target::{Answered, Kind, Learnt};
use crate::workload::{CLIENTS_OF_A_GROUP, Workload};

/// How long a client waits for an answer. A node gives up before.
const PATIENCE: Duration = Duration::from_millis(3_000);
/// How long a key is tried at the end.
const PATIENCE_FOR_A_KEY: Duration = Duration::from_secs(15);
/// A client whose operation has an unknown outcome goes on as another process, with a number so much higher.
const PROCESSES_APART: u64 = 1_000;
/// How often a token is asked about.
const RESOLVE_ATTEMPTS: usize = 10;
/// Processes that read at the end have numbers from here on.
const READERS_FROM: u64 = 1 << 40;

/// What clients share.
pub(crate) struct Shared<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) workload: &'a Workload,
    pub(crate) began: Instant,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) seed: u64,
}

impl Shared<'_> {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// One client.
struct Client<'a> {
    shared: &'a Shared<'a>,
    process: u64,
    node: usize,
    connection: Option<Connection>,
    random: Random,
    history: History,
}

/// Asks until told to stop; gives what it saw.
pub(crate) fn work(shared: &Shared, number: usize) -> History {
    let _guard = StopAll(shared.stop);
    let random = Random::new(shared.seed, 100 + number as u64);
    let node = number % shared.cluster.len();
    let mut client =
        Client { shared, process: number as u64, node, connection: None, random, history: History::new() };
    while !shared.stop.load(Ordering::SeqCst) {
        client.turn(number / CLIENTS_OF_A_GROUP);
    }
    client.history
}

/// A client that panics, because it was answered what nobody may answer, ends the run: the others would go on for ever.
struct StopAll<'a>(&'a AtomicBool);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

/// Reads keys through one node until every one has been read or time is up.
pub(crate) fn read(
    shared: &Shared,
    node: usize,
    reader: u64,
    keys: &[(u64, Kind)],
    until: Instant,
) -> History {
    let random = Random::new(shared.seed, READERS_FROM + reader);
    let mut client = Client {
        shared,
        process: READERS_FROM + reader,
        node,
        connection: None,
        random,
        history: History::new(),
    };
    for &(key, kind) in keys {
        let call = if matches!(kind, Kind::Entity | Kind::List) { Call::Scan } else { Call::Read };
        // One that is not served must not keep the others from being read.
        let until = until.min(Instant::now() + PATIENCE_FOR_A_KEY);
        while Instant::now() < until {
            client.node = node;
            if client.connect() {
                let operation = client.ask(kind, key, call.clone(), None);
                if operation.reply().is_some() {
                    client.history.push(operation);
                    break;
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    client.history
}

impl Client<'_> {
    fn turn(&mut self, group: usize) {
        // Now and then to another node, without a reason.
        if self.random.percent(1) {
            self.leave();
        }
        if !self.connect() {
            self.leave();
            thread::sleep(Duration::from_millis(5));
            return;
        }
        let (kind, key, call) = self.shared.workload.next(group, &mut self.random);
        let only_at = self.shared.cluster.target.only_at(&call);
        let operation = self.ask(kind, key, call, only_at);
        self.shared.workload.learn(group, &operation);
        let (outcome, changes, token) =
            (operation.outcome.clone(), operation.changes(), operation.token.clone());
        self.history.push(operation);
        if outcome == Outcome::Unknown {
            self.process += PROCESSES_APART;
            self.leave();
            if let Some(token) = token.filter(|_| changes) {
                self.resolve(kind, key, &token);
            }
        } else if matches!(outcome, Outcome::Failed { .. }) {
            self.leave();
            thread::sleep(Duration::from_millis(self.random.between(1, 20)));
        }
    }

    /// Asks any node what became of a write, until one knows.
    fn resolve(&mut self, kind: Kind, key: u64, token: &str) {
        for _ in 0..RESOLVE_ATTEMPTS {
            if self.connect() {
                let operation = self.ask(kind, key, Call::Resolve(token.into()), None);
                if operation.reply().is_some() {
                    self.history.push(operation);
                    return;
                }
            }
            self.leave();
            thread::sleep(Duration::from_millis(self.random.between(10, 200)));
        }
    }

    fn ask(&mut self, kind: Kind, key: u64, call: Call, only_at: Option<usize>) -> Operation {
        if let Some(node) = only_at.filter(|&node| node != self.node) {
            self.node = node;
            self.connection = None;
        }
        let invoked = self.shared.now();
        let learnt = if self.connect() {
            self.shared.cluster.target.ask(&mut self.connection, kind, key, &call)
        } else {
            // Nothing was sent.
            Learnt { outcome: Answered::Failed, token: None }
        };
        let outcome = learnt.outcome.at(self.shared.now());
        let token = learnt.token.map(String::into_boxed_str);
        if only_at.is_some() {
            self.leave();
        }
        Operation { process: self.process, key, call, invoked, outcome, token }
    }

    fn connect(&mut self) -> bool {
        if self.connection.is_none() {
            let address = self.shared.cluster.ground.places[self.node].clients;
            self.connection = Connection::open(address, PATIENCE).ok();
        }
        self.connection.is_some()
    }

    /// The next question goes to another node, or to the same one by chance.
    fn leave(&mut self) {
        let node = self.random.below(self.shared.cluster.len() as u64) as usize;
        if node != self.node {
            self.node = node;
            self.connection = None;
        }
    }
}
