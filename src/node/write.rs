//! Writes: from a call, into a command, to an outcome.

use bytes::{Bytes, BytesMut};
use thermocline_paxos::{
    Bucket, Command, CommandId, NodeId, Originator, ProposalOutcome, ProposeError, Slot,
};

use super::apply::{self, Verdict};
use super::calls::{Call, CallKey, Source, Touches, Work, Write};
use super::command;
use super::worker::Worker;
use crate::error::Error;
use crate::key::Position;
use crate::plant::{self, Plant};
use crate::request::{Answer, Mutation, Outcome};
use crate::token::{Resolution, Token};

/// At most so many writes ride in one command: bounds the work of keeping them apart.
const ENTRIES_MAX: usize = 128;

/// A node is never so many slots behind its bucket.
const TOKEN_AHEAD_MAX: u64 = 1 << 40;

/// A write goes through the core at most so often before its caller is told that it is contended.
const ATTEMPTS_MAX: u32 = 6;

impl Worker {
    /// A write by a caller of this process.
    #[expect(clippy::too_many_arguments, reason = "the fields of one request")]
    pub(super) fn write_called(
        &mut self,
        now: u64,
        source: Source,
        deadline: u64,
        (bucket, hash): (Bucket, u64),
        entity: &[u8],
        mutations: &[Mutation],
        token: Option<Token>,
    ) {
        let given = token.is_some();
        let token = token.unwrap_or_else(|| self.new_token(bucket));
        if token.bucket != bucket.0 {
            let error = Error::invalid(
                "token",
                format!("of bucket {}", token.bucket),
                format!("of bucket {}, the entity's", bucket.0),
            );
            return self.answer(source, Err(error));
        }
        if self.is_from_the_future(&token) {
            return self.answer(source, Err(forged(&token)));
        }
        let entry = command::encode_write(&token, entity, mutations);
        if entry.len() > self.settings.command_bytes_max {
            let bound = format!("at most {} bytes (command_bytes_max)", self.settings.command_bytes_max);
            return self
                .answer(source, Err(Error::invalid("write", format!("{} bytes", entry.len()), bound)));
        }
        if let Some(error) = self.refuses_write(bucket, entry.len()) {
            return self.answer(source, Err(error.of_attempt(given.then_some(token))));
        }
        let write = Write {
            token,
            entry,
            touches: touches(hash, mutations),
            // A given token may have been sent before.
            copies: u32::from(given),
            given,
            heir: None,
            burn: false,
            attempts: 0,
        };
        let key =
            self.calls.insert(Call { source, deadline, bucket, work: Work::Write(write), forwarded: None });
        self.place_write(now, key);
    }

    /// Takes a token out of use, to learn for certain what became of it.
    pub(super) fn burn(&mut self, now: u64, source: Source, deadline: u64, token: Token) {
        let touches = Touches { entity: token.client ^ token.counter.rotate_left(32), record: None };
        let write = Write {
            token,
            entry: command::encode_burn(&token),
            touches,
            copies: 0,
            given: true,
            heir: None,
            burn: true,
            attempts: 0,
        };
        let bucket = Bucket(token.bucket);
        let key =
            self.calls.insert(Call { source, deadline, bucket, work: Work::Write(write), forwarded: None });
        self.enqueue(now, bucket, key);
    }

    /// Whether a token's birth is so far ahead that this node cannot just be behind. What is nearer is found out where it is decided.
    pub(super) fn is_from_the_future(&self, token: &Token) -> bool {
        let chosen = self.core.status(Bucket(token.bucket)).chosen.0;
        token.born > chosen.saturating_add(TOKEN_AHEAD_MAX)
    }

    /// A token that was never used, born where this node believes the bucket to be.
    pub(super) fn new_token(&mut self, bucket: Bucket) -> Token {
        let counter = self.next_token;
        self.next_token += 1;
        let born = if self.owns(bucket) { self.core.status(bucket).chosen.0 } else { 0 };
        Token { client: self.settings.client, counter, bucket: bucket.0, born }
    }

