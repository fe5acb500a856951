//! What a worker wants done, and what it is told when it is.

use std::sync::Arc;

use bytes::Bytes;
use thermocline_paxos::{Bucket, Command, NodeId, Record, Slot, Ticket};
use thermocline_tiers::disk::AlignedBuffer;
use thermocline_tiers::hot::journal::{
    JournalBatch, JournalConfig, JournalError, JournalReader, Position, RecordHead, RecordKind, Sequence,
};
use thermocline_tiers::hot::state::{
    Finished, GetJob, Job as StateJob, Page, Record as StateRecord, ScanJob, StateError,
};

use super::admission::Admission;
use super::asking::Avoided;
use super::audit::{Finding, Reading};
use super::calls::CallKey;
use super::copies::{Copying, Piece};
use super::identity::IdentityFile;
use super::lives::{Life, Lived, Reach};
use super::peer_file::PeerFile;
use super::record_codec;
use super::stream::{Stretch, StretchWanted};
use super::wire::{self, Founding};
use super::witnessed::Witnessed;
use crate::error::Error;
use crate::plant::{self, Plant};
use crate::request::Outcome;
use crate::verify::VerifyReport;

/// Everything that a turn of a worker wants from the world.
#[derive(Default)]
pub(crate) struct Effects {
    /// Answers to callers of this process.
    pub(crate) replies: Vec<(u64, Outcome)>,
    /// Work for a disk thread.
    pub(crate) jobs: Vec<Job>,
    /// Where other nodes said that they can be reached.
    pub(crate) addresses: Vec<(NodeId, String)>,
    /// What verifications found, by the numbers that they came with.
    pub(crate) reports: Vec<(u64, VerifyReport)>,
    /// What other nodes said of their founding.
    pub(crate) founding: Vec<(NodeId, Founding)>,
    /// Records for the journal, in the order of their tickets; the last one is still being filled.
    submissions: Vec<Submission>,
    spare: Vec<Submission>,
    /// Records and bytes that were given to the journal and are not synced.
    unsynced: (usize, usize),
    scratch: Vec<u8>,
    config: JournalConfig,
    /// What the core asked for, for a test that looks on.
    #[cfg(feature = "test-util")]
    pub(crate) witnessed: Option<Vec<thermocline_paxos::Output>>,
}

/// Records that go to the journal together.
pub(crate) struct Submission {
    pub(crate) batch: JournalBatch,
    /// The records in their order; their positions are known when the batch is synced.
    pub(crate) records: Vec<Placed>,
    /// The ticket of the last record.
    pub(crate) through: Ticket,
    /// Once it is synced: a commit that it was, or that was synced with it.
    pub(crate) commit: Sequence,
}

impl Submission {
    /// The batch is synced, and so is this commit: its records lie where it says.
    pub(crate) fn place(&mut self, commit: Sequence) {
        self.commit = commit;
        for (record, position) in self.records.iter_mut().zip(self.batch.positions()) {
            record.position = Some(position);
        }
    }
}

/// Where a record lies, or will lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) bucket: Bucket,
    pub(crate) slot: Slot,
    pub(crate) has_command: bool,
    /// Whether it is a vote floor.
    pub(crate) is_floor: bool,
    /// Whether what was recorded of the bucket before counts for nothing.
    pub(crate) starts_anew: bool,
    /// `None` until the record is synced.
    pub(crate) position: Option<Position>,
}

impl Placed {
    /// A record of this kind that has no position yet.
    pub(crate) fn new(bucket: Bucket, slot: Slot, kind: u8) -> Self {
        Self {
            bucket,
            slot,
            has_command: record_codec::has_command(kind),
            is_floor: record_codec::is_floor(kind),
            starts_anew: record_codec::starts_anew(kind),
            position: None,
        }
    }

    /// A record that carries a slot's command.
    #[cfg(test)]
    pub(crate) fn of_command(bucket: Bucket, slot: Slot, position: Option<Position>) -> Self {
        Self { bucket, slot, has_command: true, is_floor: false, starts_anew: false, position }
    }
}

