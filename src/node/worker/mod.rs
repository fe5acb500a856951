//! One worker: a single-threaded, deterministic machine that owns a fixed share of the node's buckets.
//!
//! Events go in through the methods of `events.rs` and `clock.rs`, effects come out in [`Effects`] at the end of a turn. The runtime drives it with sockets, files and
//! clocks; a simulator can drive the very same code.
//!
//! **Nothing here reads a clock, opens a file or a socket, starts a thread, or draws randomness that was not handed in.**

mod clock;
mod events;
mod start;
mod status;
#[cfg(test)]
mod tests;
mod turn;

pub(super) use turn::COPIES_MS;
#[cfg(test)]
pub(super) use turn::NEWS_MS;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use thermocline_paxos::{Bucket, Core, NodeId, Output, Slot, Ticket};
use thermocline_tiers::hot::journal::Sequence;
use thermocline_tiers::hot::state::{Job as StateJob, Located, Part};

use super::active::ActiveBuckets;
use super::admission::Admission;
use super::apply::Decision;
use super::asking::Asking;
use super::audit::Audits;
use super::bucket_set::BucketSet;
use super::calls::{CallKey, Calls};
use super::catch_up::{FETCHES_MAX, Lack};
use super::copies::Copies;
use super::counters::Counters;
use super::effects::{Effects, Peer};
use super::holes::HolesFile;
use super::identity::IdentityFile;
use super::journal_index::JournalIndex;
use super::lives::{Life, Lives};
use super::loss::Losses;
use super::nudges::Nudges;
use super::pace::Pace;
use super::peer_file::PeerFile;
use super::read::Rounds;
use super::renewal::Renewal;
use super::route::{Dealing, Route};
use super::stream::{STRETCH_BYTES, Streams};
use super::timers::Timers;
use super::transfer::Transfers;
use super::upkeep::{LastFlush, Upkeep};
use super::wire::{Founding, Item};

/// What a worker is told when it is made.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) me: NodeId,
    /// Which worker of the node.
    pub(crate) index: u32,
    pub(crate) dealing: Dealing,
    /// Random for each worker and start: names its clients' tokens.
    pub(crate) client: u64,
    /// Seeds what is random in timing.
    pub(crate) seed: u64,
    /// At most so many unanswered calls.
    pub(crate) calls_max: usize,
    /// At most so many bytes of writes ride in one slot.
    pub(crate) command_bytes_max: usize,
    /// After so long without an answer from the node that a call was passed to, this node tries by itself.
    pub(crate) hedge_ms: u64,
    /// After so long an undecided own proposal is sent again.
    pub(crate) resend_ms: u64,
    /// At most so many bytes a second are copied to this worker from other replicas.
    pub(crate) transfer_bytes_s_max: u64,
    /// At most so many buckets are fetched at the same time.
    pub(crate) fetches_max: usize,
    /// When so many buckets wait to be fetched, they get what they lack as a stream.
    pub(crate) stream_from: usize,
    /// About so much of the journal is read for each part of a stream, in bytes.
    pub(crate) stream_bytes: u32,
    /// About so much of the journal a start has to replay at most, in bytes.
    pub(crate) replay_bytes: u64,
    /// How often the replicas are compared without being asked to, in milliseconds; 0 for never.
    pub(crate) audit_every_ms: u64,
    /// Whether what the disk has synced is durable.
    pub(crate) is_durable: bool,
    /// Where this node can be reached, as of an epoch of the topology: peers may have another address of it.
    pub(crate) address: Option<(u64, String)>,
}

impl Settings {
    /// The settings of a node where nothing else is wanted. Recovery gives each worker its index, its share and its client.
    pub(crate) const fn new(me: NodeId, seed: u64) -> Self {
        Self {
            me,
            index: 0,
            dealing: Dealing { parts: 1, workers: 1 },
            client: 0,
            seed,
            calls_max: 10_000,
            command_bytes_max: 1 << 20,
            hedge_ms: 20,
            resend_ms: 100,
            transfer_bytes_s_max: 64 << 20,
            fetches_max: FETCHES_MAX,
            stream_from: 256,
            stream_bytes: STRETCH_BYTES,
            replay_bytes: u64::MAX,
            is_durable: true,
            audit_every_ms: 0,
            address: None,
        }
    }
}

/// What a worker has of what its node keeps. The life is its own copy; the files and admissions are shared with the node's other workers.
#[derive(Clone)]
pub(crate) struct Kept {
    /// What this node says of itself in each frame.
    pub(crate) life: Life,
    /// What it accounts for, as of this life.
    pub(crate) lives: Arc<Lives>,
    pub(crate) identity: Arc<IdentityFile>,
    pub(crate) peers: Arc<PeerFile>,
    pub(crate) holes: Arc<HolesFile>,
    pub(crate) admission: Arc<Admission>,
}

