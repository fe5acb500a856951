//! Linearizable reads without a log entry: rounds of probes, verdicts, and serving (rules R1 to R5).
//!
//! All reads that gathered since the last flush share one round. **A read joins only a round whose probes leave after it
//! arrived**, and an answer counts only for the round that it names.

use std::collections::VecDeque;

use thermocline_paxos::read::{ReadQuorum, Verdict};
use thermocline_paxos::{Bucket, Freshness, NodeId, Slot};
use thermocline_tiers::hot::state::{
    Key as StateKey, Lookup, Page, Record as StateRecord, Scan, ScanRange, StateError,
};

use super::apply;
use super::calls::{Call, CallKey, Calls, Read, Work};
use super::command::EntryToken;
use super::effects::Job;
use super::wire::{self, Item, ProbeException};
use super::worker::Worker;
use crate::error::Error;
use crate::key::{Key, Record, Version};
use crate::plant::{self, Plant};
use crate::request::{Answer, Outcome, ScanQuery};
use crate::token::{Resolution, Token};

/// At most so many buckets are asked about in one probe.
const PROBE_BUCKETS_MAX: usize = 4096;

/// A read waits so long for an undecided slot before this node finishes it, in milliseconds.
const FINISH_MS: u64 = 3;

/// A round that has no verdict after so long asks the replicas that it has not asked yet, in milliseconds.
const WIDEN_MS: u64 = 10;

/// The rounds of a worker that still wait for answers, and the reads that wait for the next one.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    gathered: Vec<(Bucket, CallKey)>,
    /// The number of the oldest round in `open`.
    first: u64,
    open: VecDeque<Round>,
}

#[derive(Debug)]
struct Round {
    sent: u64,
    /// In the order of the buckets.
    questions: Vec<Question>,
    unanswered: usize,
    /// The peers that were asked, each about all the buckets that it holds.
    asked: Vec<NodeId>,
}

#[derive(Debug)]
struct Question {
    bucket: Bucket,
    chosen: Slot,
    /// The peer that is ahead of all others that answered.
    ahead: Option<(Slot, NodeId)>,
    quorum: ReadQuorum,
    reads: Vec<CallKey>,
    settled: bool,
}

impl Rounds {
    /// With numbers from one that is random for each start: an answer to a round of an earlier start, or of another worker,
    /// is not taken for an answer to one of these.
    pub(super) fn starting_at(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// Lets go of the oldest rounds that wait for nothing any more.
    fn close_settled(&mut self) {
        while self.open.front().is_some_and(|round| round.unanswered == 0) {
            self.open.pop_front();
            self.first += 1;
        }
    }
}

impl Round {
    /// Questions whose reads have all been given up need no answer: without this, a bucket without a majority would keep
    /// its rounds, and all later ones, for ever.
    fn forget_expired(&mut self, calls: &Calls) {
        for question in self.questions.iter_mut().filter(|question| !question.settled) {
            question.reads.retain(|key| calls.get(*key).is_some());
            if question.reads.is_empty() {
                question.settled = true;
                self.unanswered -= 1;
            }
        }
    }
}

impl Worker {
    /// A read joins the next round.
    pub(super) fn read_called(&mut self, bucket: Bucket, key: CallKey) {
        self.rounds.gathered.push((bucket, key));
    }

    /// Asks the peers about every bucket that is to be read.
    pub(super) fn start_round(&mut self, now: u64) {
        while !self.rounds.gathered.is_empty() {
            let mut gathered = std::mem::take(&mut self.rounds.gathered);
            gathered.sort_unstable_by_key(|(bucket, _)| *bucket);
            let mut questions: Vec<Question> = Vec::with_capacity(gathered.len().min(PROBE_BUCKETS_MAX));
            let mut rest = 0;
            for (bucket, key) in &gathered {
                let full = questions.len() == PROBE_BUCKETS_MAX;
                match questions.last_mut() {
                    Some(question) if question.bucket == *bucket => question.reads.push(*key),
                    _ if full => break,
                    _ => {
                        let fresh = self.core.fresh(*bucket);
                        let quorum = ReadQuorum::new(self.route.replicas(*bucket), self.settings.me, fresh);
                        questions.push(Question {
                            bucket: *bucket,
                            chosen: fresh.chosen,
                            ahead: None,
                            quorum,
                            reads: vec![*key],
                            settled: false,
                        });
                    }
                }
                rest += 1;
            }
            gathered.drain(..rest);
            self.rounds.gathered = gathered;
            let unanswered = questions.len();
            let number = self.rounds.first + self.rounds.open.len() as u64;
            self.rounds.open.push_back(Round { sent: now, questions, unanswered, asked: Vec::new() });
            self.counters.read_rounds += 1;
            self.judge(now, number, None);
            self.ask(number, false);
        }
    }

