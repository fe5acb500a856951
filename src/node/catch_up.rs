//! Catching up: missing slots are pulled from a peer's journal.
//!
//! A few buckets are fetched one by one; many get what they lack in the journal's own order (`stream/`). A bucket whose missing slots
//! are in that journal no more, or that is empty and lacks many, is taken over whole (`transfer.rs`).

use bytes::Bytes;
use thermocline_paxos::{Bucket, Command, NodeId, Slot, Status, Vote};

use super::active::Active;
use super::effects::Job;
use super::nudges;
use super::timers::Timer;
use super::transfer;
use super::wire::{Item, Who};
use super::worker::{FetchAsked, Worker};
use crate::error::Error;
use crate::plant::{self, Plant};

/// At most so many buckets are fetched at the same time, so that catching up does not stand in the way of the living.
pub(crate) const FETCHES_MAX: usize = 64;

/// At most so many commands in one answer, and so many bytes before the last of them. All answers that can be under way together fit
/// the buffer of a link, unless single commands are longer: then those are lost that do not fit, and asked for again.
const FETCH_COMMANDS_MAX: usize = 256;
pub(crate) const FETCH_BYTES_MAX: usize = 128 << 10;

/// At most so many answers are read from the journal at the same time.
pub(crate) const FETCH_JOBS_MAX: usize = 16;

/// At most so many fetches of other nodes wait for the journal; who asks more asks again later.
const FETCHES_ASKED_MAX: usize = 1024;

/// How often other replicas are told how far some buckets are, in milliseconds, and in how many turns all of them are.
const HINT_MS: u64 = 1_000;
const HINT_TURNS: u32 = 30;

/// What was heard of in the last milliseconds is told on when a link breaks to a node that may not have told it to all; so many buckets at most.
/// That is longer than a decision waits for a frame, and than it takes to see that a process has ended.
const NEWS_KEPT_MS: u64 = 200;
const NEWS_KEPT_MAX: usize = 1 << 16;

/// Who asks for vote floors is asked for votes after the others for so long, in milliseconds: longer than until it asks again.
const ASKS_FLOORS_MS: u64 = 500;

/// A fetch without an answer is asked of another peer after so long, in milliseconds.
const FETCH_MS: u64 = 100;

/// A bucket that waits to be fetched.
pub(super) struct Lack {
    pub(super) bucket: Bucket,
    /// Who knows that slots through this one are chosen.
    pub(super) peer: NodeId,
    pub(super) through: Slot,
    /// Whether it is to be fetched by itself, because a stream has brought nothing of it.
    pub(super) alone: bool,
}

impl Worker {
    /// This replica lacks slots that `peer` knows to be chosen.
    pub(super) fn behind(&mut self, now: u64, bucket: Bucket, peer: NodeId, through: Slot) {
        if !self.founded || !self.owns(bucket) || self.failed.contains(&bucket.0) {
            return;
        }
        let reached = self.applied(bucket);
        if reached >= through || self.transfers.concerns(bucket) {
            return;
        }
        // A stream may take seconds, in which a proposal in a slot that is decided gets no vote.
        let is_urgent = self.active.get(bucket).is_some_and(Active::has_callers);
        if self.streams.brings(bucket, through) && !is_urgent {
            return;
        }
        if reached == Slot(0) && through.0 > transfer::SLOTS_MAX {
            return self.want_transfer(bucket, through.min(Slot(1)));
        }
        if self.active.get_mut(bucket).is_some_and(|active| active.fetching.is_some()) {
            return;
        }
        if self.fetches >= self.settings.fetches_max {
            return self.lacks(Lack { bucket, peer, through, alone: false });
        }
        self.fetches += 1;
        self.counters.fetches += 1;
        self.active.enter(bucket).fetching = Some((peer, now));
        self.timers.at(now + FETCH_MS, Timer::Fetch(bucket));
        self.say(peer, &Item::Fetch { bucket, from: reached.next(), through });
    }

    /// Whether this replica is known to lack slots of a bucket: until they have come, nothing can be decided there from here.
    pub(super) fn is_behind(&self, bucket: Bucket) -> bool {
        self.catch_up_holds.contains(&bucket.0)
            || self.active.get(bucket).is_some_and(|active| active.fetching.is_some())
            || self.streams.through(bucket).is_some_and(|through| self.applied(bucket) < through)
            || self.transfers.concerns(bucket)
            || self.unapplied.contains(&bucket.0)
    }

