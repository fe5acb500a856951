//! A whole node as a machine that a test drives: events in, effects out; no thread, clock, socket or file of its own
//! (feature `test-util`).
//!
//! It is the very code of a running node: recovery, workers, journal, state, founding. What the runtime does with threads,
//! sockets and clocks, the driver does by hand, in whatever order it likes:
//!
//! - [`call`](Machine::call), [`frame`](Machine::frame), [`link_up`](Machine::link_up), [`tick`](Machine::tick) and the like
//!   tell a worker what has happened; [`turn`](Machine::turn) then ends its turn and says what it wants;
//! - records wait until [`begin_commit`](Machine::begin_commit) takes them; [`end_commit`](Machine::end_commit) makes them
//!   durable; [`synced`](Machine::synced) tells the workers;
//! - a [`Job`] is done by [`run`](Machine::run), on the disk, and told by [`done`](Machine::done);
//! - [`upkeep`](Machine::upkeep) makes segments of the journal ready and takes old ones back.
//!
//! To crash a machine, drop it and cut its disk's power
//! ([`MemoryDisk::power_cut`](thermocline_tiers::disk::MemoryDisk::power_cut)); to restart it, open the disk again.
//!
//! ```
//! use std::sync::Arc;
//! use thermocline::machine::{Call, Machine, MachineConfig, Reply};
//! use thermocline::{Key, Version};
//! use thermocline_tiers::disk::MemoryDisk;
//!
//! # fn main() -> Result<(), thermocline::Error> {
//! let config = MachineConfig { node: 1, nodes: vec![1], ..MachineConfig::small() };
//! let mut random = 0..;
//! let disk = Arc::new(MemoryDisk::new(1));
//! let mut machine = Machine::open(&config, disk, &mut || random.next().unwrap_or(0))?;
//! machine.begin(0)?;
//!
//! let key = Key::undated("alice");
//! let worker = machine.call(0, 7, Call::put(&key, "hello"), 1_000);
//! machine.turn(0, worker);
//! machine.begin_commit();
//! let synced = machine.end_commit()?;
//! machine.synced(1, synced);
//! let turn = machine.turn(1, worker);
//! assert_eq!(turn.replies, [(7, Ok(Reply::Written(Version(1))))]);
//! # Ok(())
//! # }
//! ```

mod call;
mod config;
mod look;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use thermocline_paxos::{NodeId, Output};
use thermocline_tiers::disk::{AlignedBuffer, Disk, Lock};
use thermocline_tiers::hot::journal::{Journal, JournalBatch, JournalError, JournalReader};

pub use self::call::{Call, Reply};
pub use self::config::MachineConfig;
pub use self::look::{Accounts, Indexed};
use crate::error::{Error, JOURNAL_DISK, StorageKind};
use crate::node::effects::{Done, Job as NodeJob, Submission};
use crate::node::founding::{Founder, Told};
use crate::node::identity::{Identity, IdentityFile};
use crate::node::journal_index::{History, Step};
use crate::node::peer_file::PeerFile;
use crate::node::reclaim::{self, Retained};
use crate::node::recovery::{Plan, recover};
use crate::node::route::{Dealing, Route};
use crate::node::wire;
use crate::node::worker::{Settings, Worker};
use crate::request::Consistency;

/// Whether a frame's body passes calls on, or answers such. A link never delivers a frame twice, and these rely on it: what is
/// told of a failed write counts copies. All else that nodes say may come again at any time.
#[must_use]
pub fn passes_calls_on(body: &Bytes) -> bool {
    let mut body = body.clone();
    while let Ok(Some(item)) = wire::take(&mut body) {
        let is_call = matches!(
            item,
            wire::Item::Forward { .. } | wire::Item::ForwardWrite { .. } | wire::Item::ForwardAnswer { .. }
        );
        if is_call {
            return true;
        }
    }
    false
}

/// A node without a runtime. See the module.
pub struct Machine {
    node: NodeId,
    boot: thermocline_paxos::Boot,
    route: Arc<Route>,
    dealing: Dealing,
    workers: Vec<Worker>,
    /// For each worker, how many of its submissions are not synced yet.
    outstanding: Vec<usize>,
    journal: Journal,
    reader: JournalReader,
    /// What waits for the next commit, and what is in the one under way, with the workers that it is from.
    waiting: Vec<(usize, Submission)>,
    committing: Vec<(usize, Submission)>,
    /// Whether the journal's disk has no room: new writes are refused.
    full: bool,
    retain: Retained,
    history: Option<History>,
    founder: Founder,
    damage: Vec<String>,
    peers: Arc<PeerFile>,
    identity: Arc<IdentityFile>,
    _lock: Box<dyn Lock>,
}