    /// Sends a round's probes: to as few peers as can complete every quorum, or to all that were not asked yet.
    fn ask(&mut self, number: u64, everyone: bool) {
        let Some(round) =
            number.checked_sub(self.rounds.first).and_then(|at| self.rounds.open.get_mut(at as usize))
        else {
            return;
        };
        let me = self.settings.me;
        // The peers right after this node in number come first, so that the nodes ask different ones.
        let mut order: Vec<NodeId> = self.peers.iter().filter(|peer| peer.up).map(|peer| peer.node).collect();
        order.sort_unstable_by_key(|node| (*node < me, *node));
        let mut wanted: Vec<u8> = round
            .questions
            .iter()
            .map(|question| {
                let replicas = self.route.replicas(question.bucket).len() as u8;
                if question.settled {
                    0
                } else if everyone {
                    replicas
                } else {
                    replicas / 2
                }
            })
            .collect();
        for node in order {
            if round.asked.contains(&node) {
                continue;
            }
            let holds = |question: &Question| !question.settled && self.route.holds(node, question.bucket);
            if !round.questions.iter().zip(&wanted).any(|(question, wanted)| *wanted > 0 && holds(question)) {
                continue;
            }
            // Silence about a bucket means that nothing is different there: so it is asked about each one that it holds.
            let mut about = Vec::new();
            for (question, wanted) in round.questions.iter().zip(&mut wanted) {
                if holds(question) {
                    *wanted = wanted.saturating_sub(1);
                    about.push((question.bucket, question.chosen));
                }
            }
            round.asked.push(node);
            if let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) {
                peer.add(|out| wire::put_probe(out, number, about.into_iter()));
            }
        }
    }

    /// Rounds that wait too long, or for a peer that is gone, ask the others.
    pub(super) fn widen_rounds(&mut self, now: u64, lost: Option<NodeId>) {
        for at in 0..self.rounds.open.len() {
            let round = &mut self.rounds.open[at];
            if round.unanswered > 0 && now >= round.sent + WIDEN_MS {
                round.forget_expired(&self.calls);
            }
            let waits_for_lost = lost.is_some_and(|node| round.asked.contains(&node));
            if round.unanswered > 0 && (waits_for_lost || now >= round.sent + WIDEN_MS) {
                if let Some(lost) = lost {
                    round.asked.retain(|node| *node != lost);
                }
                if now >= round.sent + 4 * WIDEN_MS {
                    // Frames may have been lost: ask again whoever is there.
                    round.asked.clear();
                    round.sent = now;
                }
                let number = self.rounds.first + at as u64;
                self.counters.widened_rounds += 1;
                self.ask(number, true);
            }
        }
        self.rounds.close_settled();
    }

    /// Another node asks what this one knows.
    pub(super) fn answer_probe(&mut self, from: NodeId, round: u64, buckets: &[(Bucket, Slot)]) {
        let mut exceptions = Vec::new();
        let mut mine = false;
        for (bucket, chosen) in buckets {
            // What this worker does not hold is named, so that silence is not taken for an answer.
            mine |= self.owns(*bucket);
            let fresh = if self.founded && self.owns(*bucket) {
                self.core.fresh(*bucket)
            } else {
                Freshness { chosen: Slot(0), accepted_next: false, voting: false }
            };
            if fresh != (Freshness { chosen: *chosen, accepted_next: false, voting: true }) {
                exceptions.push(ProbeException {
                    bucket: *bucket,
                    chosen: fresh.chosen,
                    accepted_next: fresh.accepted_next,
                    voting: fresh.voting,
                });
            }
        }
        if mine {
            self.say(from, &Item::ProbeAnswer { round, exceptions });
        }
    }

    /// A peer has answered a probe.
    pub(super) fn probe_answered(
        &mut self,
        now: u64,
        from: NodeId,
        number: u64,
        exceptions: &[ProbeException],
    ) {
        self.judge(now, number, Some((from, exceptions)));
    }