    /// Has decided commands read back from the own journal, unless that is under way.
    pub(super) fn fetch_from_own_journal(&mut self, bucket: Bucket, first: Slot, last: Slot) {
        let (after, to) = (self.last_ticket, self.settings.me);
        let is_asked = |asked: &FetchAsked| asked.to == to && asked.bucket == bucket;
        if self.fetches_asked.len() >= FETCHES_ASKED_MAX || self.fetches_asked.iter().any(is_asked) {
            return;
        }
        self.fetches_asked.push_back(FetchAsked { after, to, bucket, first, last });
        self.answer_fetches();
    }

    /// A bucket waits for its turn.
    pub(super) fn lacks(&mut self, lack: Lack) {
        if self.catch_up_holds.insert(lack.bucket.0) {
            self.catch_up.push_back(lack);
        }
    }

    /// Starts fetches that had to wait for others.
    pub(super) fn continue_catch_up(&mut self, now: u64) {
        while self.fetches < self.settings.fetches_max {
            let Some(Lack { bucket, peer, through, .. }) = self.catch_up.pop_front() else { break };
            self.catch_up_holds.remove(&bucket.0);
            self.behind(now, bucket, peer, through);
        }
    }

    /// Another node lacks commands that this one has.
    ///
    /// The last record of a slot is what was chosen there, *once it is in the index*: a vote for a command that lost stands
    /// there until the record after it is synced. So the answer waits for all that was recorded before the question.
    pub(super) fn fetch_asked(&mut self, now: u64, from: NodeId, bucket: Bucket, first: Slot, through: Slot) {
        if !self.owns(bucket) || self.fetches_asked.len() >= FETCHES_ASKED_MAX {
            return;
        }
        self.pump(now);
        let last = through.min(self.core.status(bucket).chosen);
        self.fetches_asked.push_back(FetchAsked { after: self.last_ticket, to: from, bucket, first, last });
        self.answer_fetches();
    }

    /// Answers the fetches for which enough is synced.
    pub(super) fn answer_fetches(&mut self) {
        while self.fetch_jobs < FETCH_JOBS_MAX
            && self
                .fetches_asked
                .front()
                .is_some_and(|asked| asked.after <= self.synced || plant::on(Plant::FetchServesUnsynced))
        {
            let Some(FetchAsked { to, bucket, first, last, .. }) = self.fetches_asked.pop_front() else {
                break;
            };
            if first <= last && self.index.may_come(bucket, first) {
                // Who hears nothing asks another, or again; who hears that there is nothing copies the bucket.
                self.index.want_past();
                continue;
            }
            let places = self.index.chosen(bucket, first, last, FETCH_COMMANDS_MAX);
            self.fetch_jobs += 1;
            self.effects.jobs.push(Job::Fetch {
                to,
                bucket,
                from: first,
                places,
                bytes_max: FETCH_BYTES_MAX,
            });
        }
    }

    /// Chosen commands have come.
    pub(super) fn fetched(
        &mut self,
        now: u64,
        from: NodeId,
        bucket: Bucket,
        first: Slot,
        commands: Vec<Command>,
        chosen: Slot,
    ) {
        if !self.owns(bucket) || !self.founded {
            return;
        }
        if !commands.is_empty() && self.is_shut(bucket) {
            // As if it had been lost: asked for again later.
            self.counters.dropped_full += 1;
            return;
        }
        if first.0.checked_add(commands.len() as u64 + 1).is_none() {
            self.counters.malformed_items += 1;
            return;
        }
        self.end_fetch(bucket, from);
        if commands.is_empty() && chosen >= first && self.applied(bucket).next() == first {
            self.counters.beyond_journal += 1;
            self.want_transfer(bucket, first);
        }
        for (slot, command) in (first.0..).map(Slot).zip(commands) {
            self.learn_missing(now, bucket, slot, command);
            self.pump(now);
        }
        if !self.unapplied.contains(&bucket.0) {
            self.behind(now, bucket, from, chosen);
        }
        self.continue_catch_up(now);
    }

    /// Takes in a command that was chosen, whatever the log or the state has of it. What comes of it is to be pumped.
    pub(super) fn learn_missing(&mut self, now: u64, bucket: Bucket, slot: Slot, command: Command) {
        if self.core.status(bucket).chosen < slot {
            return self.core.learn(bucket, slot, command, &mut self.out);
        }
        // The log has it. The state, which was copied from another replica, may not.
        self.pump(now);
        if self.applied(bucket).next() == slot {
            self.chosen(now, bucket, slot, &command);
        }
    }

