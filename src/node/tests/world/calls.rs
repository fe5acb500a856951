//! Calls and their answers.

use bytes::Bytes;

use super::World;
use crate::key::{Key, Position};
use crate::request::{Answer, Ask, Consistency, Expect, Mutation, Outcome, Request};

impl World {
    pub(in crate::node::tests) fn ask(&mut self, index: usize, ask: Ask) -> u64 {
        let call = self.next_call;
        self.next_call += 1;
        let hash = match &ask {
            Ask::Write { entity, .. } | Ask::NewToken { entity } => crate::node::entity_hash(entity),
            Ask::Get(key) => crate::node::entity_hash(&key.entity),
            Ask::Scan(query) => crate::node::entity_hash(&query.entity),
            Ask::Resolve(_) => 0,
        };
        let request = Request { ask, deadline_ms: 2_000, consistency: Consistency::Linearizable };
        let now = self.now;
        if let Some(running) = &mut self.nodes[index].running {
            running.worker.call(now, call, hash, request);
        }
        call
    }

    /// Steps until a call is answered.
    pub(in crate::node::tests) fn answer(&mut self, call: u64) -> Outcome {
        for _ in 0..4_000 {
            if let Some(outcome) = self.replies.remove(&call) {
                return outcome;
            }
            self.step();
        }
        panic!("call {call} was not answered in 4,000 ms, now {}", self.now);
    }

    pub(in crate::node::tests) fn put(&mut self, index: usize, entity: &str, value: &str) -> Outcome {
        let call = self.ask(index, put(entity, value, Expect::Any));
        self.answer(call)
    }

    pub(in crate::node::tests) fn get(&mut self, index: usize, entity: &str) -> Option<String> {
        let call = self.ask(index, get(entity));
        match self.answer(call) {
            Ok(Answer::Got(record)) => record.map(|record| String::from_utf8(record.value.to_vec()).unwrap()),
            other => panic!("{entity} at node {index}: {other:?}\n{}", self.describe(entity)),
        }
    }
}

pub(in crate::node::tests) fn put(entity: &str, value: &str, expect: Expect) -> Ask {
    let mutation = Mutation::Put {
        position: Position::Undated,
        value: Bytes::copy_from_slice(value.as_bytes()),
        expires_at: None,
        expect,
    };
    Ask::Write { entity: Bytes::copy_from_slice(entity.as_bytes()), mutations: vec![mutation], token: None }
}

pub(in crate::node::tests) fn get(entity: &str) -> Ask {
    Ask::Get(Key::undated(entity.to_owned()))
}

/// A record of a series, as long as one likes.
pub(in crate::node::tests) fn put_dated(entity: &str, timestamp: u64, value: &str) -> Ask {
    let mutation = Mutation::Put {
        position: Position::Dated { timestamp, sequence: 0 },
        value: Bytes::copy_from_slice(value.as_bytes()),
        expires_at: None,
        expect: Expect::Any,
    };
    Ask::Write { entity: Bytes::copy_from_slice(entity.as_bytes()), mutations: vec![mutation], token: None }
}
