//! What a worker does because time has passed: timers, and a sweep every few milliseconds.

use thermocline_paxos::{Bucket, Slot};

use super::Worker;
use crate::node::effects::Peer;
use crate::node::load::STRAGGLERS_WHEN_FULL_MS;
use crate::node::timers::Timer;

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

impl Worker {
    /// Time has passed. To be called when [`next_timer`](Self::next_timer) says so.
    pub(crate) fn tick(&mut self, now: u64) {
        self.last_tick = now;
        self.heed_other_workers(now);
        while let Some(timer) = self.timers.due(now) {
            self.timer(now, timer);
        }
        self.look_after_stream(now);
        if now >= self.active.widen_from() {
            self.widen_proposals(now, false);
        }
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP_MS;
            self.look_after_open_slots(now);
            self.expire_calls(now);
            self.reroute_forwarded(now, None);
            self.widen_rounds(now, None);
            self.sweep_streams(now);
            self.open_stream(now);
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
                let learning = self.ask_for_floors(now);
                self.learning.note(now, learning as u32);
                self.next_floor_question =
                    if learning == 0 && !self.lift() { u64::MAX } else { now + FLOOR_MS };
            }
            self.nudge();
            if !self.founded && now >= self.next_founding {
                self.next_founding = now + FOUNDING_MS;
                self.tell_founding();
            }
            self.remember_reach(now);
            self.hint_some(now);
            if now >= self.next_straggler {
                let pause = if self.journal_full { STRAGGLERS_WHEN_FULL_MS } else { STRAGGLERS_MS };
                self.next_straggler = now + pause;
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
        let is_idle = self.calls.len() == 0
            && self.catch_up.is_empty()
            && self.streams.is_idle()
            && self.transfers.is_idle()
            && self.nudges.is_idle();
        let sweep = if is_idle { self.next_sweep + 20 * SWEEP_MS } else { self.next_sweep };
        if self.streams.has_come() && self.founded && !self.journal_is_behind() {
            return self.last_tick;
        }
        let news = self.peers.iter().filter_map(Peer::due);
        news.chain(self.timers.next()).fold(sweep.min(self.active.widen_from()), u64::min)
    }

    /// Slots that stay open too long: the own proposal is sent again, another's is finished.
    fn look_after_open_slots(&mut self, now: u64) {
        for (bucket, open) in self.active.overdue(now) {
            let slot = open.slot;
            if open.resend_at <= now {
                self.counters.resends += 1;
                // One that backed off would record a promise.
                if !self.core.status(bucket).backed_off || !self.is_saturated(bucket) {
                    self.retry(bucket);
                }
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
                if status.chosen.next() == slot && self.founded {
                    // While the journal is full, only what somebody waits for.
                    let is_wanted = !self.journal_full || self.is_waited_for(bucket, slot);
                    if !is_wanted || !self.may_decide(now, bucket) {
                        // Later: it would be recorded.
                    } else if status.proposing {
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
            Timer::Retry(bucket) if !self.may_decide(now, bucket) => {
                self.timers.at(now + self.settings.resend_ms, Timer::Retry(bucket));
            }
            Timer::Retry(bucket) => self.retry(bucket),
            Timer::Fetch(bucket) => self.fetch_again(now, bucket),
            Timer::Apply(bucket) => self.apply_again(now, bucket),
            Timer::Admit => self.write_admission(),
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
    pub(in crate::node) fn finish_at(&mut self, due: u64, bucket: Bucket, slot: Slot) {
        if self.finishing.insert((bucket, slot)) {
            self.timers.at(due, Timer::Finish(bucket, slot));
        }
    }
}