    /// What may keep a bucket from catching up, for a test that looks on.
    #[cfg(feature = "test-util")]
    pub(crate) fn describe_catching_up(&mut self, bucket: Bucket) -> String {
        let fetching = self.active.get_mut(bucket).and_then(|active| active.fetching);
        format!(
            "fetching {fetching:?}, {} fetches, {} wait, {} streamed, transferred {}, {} transfers, failed {}, full {}",
            self.fetches,
            self.catch_up.len(),
            self.streams.left(),
            self.transfers.concerns(bucket),
            self.transfers.left(),
            self.failed.contains(&bucket.0),
            self.part(bucket).is_full(),
        )
    }

    /// A peer says how far it knows a bucket.
    pub(super) fn hinted(&mut self, now: u64, from: NodeId, bucket: Bucket, chosen: Slot) {
        self.behind(now, bucket, from, chosen);
    }

    /// Tells a node that has come how far this one is in every bucket, so that it can fetch what it lacks.
    pub(super) fn hint_everything(&mut self, node: NodeId) {
        if !self.founded {
            return;
        }
        for bucket in (0..self.route.buckets()).map(Bucket) {
            if self.owns(bucket) && self.route.holds(node, bucket) {
                let chosen = self.core.status(bucket).chosen;
                if chosen.0 > 0 {
                    self.say(node, &Item::Hint { bucket, chosen });
                }
            }
        }
    }

    /// A decision was heard of, which another replica may hear of later, or never, if who told it is gone meanwhile.
    pub(super) fn note_news(&mut self, now: u64, bucket: Bucket) {
        while self.news.front().is_some_and(|(since, _)| now >= *since + NEWS_KEPT_MS) {
            self.news.pop_front();
        }
        if self.news.len() < NEWS_KEPT_MAX {
            self.news.push_back((now, bucket));
        }
    }

    /// Who told this node decisions may be gone before it told the others: they are told.
    pub(super) fn hint_news(&mut self) {
        for (_, bucket) in std::mem::take(&mut self.news) {
            self.hint(bucket);
        }
    }

    /// Tells the other replicas of a bucket how far this one is.
    fn hint(&mut self, bucket: Bucket) {
        let (me, chosen) = (self.settings.me, self.core.status(bucket).chosen);
        for place in 0..self.route.replicas(bucket).len() {
            let node = self.route.replicas(bucket)[place];
            if node != me {
                self.say(node, &Item::Hint { bucket, chosen });
            }
        }
    }

    /// Tells the others how far this replica is, a few buckets at a time and all of them in a while: what every frame about a slot
    /// was lost of, nobody else would tell a replica of an idle bucket. And has what a crash left open decided, of which nobody else knows
    /// either when all of them went down.
    pub(super) fn hint_some(&mut self, now: u64) {
        if !self.founded || now < self.next_hint {
            return;
        }
        self.next_hint = now + HINT_MS;
        let buckets = self.route.buckets();
        for _ in 0..buckets.div_ceil(HINT_TURNS) {
            let bucket = Bucket(self.hinted_through % buckets);
            self.hinted_through = (bucket.0 + 1) % buckets;
            if !self.owns(bucket) {
                continue;
            }
            let Status { chosen, accepted, .. } = self.core.status(bucket);
            if accepted.is_some() && self.active.get_mut(bucket).is_none() && !self.is_saturated(bucket) {
                // An earlier start left it, and those who knew whether it was chosen may have forgotten.
                self.counters.finished_slots += 1;
                self.finish_slot(now, bucket);
            }
            if chosen > Slot(0) {
                self.hint(bucket);
            }
        }
    }

    /// A fetch had no answer in time.
    pub(super) fn fetch_again(&mut self, now: u64, bucket: Bucket) {
        let Some((peer, since)) = self.active.get_mut(bucket).and_then(|active| active.fetching) else {
            return;
        };
        if now < since + FETCH_MS {
            return;
        }
        self.end_fetch(bucket, peer);
        self.fetch_from_another(now, bucket, peer);
    }

    /// A peer is gone: what was being fetched from it is fetched from others.
    pub(super) fn fetch_from_others(&mut self, now: u64, lost: NodeId) {
        if self.fetches == 0 {
            return;
        }
        for bucket in (0..self.route.buckets()).map(Bucket) {
            let from_lost = |peer: (NodeId, u64)| peer.0 == lost;
            if self.active.get_mut(bucket).and_then(|active| active.fetching).is_some_and(from_lost) {
                self.end_fetch(bucket, lost);
                self.fetch_from_another(now, bucket, lost);
            }
        }
    }

    /// Another replica that is up, not this one if it can be.
    pub(super) fn another_source(&self, bucket: Bucket, not: NodeId) -> Option<NodeId> {
        let me = self.settings.me;
        let others = self.route.replicas(bucket).iter().copied().filter(|node| *node != me);
        others.filter(|node| self.is_up(*node)).max_by_key(|node| *node != not)
    }

