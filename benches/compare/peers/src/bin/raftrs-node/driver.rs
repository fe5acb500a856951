//! The thread that drives `RawNode`.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use peers::{Links, LogFile, Refusal, Set};
use protobuf::Message as _;
use raft::prelude::{ConfState, Entry, Message, RawNode, ReadOnlyOption, ReadState};
use raft::storage::MemStorage;
use raft::{Config, StateRole};
use tokio::sync::oneshot::Sender;

const TICK: Duration = Duration::from_millis(10);
/// Heartbeats every 50 ms.
const HEARTBEAT_TICKS: usize = 5;
/// An election after 300 to 600 ms of silence.
const ELECTION_TICKS: usize = 30;
/// Events taken in one turn, at most.
const EVENTS_MAX: usize = 4096;

type Outcome<T> = Result<T, Refusal>;
type Failure = Box<dyn Error>;

/// What the driver is told.
pub(crate) enum Event {
    /// A client's write, encoded.
    Set { data: Vec<u8>, tell: Sender<Outcome<()>> },
    /// A client's read.
    Get { key: Bytes, tell: Sender<Outcome<Option<Bytes>>> },
    /// A message of another node, encoded.
    Message(Bytes),
}

struct Read {
    key: Bytes,
    tell: Sender<Outcome<Option<Bytes>>>,
}

/// The library, its log and what the clients wait for.
pub(crate) struct Driver {
    node: RawNode<MemStorage>,
    log: LogFile,
    links: Links,
    leader: Arc<AtomicU64>,
    map: HashMap<Bytes, Bytes>,
    applied: u64,
    /// Writes by the ticket in their entry's context.
    writes: HashMap<u64, Sender<Outcome<()>>>,
    /// Reads of one turn by the context of their confirmation.
    unconfirmed: HashMap<u64, Vec<Read>>,
    /// Reads that may be answered once the index is applied.
    confirmed: Vec<(u64, Vec<Read>)>,
    /// The node's number in the upper 16 bits, so that no two nodes give the same ticket.
    ticket: u64,
}

impl Driver {
    pub(crate) fn new(
        id: u64,
        ids: Vec<u64>,
        log: LogFile,
        links: Links,
        leader: Arc<AtomicU64>,
    ) -> Result<Driver, Failure> {
        let storage = MemStorage::new_with_conf_state(ConfState::from((ids, Vec::new())));
        let config = Config {
            id,
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 256,
            check_quorum: true,
            pre_vote: true,
            read_only_option: ReadOnlyOption::Safe,
            ..Config::default()
        };
        let mut node = RawNode::new(&config, storage, &slog::Logger::root(slog::Discard, slog::o!()))?;
        node.set_batch_append(true);
        Ok(Driver {
            node,
            log,
            links,
            leader,
            map: HashMap::new(),
            applied: 0,
            writes: HashMap::new(),
            unconfirmed: HashMap::new(),
            confirmed: Vec::new(),
            ticket: id << 48,
        })
    }