impl Effects {
    /// With the journal's limits.
    pub(crate) fn new(config: JournalConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// Adds a record to the journal's next commit.
    pub(super) fn journal(&mut self, bucket: Bucket, ticket: Ticket, record: &Record) {
        let (kind, slot) = record_codec::head(record);
        self.scratch.clear();
        record_codec::encode(&mut self.scratch, record);
        let head = RecordHead {
            bucket: thermocline_tiers::hot::Bucket(bucket.0),
            slot: thermocline_tiers::hot::Slot(slot.0),
            kind: RecordKind(kind),
        };
        if self.submissions.is_empty() {
            let fresh = self.fresh();
            self.submissions.push(fresh);
        }
        loop {
            let Some(last) = self.submissions.last_mut() else { unreachable!("one was made above") };
            let scratch = &self.scratch;
            let before = last.batch.byte_len();
            match last.batch.push(head, |payload| payload.put(scratch)) {
                Ok(_) => {
                    last.records.push(Placed::new(bucket, slot, kind));
                    last.through = ticket;
                    self.unsynced.0 += 1;
                    self.unsynced.1 += last.batch.byte_len() - before;
                    return;
                }
                Err(JournalError::BatchFull { .. }) if !last.batch.is_empty() => {
                    let fresh = self.fresh();
                    self.submissions.push(fresh);
                }
                Err(error) => unreachable!("a command was let in that the journal cannot hold: {error}"),
            }
        }
    }

    fn fresh(&mut self) -> Submission {
        self.spare.pop().unwrap_or_else(|| Submission {
            batch: JournalBatch::new(&self.config),
            records: Vec::new(),
            through: Ticket::default(),
            commit: Sequence(0),
        })
    }

    /// Remembers what the core asked for, if a test looks on.
    #[cfg(feature = "test-util")]
    pub(super) fn witness(&mut self, out: &thermocline_paxos::Output) {
        if let Some(witnessed) = &mut self.witnessed {
            witnessed.push(out.clone());
        }
    }

    /// The length of a segment of the journal.
    pub(super) fn segment_bytes(&self) -> u32 {
        self.config.segment_bytes
    }

    /// Takes what is to be written.
    pub(crate) fn take_submissions(&mut self) -> std::vec::Drain<'_, Submission> {
        self.submissions.drain(..)
    }

    /// How many records, and bytes of them, the journal has not synced yet.
    pub(super) fn unsynced(&self) -> (usize, usize) {
        self.unsynced
    }

    /// A submission is synced: its memory is used again.
    pub(crate) fn recycle(&mut self, mut submission: Submission) {
        self.unsynced.0 -= submission.records.len();
        self.unsynced.1 -= submission.batch.byte_len();
        submission.batch.clear();
        submission.records.clear();
        if self.spare.len() < SPARE_MAX {
            self.spare.push(submission);
        }
    }
}

/// At most so many used submissions are kept for reuse.
const SPARE_MAX: usize = 8;

/// Work that may block on a disk. Each can run on any thread.
pub(crate) enum Job {
    /// A get that must read a file.
    Get(CallKey, GetJob),
    /// A scan that must read a file.
    Scan(CallKey, ScanJob),
    /// A flush, merge or sweep of a part, by its place at this worker.
    State(usize, StateJob),
    /// Chosen commands for another node, from the journal, from slot `from` on without a gap.
    Fetch { to: NodeId, bucket: Bucket, from: Slot, places: Vec<Position>, bytes_max: usize },
    /// The next part of a stream.
    Stream(StretchWanted),
    /// The next piece of a bucket for another replica.
    Copy { to: NodeId, session: u64, copying: Box<Copying> },
    /// What is on the disk of some buckets, for an audit.
    Audit { to: NodeId, round: u64, reading: Box<Reading> },
    /// A life of a peer is to be written down before it is heard, with what its node has answered for. `founder`: the disk it had at the
    /// founding.
    Remember { file: Arc<PeerFile>, node: NodeId, life: Life, accounts: Vec<Lived>, founder: Option<u64> },
    /// What a third node remembers of a peer is to be written down.
    HearOf { file: Arc<PeerFile>, node: NodeId, told: Witnessed, founder: Option<u64> },
    /// Where a peer said that it can be reached is to be written down.
    RememberAddress { file: Arc<PeerFile>, node: NodeId, epoch: u64, address: String },
    /// All workers have forgotten what they promised: that is to be written down, with the lives that peers remember.
    Admit { admission: Arc<Admission>, identity: Arc<IdentityFile>, peers: Arc<PeerFile> },
    /// The state of these buckets, of all that are held, is durable beyond their vote floors.
    Lift { file: Arc<IdentityFile>, life: u64, lifted: Vec<u32>, held: Vec<u32> },
}

