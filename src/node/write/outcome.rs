//! What a decided entry means for the write that asked for it.

use thermocline_paxos::Slot;

use crate::error::Error;
use crate::node::apply::Verdict;
use crate::node::calls::{Call, CallKey, Source, Work};
use crate::node::command;
use crate::node::worker::Worker;
use crate::plant::{self, Plant};
use crate::request::Answer;
use crate::token::{Resolution, Token};

impl Worker {
    /// A write's entry was decided in a slot.
    pub(super) fn settle(&mut self, now: u64, key: CallKey, verdict: Verdict, slot: Slot) {
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
    pub(in crate::node) fn expired(&mut self, now: u64, key: CallKey, chosen: u64) {
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
pub(in crate::node) fn burned() -> Error {
    Error::Unavailable { reason: "its token was taken out of use by a resolve".into() }
}

/// Of a token that names a birth that has not come yet.
pub(in crate::node) fn forged(token: &Token) -> Error {
    Error::invalid("token", token.to_string(), "born at a slot that was chosen when it was made")
}