    /// Queues a write for this node's next command of the bucket.
    pub(super) fn enqueue(&mut self, _now: u64, bucket: Bucket, key: CallKey) {
        let active = self.active.enter(bucket);
        if active.pending.len() == active.pending.capacity() {
            // Those past their deadline wait no more; what is kept is bounded by the calls.
            let calls = &self.calls;
            active.pending.retain(|key| calls.get(*key).is_some());
        }
        active.pending.push_back(key);
        if !std::mem::replace(&mut active.driven, true) {
            self.driven.push(bucket);
        }
    }

    /// Proposes the bucket's pending writes, if its slot is free.
    pub(super) fn drive(&mut self, now: u64, bucket: Bucket) {
        if self.part(bucket).is_full() {
            return self.held_buckets.push(bucket);
        }
        let Some(active) = self.active.get_mut(bucket) else { return };
        active.driven = false;
        if active.proposed.is_some() {
            return;
        }
        let mut riding = std::mem::take(&mut active.riding);
        riding.clear();
        let payload = gather(&mut active.pending, &mut riding, &self.calls, self.settings.command_bytes_max);
        let Some(payload) = payload else {
            active.riding = riding;
            self.active.leave(bucket);
            return;
        };
        // What waits is this node's to propose, or will be passed on in its turn: only an idle bucket is handed over.
        let heir = if active.pending.is_empty() { common_heir(&riding, &self.calls) } else { None };
        let proposed = match heir {
            Some(heir) => self.core.propose_and_hand_over(bucket, heir, payload, &mut self.out),
            None => self.core.propose(bucket, payload, &mut self.out),
        };
        match proposed {
            Ok(id) => {
                self.counters.handed_over += u64::from(heir.is_some());
                for key in &riding {
                    if let Some(Call { work: Work::Write(write), .. }) = self.calls.get_mut(*key) {
                        write.copies = write.copies.saturating_add(1);
                    }
                }
                active.proposed = Some(id);
                active.riding = riding;
                self.counters.proposals += 1;
                self.resend_later(now, bucket);
            }
            Err(ProposeError::Busy) => {
                // Another's slot is being finished; its end drives the bucket again.
                for key in riding.drain(..).rev() {
                    active.pending.push_front(key);
                }
                active.riding = riding;
            }
            Err(error) => {
                tracing::debug!(bucket = bucket.0, ?error, "cannot propose");
                for key in riding {
                    self.place_elsewhere(now, key, None);
                }
            }
        }
    }

    /// Sends what is asked about the open slot again, should it not be decided in time.
    pub(super) fn resend_later(&mut self, now: u64, bucket: Bucket) {
        let slot = self.core.status(bucket).chosen.next();
        self.active.open(bucket, slot).resend_at = now + self.settings.resend_ms;
    }

    /// A slot is decided: applies its command and answers those who waited for it.
    pub(super) fn chosen(&mut self, now: u64, bucket: Bucket, slot: Slot, command: &Command) {
        if let Some(active) = self.active.get_mut(bucket)
            && active.open.is_some_and(|open| open.slot <= slot)
        {
            active.open = None;
        }
        self.apply_chosen(now, bucket, slot, command);
        if self.active.get_mut(bucket).is_some_and(|active| active.proposed.is_some()) {
            // The own command lost this slot, and goes on in the next one.
            self.resend_later(now, bucket);
        }
        if let Some(active) = self.active.get_mut(bucket) {
            if !active.pending.is_empty() && !std::mem::replace(&mut active.driven, true) {
                self.driven.push(bucket);
            }
            self.active.leave(bucket);
        }
    }

