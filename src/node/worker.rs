//! One worker: a single-threaded, deterministic machine that owns a fixed share of the node's buckets.
//!
//! Events go in through the methods below, effects come out in [`Effects`]. The runtime drives it with sockets, files and
//! clocks; a simulator can drive the very same code.
//!
//! **Nothing here reads a clock, opens a file or a socket, starts a thread, or draws randomness that was not handed in.**

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use thermocline_paxos::{Bucket, Core, Event, NodeId, Originator, Output, Slot, Ticket};
use thermocline_tiers::hot::journal::Position as Place;
use thermocline_tiers::hot::state::{Job as StateJob, Part};

use super::active::ActiveBuckets;
use super::apply::Decision;
use super::audit::Audits;
use super::calls::{CallKey, Calls};
use super::copies::Copies;
use super::counters::Counters;
use super::effects::{Done, Effects, Peer, Submission};
use super::identity::IdentityFile;
use super::journal_index::JournalIndex;
use super::lives::{Life, Reach};
use super::loss::Losses;
use super::peer_file::PeerFile;
use super::read::Rounds;
use super::record_codec;
use super::route::{Dealing, Route};
use super::timers::{Timer, Timers};
use super::transfer::Transfers;
use super::upkeep::Upkeep;
use super::wire::{self, Founding, Item};
use crate::error::{Error, StorageKind};

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
    /// How often the replicas are compared without being asked to, in milliseconds; 0 for never.
    pub(crate) audit_every_ms: u64,
    /// Where this node can be reached, as of an epoch of the topology: peers may have another address of it.
    pub(crate) address: Option<(u64, String)>,
}

/// What a worker shares with the others of its node.
#[derive(Clone)]
pub(crate) struct Kept {
    /// What this node says of itself in each frame.
    pub(crate) life: Life,
    pub(crate) identity: Arc<IdentityFile>,
    pub(crate) peers: Arc<PeerFile>,
}

/// A worker. See the module.
pub(crate) struct Worker {
    pub(super) settings: Settings,
    pub(super) route: Arc<Route>,
    /// A bit for each bucket: whether it is this worker's.
    owned: Vec<u64>,
    pub(super) core: Core,
    pub(super) parts: Vec<Part>,
    pub(super) peers: Vec<Peer>,
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
    learning_since: Option<(u64, u32)>,
    pub(super) copies: Copies,
    pub(super) transfers: Transfers,
    /// Whether an amnesia is being written down.
    pub(super) admitting: bool,
    /// Whether another directory has taken this one's place.
    pub(super) replaced: bool,
    /// Whether buckets are listed in the identity as forgotten.
    pub(super) to_lift: bool,
    /// When it is written down next how far the peers' journals are.
    pub(super) next_reach: u64,
    /// When slots that keep old journal segments are looked for next.
    next_straggler: u64,
    /// When the floors of buckets that only learn are asked for next.
    pub(super) next_floor_question: u64,
    random: u64,
    next_sweep: u64,
    pub(super) last_tick: u64,
    /// The upkeep of each part.
    pub(super) upkeep: Vec<Upkeep>,
    /// Wall clock of the last event, in milliseconds since the Unix epoch: only for expiry.
    pub(super) wall_ms: u64,
    pub(super) catch_up: VecDeque<(Bucket, NodeId, Slot)>,
    /// The buckets in `catch_up`, each once.
    pub(super) catch_up_holds: HashSet<u32>,
    pub(super) fetches: usize,
    /// Reads of the journal for other nodes that are under way.
    pub(super) fetch_jobs: usize,
    /// Fetches of other nodes that wait until what was recorded before them is synced.
    pub(super) fetches_asked: VecDeque<FetchAsked>,
    /// Jobs of parts that wait until the record of that ticket is synced.
    pub(super) held_jobs: VecDeque<(Ticket, usize, StateJob)>,
    /// Whether the journal's disk has no room: nothing new is recorded, so that its headroom lasts for what is under way.
    pub(super) journal_full: bool,
    /// The last record given to the journal, and the last one synced.
    pub(super) last_ticket: Ticket,
    pub(super) synced: Ticket,
}

/// A fetch of another node: what it wants, and the record that must be synced first.
pub(super) struct FetchAsked {
    pub(super) after: Ticket,
    pub(super) to: NodeId,
    pub(super) bucket: Bucket,
    pub(super) first: Slot,
    pub(super) last: Slot,
}