/// What a worker wants at the end of a turn.
#[derive(Default)]
pub struct Turn {
    /// Bodies of frames, and the nodes that they are for: each goes to the worker of the same number there.
    pub frames: Vec<(NodeId, Bytes)>,
    /// Answers to calls, by the numbers that they came with.
    pub replies: Vec<(u64, Result<Reply, Error>)>,
    /// Work for a disk.
    pub jobs: Vec<Job>,
    /// What other nodes said of their founding, to be given to [`Machine::founding`].
    pub foundings: Vec<Founding>,
    /// What the consensus core asked for in this turn.
    pub witnessed: Vec<Output>,
    /// Whether records were given to the journal.
    pub records: bool,
}

/// Work for a disk, of one worker.
pub struct Job {
    worker: usize,
    job: NodeJob,
}

/// The end of a [`Job`].
pub struct JobDone {
    worker: usize,
    done: Done,
}

impl JobDone {
    /// Whether the state on the disk may have changed.
    #[must_use]
    pub fn is_of_state(&self) -> bool {
        matches!(self.done, Done::State(..))
    }
}

/// What another node said of its founding.
pub struct Founding {
    from: NodeId,
    founding: wire::Founding,
}

/// Records that are durable now, for [`Machine::synced`].
#[derive(Default)]
pub struct Synced {
    submissions: Vec<(usize, Submission)>,
}

impl Synced {
    /// Whether there are none: the disk had no room.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.submissions.is_empty()
    }

    /// For each worker concerned, the last ticket of its core that is durable now.
    pub fn through(&self) -> impl Iterator<Item = (usize, thermocline_paxos::Ticket)> + '_ {
        self.submissions.iter().map(|(worker, submission)| (*worker, submission.through))
    }
}