    fn apply_chosen(&mut self, now: u64, bucket: Bucket, slot: Slot, command: &Command) {
        let place = self.settings.dealing.place(bucket);
        let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
        if !self.failed.is_empty() && self.failed.contains(&bucket.0) {
            if let Some(active) = self.active.get_mut(bucket) {
                active.proposed = None;
            }
            return;
        }
        let applied = self.parts[place].applied(state_bucket);
        if applied.0 >= slot.0 {
            return;
        }
        if applied.0 + 1 < slot.0 {
            return self.applied_later(now, bucket, command);
        }
        let mut decisions = std::mem::take(&mut self.decisions);
        if let Err(error) =
            apply::apply(&mut self.parts[place], bucket, slot, &command.payload, &mut decisions)
        {
            self.decisions = decisions;
            return self.state_is_damaged(now, bucket, &error);
        }
        self.counters.applied += 1;
        let own = command.id.is_some()
            && self.active.get_mut(bucket).is_some_and(|active| active.proposed == command.id);
        if own {
            let mut riding = Vec::new();
            if let Some(active) = self.active.get_mut(bucket) {
                active.proposed = None;
                riding = std::mem::take(&mut active.riding);
            }
            debug_assert_eq!(riding.len(), decisions.len(), "one decision for each entry");
            for (key, decision) in riding.iter().zip(&decisions) {
                self.settle(now, *key, decision.verdict, slot);
            }
            riding.clear();
            if let Some(active) = self.active.get_mut(bucket) {
                active.riding = riding;
            }
        } else if !self.tokens.is_empty() {
            for decision in &decisions {
                let token = (decision.token.client, decision.token.counter);
                if let Some(key) = self.tokens.get(&token).copied() {
                    self.settle(now, key, decision.verdict, slot);
                }
            }
        }
        self.decisions = decisions;
        self.slot_applied(now, bucket, slot);
        if own && command.heir.is_some() {
            self.pass_on_pending(now, bucket);
        }
    }

    /// The state was copied from another replica, and is not as far as the log: what is between them is fetched, and this slot with it.
    fn applied_later(&mut self, now: u64, bucket: Bucket, command: &Command) {
        if let Some(active) = self.active.get_mut(bucket)
            && active.proposed.is_some()
            && active.proposed == command.id
        {
            active.proposed = None;
            for key in std::mem::take(&mut active.riding) {
                if let Some(Call { work: Work::Write(write), .. }) = self.calls.get(key) {
                    self.tokens.insert((write.token.client, write.token.counter), key);
                }
            }
        }
        self.fetch_from_another(now, bucket, self.settings.me);
    }

    /// The bucket was handed over: what came for it meanwhile is better proposed there.
    fn pass_on_pending(&mut self, now: u64, bucket: Bucket) {
        let Some(active) = self.active.get_mut(bucket) else { return };
        for key in std::mem::take(&mut active.pending) {
            self.place_write(now, key);
        }
    }

    /// The core has given an own command up.
    pub(super) fn proposal_ended(
        &mut self,
        now: u64,
        bucket: Bucket,
        id: CommandId,
        outcome: ProposalOutcome,
    ) {
        let definite = match outcome {
            ProposalOutcome::ChosenAt(_) => return,
            ProposalOutcome::Contended => true,
            ProposalOutcome::Unknown => plant::on(Plant::GivenUpIsFailure),
        };
        self.counters.contended += 1;
        let Some(active) = self.active.get_mut(bucket) else { return };
        if active.proposed != Some(id) {
            return;
        }
        active.proposed = None;
        let riding = std::mem::take(&mut active.riding);
        for key in riding {
            let Some(Call { work: Work::Write(write), .. }) = self.calls.get_mut(key) else { continue };
            write.attempts += 1;
            if definite {
                write.copies = write.copies.saturating_sub(1);
            }
            let (token, attempts, copies) = (write.token, write.attempts, write.copies);
            if attempts >= ATTEMPTS_MAX && copies == 0 {
                self.finish(key, Err(Error::Contended));
            } else {
                // The same token again: should the first copy be chosen after all, the second changes nothing.
                self.tokens.insert((token.client, token.counter), key);
                self.place_write(now, key);
            }
        }
        self.active.leave(bucket);
    }

