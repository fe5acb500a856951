//! A run: requests of one pipeline that may be carried out at the same time, because none of them touches an entity that
//! another of them changes.
//!
//! The exception are requests that can be carried out as one: values set one over the other, and entries added to one stream.
//! They stand next to each other in the order of their entity, so that nobody can tell them from requests that were carried
//! out in their order with nothing in between.

use std::pin::Pin;
use std::task::Poll;

use bytes::BytesMut;
use thermocline_routing_table::entity_hash;

use super::command::{Rule, Verb, execute};
use super::frame::Request;
use super::reply::{Protocol, Reply};
use super::window::{REQUESTS_MAX, Window};
use super::{stream, string};
use crate::store::Store;

/// From so many entities on, a run takes no more requests.
const RUN_ENTITIES_MAX: usize = 2 * REQUESTS_MAX;
/// The longest value that may give way to a later one without being looked at: every store takes values of that length.
const JOINED_VALUE_BYTES_MAX: usize = 1 << 10;

/// Requests that wait to be carried out together.
#[derive(Debug, Default)]
pub(super) struct Run {
    units: Vec<Unit>,
    requests: usize,
    window: Window,
    /// Whether any unit has several requests.
    is_joined: bool,
    /// Hashes of the entities that are read or written; two entities with the same hash only make the run shorter.
    reads: Vec<u64>,
    writes: Vec<u64>,
    /// The unit of each hash in `writes`.
    writers: Vec<usize>,
}

/// What is carried out as one, with the places of its requests in the run.
#[derive(Debug)]
enum Unit {
    One(usize, &'static Rule, Request),
    Joined(Joint, Vec<usize>, Vec<Request>),
}

/// How requests to one entity are carried out as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    /// `SET key value`: only the last is written.
    Set,
    /// `XADD name * ...`: one batch, with ids one behind the other.
    Add,
    /// `XADD name ms-seq ...`: one batch, if all of the ids are free.
    AddExactly,
}

impl Joint {
    /// How a request can be joined with others of its kind, if it can.
    fn of(rule: &Rule, request: &Request) -> Option<Self> {
        match rule.verb {
            Verb::Set if request.len() == 3 && request.argument(2).len() <= JOINED_VALUE_BYTES_MAX => {
                Some(Self::Set)
            }
            Verb::Xadd if request.argument(2) == b"*" => Some(Self::Add),
            Verb::Xadd => Some(Self::AddExactly),
            _ => None,
        }
    }
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Beside,
    Into(usize, Joint),
    Later,
}

enum Call<F> {
    Under(Pin<Box<F>>),
    Done(Replies),
}

/// The replies to a unit.
enum Replies {
    One(Reply),
    Many(Vec<Reply>),
}

impl Run {
    /// Takes a request in, unless it has to wait for those that are in; then it is given back.
    pub(super) fn take(&mut self, rule: &'static Rule, request: Request) -> Result<(), Request> {
        match self.fit(rule, &request) {
            Fit::Later => return Err(request),
            Fit::Beside => {
                self.window.take(rule);
                self.push(rule, request);
            }
            Fit::Into(unit, joint) => self.join(unit, joint, request),
        }
        Ok(())
    }

    fn fit(&self, rule: &Rule, request: &Request) -> Fit {
        let (writes, entities) = rule.touched(request);
        if self.units.is_empty() {
            return Fit::Beside;
        }
        if !self.window.has_room(rule, self.requests)
            || self.reads.len() + self.writes.len() >= RUN_ENTITIES_MAX
        {
            return Fit::Later;
        }
        for entity in entities {
            let hash = entity_hash(entity);
            if writes && self.reads.contains(&hash) {
                return Fit::Later;
            }
            if let Some(at) = self.writes.iter().position(|written| *written == hash) {
                return self.fit_into(self.writers[at], rule, request);
            }
        }
        Fit::Beside
    }

