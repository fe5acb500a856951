//! How calls end, whatever they asked: with an outcome, or given up.

use thermocline_paxos::NodeId;

use super::calls::{Call, CallKey, Source, Work, Write};
use super::effects::Peer;
use super::wire::Item;
use super::worker::Worker;
use crate::error::Error;
use crate::plant::{self, Plant};
use crate::request::Outcome;

impl Worker {
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

    pub(super) fn answer(&mut self, source: Source, outcome: Outcome) {
        match source {
            Source::Local(call) => self.effects.replies.push((call, outcome)),
            // Its next life names its calls anew, and may give another one this name.
            Source::Peer { node, life, call, .. } => {
                if life == self.life_of(node) || plant::on(Plant::AnyLifeAnswered) {
                    self.say(node, &Item::ForwardAnswer { call, outcome });
                }
            }
        }
    }

    /// The life in which another node is heard; 0 if it is not heard.
    pub(super) fn life_of(&self, node: NodeId) -> u64 {
        let peer = self.peers.iter().find(|peer| peer.node == node);
        peer.and_then(Peer::life).unwrap_or_default()
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

    /// Why a call may have no answer by its deadline, for a person.
    fn why_late(&self, key: CallKey) -> String {
        let Some(Call { bucket, .. }) = self.calls.get(key) else { return String::new() };
        if !self.founded && self.owns(*bucket) {
            return "this node takes no part in its group, by the deadline".into();
        }
        if self.has_lost_majority(*bucket) {
            return format!(
                "a majority of the replicas of bucket {} has lost what it promised, and nobody has given that up",
                bucket.0
            );
        }
        let replicas = self.route.replicas(*bucket);
        let linked = replicas.iter().filter(|node| **node == self.settings.me || self.is_up(**node)).count();
        let all = replicas.len();
        format!(
            "no majority answered before the deadline (of {all} replicas, {linked} are this node or linked to it)"
        )
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
            let reason = Error::Unavailable { reason: self.why_late(key) };
            let outcome = Err(self.given_up(key, reason));
            self.finish(key, outcome);
        }
    }
}