/// A worker. See the module.
pub(crate) struct Worker {
    pub(super) settings: Settings,
    pub(super) route: Arc<Route>,
    /// This worker's buckets.
    owned: BucketSet,
    pub(super) core: Core,
    pub(super) parts: Vec<Part>,
    pub(super) peers: Vec<Peer>,
    pub(super) asking: Asking,
    pub(super) calls: Calls,
    /// Writes of which a copy may be in another node's command.
    pub(super) tokens: HashMap<(u64, u64), CallKey>,
    pub(super) next_token: u64,
    pub(super) active: ActiveBuckets,
    /// Active buckets that have something to do at the next flush.
    pub(super) driven: Vec<Bucket>,
    /// Active buckets that have something to do once their part has room.
    pub(super) held_buckets: Vec<Bucket>,
    /// Buckets whose state cannot be read: they are not served from here.
    pub(super) failed: HashSet<u32>,
    pub(super) rounds: Rounds,
    pub(super) timers: Timers,
    pub(super) index: JournalIndex,
    pub(super) effects: Effects,
    pub(super) counters: Counters,
    pub(super) decisions: Vec<Decision>,
    pub(super) out: Output,
    spare: Output,
    /// Of what is decided or read at this moment; empty otherwise. By the place of the part.
    pub(in crate::node) located: Vec<(usize, Located)>,
    /// Of the frame at hand; empty between frames.
    items: Vec<Item>,
    /// Calls of this process that nobody takes at present.
    pub(super) parked: Vec<CallKey>,
    next_parked: u64,
    /// Slots for which a timer to finish them is set: one for all reads that wait.
    finishing: HashSet<(Bucket, Slot)>,
    /// Whether this node takes part in consensus: false until its group is founded.
    pub(super) founded: bool,
    pub(super) founding: Option<Founding>,
    /// When a node that is not founded tells the others again.
    next_founding: u64,
    pub(super) kept: Kept,
    pub(super) audits: Audits,
    pub(super) losses: Losses,
    /// How fast buckets get to vote again.
    learning: Pace,
    pub(super) copies: Copies,
    pub(super) transfers: Transfers,
    /// How far this worker is with the node's admissions, and what has to be synced before it has forgotten.
    pub(super) admissions: u64,
    pub(super) forgetting: Option<Ticket>,
    /// The version of what the node remembers of its peers that this worker has seen.
    pub(super) peers_version: u64,
    /// Whether another directory has taken this one's place.
    pub(super) replaced: bool,
    /// Whether buckets are listed in the identity as forgotten.
    pub(super) to_lift: bool,
    /// When it is written down next how far the peers' journals are.
    pub(super) next_reach: u64,
    /// When the others are told next how far some buckets are, and from which bucket on.
    pub(super) next_hint: u64,
    pub(super) hinted_through: u32,
    /// When slots that keep old journal segments are looked for next.
    next_straggler: u64,
    /// When the floors of buckets that only learn are asked for next.
    pub(super) next_floor_question: u64,
    pub(super) nudges: Nudges,
    /// The segment of the journal that was written to when it was told last.
    pub(super) active_segment: u64,
    /// When it sets out to have a slot decided next, while the journal is full.
    pub(super) next_decision_when_full: u64,
    /// Buckets of which decisions are let in meanwhile.
    pub(super) let_in: HashSet<u32>,
    /// Undecided slots that are being recorded again, if any are.
    pub(super) renewal: Option<Renewal>,
    random: u64,
    next_sweep: u64,
    pub(super) last_tick: u64,
    /// The upkeep of each part.
    pub(super) upkeep: Vec<Upkeep>,
    /// The last flush of each part, once the node ends.
    pub(super) last_flush: Vec<LastFlush>,
    /// Wall clock of the last event, in milliseconds since the Unix epoch: only for expiry.
    pub(super) wall_ms: u64,
    /// The buckets in which decisions were heard of lately, and when.
    pub(super) news: VecDeque<(u64, Bucket)>,
    pub(super) catch_up: VecDeque<Lack>,
    /// The buckets in `catch_up`, each once.
    pub(super) catch_up_holds: HashSet<u32>,
    /// Buckets whose next command could not be applied when it was decided.
    pub(super) unapplied: HashSet<u32>,
    /// It takes no part any more, whatever it hears.
    pub(super) stopped: bool,
    pub(super) fetches: usize,
    pub(super) streams: Streams,
    /// Reads of the journal for other nodes that are under way.
    pub(super) fetch_jobs: usize,
    /// Fetches of other nodes that wait until what was recorded before them is synced.
    pub(super) fetches_asked: VecDeque<FetchAsked>,
    /// Jobs of parts that wait until the record of that ticket is synced.
    pub(super) held_jobs: VecDeque<(Ticket, usize, StateJob)>,
    /// Whether the journal's disk has no room: nothing new is recorded, so that its headroom lasts for what is under way.
    pub(super) journal_full: bool,
    /// Whether records that were synced are being taken in, and whether the last own command was decided by that: then this node's disk is
    /// later than the votes of its peers, or there are none.
    syncing: bool,
    decided_by_sync: bool,
    /// The last record given to the journal, and the last one synced.
    pub(super) last_ticket: Ticket,
    pub(super) synced: Ticket,
    /// A commit of the journal that is synced, with all that is taken in of it.
    pub(super) synced_commit: Sequence,
}

/// A fetch of another node: what it wants, and the record that must be synced first.
pub(super) struct FetchAsked {
    pub(super) after: Ticket,
    pub(super) to: NodeId,
    pub(super) bucket: Bucket,
    pub(super) first: Slot,
    pub(super) last: Slot,
}