    /// A write's entry was decided in a slot.
    fn settle(&mut self, now: u64, key: CallKey, verdict: Verdict, slot: Slot) {
        let Some(Call { source, bucket, work: Work::Write(write), .. }) = self.calls.get_mut(key) else {
            return;
        };
        let bucket = *bucket;
        let verdict = match verdict {
            // Of an only copy it is known that it was never applied, however late it came. A burn is no copy of what it asks about.
            Verdict::Forgotten
                if write.copies <= 1 && !write.given && !write.burn
                    || plant::on(Plant::ForgottenBeginsAnew) =>
            {
                Verdict::Expired
            }
            verdict => verdict,
        };
        let outcome = if write.burn {
            resolution(verdict).map(Answer::Resolved).ok_or_else(|| forged(&write.token))
        } else {
            match verdict {
                Verdict::Applied(version) => Ok(Answer::Written(version)),
                Verdict::Conflict(current) => Err(Error::Conflict { current }),
                Verdict::Burned if matches!(source, Source::Peer { .. }) => Ok(Answer::Burned),
                Verdict::Burned => Err(burned()),
                Verdict::Forged => Err(forged(&write.token)),
                Verdict::Forgotten => Err(Error::Unknown(write.token)),
                // Other copies may be under way, so the token stays.
                Verdict::Crowded => return self.enqueue(now, bucket, key),
                Verdict::Expired => return self.expired(now, key, slot.0),
            }
        };
        self.finish(key, outcome);
    }

    /// No copy of a write can apply any more: it begins anew, unless the token is somebody else's to replace.
    pub(super) fn expired(&mut self, now: u64, key: CallKey, chosen: u64) {
        let Some(Call { source, work: Work::Write(write), .. }) = self.calls.get(key) else { return };
        let outcome = match source {
            Source::Peer { .. } => Ok(Answer::Expired { chosen }),
            // Under a fresh token, a caller that sends its own a second time would have the mutation twice.
            Source::Local(_) if write.given => {
                let bound = format!("of the bucket's last {} slots", crate::token::TOKEN_SLOTS);
                Err(Error::invalid("token", write.token.to_string(), bound))
            }
            Source::Local(_) => return self.begin_anew(now, key, chosen),
        };
        self.finish(key, outcome);
    }

    /// Gives a write whose token can never apply a fresh one, and the call a fresh key: late answers to the old copies are
    /// not answers to the new one.
    fn begin_anew(&mut self, now: u64, key: CallKey, chosen: u64) {
        let Some(mut call) = self.calls.remove(key) else { return };
        let mut fresh = self.new_token(call.bucket);
        fresh.born = fresh.born.max(chosen);
        if let Work::Write(write) = &mut call.work {
            let old = std::mem::replace(&mut write.token, fresh);
            self.tokens.remove(&(old.client, old.counter));
            write.entry = command::with_token(&write.entry, &fresh);
            write.copies = 0;
        }
        call.forwarded = None;
        let key = self.calls.insert(call);
        self.counters.tokens_expired += 1;
        self.place_write(now, key);
    }

    /// Ends a call with its outcome.
    pub(super) fn finish(&mut self, key: CallKey, outcome: Outcome) {
        let Some(call) = self.calls.remove(key) else { return };
        if let Work::Write(write) = &call.work
            && !self.tokens.is_empty()
        {
            self.tokens.remove(&(write.token.client, write.token.counter));
        }
        self.answer(call.source, outcome);
    }

    /// What a caller is told of a call that is given up for `reason`: unknown, if a copy may still be chosen.
    pub(super) fn given_up(&self, key: CallKey, reason: Error) -> Error {
        match self.calls.get(key) {
            Some(Call { work: Work::Write(Write { copies: 1.., token, .. }), .. })
                if !plant::on(Plant::TimeoutIsFailure) =>
            {
                Error::Unknown(*token)
            }
            _ => reason,
        }
    }

    pub(super) fn answer(&mut self, source: Source, outcome: Outcome) {
        match source {
            Source::Local(call) => self.effects.replies.push((call, outcome)),
            Source::Peer { node, call, .. } => {
                self.say(node, &super::wire::Item::ForwardAnswer { call, outcome });
            }
        }
    }

