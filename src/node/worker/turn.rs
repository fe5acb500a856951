//! The end of a worker's turn: what has gathered is proposed and asked, and what the core wants is laid out as effects.

use thermocline_paxos::{Event, NodeId};

use super::Worker;
use crate::node::apply;
use crate::node::effects::{Effects, Peer};
use crate::node::record_codec;
use crate::node::timers::Timer;
use crate::node::wire::{self, Item};

/// After so long an accepted value without a decision is finished by whoever holds it, in milliseconds.
const UNDECIDED_MS: u64 = 1_000;

/// The backoff after a preemption is drawn from up to so many milliseconds and as long as decisions take, doubled for each time that the
/// proposal was prepared, up to four times. Who comes back while the other one's decision is still under way preempts that in its turn: with
/// slow disks or links two nodes would go on so for seconds.
const BACKOFF_MS: u64 = 2;

/// That a slot is decided may wait so long, in milliseconds, for a frame that leaves anyway: with few callers it would cost each of them two
/// frames more, just before its answer.
pub(in crate::node) const NEWS_MS: u64 = 2;

/// Who was not asked to vote may be told so late, in milliseconds, with the value. Nearly no read waits for that, because a read there asks the
/// proposer, whose answer comes behind it, unless that one is avoided; and the more come together, the less each costs. A read that depends on a decision
/// waits longer than that before it has the slot decided by itself.
pub(in crate::node) const COPIES_MS: u64 = 5;

impl Worker {
    /// Ends a turn: proposes what has gathered, asks what reads need. Effects are complete after it.
    pub(crate) fn flush(&mut self, now: u64) {
        self.order_peers(now);
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

    /// The nodes that are to be told something by that time. What was told is to be cleared.
    pub(crate) fn due_peers(&mut self, by: u64) -> impl Iterator<Item = &mut Peer> {
        let life = self.kept.life;
        self.peers.iter_mut().filter_map(move |peer| {
            peer.due().filter(|due| *due <= by)?;
            peer.sign(&life);
            Some(peer)
        })
    }

    /// The nodes this worker talks to.
    pub(crate) fn peers(&mut self) -> &mut [Peer] {
        &mut self.peers
    }

    /// Carries out what the core has asked for, until it asks for nothing more.
    pub(in crate::node) fn pump(&mut self, now: u64) {
        while !self.out.is_empty() {
            let mut out = std::mem::replace(&mut self.out, std::mem::take(&mut self.spare));
            #[cfg(feature = "test-util")]
            self.effects.witness(&out);
            for persist in out.persist.drain(..) {
                self.last_ticket = persist.ticket;
                let (kind, slot) = record_codec::head(&persist.record);
                // An accepted value may lose its proposer before it is chosen.
                if record_codec::is_accept(kind) {
                    let due = now + UNDECIDED_MS + self.draw(UNDECIDED_MS);
                    self.active.open(persist.bucket, slot).finish_at = due;
                }
                self.effects.journal(persist.bucket, persist.ticket, &persist.record);
            }
            for send in out.send.drain(..) {
                if let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == send.to)
                    && peer.up
                {
                    let has_value = send.message.accepted.as_ref().is_some_and(|told| told.command.is_some());
                    let due = match send.can_wait {
                        true if has_value => now + COPIES_MS,
                        true => now + NEWS_MS,
                        false => 0,
                    };
                    peer.add_by(due, |out| wire::put_paxos(out, &send.message));
                }
            }
            self.warm(&out.events);
            for event in out.events.drain(..) {
                self.event(now, event);
            }
            self.spare = out;
        }
    }

    /// Has the memory that decisions will touch waited for together.
    fn warm(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Chosen { bucket, command, .. } = event {
                let place = self.settings.dealing.place(*bucket);
                let located = apply::locate(&self.parts[place], *bucket, &command.payload);
                self.located.extend(located.map(|located| (place, located)));
            }
        }
        self.warm_located();
    }

    /// Has the memory of what was located in the state waited for together.
    pub(in crate::node) fn warm_located(&mut self) {
        self.located.iter().for_each(|(place, located)| self.parts[*place].approach(*located));
        self.located.iter().for_each(|(place, located)| self.parts[*place].touch(*located));
        self.located.clear();
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
                let spread = (BACKOFF_MS + self.asking.decision_ms()) << attempt.min(4);
                let due = now + 1 + self.draw(spread);
                self.counters.preempted += 1;
                self.timers.at(due, Timer::Retry(bucket));
            }
            Event::VotingFrom { bucket, slot } => {
                self.counters.voting_again += 1;
                tracing::debug!(bucket = bucket.0, slot = slot.0, "votes again");
                if self.is_anew(bucket, slot) {
                    self.finish_slot(now, bucket);
                }
            }
        }
    }

    /// Tells another node something, if there is a link to it.
    pub(in crate::node) fn say(&mut self, to: NodeId, item: &Item) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == to)
            && peer.up
        {
            peer.add(|out| wire::put(out, item));
        }
    }
}
