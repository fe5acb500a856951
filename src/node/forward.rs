//! Passing calls on: to the node that proposes a bucket's writes in one round trip, or to one that holds the bucket at all.
//!
//! A bucket that is written through one node comes to be owned by it: the owner hands it over with the command that carries
//! that node's write, when nothing else waits for the bucket.
//!
//! Forwarding is a hint, not a lease: nothing waits for an expiry. A node that does not answer within the hedge delay, or
//! whose link closes, is gone around; tokens make the double attempt harmless.

use bytes::Bytes;
use thermocline_paxos::{Bucket, NodeId, Originator};

use super::calls::{Call, CallKey, Read, Source, Work, Write};
use super::command::{self, Change, EntryKind};
use super::wire::Item;
use super::worker::Worker;
use super::write::{burned, fingerprint, forged};
use crate::error::Error;
use crate::key::{Key, Position};
use crate::plant::{self, Plant};
use crate::request::{Answer, Ask, Consistency, Outcome, Request};
use crate::token::{OUTCOME_SLOTS, Token};

/// A call is passed on at most so often.
const HOPS_MAX: u8 = 2;

impl Worker {
    /// A call by a caller of this process. `call` comes back with the answer; `hash` is the entity's.
    pub(crate) fn call(&mut self, now: u64, call: u64, hash: u64, request: Request) {
        let source = Source::Local(call);
        if let Some(error) = self.refuses_call() {
            let error = error.of_attempt(request.ask.given_token());
            return self.answer(source, Err(error));
        }
        let deadline = now + u64::from(request.deadline_ms);
        let bucket = match &request.ask {
            Ask::Resolve(token) if token.bucket < self.route.buckets() => {
                if self.is_from_the_future(token) {
                    return self.answer(source, Err(forged(token)));
                }
                Bucket(token.bucket)
            }
            Ask::Resolve(token) => {
                let bound = format!("of a bucket below {}", self.route.buckets());
                return self.answer(source, Err(Error::invalid("token", token.to_string(), bound)));
            }
            _ => self.route.bucket(hash),
        };
        match request.ask {
            Ask::Write { entity, mutations, token } => {
                self.counters.writes += 1;
                self.write_called(now, source, deadline, (bucket, hash), &entity, &mutations, token);
            }
            ask => {
                self.counters.reads += 1;
                self.take_read(now, source, deadline, bucket, ask, request.consistency);
            }
        }
    }

    fn take_read(
        &mut self,
        now: u64,
        source: Source,
        deadline: u64,
        bucket: Bucket,
        ask: Ask,
        consistency: Consistency,
    ) {
        let read = match ask {
            Ask::Get(key) => Read::Get(key),
            Ask::Scan(query) => Read::Scan(query),
            Ask::Resolve(token) => Read::Resolve(token),
            Ask::NewToken { entity } => Read::NewToken(entity),
            Ask::Write { .. } => unreachable!("writes are taken elsewhere"),
        };
        // A token may be born somewhat too early, never too late: what a replica knows of the bucket will do.
        let may_be_stale = consistency == Consistency::Stale || matches!(read, Read::NewToken(_));
        let at_once = may_be_stale || plant::on(Plant::ReadsLocally);
        let key =
            self.calls.insert(Call { source, deadline, bucket, work: Work::Read(read), forwarded: None });
        let waits_for_disk = self.unapplied.contains(&bucket.0) && self.has_other_replica(bucket, None);
        if !self.owns(bucket) || (waits_for_disk && !at_once) {
            self.place_elsewhere(now, key, None);
        } else if at_once {
            self.serve(now, key);
        } else {
            self.read_called(bucket, key);
        }
    }

    /// Decides who proposes a write: the bucket's last originator if it is there, else this node.
    pub(super) fn place_write(&mut self, now: u64, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        let bucket = call.bucket;
        if !self.owns(bucket) || self.failed.contains(&bucket.0) {
            return self.place_elsewhere(now, key, None);
        }
        if !self.founded {
            return self.cannot_place(key, "the node takes no part in its group yet".into());
        }
        let passed_on = matches!(call.source, Source::Peer { hops, .. } if hops >= HOPS_MAX);
        let busy_here = self.active.get(bucket).is_some_and(|active| active.proposed.is_some());
        // What was proposed here before it was known that slots are missing waits for them; what comes now need not.
        let busy_here = busy_here && !self.is_behind(bucket);
        match self.better_proposer(bucket) {
            Some(owner) if !passed_on && !busy_here => self.forward(now, key, owner),
            _ => self.enqueue(now, bucket, key),
        }
    }