    pub(super) fn fetch_from_another(&mut self, now: u64, bucket: Bucket, not: NodeId) {
        // How far the other is, is not known: one slot is asked for, and its answer tells.
        if let Some(other) = self.another_source(bucket, not) {
            let next = self.applied(bucket).next();
            self.behind(now, bucket, other, next);
        }
    }

    fn end_fetch(&mut self, bucket: Bucket, from: NodeId) {
        if let Some(active) = self.active.get_mut(bucket) {
            if active.fetching.is_some_and(|(peer, _)| peer == from) {
                active.fetching = None;
                self.fetches -= 1;
            }
            self.active.leave(bucket);
        }
    }

    /// A learner-only replica asks what this node has touched.
    pub(super) fn floor_asked(&mut self, now: u64, from: NodeId, nonce: u64, buckets: &[Bucket]) {
        if !self.founded {
            return;
        }
        let (mut touched, mut learning) = (Vec::new(), Vec::new());
        for bucket in buckets {
            if !self.owns(*bucket) || !self.route.holds(from, *bucket) {
                continue;
            }
            let chosen = self.core.status(*bucket).chosen;
            match self.core.touched(*bucket) {
                Some(slot) => touched.push((*bucket, slot, chosen)),
                None if plant::on(Plant::LearnerAnswersFloor) => touched.push((*bucket, chosen, chosen)),
                None => learning.push((*bucket, chosen)),
            }
        }
        if !touched.is_empty() || !learning.is_empty() {
            self.does_not_count(from, now + ASKS_FLOORS_MS);
            self.say(from, &Item::FloorAnswer { nonce, buckets: touched, learning });
        }
    }

    /// A voting peer says what it has touched. Answers to an earlier start of this node do not count.
    pub(super) fn floor_answered(
        &mut self,
        now: u64,
        from: NodeId,
        nonce: u64,
        buckets: &[(Bucket, Slot, Slot)],
        learning: &[(Bucket, Slot)],
    ) {
        // What was asked before an admission was answered without what was done until then.
        let is_of_now = nonce == self.kept.life.id && !self.is_admitting();
        if !is_of_now && !plant::on(Plant::AnswerOfEarlierLifeCounted) || !self.founded {
            return;
        }
        for (bucket, touched, chosen) in buckets {
            if self.owns(*bucket) {
                self.core.floor_answer(*bucket, from, *touched, &mut self.out);
                self.told_of_learning(from, *bucket, false, *chosen);
                // What a hint has told may have been lost.
                self.behind(now, *bucket, from, *chosen);
            }
        }
        for (bucket, chosen) in learning {
            if self.owns(*bucket) {
                self.told_of_learning(from, *bucket, true, *chosen);
            }
        }
    }

    /// Asks the peers for the floors of the buckets in which this replica only learns, and has idle buckets pushed over their
    /// floors. Returns how many buckets do not vote yet.
    pub(super) fn ask_for_floors(&mut self, now: u64) -> usize {
        let silent: Vec<Bucket> =
            self.own_buckets().filter(|bucket| !self.core.fresh(*bucket).voting).collect();
        let (learning, below): (Vec<Bucket>, Vec<Bucket>) =
            silent.iter().partition(|bucket| self.core.needs_floor(**bucket));
        self.note_what_has_no_other_replica(&silent);
        // Those that wait for others to decide something, and have waited for long, learn whether they ever will.
        let asked = if self.nudges.is_stuck() { &silent } else { &learning };
        let peers: Vec<NodeId> = self.peers.iter().filter(|peer| peer.up).map(|peer| peer.node).collect();
        let nonce = self.kept.life.id;
        for peer in &peers {
            for some in asked.chunks(8192) {
                let buckets =
                    some.iter().copied().filter(|bucket| self.route.holds(*peer, *bucket)).collect();
                self.say(*peer, &Item::FloorAsk { nonce, buckets });
            }
        }
        self.nudges.look(now, silent.len());
        self.nudges.plan(below);
        silent.len()
    }

    /// Has the next few idle buckets pushed over their floors.
    pub(super) fn nudge(&mut self) {
        let holders = |bucket| {
            let peers = self.peers.iter().filter(|peer| peer.up).map(|peer| peer.node);
            peers.filter(|peer| self.route.holds(*peer, bucket)).collect()
        };
        for ((peer, who), buckets) in self.nudges.next(holders) {
            self.say(peer, &Item::Nudge { who, buckets });
        }
    }