impl Worker {
    /// A worker over recovered replicas and parts.
    #[expect(clippy::too_many_arguments, reason = "what a worker is made of, once")]
    pub(crate) fn new(
        settings: Settings,
        route: Arc<Route>,
        core: Core,
        parts: Vec<Part>,
        peers: &[NodeId],
        mut index: JournalIndex,
        effects: Effects,
        founded: bool,
        kept: Kept,
    ) -> Self {
        index.recovered(|bucket| core.status(bucket).chosen);
        let buckets = route.buckets();
        let mut owned = vec![0; buckets as usize / 64 + 1];
        for bucket in (0..buckets).map(Bucket) {
            if settings.dealing.worker(bucket) == settings.index && route.holds(settings.me, bucket) {
                owned[bucket.0 as usize / 64] |= 1 << (bucket.0 % 64);
            }
        }
        let to_lift = !kept.identity.read().amnesia.is_empty();
        let peer = |node: &NodeId| {
            let known = kept.peers.of(node.0);
            let reach_written = known.as_ref().map_or(Reach::default(), |known| known.synced);
            let mut peer = Peer::new(*node);
            (peer.known, peer.reach_written) = (known, reach_written);
            peer
        };
        Self {
            owned,
            random: settings.seed | 1,
            route,
            core,
            upkeep: parts.iter().map(|_| Upkeep::default()).collect(),
            parts,
            peers: peers.iter().map(peer).collect(),
            calls: Calls::starting_at((settings.client >> 32) as u32),
            tokens: HashMap::new(),
            next_token: 1,
            active: ActiveBuckets::new(buckets),
            driven: Vec::new(),
            held_buckets: Vec::new(),
            failed: HashSet::new(),
            rounds: Rounds::starting_at(settings.client >> 1),
            timers: Timers::default(),
            index,
            effects,
            counters: Counters::default(),
            decisions: Vec::new(),
            out: Output::default(),
            spare: Output::default(),
            parked: Vec::new(),
            next_parked: 0,
            finishing: HashSet::new(),
            founded,
            founding: None,
            next_founding: 0,
            kept,
            audits: Audits::default(),
            losses: Losses::default(),
            learning_since: None,
            copies: Copies::default(),
            transfers: Transfers::default(),
            admitting: false,
            replaced: false,
            to_lift,
            next_reach: 0,
            next_straggler: 0,
            next_floor_question: 0,
            next_sweep: 0,
            last_tick: 0,
            wall_ms: 0,
            catch_up: VecDeque::new(),
            catch_up_holds: HashSet::new(),
            fetches: 0,
            fetch_jobs: 0,
            fetches_asked: VecDeque::new(),
            held_jobs: VecDeque::new(),
            journal_full: false,
            last_ticket: Ticket::default(),
            synced: Ticket::default(),
            settings,
        }
    }

    /// Recovery could not read the bucket's state.
    pub(super) fn found_damaged(&mut self, bucket: Bucket) {
        self.failed.insert(bucket.0);
        self.want_transfer(bucket, self.core.status(bucket).chosen, None);
    }

    /// The wall clock, for expiry alone.
    pub(crate) fn set_wall_clock(&mut self, wall_ms: u64) {
        self.wall_ms = wall_ms;
    }

    /// What a frame that is heard brings.
    pub(super) fn items(&mut self, now: u64, from: NodeId, mut body: Bytes) {
        loop {
            match wire::take(&mut body) {
                Ok(Some(item)) => self.item(now, from, item),
                Ok(None) => break,
                Err(error) => {
                    self.counters.malformed_items += 1;
                    tracing::warn!(from = from.0, %error, "dropped the rest of a frame");
                    break;
                }
            }
        }
        self.pump(now);
    }