    /// Whether a request can be carried out as one with the unit that changes its entity.
    fn fit_into(&self, unit: usize, rule: &Rule, request: &Request) -> Fit {
        let Some(wanted) = Joint::of(rule, request) else { return Fit::Later };
        let (joint, first) = match &self.units[unit] {
            Unit::One(_, rule, first) => (Joint::of(rule, first), Some(first)),
            Unit::Joined(joint, _, requests) => (Some(*joint), requests.first()),
        };
        let same_entity = first.is_some_and(|first| first.argument(1) == request.argument(1));
        if joint == Some(wanted) && same_entity { Fit::Into(unit, wanted) } else { Fit::Later }
    }

    fn push(&mut self, rule: &'static Rule, request: Request) {
        let (writes, entities) = rule.touched(&request);
        let hashes = entities.map(entity_hash);
        if writes {
            self.writes.extend(hashes);
            self.writers.resize(self.writes.len(), self.units.len());
        } else {
            self.reads.extend(hashes);
        }
        self.units.push(Unit::One(self.requests, rule, request));
        self.requests += 1;
    }

    fn join(&mut self, unit: usize, joint: Joint, request: Request) {
        let unit = &mut self.units[unit];
        if let Unit::One(place, _, first) = unit {
            *unit = Unit::Joined(joint, vec![*place], vec![first.clone()]);
        }
        if let Unit::Joined(_, places, requests) = unit {
            places.push(self.requests);
            requests.push(request);
        }
        self.requests += 1;
        self.is_joined = true;
    }

    /// Carries all requests out and writes their replies in order.
    pub(super) async fn finish(&mut self, store: &Store, protocol: Protocol, out: &mut BytesMut) {
        let (requests, before) = (self.requests, out.len());
        if requests > 0 {
            self.carry_out(store, protocol, out).await;
            self.window.answered(requests, out.len() - before);
        }
    }

    async fn carry_out(&mut self, store: &Store, protocol: Protocol, out: &mut BytesMut) {
        self.reads.clear();
        self.writes.clear();
        self.writers.clear();
        let requests = std::mem::take(&mut self.requests);
        let is_joined = std::mem::take(&mut self.is_joined);
        if requests <= 1 {
            if let Some(Unit::One(_, rule, request)) = self.units.pop() {
                execute(store, rule.verb, request).await.write(protocol, out);
            }
            return;
        }
        let mut places = Vec::new();
        let mut calls = Vec::with_capacity(self.units.len());
        for unit in self.units.drain(..) {
            match &unit {
                Unit::One(place, ..) => places.push(*place),
                Unit::Joined(_, of_unit, _) => places.extend_from_slice(of_unit),
            }
            calls.push(Call::Under(Box::pin(carry_out(store, unit))));
        }
        // The node works on what it has been handed without being polled. So each call is polled once to hand it over;
        // then a wake-up costs one poll of the call whose turn it is to be answered, not one of each.
        std::future::poll_fn(|context| {
            for call in &mut calls {
                if let Call::Under(future) = call
                    && let Poll::Ready(replies) = future.as_mut().poll(context)
                {
                    *call = Call::Done(replies);
                }
            }
            Poll::Ready(())
        })
        .await;
        let mut replies = Vec::with_capacity(requests);
        for call in calls {
            let answered = match call {
                Call::Under(future) => future.await,
                Call::Done(answered) => answered,
            };
            match answered {
                Replies::One(reply) if !is_joined => reply.write(protocol, out),
                Replies::One(reply) => replies.push(reply),
                Replies::Many(many) => replies.extend(many),
            }
        }
        if is_joined {
            let mut by_place: Vec<(usize, Reply)> = places.into_iter().zip(replies).collect();
            by_place.sort_unstable_by_key(|(place, _)| *place);
            for (_, reply) in by_place {
                reply.write(protocol, out);
            }
        }
    }
}

async fn carry_out(store: &Store, unit: Unit) -> Replies {
    match unit {
        Unit::One(_, rule, request) => Replies::One(execute(store, rule.verb, request).await),
        Unit::Joined(joint, _, requests) => Replies::Many(match joint {
            Joint::Set => Box::pin(string::set_all(store, &requests)).await,
            Joint::Add | Joint::AddExactly => Box::pin(stream::add_all(store, &requests)).await,
        }),
    }
}