    /// Runs until every sender of events is gone, or the log fails.
    pub(crate) fn run(mut self, events: &Receiver<Event>) -> Result<(), Failure> {
        let mut tick_at = Instant::now() + TICK;
        loop {
            let mut reads = Vec::new();
            match events.recv_timeout(tick_at.saturating_duration_since(Instant::now())) {
                Ok(first) => {
                    for event in std::iter::once(first).chain(events.try_iter()).take(EVENTS_MAX) {
                        self.take(event, &mut reads);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if !reads.is_empty() {
                self.confirm(reads);
            }
            if Instant::now() >= tick_at {
                self.node.tick();
                tick_at = Instant::now() + TICK;
            }
            if self.node.has_ready() {
                self.turn()?;
            }
        }
    }

    fn next_ticket(&mut self) -> u64 {
        self.ticket += 1;
        self.ticket
    }

    fn take(&mut self, event: Event, reads: &mut Vec<Read>) {
        match event {
            Event::Set { data, tell } => {
                let ticket = self.next_ticket();
                if self.node.raft.state != StateRole::Leader {
                    drop(tell.send(Err(Refusal::NotLeader)));
                    return;
                }
                match self.node.propose(ticket.to_le_bytes().to_vec(), data) {
                    Ok(()) => drop(self.writes.insert(ticket, tell)),
                    Err(error) => drop(tell.send(Err(Refusal::Failed(error.to_string())))),
                }
            }
            Event::Get { key, tell } => reads.push(Read { key, tell }),
            Event::Message(frame) => {
                let mut message = Message::default();
                // A message that does not decode or does not fit the state is dropped, as a network might.
                if message.merge_from_bytes(&frame).is_ok() {
                    drop(self.node.step(message));
                }
            }
        }
    }

    /// Asks a majority once for all reads of the turn.
    fn confirm(&mut self, reads: Vec<Read>) {
        if self.node.raft.state != StateRole::Leader {
            for read in reads {
                drop(read.tell.send(Err(Refusal::NotLeader)));
            }
            return;
        }
        let ticket = self.next_ticket();
        self.unconfirmed.insert(ticket, reads);
        self.node.read_index(ticket.to_le_bytes().to_vec());
    }

    /// One `Ready`, in the order the library asks for: a leader's messages may leave before its own sync, everything
    /// else that speaks of entries leaves after it.
    fn turn(&mut self) -> Result<(), Failure> {
        let mut ready = self.node.ready();
        self.send(ready.take_messages())?;
        if let Some(state) = ready.ss() {
            self.leader.store(state.leader_id, Ordering::Relaxed);
            if state.raft_state != StateRole::Leader {
                // Dropping the senders answers `Refusal::Unknown`.
                self.writes.clear();
                self.unconfirmed.clear();
                self.confirmed.clear();
            }
        }
        for state in ready.take_read_states() {
            self.note_confirmed(&state);
        }
        self.apply(ready.take_committed_entries())?;
        if !ready.entries().is_empty() {
            for entry in ready.entries() {
                self.log.stage(&entry.write_to_bytes()?);
            }
            self.node.mut_store().wl().append(ready.entries())?;
        }
        if let Some(hard_state) = ready.hs() {
            // A commit index that moved alone may be lost; a vote may not.
            if ready.must_sync() {
                self.log.stage(&hard_state.write_to_bytes()?);
            }
            self.node.mut_store().wl().set_hardstate(hard_state.clone());
        }
        self.log.sync()?;
        self.send(ready.take_persisted_messages())?;

        let mut light = self.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            self.node.mut_store().wl().mut_hard_state().set_commit(commit);
        }
        self.send(light.take_messages())?;
        self.apply(light.take_committed_entries())?;
        self.node.advance_apply();
        self.answer_reads();
        Ok(())
    }

    fn send(&self, messages: Vec<Message>) -> Result<(), Failure> {
        for message in messages {
            self.links.send(message.to, message.write_to_bytes()?);
        }
        Ok(())
    }

    fn apply(&mut self, entries: Vec<Entry>) -> Result<(), Failure> {
        for entry in entries {
            self.applied = entry.index;
            // An election leaves an empty entry.
            let Some(ticket) = entry.context.first_chunk::<8>().copied().map(u64::from_le_bytes) else {
                continue;
            };
            let set = Set::decode(entry.data).ok_or_else(|| format!("entry {} holds no set", entry.index))?;
            self.map.insert(set.key, set.value);
            if let Some(tell) = self.writes.remove(&ticket) {
                drop(tell.send(Ok(())));
            }
        }
        Ok(())
    }

    fn note_confirmed(&mut self, state: &ReadState) {
        let ticket = state.request_ctx.first_chunk::<8>().copied().map(u64::from_le_bytes);
        if let Some(reads) = ticket.and_then(|ticket| self.unconfirmed.remove(&ticket)) {
            self.confirmed.push((state.index, reads));
        }
    }

    fn answer_reads(&mut self) {
        let applied = self.applied;
        for (_, reads) in self.confirmed.extract_if(.., |(index, _)| *index <= applied) {
            for read in reads {
                drop(read.tell.send(Ok(self.map.get(&read.key).cloned())));
            }
        }
    }
}