impl Job {
    /// Does it, blocking. `buffer` is for what is read of the journal, and can be used for the next job.
    pub(crate) fn run(self, reader: &JournalReader, buffer: &mut AlignedBuffer) -> Done {
        match self {
            Self::Get(key, get) => Done::Got(key, get.run()),
            Self::Scan(key, scan) => Done::Scanned(key, scan.run()),
            Self::State(part, job) => Done::State(part, job.run()),
            Self::Fetch { to, bucket, from, places, bytes_max } => {
                let commands = read_commands(reader, &places, bytes_max);
                Done::Fetched { to, bucket, from, commands }
            }
            Self::Stream(wanted) => Done::Streamed(wanted.read(reader, buffer)),
            Self::Copy { to, session, mut copying } => {
                let piece = copying.read();
                Done::Copied { to, session, copying, piece }
            }
            Self::Audit { to, round, reading } => Done::Audited { to, round, read: reading.run(reader) },
            Self::Remember { file, node, life, accounts, founder } => {
                Done::Remembered(node, file.remember(node.0, &life, &accounts, founder))
            }
            Self::HearOf { file, node, told, founder } => {
                Done::Remembered(node, file.hear_of(node.0, &told, founder))
            }
            Self::RememberAddress { file, node, epoch, address } => {
                Done::AddressRemembered(node, file.remember_address(node.0, epoch, &address))
            }
            Self::Admit { admission, identity, peers } => Done::Admitted(admission.write(&identity, &peers)),
            Self::Lift { file, life, lifted, held } => {
                Done::Lifted(file.lift(life, &lifted, held.into_iter()))
            }
        }
    }
}

/// Reads commands until one is missing or damaged, or the bytes are enough.
fn read_commands(reader: &JournalReader, places: &[Position], bytes_max: usize) -> Vec<Command> {
    let mut commands = Vec::new();
    let (mut buffer, mut bytes) = (Vec::new(), 0);
    for place in places {
        let record = match reader.read(*place, &mut buffer) {
            Ok(record) => record,
            Err(error) => {
                tracing::debug!(%error, "a command for a peer could not be read");
                break;
            }
        };
        let slot = Slot(record.head.slot.0);
        let payload = Bytes::copy_from_slice(record.payload);
        bytes += payload.len();
        let Some(command) = record_codec::command(record.head.kind.0, slot, payload) else { break };
        commands.push(command);
        if bytes >= bytes_max {
            break;
        }
    }
    commands
}

/// The end of a [`Job`].
pub(crate) enum Done {
    Got(CallKey, Result<Option<StateRecord>, StateError>),
    Scanned(CallKey, Result<Page, StateError>),
    State(usize, Finished),
    Fetched { to: NodeId, bucket: Bucket, from: Slot, commands: Vec<Command> },
    Streamed(Stretch),
    Copied { to: NodeId, session: u64, copying: Box<Copying>, piece: Result<Piece, StateError> },
    Audited { to: NodeId, round: u64, read: Vec<(Finding, Option<StateError>)> },
    Remembered(NodeId, Result<Witnessed, Error>),
    AddressRemembered(NodeId, Result<Witnessed, Error>),
    Admitted(Result<(), Error>),
    Lifted(Result<(), Error>),
}

/// Another node, and what there is to tell it.
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    /// Whether there is a link to it.
    pub(crate) up: bool,
    /// Items for the next frames' bodies.
    pub(crate) out: Vec<u8>,
    /// When they are to leave, if there are any: 0 for at once.
    due: u64,
    /// Where in `out` bodies begin, and which life of the node they are for.
    heads: Vec<(usize, u64)>,
    /// What is remembered, durably, of its lives.
    pub(crate) known: Option<Witnessed>,
    /// Whether a life of it is being written down.
    pub(crate) remembering: bool,
    /// Whether that is news for the others.
    pub(crate) to_spread: bool,
    /// Frames of a life that is being written down.
    pub(crate) held: Vec<Bytes>,
    /// How far its journal is written down to be.
    pub(crate) reach_written: Reach,
    /// When it was told last that it is not heard.
    pub(crate) complained: u64,
    /// Whether it is asked after the others for a while.
    pub(crate) avoided: Avoided,
}

impl Peer {
    pub(crate) fn new(node: NodeId) -> Self {
        Self {
            node,
            up: false,
            out: Vec::new(),
            due: 0,
            heads: Vec::new(),
            known: None,
            remembering: false,
            to_spread: false,
            held: Vec::new(),
            reach_written: Reach::default(),
            complained: 0,
            avoided: Avoided::default(),
        }
    }