    /// A replica waits for slots to pass, so that it may vote again.
    pub(super) fn nudged(&mut self, now: u64, from: NodeId, who: Who, buckets: &[Bucket]) {
        // What the frame has decided so far is taken note of before anything new is proposed.
        self.pump(now);
        for bucket in buckets.iter().copied().take(nudges::AT_ONCE) {
            let is_busy = self.core.status(bucket).proposing || self.is_saturated(bucket);
            if !self.founded || !self.owns(bucket) || is_busy {
                continue;
            }
            let me = self.settings.me;
            let owner = self.core.owner(bucket);
            let owner = owner.filter(|owner| *owner == me || *owner != from && self.is_up(*owner));
            // What is under way moves a bucket without being asked.
            let is_idle = self.active.get_mut(bucket).is_none();
            let mine = match who {
                Who::Owner => is_idle && owner == Some(me),
                Who::OwnerOrYou => is_idle && owner.is_none_or(|owner| owner == me),
                Who::You => true,
            };
            if mine {
                self.counters.nudges += 1;
                self.pass_slot(now, bucket);
            }
        }
    }

    /// All buckets vote again. Once their state is durable beyond their floors, the amnesia is over: says whether that is still to
    /// come.
    pub(super) fn lift(&mut self) -> bool {
        if !self.lift_if_durable() {
            self.flush_parts();
        }
        self.to_lift
    }

    /// Ends the amnesia, if there is one, and says whether that is no question of flushes any more.
    pub(super) fn lift_if_durable(&mut self) -> bool {
        if !self.to_lift || self.is_admitting() {
            return true;
        }
        let held: Vec<Bucket> = self.own_buckets().collect();
        let is_durable = |bucket: &Bucket| match self.core.status(*bucket).vote {
            Vote::Voting => true,
            Vote::LearnerOnly => false,
            Vote::From(floor) => self.durable(*bucket).next() >= floor,
        };
        if !held.iter().all(is_durable) {
            return false;
        }
        self.to_lift = false;
        let all = (0..self.route.buckets()).map(Bucket);
        self.effects.jobs.push(Job::Lift {
            file: self.kept.identity.clone(),
            life: self.kept.life.id,
            lifted: held.iter().map(|bucket| bucket.0).collect(),
            held: all.filter(|bucket| self.route.holds(self.settings.me, *bucket)).map(|b| b.0).collect(),
        });
        true
    }

    /// The end of an amnesia is written down, or could not be.
    pub(super) fn lifted(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            // The next start finds the buckets listed, with their floors in the journal, and tries again.
            tracing::warn!(%error, "the end of an amnesia could not be written down");
        }
    }

    /// Slots that keep the journal's oldest segment are decided, so that it can go.
    pub(super) fn decide_stragglers(&mut self, now: u64) {
        self.index.settle(&self.parts, self.settings.dealing);
        if self.index.oldest_needed().is_some_and(|oldest| self.is_far_behind(oldest)) {
            self.begin_renewal();
        }
        if !self.founded {
            return;
        }
        let (dealing, active) = (self.settings.dealing, self.active_segment());
        for (bucket, slot) in self.index.stragglers(STRAGGLERS_MAX, &self.parts, dealing, active) {
            let status = self.core.status(bucket);
            if status.chosen >= slot || status.proposing {
                continue;
            }
            if !self.core.fresh(bucket).voting {
                // The others decide it.
                if self.journal_full {
                    self.let_in(bucket);
                }
            } else if self.may_decide(now, bucket) {
                self.counters.finished_slots += 1;
                self.finish_slot(now, bucket);
            }
        }
    }

    /// Has a slot decided with nothing in it. A bucket of this node's stays its own: the next write needs no first phase either.
    fn pass_slot(&mut self, now: u64, bucket: Bucket) {
        let has_own = self
            .active
            .get_mut(bucket)
            .is_some_and(|active| active.proposed.is_some() || !active.riding.is_empty());
        if has_own || !self.core.may_fast(bucket) {
            return self.finish_slot(now, bucket);
        }
        if let Ok(id) = self.core.propose(bucket, Bytes::new(), &mut self.out) {
            self.active.enter(bucket).proposed = Some(id);
            self.resend_later(now, bucket);
        }
    }

    /// Has the open slot decided, and asks again should a question or an answer be lost.
    pub(in crate::node) fn finish_slot(&mut self, now: u64, bucket: Bucket) {
        self.core.propose_no_op(bucket, &mut self.out);
        if self.core.status(bucket).proposing {
            self.resend_later(now, bucket);
        }
    }
}

/// So many slots that keep an old segment are decided at a time.
const STRAGGLERS_MAX: usize = 1024;
