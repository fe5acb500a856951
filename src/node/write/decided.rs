//! A slot is decided: its command is applied, and what waited for it goes on.

use thermocline_paxos::{Bucket, Command, Slot};

use crate::node::apply;
use crate::node::calls::{Call, Work};
use crate::node::worker::Worker;

impl Worker {
    /// A slot is decided: applies its command and answers those who waited for it.
    pub(in crate::node) fn chosen(&mut self, now: u64, bucket: Bucket, slot: Slot, command: &Command) {
        if let Some(active) = self.active.get_mut(bucket)
            && active.open.is_some_and(|open| open.slot <= slot)
            && let Some(open) = active.open.take()
            && open.proposed_at != u64::MAX
        {
            self.asking.decided_after(now.saturating_sub(open.proposed_at));
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
        if !self.failed.is_empty() && self.failed.contains(&bucket.0) {
            if let Some(active) = self.active.get_mut(bucket) {
                active.proposed = None;
            }
            return;
        }
        let applied = self.applied(bucket);
        if applied >= slot {
            return;
        }
        if applied.next() < slot && self.unapplied.contains(&bucket.0) {
            return self.leave_to_tokens(bucket, command);
        }
        if applied.next() < slot {
            return self.applied_later(now, bucket, command);
        }
        let place = self.settings.dealing.place(bucket);
        let mut decisions = std::mem::take(&mut self.decisions);
        if let Err(error) =
            apply::apply(&mut self.parts[place], bucket, slot, &command.payload, &mut decisions)
        {
            self.decisions = decisions;
            return self.apply_failed(now, bucket, command, &error);
        }
        self.counters.applied += 1;
        if !self.unapplied.is_empty() {
            self.unapplied.remove(&bucket.0);
        }
        let own = command.id.is_some()
            && self.active.get_mut(bucket).is_some_and(|active| active.proposed == command.id);
        if own {
            self.note_own_decision();
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
        } else {
            self.note_news(now, bucket);
            if !self.tokens.is_empty() {
                for decision in &decisions {
                    let token = (decision.token.client, decision.token.counter);
                    if let Some(key) = self.tokens.get(&token).copied() {
                        self.settle(now, key, decision.verdict, slot);
                    }
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
        self.leave_to_tokens(bucket, command);
        self.fetch_from_another(now, bucket, self.settings.me);
    }

    /// The own command is decided, and will be applied when it is read back: by their tokens its writes are found then.
    pub(in crate::node) fn leave_to_tokens(&mut self, bucket: Bucket, command: &Command) {
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
    }

    /// The bucket was handed over: what came for it meanwhile is better proposed there.
    fn pass_on_pending(&mut self, now: u64, bucket: Bucket) {
        let Some(active) = self.active.get_mut(bucket) else { return };
        for key in std::mem::take(&mut active.pending) {
            self.place_write(now, key);
        }
    }
}