    fn item(&mut self, now: u64, from: NodeId, item: Item) {
        match item {
            Item::Paxos(message) => {
                if self.founded && self.owns(message.bucket) && !self.has_no_room_for(&message) {
                    self.core.receive(from, message, &mut self.out);
                }
            }
            Item::Probe { round, buckets } => self.answer_probe(from, round, &buckets),
            Item::ProbeAnswer { round, exceptions } => self.probe_answered(now, from, round, &exceptions),
            Item::Forward { call, hops, request } => self.forwarded_read(now, from, call, hops, request),
            Item::ForwardWrite { call, hops, deadline_ms, bucket, heir, entry } => {
                let heir = heir.map(|boot| Originator { node: from, boot });
                self.forwarded_write(now, from, call, hops, deadline_ms, bucket, heir, entry);
            }
            Item::ForwardAnswer { call, outcome } => {
                self.forward_answered(now, from, CallKey::from_wire(call), outcome)
            }
            Item::Fetch { bucket, from: first, through } => {
                self.fetch_asked(now, from, bucket, first, through)
            }
            Item::FetchAnswer { bucket, from: first, commands, chosen } => {
                self.fetched(now, from, bucket, first, commands, chosen);
            }
            Item::Hint { bucket, chosen } => self.hinted(now, from, bucket, chosen),
            Item::Founding(founding) => self.founding_heard(from, founding),
            Item::FloorAsk { nonce, buckets } => self.floor_asked(from, nonce, &buckets),
            Item::FloorAnswer { nonce, buckets, learning } => {
                self.floor_answered(now, from, nonce, &buckets, &learning);
            }
            Item::Nudge { buckets } => self.nudged(now, &buckets),
            Item::CopyAsk { session, bucket, chunk, at_least } => {
                self.copy_asked(now, from, session, bucket, chunk, at_least);
            }
            Item::Copy(piece) => self.copy_came(now, from, piece),
            Item::CopyRefused { session, bucket } => self.copy_refused(from, session, bucket),
            Item::Address { epoch, address } => self.address_told(from, epoch, address),
            Item::AuditAsk { round, buckets } => self.audit_asked(from, round, buckets),
            Item::AuditAnswer { round, findings } => self.audit_answered(now, from, round, findings),
            Item::Repair { bucket, at, source } => self.repair(bucket, at, source),
            Item::Witnessed(told) => self.witnessed(now, from, told),
            Item::Life(_) => self.counters.malformed_items += 1,
        }
    }

    /// Whether the bucket is one of this worker's. A peer with another number of workers sends all items to all of ours.
    pub(super) fn owns(&self, bucket: Bucket) -> bool {
        self.owned.get(bucket.0 as usize / 64).is_some_and(|bits| bits >> (bucket.0 % 64) & 1 != 0)
    }