impl Machine {
    /// Opens a disk, or makes it a node's; `random` stands for the operating system's random numbers.
    ///
    /// # Errors
    /// As opening a store.
    pub fn open(
        config: &MachineConfig,
        disk: Arc<dyn Disk>,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Self, Error> {
        let route = config.route()?;
        let locked = |error: std::io::Error| Error::storage(StorageKind::Locked, error.to_string());
        let lock = disk.lock(Path::new("")).map_err(locked)?;
        let identity = Identity {
            cluster: "simulated".into(),
            node: config.node,
            disk: random(),
            buckets: config.buckets,
            window_span_ms: config.window_span_ms,
            table: 1,
            parts: config.parts,
            ..Identity::default()
        };
        let settings = Settings {
            calls_max: config.calls_max,
            command_bytes_max: config.command_bytes_max,
            hedge_ms: config.hedge_ms,
            resend_ms: config.resend_ms,
            fetches_max: config.fetches_max,
            stream_from: config.stream_from,
            stream_bytes: config.stream_bytes,
            replay_bytes: config.replay_bytes,
            ..Settings::new(NodeId(config.node), random())
        };
        let plan = Plan {
            disk,
            identity,
            workers: config.workers,
            journal: config.journal(),
            state: config.state(),
            route: route.clone(),
            peers: config.others().collect(),
            settings,
            clients: (0..config.workers).map(|_| random()).collect(),
        };
        let mut recovered = recover(plan)?;
        recovered.write_first_commit()?;
        for worker in &mut recovered.workers {
            worker.effects().witnessed = Some(Vec::new());
        }
        let (boot, identity) = (recovered.boot(), recovered.identity);
        Ok(Self {
            node: NodeId(config.node),
            boot,
            route,
            dealing: recovered.dealing,
            outstanding: vec![0; recovered.workers.len()],
            workers: recovered.workers,
            reader: recovered.journal.reader(),
            journal: recovered.journal,
            waiting: Vec::new(),
            committing: Vec::new(),
            full: false,
            retain: Retained::new(config.retain_bytes, config.nodes.len() > 1),
            history: recovered.history,
            founder: Founder::new(identity.clone(), config.others().map(|node| node.0).collect()),
            damage: recovered.report.damage,
            peers: recovered.peers,
            identity,
            _lock: lock,
        })
    }

    /// Tells the workers what this node knows of its group's founding; to be called once, before anything else.
    ///
    /// # Errors
    /// When a group of one cannot write down that it is founded.
    pub fn begin(&mut self, now: u64) -> Result<(), Error> {
        let told = self.founder.begin()?;
        self.tell(now, &told);
        Ok(())
    }

    /// A call of a program at this node; `number` comes back with the answer. Returns the worker that took it.
    pub fn call(&mut self, now: u64, number: u64, call: Call, deadline_ms: u32) -> usize {
        let worker = match &call {
            Call::Resolve(token) => self.dealing.worker(thermocline_paxos::Bucket(token.bucket)) as usize,
            Call::Write { entity, .. } | Call::NewToken { entity } | Call::Scan { entity, .. } => {
                self.worker_of(entity)
            }
            Call::Get(key) => self.worker_of(&key.entity),
        };
        let refused = self.full && matches!(call, Call::Write { .. });
        let (hash, request) = call.into_request(deadline_ms, Consistency::Linearizable);
        if refused {
            let limit = "no room is left".into();
            let refusal = Error::Overloaded { what: JOURNAL_DISK, limit };
            self.workers[worker].effects().replies.push((number, Err(refusal)));
        } else {
            self.workers[worker].call(now, number, hash, request);
        }
        worker
    }

    /// A frame's body from another node.
    pub fn frame(&mut self, now: u64, worker: usize, from: NodeId, body: Bytes) {
        self.workers[worker].frame(now, from, body);
    }

    /// A link to another node opened: what it is told from now on may arrive.
    pub fn link_up(&mut self, now: u64, worker: usize, to: NodeId) {
        self.workers[worker].peer_up(now, to);
    }

    /// A link to another node closed.
    pub fn link_down(&mut self, now: u64, worker: usize, to: NodeId) {
        self.workers[worker].peer_down(now, to);
    }

    /// When a worker wants [`tick`](Self::tick) next.
    #[must_use]
    pub fn next_timer(&self, worker: usize) -> u64 {
        self.workers[worker].next_timer()
    }

    /// Time has passed. Due before each turn, too.
    pub fn tick(&mut self, now: u64, worker: usize) {
        self.workers[worker].tick(now);
    }

    /// Sets the wall clock, in milliseconds since the Unix epoch.
    pub fn set_wall_clock(&mut self, wall_ms: u64) {
        for worker in &mut self.workers {
            worker.set_wall_clock(wall_ms);
        }
    }

    /// Ends a worker's turn.
    pub fn turn(&mut self, now: u64, worker: usize) -> Turn {
        self.workers[worker].flush(now);
        let effects = self.workers[worker].effects();
        let mut turn = Turn::default();
        for submission in effects.take_submissions() {
            self.waiting.push((worker, submission));
            self.outstanding[worker] += 1;
            turn.records = true;
        }
        turn.jobs.extend(effects.jobs.drain(..).map(|job| Job { worker, job }));
        turn.replies.extend(effects.replies.drain(..).map(|(call, outcome)| (call, call::reply(outcome))));
        turn.foundings.extend(effects.founding.drain(..).map(|(from, founding)| Founding { from, founding }));
        turn.witnessed = effects.witnessed.replace(Vec::new()).unwrap_or_default();
        for peer in self.workers[worker].due_peers(now) {
            turn.frames.extend(peer.bodies().map(|body| (peer.node, Bytes::copy_from_slice(body))));
            peer.out.clear();
        }
        turn
    }

    /// Another node has told of its founding; what follows is written down.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn founding(&mut self, now: u64, founding: Founding) -> Result<(), Error> {
        for told in self.founder.hear(founding.from.0, founding.founding)? {
            self.tell(now, &told);
        }
        Ok(())
    }

    fn tell(&mut self, now: u64, told: &Told) {
        for worker in &mut self.workers {
            worker.found(now, told.founding.clone(), told.late);
        }
    }

    /// Takes all records that wait into a commit, unless one is under way. Says whether there is one now.
    pub fn begin_commit(&mut self) -> bool {
        if self.committing.is_empty() {
            std::mem::swap(&mut self.committing, &mut self.waiting);
        }
        !self.committing.is_empty()
    }

