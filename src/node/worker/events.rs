//! What can happen to a worker from outside: frames, links, the journal, disk jobs, and the end. Its callers come in through
//! `forward.rs`, time through `clock.rs`.

use bytes::Bytes;
use thermocline_paxos::{NodeId, Originator};
use thermocline_tiers::hot::journal::Position as Place;

use super::Worker;
use crate::error::{Error, StorageKind};
use crate::node::calls::CallKey;
use crate::node::effects::{Done, Submission};
use crate::node::journal_index::Past;
use crate::node::lives::Reach;
use crate::node::wire::{self, Item};

/// So many items of a frame are decoded before they are taken in.
const ITEMS_AT_ONCE: usize = 32;

impl Worker {
    /// Callers in this process are about to ask for entities of these hashes: what is needed first is brought into the processor's
    /// caches, for all of them at once.
    pub(crate) fn expect_calls(&self, hashes: impl Iterator<Item = u64>) {
        self.core.warm(hashes.map(|hash| self.route.bucket(hash)));
    }

    /// The wall clock, for expiry alone.
    pub(crate) fn set_wall_clock(&mut self, wall_ms: u64) {
        self.wall_ms = wall_ms;
    }

    /// What a frame that is heard brings, from a node that hears this one, or does not.
    pub(in crate::node) fn items(&mut self, now: u64, from: NodeId, hears: bool, mut body: Bytes) {
        let mut items = std::mem::take(&mut self.items);
        loop {
            // Several at a time, so that the memory of their buckets is waited for once and not one after the other.
            let mut malformed = None;
            while items.len() < ITEMS_AT_ONCE {
                match wire::take(&mut body) {
                    Ok(Some(item)) => items.push(item),
                    Ok(None) => break,
                    Err(error) => {
                        malformed = Some(error);
                        break;
                    }
                }
            }
            let is_last = items.len() < ITEMS_AT_ONCE;
            self.core.warm(items.iter().filter_map(|item| match item {
                Item::Paxos(message) => Some(message.bucket),
                _ => None,
            }));
            for item in items.drain(..) {
                match item {
                    // Who does not hear this life has not heard what this life asked: it votes, or answers, for an earlier one.
                    Item::Paxos(_) | Item::ProbeAnswer { .. } | Item::ForwardAnswer { .. } if !hears => {
                        self.counters.messages_of_the_deaf += 1;
                    }
                    item => self.item(now, from, item),
                }
            }
            if let Some(error) = malformed {
                self.counters.malformed_items += 1;
                tracing::warn!(from = from.0, %error, "dropped the rest of a frame");
            }
            if is_last {
                break;
            }
        }
        self.items = items;
        self.pump(now);
    }

    fn item(&mut self, now: u64, from: NodeId, item: Item) {
        match item {
            Item::Paxos(mut message) => {
                if self.founded && self.owns(message.bucket) && !self.has_no_room_for(&mut message) {
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
            Item::StreamAsk { stream, of, buckets } => self.stream_asked(now, from, stream, of, &buckets),
            Item::StreamNext { stream, part, through, again } => {
                self.part_asked(now, from, stream, part, through, again);
            }
            Item::StreamPart(part) => self.part_came(now, from, part),
            Item::Hint { bucket, chosen } => self.hinted(now, from, bucket, chosen),
            Item::Founding(founding) => self.founding_heard(from, founding),
            Item::FloorAsk { nonce, buckets } => self.floor_asked(now, from, nonce, &buckets),
            Item::FloorAnswer { nonce, buckets, learning } => {
                self.floor_answered(now, from, nonce, &buckets, &learning);
            }
            Item::Nudge { who, buckets } => self.nudged(now, from, who, &buckets),
            Item::CopyAsk { session, bucket, chunk, at_least } => {
                self.copy_asked(now, from, session, bucket, chunk, at_least);
            }
            Item::Copy(piece) => self.copy_came(now, from, piece),
            Item::CopyRefused { session, bucket } => self.copy_refused(now, from, session, bucket),
            Item::Address { epoch, address } => self.address_told(from, epoch, address),
            Item::AuditAsk { round, buckets } => self.audit_asked(now, from, round, buckets),
            Item::AuditAnswer { round, findings } => self.audit_answered(now, from, round, findings),
            Item::Repair { bucket, at, source } => self.repair(bucket, at, source),
            Item::Witnessed(told) => self.witnessed(now, from, told),
            // Looked at when it was asked whose frame this is.
            Item::Accounts(_) => {}
            Item::Life(_) => self.counters.malformed_items += 1,
        }
    }

    /// A link to another node opened: it may lack what this node has.
    pub(crate) fn peer_up(&mut self, now: u64, node: NodeId) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) else { return };
        peer.up = true;
        self.asking.has_changed();
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
        self.asking.has_changed();
        self.order_peers(now);
        self.widen_proposals(now, true);
        self.hint_news();
        self.reroute_forwarded(now, Some(node));
        self.widen_rounds(now, Some(node));
        self.fetch_from_others(now, node);
        self.stream_from_others(now, node);
        self.forget_streams_of(node);
        self.pump(now);
    }