    /// A link to another node opened: it may lack what this node has.
    pub(crate) fn peer_up(&mut self, now: u64, node: NodeId) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) else { return };
        peer.up = true;
        self.introduce(node);
        self.place_parked(now);
        self.pump(now);
    }

    /// A link to another node closed: what was passed on to it is tried elsewhere at once.
    pub(crate) fn peer_down(&mut self, now: u64, node: NodeId) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) else { return };
        if !std::mem::replace(&mut peer.up, false) {
            return;
        }
        peer.out.clear();
        self.counters.peers_lost += 1;
        self.reroute_forwarded(now, Some(node));
        self.widen_rounds(now, Some(node));
        self.fetch_from_others(now, node);
        self.pump(now);
    }

    /// The journal has synced a submission, and its records know their positions.
    pub(crate) fn journal_synced(&mut self, now: u64, submission: Submission) {
        for placed in &submission.records {
            debug_assert!(
                self.index.follows(placed),
                "bucket {} has a gap in the journal before slot {}",
                placed.bucket.0,
                placed.slot.0
            );
            self.index.insert(placed);
        }
        if let Some(Place { generation, offset, .. }) =
            submission.records.last().and_then(|last| last.position)
        {
            self.reached(Reach { generation: generation.0, offset });
        }
        self.synced = submission.through;
        self.core.persisted(submission.through, &mut self.out);
        self.answer_fetches();
        self.release_state_jobs();
        self.effects.recycle(submission);
        self.pump(now);
    }

    /// A disk job has ended.
    pub(crate) fn job_done(&mut self, now: u64, done: Done) {
        match done {
            Done::Got(key, result) => self.got(now, key, result),
            Done::Scanned(key, result) => self.scanned(now, key, result),
            Done::State(part, finished) => {
                let installed = self.parts[part].install(finished);
                self.upkeep_ended(now, part, installed);
                self.index.settle(&self.parts, self.settings.dealing);
                self.driven.append(&mut self.held_buckets);
                self.maintain_part(now, part);
            }
            Done::Copied { to, session, copying, piece } => self.copied(now, to, session, copying, piece),
            Done::Audited { to, round, read } => self.audited(now, to, round, read),
            Done::Remembered(node, result) => self.remembered(now, node, result),
            Done::AddressRemembered(node, result) => self.address_remembered(node, result),
            Done::Admitted(result) => self.admitted(now, result),
            Done::Lifted(result) => self.lifted(result),
            Done::Fetched { to, bucket, from, commands } => {
                self.fetch_jobs -= 1;
                self.answer_fetches();
                let chosen = self.core.status(bucket).chosen;
                self.say(to, &Item::FetchAnswer { bucket, from, commands, chosen });
            }
        }
        self.pump(now);
    }

    /// Time has passed. To be called when [`next_timer`](Self::next_timer) says so.
    pub(crate) fn tick(&mut self, now: u64) {
        self.last_tick = now;
        while let Some(timer) = self.timers.due(now) {
            self.timer(now, timer);
        }
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP_MS;
            self.look_after_open_slots(now);
            self.expire_calls(now);
            self.reroute_forwarded(now, None);
            self.widen_rounds(now, None);
            self.continue_catch_up(now);
            if now >= self.next_parked {
                self.next_parked = now + PARKED_MS;
                self.place_parked(now);
            }
            self.go_on_with_transfers(now);
            self.sweep_copies(now);
            self.go_on_with_audit(now);
            if self.founded && now >= self.next_floor_question {
                self.look_at_losses(now);
                let learning = self.ask_for_floors();
                self.learning_since = match self.learning_since {
                    _ if learning == 0 => None,
                    Some((since, most)) if learning as u32 <= most => Some((since, most)),
                    _ => Some((now, learning as u32)),
                };
                self.next_floor_question =
                    if learning == 0 && !self.lift() { u64::MAX } else { now + FLOOR_MS };
            }
            if !self.founded && now >= self.next_founding {
                self.next_founding = now + FOUNDING_MS;
                self.tell_founding();
            }
            self.remember_reach(now);
            if now >= self.next_straggler {
                self.next_straggler = now + STRAGGLERS_MS;
                self.decide_stragglers(now);
            }
            for part in 0..self.parts.len() {
                self.maintain_part(now, part);
            }
        }
        self.pump(now);
    }

    /// When [`tick`](Self::tick) is wanted next.
    pub(crate) fn next_timer(&self) -> u64 {
        let sweep = if self.calls.len() == 0 && self.catch_up.is_empty() && self.transfers.is_idle() {
            self.next_sweep + 20 * SWEEP_MS
        } else {
            self.next_sweep
        };
        self.timers.next().map_or(sweep, |timer| timer.min(sweep))
    }

    /// Slots that stay open too long: the own proposal is sent again, another's is finished.
    fn look_after_open_slots(&mut self, now: u64) {
        for (bucket, open) in self.active.overdue(now) {
            let slot = open.slot;
            if open.resend_at <= now {
                self.counters.resends += 1;
                self.retry(bucket);
                self.active.open(bucket, slot).resend_at = now + self.settings.resend_ms;
            }
            if open.finish_at <= now {
                self.active.open(bucket, slot).finish_at = u64::MAX;
                self.timer(now, Timer::Finish(bucket, slot));
            }
        }
    }

    fn timer(&mut self, now: u64, timer: Timer) {
        match timer {
            Timer::Finish(bucket, slot) => {
                self.finishing.remove(&(bucket, slot));
                let status = self.core.status(bucket);
                if status.chosen.0 + 1 == slot.0 && self.founded {
                    if status.proposing {
                        self.retry(bucket);
                    } else {
                        self.counters.finished_slots += 1;
                        self.core.propose_no_op(bucket, &mut self.out);
                    }
                    let due = now + self.settings.resend_ms + self.draw(self.settings.resend_ms);
                    self.finish_at(due, bucket, slot);
                } else if status.chosen < slot && self.is_waited_for(bucket, slot) {
                    // The slots before it are still being fetched.
                    self.finish_at(now + self.settings.resend_ms, bucket, slot);
                }
            }
            Timer::Retry(bucket) => self.retry(bucket),
            Timer::Fetch(bucket) => self.fetch_again(now, bucket),
        }
        self.pump(now);
    }

    fn retry(&mut self, bucket: Bucket) {
        self.core.retry(bucket, &mut self.out);
        // A no-op that was given up tells nobody: those who waited for its end go on here.
        if !self.core.status(bucket).proposing
            && let Some(active) = self.active.get_mut(bucket)
            && !active.pending.is_empty()
            && !std::mem::replace(&mut active.driven, true)
        {
            self.driven.push(bucket);
        }
    }

    /// Has a slot decided at some time, once for all who wait for it.
    pub(super) fn finish_at(&mut self, due: u64, bucket: Bucket, slot: Slot) {
        if self.finishing.insert((bucket, slot)) {
            self.timers.at(due, Timer::Finish(bucket, slot));
        }
    }

    /// Ends a turn: proposes what has gathered, asks what reads need. Effects are complete after it.
    pub(crate) fn flush(&mut self, now: u64) {
        self.start_round(now);
        // While the journal is behind, they stay where they are until it has synced something.
        while !self.journal_is_behind()
            && let Some(bucket) = self.driven.pop()
        {
            self.drive(now, bucket);
        }
        self.pump(now);
        // What the pump settled may have made more to do.
        while !self.journal_is_behind()
            && let Some(bucket) = self.driven.pop()
        {
            self.drive(now, bucket);
            self.pump(now);
        }
    }

    /// What the last turn wants done; to be emptied by the driver.
    pub(crate) fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }

    /// The nodes this worker talks to, with what it has to tell them.
    pub(crate) fn peers(&mut self) -> &mut [Peer] {
        for peer in self.peers.iter_mut().filter(|peer| !peer.out.is_empty()) {
            peer.sign(&self.kept.life);
        }
        &mut self.peers
    }

    /// Carries out what the core has asked for, until it asks for nothing more.
    pub(super) fn pump(&mut self, now: u64) {
        while !self.out.is_empty() {
            let mut out = std::mem::replace(&mut self.out, std::mem::take(&mut self.spare));
            #[cfg(feature = "test-util")]
            self.effects.witness(&out);
            for persist in out.persist.drain(..) {
                self.last_ticket = persist.ticket;
                let (kind, slot) = record_codec::head(&persist.record);
                if kind_watches(kind) {
                    let due = now + UNDECIDED_MS + self.draw(UNDECIDED_MS);
                    self.active.open(persist.bucket, slot).finish_at = due;
                }
                self.effects.journal(persist.bucket, persist.ticket, &persist.record);
            }
            for send in out.send.drain(..) {
                if let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == send.to)
                    && peer.up
                {
                    peer.add(|out| wire::put_paxos(out, &send.message));
                }
            }
            for event in out.events.drain(..) {
                self.event(now, event);
            }
            self.spare = out;
        }
    }

    fn event(&mut self, now: u64, event: Event) {
        match event {
            Event::Chosen { bucket, slot, command } => self.chosen(now, bucket, slot, &command),
            Event::ProposalEnded { bucket, id, outcome } => self.proposal_ended(now, bucket, id, outcome),
            Event::Behind { bucket, peer, through } => self.behind(now, bucket, peer, through),
            Event::PeerBehind { bucket, peer, .. } => {
                let chosen = self.core.status(bucket).chosen;
                self.say(peer, &Item::Hint { bucket, chosen });
            }
            Event::Backoff { bucket, attempt } => {
                let spread = BACKOFF_MS << attempt.min(4);
                let due = now + 1 + self.draw(spread);
                self.counters.preempted += 1;
                self.timers.at(due, Timer::Retry(bucket));
            }
            Event::VotingFrom { bucket, slot } => {
                self.counters.voting_again += 1;
                tracing::debug!(bucket = bucket.0, slot = slot.0, "votes again");
            }
        }
    }

    /// Tells another node something, if there is a link to it.
    pub(super) fn say(&mut self, to: NodeId, item: &Item) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == to)
            && peer.up
        {
            peer.add(|out| wire::put(out, item));
        }
    }

    pub(super) fn is_up(&self, node: NodeId) -> bool {
        self.peers.iter().any(|peer| peer.node == node && peer.up)
    }

    pub(super) fn part(&self, bucket: Bucket) -> &Part {
        &self.parts[self.settings.dealing.place(bucket)]
    }

    /// A number below `bound`, from the seed (xorshift64*, Vigna 2016). Zero when `bound` is zero.
    pub(super) fn draw(&mut self, bound: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let number = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d);
        if bound == 0 { 0 } else { (number >> 16) % bound }
    }

    /// The oldest journal segment that recovery still needs for this worker's records; `outstanding` says whether some of
    /// them are not indexed yet. Those lie at or behind the newest that is.
    pub(crate) fn needed_segment(&self, outstanding: bool) -> u64 {
        let unindexed = if outstanding { self.index.newest() } else { u64::MAX };
        self.index.oldest_needed().unwrap_or(u64::MAX).min(unindexed)
    }

    /// The group's founding is known here. When this node was not founded before, its replicas begin now: as voters, or, if
    /// the group was founded without this disk (`late`), as learners.
    pub(crate) fn found(&mut self, now: u64, founding: Founding, late: bool) {
        if !self.founded && !self.replaced && founding.members.is_some() {
            self.founded = true;
            self.to_lift |= late;
            for bucket in (0..self.route.buckets()).map(Bucket) {
                if self.owns(bucket) {
                    self.core.found(bucket, !late);
                }
            }
        }
        self.founding = Some(founding);
        let up: Vec<NodeId> = self.peers.iter().filter(|peer| peer.up).map(|peer| peer.node).collect();
        for node in up {
            self.introduce(node);
        }
        self.next_floor_question = now;
        self.place_parked(now);
        self.pump(now);
    }

    /// Tells a node what this one knows: of the founding, and how far it is.
    fn introduce(&mut self, node: NodeId) {
        self.tell_founding_to(node);
        self.tell_witnessed(node);
        if let Some((epoch, address)) = self.settings.address.clone() {
            self.say(node, &Item::Address { epoch, address });
        }
        self.hint_everything(node);
    }

    /// Nothing that this node says can count any more.
    pub(super) fn stop_taking_part(&mut self, kind: StorageKind, cause: &str) {
        self.founded = false;
        for key in self.calls.keys().collect::<Vec<_>>() {
            let outcome = Err(self.given_up(key, Error::storage(kind, cause)));
            self.finish(key, outcome);
        }
    }

    /// The journal failed: nothing that this node says can count any more.
    pub(crate) fn journal_failed(&mut self, cause: &str) {
        self.stop_taking_part(StorageKind::SyncFailed, &format!("the journal failed: {cause}"));
    }

    /// The journal's disk has no room any more, or has some again.
    pub(crate) fn journal_full(&mut self, is_full: bool) {
        self.journal_full = is_full;
    }

    /// The journal's segments below `first` are gone.
    pub(crate) fn segments_reclaimed(&mut self, first: u64) {
        self.index.reclaimed(first);
    }

    /// Ends every call: the node stops.
    pub(crate) fn close(&mut self) {
        for key in self.calls.keys().collect::<Vec<_>>() {
            let outcome = Err(self.given_up(key, Error::Closed));
            self.finish(key, outcome);
        }
    }

    /// How many calls are not answered yet.
    pub(crate) fn calls_under_way(&self) -> usize {
        self.calls.len()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many buckets are yet to be caught up, copied or mended.
    pub(crate) fn buckets_behind(&self) -> u32 {
        (self.transfers.left() + self.fetches + self.catch_up.len()) as u32
    }

    /// Since when buckets learn, and how many did then; `None` when none does.
    pub(crate) fn learning_since(&self) -> Option<(u64, u32)> {
        self.learning_since
    }

    /// Buckets that vote and buckets that only learn.
    pub(crate) fn votes(&self) -> (u32, u32) {
        let mut votes = (0, 0);
        for bucket in (0..self.route.buckets()).map(Bucket).filter(|bucket| self.owns(*bucket)) {
            if self.founded && self.core.fresh(bucket).voting { votes.0 += 1 } else { votes.1 += 1 }
        }
        votes
    }
}

#[cfg(test)]
mod tests;

/// An accepted value may lose its proposer before it is chosen.
fn kind_watches(kind: u8) -> bool {
    record_codec::is_accept(kind)
}

/// How often calls are looked through for deadlines and hedges, in milliseconds.
const SWEEP_MS: u64 = 5;

/// How often calls that nobody takes are tried again, in milliseconds.
const PARKED_MS: u64 = 20;

/// How often a node whose group is not founded tells the others what it knows, in milliseconds: a link may lose what it was given.
const FOUNDING_MS: u64 = 500;

/// How often a replica that only learns asks for its vote floors, in milliseconds.
const FLOOR_MS: u64 = 250;

/// How often slots that keep old journal segments are looked for, in milliseconds.
const STRAGGLERS_MS: u64 = 1_000;

/// After so long an accepted value without a decision is finished by whoever holds it, in milliseconds.
const UNDECIDED_MS: u64 = 1_000;

/// The first backoff after a preemption is drawn from up to so many milliseconds; it doubles up to four times.
const BACKOFF_MS: u64 = 2;
