//! Rounds of probes, and their verdicts.

use std::collections::VecDeque;

use thermocline_paxos::read::{ReadQuorum, Verdict};
use thermocline_paxos::{Bucket, Freshness, NodeId, Slot};

use crate::node::calls::{CallKey, Calls, Read, Work};
use crate::node::wire::{self, Item, ProbeException};
use crate::node::worker::Worker;

/// At most so many buckets are asked about in one probe.
const PROBE_BUCKETS_MAX: usize = 4096;

/// A round that has no verdict after so long asks the replicas that it has not asked yet, in milliseconds.
const WIDEN_MS: u64 = 10;

/// A peer that learns is asked after all others for so long, in milliseconds.
const LEARNS_MS: u64 = 100;

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
    /// Those of them that have not answered, and since when.
    silent: Vec<(NodeId, u64)>,
}

#[derive(Debug)]
struct Question {
    bucket: Bucket,
    chosen: Slot,
    /// How many peers complete the quorum: one more where this node itself learns.
    peers: u8,
    /// The peer that is ahead of all others that answered.
    ahead: Option<(Slot, NodeId)>,
    quorum: ReadQuorum,
    reads: Vec<CallKey>,
    settled: bool,
}

impl Rounds {
    /// With numbers from one that is random for each start: an answer to a round of an earlier start, or of another worker,
    /// is not taken for an answer to one of these.
    pub(in crate::node) fn starting_at(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// This node forgets what it promised, which it counts for in its open rounds. Their reads join the next one, and who answers them answers
    /// nothing.
    pub(in crate::node) fn begin_anew(&mut self) {
        self.first += self.open.len() as u64;
        for question in self.open.drain(..).flat_map(|round| round.questions) {
            self.gathered.extend(question.reads.into_iter().map(|read| (question.bucket, read)));
        }
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
    pub(in crate::node) fn read_called(&mut self, bucket: Bucket, key: CallKey) {
        self.rounds.gathered.push((bucket, key));
    }

    /// Asks the peers about every bucket that is to be read.
    pub(in crate::node) fn start_round(&mut self, now: u64) {
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
                        let fresh = self.freshness(*bucket);
                        let replicas = self.route.replicas(*bucket);
                        let quorum = ReadQuorum::new(replicas, self.settings.me, fresh);
                        questions.push(Question {
                            bucket: *bucket,
                            chosen: fresh.chosen,
                            peers: replicas.len() as u8 / 2 + u8::from(!fresh.voting),
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
            let round = Round { sent: now, questions, unanswered, asked: Vec::new(), silent: Vec::new() };
            self.rounds.open.push_back(round);
            self.counters.read_rounds += 1;
            self.judge(now, number, None);
            self.ask(now, number, false);
        }
    }

    /// Sends a round's probes: to as few peers as can complete every quorum, or to all that were not asked yet.
    fn ask(&mut self, now: u64, number: u64, everyone: bool) {
        self.order_peers(now);
        let Some(round) =
            number.checked_sub(self.rounds.first).and_then(|at| self.rounds.open.get_mut(at as usize))
        else {
            return;
        };
        let mut wanted: Vec<u8> = round
            .questions
            .iter()
            .map(|question| match question.settled {
                true => 0,
                false if everyone => self.route.replicas(question.bucket).len() as u8,
                false => question.peers,
            })
            .collect();
        for (node, is_enough) in self.asking.order() {
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
                    *wanted = wanted.saturating_sub(u8::from(is_enough));
                    about.push((question.bucket, question.chosen));
                }
            }
            round.asked.push(node);
            round.silent.push((node, now));
            if let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) {
                peer.add(|out| wire::put_probe(out, number, about.into_iter()));
            }
        }
    }

    /// Rounds that wait too long, or for a peer that is gone, ask the others.
    pub(in crate::node) fn widen_rounds(&mut self, now: u64, lost: Option<NodeId>) {
        for at in 0..self.rounds.open.len() {
            let round = &mut self.rounds.open[at];
            if round.unanswered > 0 && now >= round.sent + WIDEN_MS {
                round.forget_expired(&self.calls);
            }
            let waits_for_lost = lost.is_some_and(|node| round.asked.contains(&node));
            if round.unanswered > 0 && (waits_for_lost || now >= round.sent + WIDEN_MS) {
                let is_late = |(_, since): &mut (NodeId, u64)| now >= *since + WIDEN_MS;
                let late: Vec<NodeId> = round.silent.extract_if(.., is_late).map(|(node, _)| node).collect();
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
                for node in late.into_iter().filter(|node| Some(*node) != lost) {
                    self.kept_waiting(now, node);
                }
                self.ask(now, number, true);
            }
        }
        self.rounds.close_settled();
    }

    /// Another node asks what this one knows.
    pub(in crate::node) fn answer_probe(&mut self, from: NodeId, round: u64, buckets: &[(Bucket, Slot)]) {
        let mut exceptions = Vec::new();
        let mut mine = false;
        for (bucket, chosen) in buckets {
            // What this worker does not hold is named, so that silence is not taken for an answer.
            mine |= self.owns(*bucket);
            let fresh = if self.founded && self.owns(*bucket) {
                self.freshness(*bucket)
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
    pub(in crate::node) fn probe_answered(
        &mut self,
        now: u64,
        from: NodeId,
        number: u64,
        exceptions: &[ProbeException],
    ) {
        self.judge(now, number, Some((from, exceptions)));
        if exceptions.iter().any(|exception| !exception.voting) {
            self.does_not_count(from, now + LEARNS_MS);
            // What it does not count for is asked of the others, without waiting for the round to be late.
            self.ask(now, number, true);
        }
    }

    /// Has the memory that these reads will touch waited for together.
    fn warm_reads(&mut self, questions: &[Question]) {
        for question in questions.iter().filter(|question| !question.settled) {
            let Some(read) = question.reads.first().and_then(|key| self.calls.get(*key)) else { continue };
            if let Work::Read(Read::Get(wanted)) = &read.work {
                let place = self.settings.dealing.place(question.bucket);
                let bucket = thermocline_tiers::hot::Bucket(question.bucket.0);
                self.located.push((place, self.parts[place].locate(bucket, &wanted.entity)));
            }
        }
        self.warm_located();
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
        if let Some((from, _)) = answer {
            round.silent.retain(|(node, _)| *node != from);
        }
        let mut questions = std::mem::take(&mut round.questions);
        self.warm_reads(&questions);
        let mut settled = 0;
        // Both are in the order of the buckets.
        let mut exceptions = answer.map_or(&[][..], |(_, exceptions)| exceptions).iter().peekable();
        for question in questions.iter_mut().filter(|question| !question.settled) {
            if let Some((from, _)) = answer {
                if !self.route.holds(from, question.bucket) {
                    continue;
                }
                while exceptions.next_if(|exception| exception.bucket < question.bucket).is_some() {}
                let fresh = exceptions
                    .next_if(|exception| exception.bucket == question.bucket)
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
}
