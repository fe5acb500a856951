//! A run: requests of one pipeline that may be carried out at the same time, because none of them touches an entity that
//! another of them changes.

use std::pin::Pin;
use std::task::Poll;

use bytes::BytesMut;
use thermocline_routing_table::entity_hash;

use super::command::{Rule, execute};
use super::frame::Request;
use super::reply::{Protocol, Reply};
use crate::store::Store;

/// The most requests of one connection that are under way at the same time.
const RUN_REQUESTS_MAX: usize = 256;
/// From so many entities on, a run takes no more requests.
const RUN_ENTITIES_MAX: usize = 2 * RUN_REQUESTS_MAX;

/// Requests that wait to be carried out together.
#[derive(Debug, Default)]
pub(super) struct Run {
    requests: Vec<(&'static Rule, Request)>,
    /// Hashes of the entities that are read or written; two entities with the same hash only make the run shorter.
    reads: Vec<u64>,
    writes: Vec<u64>,
}

enum Call<F> {
    Under(Pin<Box<F>>),
    Done(Reply),
}

impl Run {
    /// Whether a request may be carried out at the same time as those that wait.
    pub(super) fn accepts(&self, rule: &Rule, request: &Request) -> bool {
        let (writes, mut entities) = rule.touched(request);
        self.requests.is_empty()
            || (self.requests.len() < RUN_REQUESTS_MAX
                && self.reads.len() + self.writes.len() < RUN_ENTITIES_MAX
                && !entities.any(|entity| {
                    let hash = entity_hash(entity);
                    self.writes.contains(&hash) || (writes && self.reads.contains(&hash))
                }))
    }

    /// Adds a request that is accepted.
    pub(super) fn push(&mut self, rule: &'static Rule, request: Request) {
        let (writes, entities) = rule.touched(&request);
        let hashes = entities.map(entity_hash);
        if writes {
            self.writes.extend(hashes)
        } else {
            self.reads.extend(hashes)
        }
        self.requests.push((rule, request));
    }

    /// Carries all requests out and writes their replies in order.
    pub(super) async fn finish(&mut self, store: &Store, protocol: Protocol, out: &mut BytesMut) {
        self.reads.clear();
        self.writes.clear();
        if self.requests.len() <= 1 {
            if let Some((rule, request)) = self.requests.pop() {
                execute(store, rule.verb, request).await.write(protocol, out);
            }
            return;
        }
        let start = |(rule, request): (&'static Rule, Request)| {
            Call::Under(Box::pin(execute(store, rule.verb, request)))
        };
        let mut calls: Vec<_> = self.requests.drain(..).map(start).collect();
        // The node works on what it has been handed without being polled. So each call is polled once to hand it over;
        // then a wake-up costs one poll of the call whose turn it is to be answered, not one of each.
        std::future::poll_fn(|context| {
            for call in &mut calls {
                if let Call::Under(future) = call
                    && let Poll::Ready(reply) = future.as_mut().poll(context)
                {
                    *call = Call::Done(reply);
                }
            }
            Poll::Ready(())
        })
        .await;
        for call in calls {
            let reply = match call {
                Call::Under(future) => future.await,
                Call::Done(reply) => reply,
            };
            reply.write(protocol, out);
        }
    }
}