    /// The journal has synced a submission, and its records know their positions.
    pub(crate) fn journal_synced(&mut self, now: u64, submission: Submission) {
        self.heed_other_workers(now);
        submission.records.iter().for_each(|placed| self.index.warm(placed.bucket));
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
        self.synced_commit = self.synced_commit.max(submission.commit);
        self.core.persisted(submission.through, &mut self.out);
        self.answer_fetches();
        self.read_for_streams();
        self.release_state_jobs();
        self.effects.recycle(submission);
        self.go_on_with_renewal(now);
        self.syncing = true;
        self.pump(now);
        self.syncing = false;
        self.go_on_to_forget(now);
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
            Done::Streamed(stretch) => self.stretch_read(stretch),
            Done::Fetched { to, bucket, from, commands } => {
                self.fetch_jobs -= 1;
                self.answer_fetches();
                if to == self.settings.me {
                    return self.read_back(now, bucket, from, commands);
                }
                let chosen = self.core.status(bucket).chosen;
                self.say(to, &Item::FetchAnswer { bucket, from, commands, chosen });
                // Who was asked for a vote and lacked this said nothing else.
                let status = self.core.status(bucket);
                if status.proposing && !status.backed_off {
                    self.core.retry(bucket, &mut self.out);
                }
            }
        }
        self.pump(now);
    }

    /// The journal's disk has no room any more, or has some again.
    pub(crate) fn journal_full(&mut self, is_full: bool) {
        self.journal_full = is_full;
        if !is_full {
            self.let_in.clear();
        }
    }

    /// A part of what a start has left unread in the journal is indexed.
    pub(crate) fn past_came(&mut self, past: Past) {
        let core = &self.core;
        self.counters.past_losses += past.losses;
        self.counters.past_commands += self.index.join(past, |bucket| core.status(bucket).chosen);
        self.read_for_streams();
    }

    /// Whether a peer waits for what a start has left unread in the journal.
    pub(crate) fn wants_past(&self) -> bool {
        self.index.is_past_wanted()
    }

    /// The journal's segments below `first` are gone.
    pub(crate) fn segments_reclaimed(&mut self, first: u64) {
        self.index.reclaimed(first);
    }

    /// The journal failed: nothing that this node says can count any more.
    pub(crate) fn node_failed(&mut self, cause: &str) {
        self.stop_taking_part(StorageKind::SyncFailed, cause);
    }

    /// Nothing that this node says can count any more.
    pub(in crate::node) fn stop_taking_part(&mut self, kind: StorageKind, cause: &str) {
        (self.founded, self.stopped) = (false, true);
        for key in self.calls.keys().collect::<Vec<_>>() {
            let outcome = Err(self.given_up(key, Error::storage(kind, cause)));
            self.finish(key, outcome);
        }
    }

    /// Ends every call: the node stops.
    pub(crate) fn close(&mut self) {
        for key in self.calls.keys().collect::<Vec<_>>() {
            let outcome = Err(self.given_up(key, Error::Closed));
            self.finish(key, outcome);
        }
    }
}