    /// This is written down of its lives. What was heard in between, or further by this worker alone, is not unheard.
    pub(crate) fn written(&mut self, known: Witnessed) {
        self.known = Some(match &self.known {
            Some(heard) => Witnessed::hearing(Some(&known), heard, None),
            None => known,
        });
    }

    /// The life in which it is heard.
    pub(crate) fn life(&self) -> Option<u64> {
        self.known.as_ref().and_then(Witnessed::heard)
    }

    /// Adds an item that leaves with this turn's frame.
    pub(crate) fn add(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        self.add_by(0, put);
    }

    /// Adds an item that may wait until `due` for others to share a frame with.
    ///
    /// It goes into a new body if the last one is long already: a frame has a limit, and all that is in one too many is lost. So it does if that
    /// one is for an earlier life of the node, as the next would take an answer for one to a question of its own that has the same name.
    pub(crate) fn add_by(&mut self, due: u64, put: impl FnOnce(&mut Vec<u8>)) {
        if self.out.is_empty() {
            self.heads.clear();
            self.due = due;
        }
        self.due = self.due.min(due);
        let (end, hears) = (self.out.len(), self.life().unwrap_or_default());
        let goes_on = |&(start, life): &(usize, u64)| life == hears && end - start < BODY_BYTES;
        if !self.heads.last().is_some_and(goes_on) {
            self.heads.push((end, hears));
            wire::put_life(&mut self.out, &Life::default());
        }
        put(&mut self.out);
        if self.out.len() >= GATHERED_BYTES {
            self.due = 0;
        }
    }

    /// When there is something to tell, at the latest.
    pub(crate) fn due(&self) -> Option<u64> {
        (!self.out.is_empty()).then_some(self.due)
    }

    /// Says at the head of each body whose life it is from, and how far that is: as of now, because votes that were synced meanwhile are
    /// in it.
    pub(crate) fn sign(&mut self, life: &Life) {
        let mut head = Vec::with_capacity(64);
        for &(start, heard) in &self.heads {
            let hears =
                if plant::on(Plant::AnyLifeAnswered) { self.life().unwrap_or_default() } else { heard };
            head.clear();
            wire::put_life(&mut head, &Life { hears, ..*life });
            self.out[start..start + head.len()].copy_from_slice(&head);
        }
    }

    /// What there is to tell, in bodies of frames.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        let heads = if self.out.is_empty() { &[] } else { &self.heads[..] };
        let starts = heads.iter().map(|(start, _)| *start);
        let ends = starts.clone().skip(1).chain(std::iter::once(self.out.len()));
        starts.zip(ends).map(|(start, end)| &self.out[start..end])
    }
}

/// So much waits for no company.
const GATHERED_BYTES: usize = 256 << 10;

/// From so many bytes on, a body takes no further item.
const BODY_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_wait_leaves_with_what_may_not_and_in_its_order() {
        let mut peer = Peer::new(NodeId(2));
        assert_eq!(peer.due(), None);
        peer.add_by(7, |out| out.push(1));
        peer.add_by(9, |out| out.push(2));
        assert_eq!(peer.due(), Some(7));
        peer.add(|out| out.push(3));
        peer.add_by(7, |out| out.push(4));
        assert_eq!(peer.due(), Some(0));
        assert!(peer.bodies().next().unwrap().ends_with(&[1, 2, 3, 4]));
        peer.out.clear();
        peer.add_by(12, |out| out.push(5));
        assert_eq!(peer.due(), Some(12));
    }

    #[test]
    fn items_are_told_in_bodies_that_stay_far_below_a_frame() {
        let mut peer = Peer::new(NodeId(2));
        for round in 0..2 {
            assert_eq!(peer.bodies().count(), 0, "round {round}");
            let items: Vec<Vec<u8>> = (0..100_u8).map(|item| vec![item; 100_000]).collect();
            for item in &items {
                peer.add(|out| out.extend_from_slice(item));
            }
            let mut head = Vec::new();
            wire::put_life(&mut head, &Life::default());
            let bodies: Vec<&[u8]> =
                peer.bodies().map(|body| body.strip_prefix(&head[..]).unwrap()).collect();
            assert!(bodies.len() > 5 && bodies.iter().all(|body| body.len() < BODY_BYTES + 100_000));
            assert!(bodies.iter().all(|body| body.len() % 100_000 == 0), "no item is split");
            assert_eq!(bodies.concat(), items.concat());
            peer.out.clear();
        }
    }
}
