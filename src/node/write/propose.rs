//! Waiting writes of a bucket become a command, and the command is proposed.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use thermocline_paxos::{Bucket, CommandId, NodeId, Originator, ProposalOutcome, ProposeError};

use crate::error::Error;
use crate::node::apply;
use crate::node::calls::{Call, CallKey, Calls, Source, Work};
use crate::node::command::{self, EntryToken};
use crate::node::worker::Worker;
use crate::plant::{self, Plant};
use crate::request::Answer;
use crate::token::{TOKEN_SLOTS, Token};

/// At most so many writes ride in one command: bounds the work of keeping them apart.
const ENTRIES_MAX: usize = 128;

/// A write goes through the core at most so often before its caller is told that it is contended.
const ATTEMPTS_MAX: u32 = 6;

impl Worker {
    /// Queues a write for this node's next command of the bucket.
    pub(in crate::node) fn enqueue(&mut self, _now: u64, bucket: Bucket, key: CallKey) {
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

    /// Which node can propose in the bucket without a first phase, if it is another one that is there. A replica that lacks slots cannot propose at
    /// all: another one knows who can.
    pub(in crate::node) fn better_proposer(&self, bucket: Bucket) -> Option<NodeId> {
        let me = self.settings.me;
        let owner = self.core.owner(bucket).filter(|owner| *owner != me && self.is_up(*owner));
        owner.or_else(|| if self.is_behind(bucket) { self.another_source(bucket, me) } else { None })
    }

    /// Proposes the bucket's pending writes, if its slot is free.
    pub(in crate::node) fn drive(&mut self, now: u64, bucket: Bucket) {
        if self.part(bucket).is_full() {
            return self.held_buckets.push(bucket);
        }
        let Some(active) = self.active.get_mut(bucket) else { return };
        active.driven = false;
        if active.proposed.is_some() {
            return;
        }
        if !plant::on(Plant::BirthsStay) {
            self.look_at_births(bucket);
        }
        let Some(active) = self.active.get_mut(bucket) else { return };
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
                for key in riding.drain(..) {
                    self.place_elsewhere(now, key, None);
                }
                if let Some(active) = self.active.get_mut(bucket) {
                    active.riding = riding;
                    self.active.leave(bucket);
                }
            }
        }
    }

    /// Sees to the tokens of writes that have waited for many slots. Too old for the slot that their command gets, they would begin anew behind all
    /// others that wait, and be too old in their turn again: enough callers of one record would keep one another from it for ever, each of them
    /// taking slots for nothing. A write of which there is no copy yet gets a later birth, and one that another node has passed on goes back to it
    /// before it takes a slot.
    fn look_at_births(&mut self, bucket: Bucket) {
        let (chosen, applied) = (self.core.status(bucket).chosen.0, self.applied(bucket).0);
        let Some(active) = self.active.get_mut(bucket) else { return };
        let calls = &self.calls;
        let is_old = |key: &CallKey| match calls.get(*key).map(|call| &call.work) {
            Some(Work::Write(write)) => {
                let has_copies = write.copies > 0 || write.given || write.burn;
                !has_copies && chosen >= write.token.born.saturating_add(TOKEN_SLOTS / 2)
            }
            _ => false,
        };
        let old: Vec<CallKey> = active.pending.iter().take(ENTRIES_MAX).copied().filter(is_old).collect();
        for key in old {
            let Some(Call { source, work: Work::Write(write), .. }) = self.calls.get_mut(key) else {
                continue;
            };
            if matches!(source, Source::Local(_)) {
                if applied <= write.token.born {
                    continue;
                }
                // Not behind what is applied here: should there be a copy after all, it would have been settled by that, or be found by it.
                write.token.born = applied;
                write.entry = command::with_token(&write.entry, &write.token);
                self.counters.tokens_reborn += 1;
                continue;
            }
            let Token { client, counter, born, .. } = write.token;
            if let Some(chosen) = self.expired_by_now(bucket, &EntryToken { client, counter, born }) {
                self.finish(key, Ok(Answer::Expired { chosen }));
            }
        }
    }

    /// A slot by which a token can apply no more, if it has none of its outcomes here: no copy of its write that comes by now ever applies.
    pub(in crate::node) fn expired_by_now(&self, bucket: Bucket, token: &EntryToken) -> Option<u64> {
        let applied = self.applied(bucket).0;
        let is_late = applied >= token.born.saturating_add(TOKEN_SLOTS);
        let is_unknown = || matches!(apply::remembered(self.part(bucket), bucket, token), Ok(None));
        (is_late && is_unknown()).then_some(applied)
    }

    /// Asks more of the others about the open slot, and later all of them again, should it not be decided in time.
    pub(in crate::node) fn resend_later(&mut self, now: u64, bucket: Bucket) {
        let slot = self.core.status(bucket).chosen.next();
        let widen_at = now + self.asking.patience();
        self.active.proposed(bucket, slot, now, widen_at, now + self.settings.resend_ms);
    }

    /// The core has given an own command up.
    pub(in crate::node) fn proposal_ended(
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
}

/// Takes as many pending writes as fit one command; they stay in their order, and no record is changed twice.
fn gather(
    pending: &mut VecDeque<CallKey>,
    riding: &mut Vec<CallKey>,
    calls: &Calls,
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
fn common_heir(riding: &[CallKey], calls: &Calls) -> Option<Originator> {
    let mut heirs = riding.iter().map(|key| match calls.get(*key).map(|call| &call.work) {
        Some(Work::Write(write)) => write.heir,
        _ => None,
    });
    let first = heirs.next()??;
    heirs.all(|heir| heir == Some(first)).then_some(first)
}
