//! The calls that a worker has not answered yet.

use bytes::Bytes;
use thermocline_paxos::{Bucket, NodeId, Originator};

use crate::key::Key;
use crate::plant::{self, Plant};
use crate::request::{Answer, ScanQuery};
use crate::token::Token;

/// Names a call within its worker, now and never again: the generation tells a reused place from its earlier tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallKey {
    index: u32,
    generation: u32,
}

impl CallKey {
    /// As it travels to other nodes.
    pub(crate) fn to_wire(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_wire(wire: u64) -> Self {
        Self { index: wire as u32, generation: (wire >> 32) as u32 }
    }
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A caller in this process, by the runtime's number.
    Local(u64),
    /// Another node, in that life of it, by its own call.
    Peer { node: NodeId, life: u64, call: u64, hops: u8 },
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) source: Source,
    /// When it is given up, in the node's milliseconds.
    pub(crate) deadline: u64,
    pub(crate) bucket: Bucket,
    pub(crate) work: Work,
    /// The node that it was passed on to, and when.
    pub(crate) forwarded: Option<(NodeId, u64)>,
}

/// What a call wants.
#[derive(Debug)]
pub(crate) enum Work {
    Write(Write),
    Read(Read),
}

impl Work {
    fn bytes(&self) -> usize {
        match self {
            Self::Write(write) => write.entry.len(),
            Self::Read(_) => 0,
        }
    }
}

/// A write on its way into the log.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) token: Token,
    /// The encoded entry.
    pub(crate) entry: Bytes,
    /// What the entry changes, for keeping two changes of one record out of one command.
    pub(crate) touches: Touches,
    /// How many copies may still be chosen somewhere, as far as this node knows. While there is none, a failure is definite.
    pub(crate) copies: u32,
    /// Whether the caller brought the token: it may have used it before, and may use it again. Then nothing can take its place.
    pub(crate) given: bool,
    /// The node that passed it on, in its present start, if it would own the bucket; for the next time to cost one step less.
    pub(crate) heir: Option<Originator>,
    /// Whether it is a burn, whose caller wants a resolution.
    pub(crate) burn: bool,
    /// How often it was handed to the core and came back.
    pub(crate) attempts: u32,
}

/// Fingerprints of what an entry changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touches {
    /// The entity's hash.
    pub(crate) entity: u64,
    /// The one position that it changes, hashed with the entity; `None` when it changes several or the whole series.
    pub(crate) record: Option<u64>,
}

impl Touches {
    /// Whether two entries may change the same record.
    pub(crate) fn conflict(&self, other: &Self) -> bool {
        self.entity == other.entity
            && match (self.record, other.record) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            }
    }
}

/// A read waiting for its proof of freshness, its slot or its bytes.
#[derive(Debug)]
pub(crate) enum Read {
    Get(Key),
    Scan(ScanQuery),
    Resolve(Token),
    /// A token, from a node that holds the entity's bucket.
    NewToken(Bytes),
}

impl Read {
    /// Whether an answer is one to this question, which is about that bucket.
    pub(crate) fn is_answered_by(&self, bucket: Bucket, answer: &Answer) -> bool {
        match (self, answer) {
            (Self::Get(key), Answer::Got(record)) => record.as_ref().is_none_or(|record| record.key == *key),
            (Self::Scan(query), Answer::Page { records, .. }) => {
                records.iter().all(|record| record.key.entity == query.entity)
            }
            (Self::Resolve(_), Answer::Resolved(_)) => true,
            (Self::NewToken(_), Answer::Token(token)) => token.bucket == bucket.0,
            _ => false,
        }
    }
}

/// The calls of a worker: a slab whose keys are never mistaken for later ones.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    places: Vec<Place>,
    free: Vec<u32>,
    live: usize,
    /// Bytes of the entries of all writes.
    write_bytes: usize,
    first_generation: u32,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    call: Option<Call>,
}

impl Calls {
    /// With generations from a number that is random for each start: an answer to a call of an earlier start, still under
    /// way when the node is back, is not taken for the answer to a call of this one.
    pub(crate) fn starting_at(first_generation: u32) -> Self {
        Self { first_generation, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Bytes of the entries of all writes among them.
    pub(crate) fn write_bytes(&self) -> usize {
        self.write_bytes
    }

    pub(crate) fn insert(&mut self, call: Call) -> CallKey {
        self.live += 1;
        self.write_bytes += call.work.bytes();
        if let Some(index) = self.free.pop() {
            let place = &mut self.places[index as usize];
            place.call = Some(call);
            return CallKey { index, generation: place.generation };
        }
        let index = u32::try_from(self.places.len()).expect("calls are bounded far below 2^32");
        let generation = self.first_generation;
        self.places.push(Place { generation, call: Some(call) });
        CallKey { index, generation }
    }

    pub(crate) fn get(&self, key: CallKey) -> Option<&Call> {
        let place = self.places.get(key.index as usize)?;
        let is_it = place.generation == key.generation || plant::on(Plant::AnswersMistaken);
        if is_it { place.call.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: CallKey) -> Option<&mut Call> {
        let place = self.places.get_mut(key.index as usize)?;
        let is_it = place.generation == key.generation || plant::on(Plant::AnswersMistaken);
        if is_it { place.call.as_mut() } else { None }
    }

    pub(crate) fn remove(&mut self, key: CallKey) -> Option<Call> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let call = place.call.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.index);
        self.live -= 1;
        self.write_bytes -= call.work.bytes();
        Some(call)
    }

    /// The keys of all calls, oldest places first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = CallKey> + '_ {
        self.places
            .iter()
            .enumerate()
            .filter(|(_, place)| place.call.is_some())
            .map(|(index, place)| CallKey { index: index as u32, generation: place.generation })
    }
}
