//! Buckets whose state cannot be read. What is damaged is not served from here until it was taken over from another replica; what the disk only
//! refused, for whatever reason, is tried again.

use thermocline_paxos::{Bucket, Command, Slot};
use thermocline_tiers::hot::state::StateError;

use super::calls::{Call, CallKey};
use super::timers::Timer;
use super::worker::Worker;
use crate::error::Error;
use crate::plant::{self, Plant};

/// A command that could not be applied is tried again after so long, in milliseconds.
const APPLY_AGAIN_MS: u64 = 100;

impl Worker {
    /// Whether the state does not have all of a bucket that it says it has: it is damaged, or being installed.
    pub(super) fn lacks_state(&self, bucket: Bucket) -> bool {
        let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
        self.failed.contains(&bucket.0) || self.part(bucket).is_installing(state_bucket)
    }

    /// Recovery could not read the bucket's state.
    pub(super) fn found_damaged(&mut self, bucket: Bucket) {
        self.failed.insert(bucket.0);
        self.want_transfer(bucket, self.core.status(bucket).chosen);
    }

    /// A bucket's state cannot be read. It is not served from here until it was taken over from another replica; what waits for it
    /// is asked of the others.
    pub(super) fn state_is_damaged(&mut self, now: u64, bucket: Bucket, error: &StateError) {
        self.counters.state_errors += 1;
        if !matches!(error, StateError::Corrupt { .. }) || !self.failed.insert(bucket.0) {
            return;
        }
        self.unapplied.remove(&bucket.0);
        tracing::error!(bucket = bucket.0, %error, "the bucket's state cannot be read; it is copied from another replica");
        self.want_transfer(bucket, self.core.status(bucket).chosen);
        if let Some(active) = self.active.get_mut(bucket) {
            active.proposed = None;
        }
        let waiting: Vec<CallKey> = self
            .calls
            .keys()
            .filter(|key| {
                let waits = |call: &Call| call.bucket == bucket && call.forwarded.is_none();
                self.calls.get(*key).is_some_and(waits)
            })
            .collect();
        for key in waiting {
            if self.route.replicas(bucket).len() > 1 {
                // A write's token tells the others what became of it.
                self.place_elsewhere(now, key, None);
            } else {
                let outcome = Err(self.given_up(key, super::state_error(error)));
                self.finish(key, outcome);
            }
        }
    }

    /// A decided command could not be applied, because the state could not be read. If that is no damage, the command is fetched again and tried
    /// again, until it succeeds: from another replica, or from the own journal where there is none. The log goes on meanwhile, this replica votes, and
    /// others serve the bucket.
    pub(super) fn apply_failed(&mut self, now: u64, bucket: Bucket, command: &Command, error: &StateError) {
        self.state_is_damaged(now, bucket, error);
        if self.failed.contains(&bucket.0) {
            return;
        }
        self.leave_to_tokens(bucket, command);
        if self.unapplied.insert(bucket.0) {
            tracing::error!(bucket = bucket.0, error = %super::described(error), "a decided command cannot be applied; it is tried again");
            if !plant::on(Plant::AppliedOnce) {
                self.timers.at(now + APPLY_AGAIN_MS, Timer::Apply(bucket));
            }
        }
    }

    /// It is time to try that again, or to go on with what was decided meanwhile.
    pub(super) fn apply_again(&mut self, now: u64, bucket: Bucket) {
        let (applied, chosen) = (self.applied(bucket), self.core.status(bucket).chosen);
        if applied >= chosen || self.failed.contains(&bucket.0) || self.transfers.concerns(bucket) {
            self.unapplied.remove(&bucket.0);
            return;
        }
        self.timers.at(now + APPLY_AGAIN_MS, Timer::Apply(bucket));
        if self.another_source(bucket, self.settings.me).is_some() {
            self.fetch_from_another(now, bucket, self.settings.me);
        } else {
            self.fetch_from_own_journal(bucket, applied.next(), chosen);
        }
    }

    /// Decided commands were read back from the journal.
    pub(super) fn read_back(&mut self, now: u64, bucket: Bucket, first: Slot, commands: Vec<Command>) {
        for (slot, command) in (first.0..).map(Slot).zip(commands) {
            self.learn_missing(now, bucket, slot, command);
        }
        self.pump(now);
    }

    /// The state could not be read: another replica has the record.
    pub(super) fn read_failed(&mut self, now: u64, key: CallKey, bucket: Bucket, error: &StateError) {
        self.state_is_damaged(now, bucket, error);
        if self.failed.contains(&bucket.0) {
            self.read_elsewhere(now, key);
        } else {
            self.finish(key, Err(super::state_error(error)));
        }
    }

    /// Another replica serves what cannot be read here, if there is one.
    pub(super) fn read_elsewhere(&mut self, now: u64, key: CallKey) {
        let Some(Call { bucket, .. }) = self.calls.get(key) else { return };
        if self.route.replicas(*bucket).len() > 1 {
            return self.place_elsewhere(now, key, None);
        }
        let what = format!("bucket {} cannot be read, and has no other replica", bucket.0);
        self.finish(key, Err(Error::Corrupt { what }));
    }
}