    /// Makes the records of the commit durable. When the disk is full, none is, nothing is wrong, and the commit is to be
    /// ended again later.
    ///
    /// # Errors
    /// When the journal fails: this node takes no part any more, see [`journal_failed`](Self::journal_failed).
    pub fn end_commit(&mut self) -> Result<Synced, Error> {
        let mut batches: Vec<&mut JournalBatch> =
            self.committing.iter_mut().map(|(_, submission)| &mut submission.batch).collect();
        let mut committed = self.journal.commit(&mut batches).map(|committed| (false, committed.sequence));
        if matches!(committed, Err(JournalError::Full { .. })) {
            let from_headroom = self.journal.commit_from_headroom(&mut batches);
            committed = from_headroom.map(|committed| (true, committed.sequence));
        }
        let commit = match committed {
            Ok((full, commit)) => {
                self.set_full(full);
                commit
            }
            Err(JournalError::Full { .. }) => {
                self.set_full(true);
                for worker in &mut self.workers {
                    worker.flush_parts();
                }
                return Ok(Synced::default());
            }
            Err(error) => return Err(crate::node::journal_error(&error)),
        };
        for (_, submission) in &mut self.committing {
            submission.place(commit);
        }
        Ok(Synced { submissions: std::mem::take(&mut self.committing) })
    }

    fn set_full(&mut self, full: bool) {
        self.full = full;
        for worker in &mut self.workers {
            worker.journal_full(full);
        }
    }

    /// Tells the workers that their records are durable.
    pub fn synced(&mut self, now: u64, synced: Synced) {
        for (worker, submission) in synced.submissions {
            self.outstanding[worker] -= 1;
            self.workers[worker].journal_synced(now, submission);
        }
    }

    /// Tells the workers that the journal has failed for good.
    pub fn journal_failed(&mut self, cause: &Error) {
        for worker in &mut self.workers {
            worker.node_failed(&format!("the journal failed: {cause}"));
        }
    }

    /// An idle journal's proof that its last commit was whole.
    ///
    /// # Errors
    /// When the journal fails.
    pub fn witness(&mut self) -> Result<(), Error> {
        self.journal.witness().map(|_| ()).map_err(|error| crate::node::journal_error(&error))
    }

    /// Makes the journal's next segment ready and takes old ones back. Says how many went.
    pub fn upkeep(&mut self) -> u64 {
        self.read_history();
        let preparer = self.journal.preparer();
        // A failure shows at the next commit.
        if preparer.prepare_next().is_ok() {
            self.set_full(false);
        }
        let needed = self.oldest_segment(Worker::needed_segment);
        let retain = if self.full { Retained::NOTHING } else { self.retain.beside(preparer.room()) };
        let active = preparer.active_generation();
        self.workers.iter_mut().for_each(|worker| worker.journal_is_at(active.0));
        let plan = reclaim::plan(&preparer.segments(), retain, needed, active);
        let mut released = 0;
        // As above.
        let replayed = self.oldest_segment(Worker::replayed_segment);
        let _ = preparer.replay_from(reclaim::replay_from(replayed, active));
        if let Some(first) = plan.first
            && let Ok(gone) = preparer.reclaim(first)
        {
            released = gone.segments;
            for worker in &mut self.workers {
                worker.segments_reclaimed(first.0);
            }
        }
        if plan.shorten {
            for worker in &mut self.workers {
                worker.shorten_journal();
            }
        }
        released
    }

    /// The oldest of the workers' segments, each told whether it has records that are not synced.
    fn oldest_segment(&self, of: impl Fn(&Worker, bool) -> u64) -> u64 {
        let workers = self.workers.iter().zip(&self.outstanding);
        workers.map(|(worker, outstanding)| of(worker, *outstanding > 0)).min().unwrap_or(0)
    }

    /// Indexes some of what the start has left unread in the journal, or all of it if a peer waits for that.
    fn read_history(&mut self) {
        let is_wanted = self.workers.iter().any(Worker::wants_past);
        while let Some(history) = &mut self.history {
            match history.step() {
                Step::Read => {}
                Step::Past(worker, past) => self.workers[worker].past_came(past),
                Step::Done => self.history = None,
            }
            if !is_wanted {
                return;
            }
        }
    }

    /// Does a job, on the disk.
    #[must_use]
    pub fn run(&self, job: Job) -> JobDone {
        JobDone { worker: job.worker, done: job.job.run(&self.reader, &mut AlignedBuffer::new()) }
    }

    /// Tells a job's worker that it is done; says which one that is.
    pub fn done(&mut self, now: u64, done: JobDone) -> usize {
        self.workers[done.worker].job_done(now, done.done);
        done.worker
    }

    fn worker_of(&self, entity: &[u8]) -> usize {
        self.dealing.worker(self.route.bucket(crate::node::entity_hash(entity))) as usize
    }
}