    /// Takes an answer into a round, and serves every read whose verdict it brings.
    fn judge(&mut self, now: u64, number: u64, answer: Option<(NodeId, &[ProbeException])>) {
        let Some(at) = number.checked_sub(self.rounds.first).map(|at| at as usize) else { return };
        let Some(round) = self.rounds.open.get_mut(at) else { return };
        if let Some((from, _)) = answer
            && !round.asked.contains(&from)
        {
            return;
        }
        let mut questions = std::mem::take(&mut round.questions);
        let mut settled = 0;
        for question in questions.iter_mut().filter(|question| !question.settled) {
            if let Some((from, exceptions)) = answer {
                if !self.route.holds(from, question.bucket) {
                    continue;
                }
                let exception = exceptions.iter().find(|exception| exception.bucket == question.bucket);
                let fresh = exception
                    .map_or(Freshness { chosen: question.chosen, accepted_next: false, voting: true }, |e| {
                        Freshness { chosen: e.chosen, accepted_next: e.accepted_next, voting: e.voting }
                    });
                if question.ahead.is_none_or(|(chosen, _)| chosen < fresh.chosen) {
                    question.ahead = Some((fresh.chosen, from));
                }
                question.quorum.answer(from, fresh);
            }
            let (slot, undecided) = match question.quorum.verdict() {
                Verdict::Wait => continue,
                Verdict::Serve { at } => (at, false),
                Verdict::Finish { slot } => (slot, true),
            };
            question.settled = true;
            settled += 1;
            let reads = std::mem::take(&mut question.reads);
            let informant = question.ahead.map(|(_, node)| node);
            self.serve_at(now, question.bucket, slot, undecided, informant, &reads);
        }
        let Some(round) = self.rounds.open.get_mut(at) else { return };
        round.questions = questions;
        round.unanswered -= settled;
        self.rounds.close_settled();
    }

    /// Serves reads as of a slot: now if it is applied, else when it is.
    fn serve_at(
        &mut self,
        now: u64,
        bucket: Bucket,
        slot: Slot,
        undecided: bool,
        informant: Option<NodeId>,
        reads: &[CallKey],
    ) {
        if self.part(bucket).applied(thermocline_tiers::hot::Bucket(bucket.0)).0 >= slot.0
            || plant::on(Plant::ServesBeforeApplied)
        {
            for key in reads {
                self.serve(now, *key);
            }
            return;
        }
        self.counters.reads_waited += reads.len() as u64;
        let active = self.active.enter(bucket);
        if active.waiting.len() + reads.len() > active.waiting.capacity() {
            // Those past their deadline wait no more; what is kept is bounded by the calls.
            let calls = &self.calls;
            active.waiting.retain(|(_, key)| calls.get(*key).is_some());
        }
        active.waiting.extend(reads.iter().map(|key| (slot, *key)));
        if undecided {
            self.finish_at(now + FINISH_MS, bucket, slot);
        }
        let reached = self.applied(bucket);
        // Through the slot before an undecided one, or through the slot itself, somebody has commands that are missing here.
        let through = if undecided { Slot(slot.0 - 1) } else { slot };
        if reached < through
            && let Some(informant) = informant
        {
            self.behind(now, bucket, informant, through);
        }
    }

    /// Whether a read waits for a slot.
    pub(super) fn is_waited_for(&mut self, bucket: Bucket, slot: Slot) -> bool {
        let Some(active) = self.active.get_mut(bucket) else { return false };
        active.waiting.iter().any(|(wanted, key)| *wanted >= slot && self.calls.get(*key).is_some())
    }

    /// A slot was applied: reads that waited for it can be served.
    pub(super) fn slot_applied(&mut self, now: u64, bucket: Bucket, slot: Slot) {
        let Some(active) = self.active.get_mut(bucket) else { return };
        if active.waiting.is_empty() {
            return;
        }
        let mut ready = Vec::new();
        active.waiting.retain(|(wanted, key)| {
            let served = *wanted <= slot;
            if served {
                ready.push(*key);
            }
            !served
        });
        for key in ready {
            self.serve(now, key);
        }
    }

    /// Answers a read from the applied state.
    pub(super) fn serve(&mut self, now: u64, key: CallKey) {
        let Some(Call { bucket, work: Work::Read(read), .. }) = self.calls.get(key) else { return };
        let bucket = *bucket;
        if self.failed.contains(&bucket.0) {
            return self.read_elsewhere(now, key);
        }
        let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
        match read {
            Read::Get(wanted) => {
                let state_key = match StateKey::new(&wanted.entity, apply::state_position(wanted.position)) {
                    Ok(state_key) => state_key,
                    Err(error) => {
                        return self
                            .finish(key, Err(Error::invalid("key", error.to_string(), "a valid key")));
                    }
                };
                match self.part(bucket).get(state_bucket, &state_key) {
                    Lookup::Found(record) => self.got(now, key, Ok(Some(record))),
                    Lookup::Absent => self.got(now, key, Ok(None)),
                    Lookup::Deferred(job) => self.effects.jobs.push(Job::Get(key, job)),
                }
            }
            Read::Scan(query) => match self.part(bucket).scan(state_bucket, &query.entity, &range(query)) {
                Scan::Done(page) => self.scanned(now, key, Ok(page)),
                Scan::Deferred(job) => self.effects.jobs.push(Job::Scan(key, job)),
            },
            Read::Resolve(token) => {
                let token = *token;
                self.resolve(now, key, token);
            }
        }
    }