    /// Calls past their deadline are given up.
    pub(super) fn expire_calls(&mut self, now: u64) {
        let late: Vec<CallKey> = self
            .calls
            .keys()
            .filter(|key| self.calls.get(*key).is_some_and(|call| call.deadline <= now))
            .collect();
        for key in late {
            self.counters.deadlines += 1;
            let reason = Error::Unavailable { reason: "no majority answered before the deadline".into() };
            let outcome = Err(self.given_up(key, reason));
            self.finish(key, outcome);
        }
    }

    /// Which node can propose in the bucket without a first phase, if it is another one that is there.
    pub(super) fn better_proposer(&self, bucket: Bucket) -> Option<NodeId> {
        let owner = self.core.owner(bucket)?;
        (owner != self.settings.me && self.is_up(owner)).then_some(owner)
    }
}

/// Takes as many pending writes as fit one command; they stay in their order, and no record is changed twice.
fn gather(
    pending: &mut std::collections::VecDeque<CallKey>,
    riding: &mut Vec<CallKey>,
    calls: &super::calls::Calls,
    bytes_max: usize,
) -> Option<Bytes> {
    let write_of = |key: CallKey| match calls.get(key).map(|call| &call.work) {
        Some(Work::Write(write)) => Some(write),
        _ => None,
    };
    let mut bytes = 0;
    while let Some(key) = pending.front().copied() {
        let Some(write) = write_of(key) else {
            pending.pop_front();
            continue;
        };
        let full = riding.len() >= ENTRIES_MAX || bytes + write.entry.len() > bytes_max;
        let crowded = || {
            riding.iter().filter_map(|key| write_of(*key)).any(|other| other.touches.conflict(&write.touches))
        };
        if !riding.is_empty() && (full || crowded()) {
            break;
        }
        bytes += write.entry.len();
        riding.push(key);
        pending.pop_front();
    }
    match riding.as_slice() {
        [] => None,
        [one] => write_of(*one).map(|write| write.entry.clone()),
        many => {
            let mut payload = BytesMut::with_capacity(bytes);
            for write in many.iter().filter_map(|key| write_of(*key)) {
                payload.extend_from_slice(&write.entry);
            }
            Some(payload.freeze())
        }
    }
}

/// The node that passed on all of these writes, if one did and it would own their bucket.
fn common_heir(riding: &[CallKey], calls: &super::calls::Calls) -> Option<Originator> {
    let mut heirs = riding.iter().map(|key| match calls.get(*key).map(|call| &call.work) {
        Some(Work::Write(write)) => write.heir,
        _ => None,
    });
    let first = heirs.next()??;
    heirs.all(|heir| heir == Some(first)).then_some(first)
}

/// What a burn's verdict says of the token; nothing, if no node can have made it.
fn resolution(verdict: Verdict) -> Option<Resolution> {
    match verdict {
        Verdict::Applied(version) => Some(Resolution::Committed(version)),
        Verdict::Forgotten => Some(Resolution::Forgotten),
        Verdict::Conflict(_) | Verdict::Burned | Verdict::Expired | Verdict::Crowded => {
            Some(Resolution::NotCommitted)
        }
        Verdict::Forged => None,
    }
}

/// Of a write whose token somebody resolved before it was decided.
pub(super) fn burned() -> Error {
    Error::Unavailable { reason: "its token was taken out of use by a resolve".into() }
}

/// Of a token that names a birth that has not come yet.
pub(super) fn forged(token: &Token) -> Error {
    Error::invalid("token", token.to_string(), "born at a slot that was chosen when it was made")
}

/// What a write changes, in fingerprints.
pub(super) fn touches(entity_hash: u64, mutations: &[Mutation]) -> Touches {
    let record = match mutations {
        [Mutation::Put { position, .. } | Mutation::Delete { position, .. }] => Some(fingerprint(*position)),
        _ => None,
    };
    Touches { entity: entity_hash, record }
}

/// A position's fingerprint within its entity. Equal positions have equal ones; others differ nearly always.
pub(super) fn fingerprint(position: Position) -> u64 {
    match position {
        Position::Undated => 0,
        Position::Dated { timestamp, sequence } => {
            (timestamp ^ sequence.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
        }
    }
}