    /// Passes a call to a node that holds its bucket, other than this one and `avoid`.
    pub(super) fn place_elsewhere(&mut self, now: u64, key: CallKey, avoid: Option<NodeId>) {
        let Some(call) = self.calls.get(key) else { return };
        let passed_on = matches!(call.source, Source::Peer { hops, .. } if hops >= HOPS_MAX);
        let mut others = self.route.replicas(call.bucket).iter().copied();
        let other =
            others.find(|node| *node != self.settings.me && Some(*node) != avoid && self.is_up(*node));
        match other {
            Some(node) if !passed_on => self.forward(now, key, node),
            _ => self.cannot_place(key, "no replica of the bucket can be reached".into()),
        }
    }

    /// Nobody takes a call at present. One of this process waits until somebody does, or until its deadline; another node is told,
    /// and sees to it by itself.
    fn cannot_place(&mut self, key: CallKey, reason: String) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.forwarded = None;
        let bucket = call.bucket;
        let error = if self.failed.contains(&bucket.0) {
            Error::Corrupt { what: format!("bucket {} cannot be read at this node", bucket.0) }
        } else if matches!(call.source, Source::Local(_)) {
            return self.parked.push(key);
        } else {
            Error::Unavailable { reason }
        };
        let outcome = Err(self.given_up(key, error));
        self.finish(key, outcome);
    }

    /// Tries calls again that nobody took.
    pub(super) fn place_parked(&mut self, now: u64) {
        for key in std::mem::take(&mut self.parked) {
            match self.calls.get(key).map(|call| (&call.work, call.bucket)) {
                Some((Work::Write(_), _)) => self.place_write(now, key),
                Some((Work::Read(_), bucket)) if self.owns(bucket) => self.read_called(bucket, key),
                Some((Work::Read(_), _)) => self.place_elsewhere(now, key, None),
                None => {}
            }
        }
    }

    /// Whether a node that holds the bucket can be reached, other than this one and `avoid`.
    fn has_other_replica(&self, bucket: Bucket, avoid: Option<NodeId>) -> bool {
        let mut replicas = self.route.replicas(bucket).iter();
        replicas.any(|node| *node != self.settings.me && Some(*node) != avoid && self.is_up(*node))
    }

    fn forward(&mut self, now: u64, key: CallKey, to: NodeId) {
        let may_inherit = self.calls.get(key).is_some_and(|call| {
            self.owns(call.bucket) && self.core.fresh(call.bucket).voting && !self.is_behind(call.bucket)
        });
        let Some(call) = self.calls.get_mut(key) else { return };
        call.forwarded = Some((to, now));
        let deadline_ms = u32::try_from(call.deadline.saturating_sub(now)).unwrap_or(u32::MAX);
        let hops = if let Source::Peer { hops, .. } = call.source { hops + 1 } else { 1 };
        let wire = key.to_wire();
        let bucket = call.bucket;
        let item = match &mut call.work {
            Work::Write(write) => {
                write.copies = write.copies.saturating_add(1);
                self.tokens.insert((write.token.client, write.token.counter), key);
                // Whoever writes a bucket should own it: then it writes in one step, without passing on. But not who could not, and would have
                // all others pass on to it what it cannot propose.
                let heir = (hops == 1 && may_inherit).then(|| self.core.me().boot);
                let entry = write.entry.clone();
                Item::ForwardWrite { call: wire, hops, deadline_ms, bucket, heir, entry }
            }
            Work::Read(read) => {
                let ask = match read {
                    Read::Get(key) => Ask::Get(key.clone()),
                    Read::Scan(query) => Ask::Scan(query.clone()),
                    Read::Resolve(token) => Ask::Resolve(*token),
                    Read::NewToken(entity) => Ask::NewToken { entity: entity.clone() },
                };
                Item::Forward {
                    call: wire,
                    hops,
                    request: Request { ask, deadline_ms, consistency: Consistency::Linearizable },
                }
            }
        };
        self.counters.forwarded += 1;
        self.say(to, &item);
    }

    /// A read that another node passes on.
    pub(super) fn forwarded_read(&mut self, now: u64, from: NodeId, call: u64, hops: u8, request: Request) {
        let bucket = match &request.ask {
            Ask::Get(Key { entity, .. }) | Ask::NewToken { entity } => {
                self.route.bucket(super::entity_hash(entity))
            }
            Ask::Scan(query) => self.route.bucket(super::entity_hash(&query.entity)),
            Ask::Resolve(token) => Bucket(token.bucket),
            Ask::Write { .. } => return,
        };
        if !self.owns(bucket) {
            return;
        }
        let source = Source::Peer { node: from, life: self.life_of(from), call, hops };
        if let Some(error) = self.refuses_call() {
            return self.answer(source, Err(error));
        }
        self.take_read(
            now,
            source,
            now + u64::from(request.deadline_ms),
            bucket,
            request.ask,
            request.consistency,
        );
    }

    /// A write that another node passes on.
    #[expect(clippy::too_many_arguments, reason = "the fields of one item")]
    pub(super) fn forwarded_write(
        &mut self,
        now: u64,
        from: NodeId,
        call: u64,
        hops: u8,
        deadline_ms: u32,
        bucket: Bucket,
        heir: Option<Originator>,
        entry: Bytes,
    ) {
        if !self.owns(bucket) {
            return;
        }
        let source = Source::Peer { node: from, life: self.life_of(from), call, hops };
        let (token, touches, burn) = match command::single(&entry) {
            Ok(read) => {
                if matches!(read.kind, EntryKind::Write { .. })
                    && let Some(chosen) = self.expired_by_now(bucket, &read.token)
                {
                    // Born long ago, perhaps at a node that does not hold the bucket: this copy goes no further.
                    return self.answer(source, Ok(Answer::Expired { chosen }));
                }
                let token = Token {
                    client: read.token.client,
                    counter: read.token.counter,
                    bucket: bucket.0,
                    born: read.token.born,
                };
                match read.kind {
                    EntryKind::Burn => {
                        (token, super::calls::Touches { entity: token.client, record: None }, true)
                    }
                    EntryKind::Write { mutations, .. } if has_duplicates(mutations) => {
                        self.counters.malformed_items += 1;
                        return;
                    }
                    EntryKind::Write { entity, mutations, .. } => {
                        let hash = super::entity_hash(entity);
                        if self.route.bucket(hash) != bucket {
                            self.counters.malformed_items += 1;
                            return;
                        }
                        let mut positions = mutations.map(position_of);
                        let first = positions.next().flatten();
                        let record = if positions.next().is_none() { first.map(fingerprint) } else { None };
                        (token, super::calls::Touches { entity: hash, record }, false)
                    }
                }
            }
            Err(_) => {
                self.counters.malformed_items += 1;
                return;
            }
        };
        if entry.len() > self.settings.command_bytes_max {
            let bound = format!("at most {} bytes (command_bytes_max)", self.settings.command_bytes_max);
            let error = Error::invalid("write", format!("{} bytes", entry.len()), bound);
            return self.answer(source, Err(error));
        }
        if let Some(error) = self.refuses_call().or_else(|| self.refuses_write(bucket, entry.len())) {
            return self.answer(source, Err(error));
        }
        let heir = heir.filter(|heir| self.route.holds(heir.node, bucket));
        let write = Write { token, entry, touches, copies: 0, given: false, heir, burn, attempts: 0 };
        let deadline = now + u64::from(deadline_ms);
        let key =
            self.calls.insert(Call { source, deadline, bucket, work: Work::Write(write), forwarded: None });
        self.place_write(now, key);
    }

    /// The node that a call was passed to has answered.
    pub(super) fn forward_answered(&mut self, now: u64, from: NodeId, key: CallKey, outcome: Outcome) {
        let Some(call) = self.calls.get(key) else { return };
        if call.forwarded.is_none_or(|(to, _)| to != from) {
            return;
        }
        match call.work {
            Work::Write(_) => self.forwarded_write_answered(now, from, key, outcome),
            Work::Read(_) => self.forwarded_read_answered(from, key, outcome),
        }
    }

    fn forwarded_read_answered(&mut self, from: NodeId, key: CallKey, outcome: Outcome) {
        let Some(Call { bucket, work: Work::Read(read), .. }) = self.calls.get(key) else { return };
        match outcome {
            Ok(answer) if read.is_answered_by(*bucket, &answer) => self.finish(key, Ok(answer)),
            Err(Error::Unavailable { reason }) => self.cannot_place(key, reason),
            // Errors of writes only, and answers to other questions.
            Ok(_) | Err(Error::Conflict { .. } | Error::Contended | Error::Unknown(_)) => {
                self.counters.malformed_items += 1;
                self.cannot_place(key, format!("node {} answered another question", from.0));
            }
            Err(error) => self.finish(key, Err(error)),
        }
    }

    fn forwarded_write_answered(&mut self, now: u64, from: NodeId, key: CallKey, outcome: Outcome) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let (bucket, in_time) = (call.bucket, call.deadline > now);
        let Work::Write(write) = &mut call.work else { return };
        match outcome {
            // The copy that was passed on never applies. Others may have, unless outcomes of that age are still remembered.
            Ok(Answer::Expired { chosen }) => {
                let is_sure = write.copies <= 1 || chosen <= write.token.born.saturating_add(OUTCOME_SLOTS);
                if is_sure && !write.burn {
                    self.expired(now, key, chosen);
                } else {
                    let unknown = Error::Unknown(write.token);
                    self.finish(key, Err(unknown));
                }
            }
            Ok(Answer::Burned) if !write.burn => self.finish(key, Err(burned())),
            Ok(Answer::Written(version)) if !write.burn => self.finish(key, Ok(Answer::Written(version))),
            Ok(Answer::Resolved(resolution)) if write.burn => {
                self.finish(key, Ok(Answer::Resolved(resolution)));
            }
            Ok(_) => {
                // Whatever the node did, it did not say it.
                self.counters.malformed_items += 1;
                tracing::warn!(from = from.0, "an answer to another question");
                let unknown = Error::Unknown(write.token);
                self.finish(key, Err(unknown));
            }
            Err(Error::Conflict { current }) => self.finish(key, Err(Error::Conflict { current })),
            Err(error) => {
                // The node refuses its copy for sure; of other copies it says nothing.
                if !matches!(error, Error::Unknown(_)) {
                    write.copies = write.copies.saturating_sub(1);
                }
                if plant::on(Plant::RefusalSpeaksForAll) {
                    write.copies = 0;
                }
                call.forwarded = None;
                let can_try = in_time && self.owns(bucket) && self.core.fresh(bucket).voting;
                match error {
                    error if error.is_retryable() && can_try => self.enqueue(now, bucket, key),
                    Error::Unavailable { reason } => self.cannot_place(key, reason),
                    error => {
                        let outcome = Err(self.given_up(key, error));
                        self.finish(key, outcome);
                    }
                }
            }
        }
    }

    /// Calls that were passed to a node that is gone (`lost`), or that has not answered in time, are tried elsewhere.
    pub(super) fn reroute_forwarded(&mut self, now: u64, lost: Option<NodeId>) {
        let hedge_ms = self.settings.hedge_ms;
        let stuck = |call: &Call| {
            call.forwarded.is_some_and(|(to, since)| match lost {
                Some(node) => to == node,
                None => now >= since + hedge_ms,
            })
        };
        let keys: Vec<CallKey> =
            self.calls.keys().filter(|key| self.calls.get(*key).is_some_and(stuck)).collect();
        for key in keys {
            let Some(call) = self.calls.get(key) else { continue };
            let (bucket, tried) = (call.bucket, call.forwarded.map(|(to, _)| to));
            let tries_here =
                matches!(call.work, Work::Write(_)) && self.owns(bucket) && !self.is_behind(bucket);
            if lost.is_none() && !tries_here && !self.has_other_replica(bucket, tried) {
                // There is nobody else to ask: the one that was asked has until the deadline.
                continue;
            }
            if let Some(call) = self.calls.get_mut(key) {
                call.forwarded = None;
            }
            self.counters.hedged += 1;
            if tries_here {
                self.enqueue(now, bucket, key);
            } else {
                self.place_elsewhere(now, key, tried);
            }
        }
    }
}

/// Whether two changes are to the same place: such an entry is refused in every slot, so that it must not be proposed.
fn has_duplicates(mutations: command::Mutations<'_>) -> bool {
    let mut places = std::collections::HashSet::new();
    mutations.count() > 1 && !mutations.map(position_of).all(|place| places.insert(place))
}

fn position_of(change: Change<'_>) -> Option<Position> {
    match change {
        Change::Put { position, .. } | Change::Delete { position, .. } => Some(position),
        Change::Trim { .. } => None,
    }
}