    /// A get has its record.
    pub(super) fn got(&mut self, now: u64, key: CallKey, result: Result<Option<StateRecord>, StateError>) {
        let Some(Call { bucket, work: Work::Read(Read::Get(wanted)), .. }) = self.calls.get(key) else {
            return;
        };
        let outcome: Outcome = match result {
            Ok(record) => {
                let live = record.filter(|record| !is_expired(record.expires_ms, self.wall_ms));
                Ok(Answer::Got(live.map(|record| store_record(wanted.entity.clone(), record))))
            }
            Err(error) => {
                let bucket = *bucket;
                return self.read_failed(now, key, bucket, &error);
            }
        };
        self.finish(key, outcome);
    }

    /// A scan has its page.
    pub(super) fn scanned(&mut self, now: u64, key: CallKey, mut result: Result<Page, StateError>) {
        let wall_ms = self.wall_ms;
        // A loop, because a long stretch of expired records is many pages.
        let outcome = loop {
            let Some(Call { bucket, work: Work::Read(Read::Scan(query)), .. }) = self.calls.get_mut(key)
            else {
                return;
            };
            let page = match result {
                Ok(page) => page,
                Err(error) => {
                    let bucket = *bucket;
                    return self.read_failed(now, key, bucket, &error);
                }
            };
            let live = page.records.into_iter().filter(|record| !is_expired(record.expires_ms, wall_ms));
            let records: Vec<Record> =
                live.map(|record| store_record(query.entity.clone(), record)).collect();
            let next = match page.next.map(apply::store_position) {
                // Nothing of this stretch is live: the page begins behind it.
                Some(next) if records.is_empty() => next,
                next => break Ok(Answer::Page { records, end: next.is_none() }),
            };
            *(if query.newest_first { &mut query.to } else { &mut query.from }) = next;
            let part = &self.parts[self.settings.dealing.place(*bucket)];
            match part.scan(thermocline_tiers::hot::Bucket(bucket.0), &query.entity, &range(query)) {
                Scan::Done(page) => result = Ok(page),
                Scan::Deferred(job) => return self.effects.jobs.push(Job::Scan(key, job)),
            }
        };
        self.finish(key, outcome);
    }

    /// Says what became of a token's mutation as of the applied slot; if that is open, closes it.
    fn resolve(&mut self, now: u64, key: CallKey, token: Token) {
        let Some(call) = self.calls.get(key) else { return };
        let (source, deadline, bucket) = (call.source, call.deadline, call.bucket);
        let entry = EntryToken { client: token.client, counter: token.counter, born: token.born };
        let applied = self.part(bucket).applied(thermocline_tiers::hot::Bucket(bucket.0));
        let verdict = match apply::remembered(self.part(bucket), bucket, &entry) {
            Ok(Some(verdict)) => Some(verdict),
            Ok(None) => apply::without_outcome(token.born, Slot(applied.0)),
            Err(error) => return self.read_failed(now, key, bucket, &error),
        };
        match verdict {
            Some(apply::Verdict::Applied(version)) => {
                self.finish(key, Ok(Answer::Resolved(Resolution::Committed(version))))
            }
            Some(apply::Verdict::Forgotten) => self.finish(key, Ok(Answer::Resolved(Resolution::Forgotten))),
            Some(_) => self.finish(key, Ok(Answer::Resolved(Resolution::NotCommitted))),
            None => {
                // Still open. The question becomes a command that closes it, and whose outcome is the answer.
                self.calls.remove(key);
                self.burn(now, source, deadline, token);
            }
        }
    }
}

fn is_expired(expires_ms: Option<u64>, wall_ms: u64) -> bool {
    expires_ms.is_some_and(|expires| expires <= wall_ms)
}

fn range(query: &ScanQuery) -> ScanRange {
    ScanRange {
        from: apply::state_position(query.from),
        to: apply::state_position(query.to),
        newest_first: query.newest_first,
        limit_records: query.limit_records.max(1) as usize,
        limit_bytes: query.limit_bytes.max(1) as usize,
    }
}

fn store_record(entity: bytes::Bytes, record: StateRecord) -> Record {
    Record {
        key: Key { entity, position: apply::store_position(record.position) },
        value: record.value,
        version: Version(record.version.0),
        expires_at: record.expires_ms,
    }
}
