//! What nodes say to one another: the items inside a frame's body.
//!
//! A body is a series of items, each a kind byte and fixed little-endian fields; the frame around it carries the length
//! and the checksum. Items for many buckets share one frame. Each kind's bytes stand with its encoder and its decoder.
//!
//! **A decoder here never panics and never allocates by a number it read**: lists are read one element at a time, or, where
//! all elements are of one length, collected after checking that their bytes are there.

mod audits;
mod calls;
mod consensus;
mod copies;
mod fields;
mod floors;
mod introductions;
mod missing;
mod probes;
mod streams;

use bytes::{Buf, Bytes};
use thermocline_paxos::{Boot, Bucket, Command, Message, NodeId, Slot};

use super::audit::Finding;
use super::lives::{Life, Lived};
use super::stream::StreamPart;
use super::witnessed::Witnessed;
use crate::request::{Outcome, Request};

pub(crate) use consensus::put_paxos;
pub(crate) use copies::BucketPiece;
pub(in crate::node) use fields::{
    BALLOT_BYTES, get_ballot, get_bytes, get_command, get_command_within, need, put_ballot, put_bytes,
    put_command,
};
pub(crate) use floors::Who;
pub(crate) use introductions::{Founding, put_life};
pub(crate) use probes::{ProbeException, put_probe};

/// One thing said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// Whose frame this is: the first item of each, and nowhere else.
    Life(Life),
    /// What the sender remembers of the lives of nodes.
    Witnessed(Vec<(NodeId, Witnessed)>),
    /// The answer, where a frame's first item does not say enough: lives that the sender's directory accounts for, of those that the
    /// receiver remembers.
    Accounts(Vec<Lived>),
    /// The consensus core's one message.
    Paxos(Message),
    /// "What do you know of these buckets, now?" The start of linearizable reads.
    Probe { round: u64, buckets: Vec<(Bucket, Slot)> },
    /// The answer: nothing but `exceptions` differs from what the asker knew.
    ProbeAnswer { round: u64, exceptions: Vec<ProbeException> },
    /// A call that another node can serve better. `hops` bounds how often it is passed on.
    Forward { call: u64, hops: u8, request: Request },
    /// A write that another node can propose without a first phase. `heir`: the sender's start, if it would own the bucket.
    ForwardWrite { call: u64, hops: u8, deadline_ms: u32, bucket: Bucket, heir: Option<Boot>, entry: Bytes },
    /// The outcome of a forwarded call.
    ForwardAnswer { call: u64, outcome: Outcome },
    /// "Send me the commands chosen in these slots."
    Fetch { bucket: Bucket, from: Slot, through: Slot },
    /// Chosen commands in slot order from `from`; empty when they are no longer there.
    FetchAnswer { bucket: Bucket, from: Slot, commands: Vec<Command>, chosen: Slot },
    /// "Send me, part by part, what is chosen in these buckets from these slots on, as it comes in your journal." They are some of `of`
    /// buckets; without any: no more.
    StreamAsk { stream: u64, of: u32, buckets: Vec<(Bucket, Slot)> },
    /// "I have the parts before `part`: send me those before `through`." `again`: they do not come, and count as lost.
    StreamNext { stream: u64, part: u32, through: u32, again: bool },
    /// One of them.
    StreamPart(StreamPart),
    /// "You lack commands: I know slots through `chosen` to be chosen."
    Hint { bucket: Bucket, chosen: Slot },
    /// Who was there when the group was founded, told at the start of a connection.
    Founding(Founding),
    /// "What is the highest slot that you touched in these buckets?" Asked by a learner-only replica.
    FloorAsk { nonce: u64, buckets: Vec<Bucket> },
    /// The answer: what was touched, and is known to be chosen, in those in which this replica votes; and what is known to be chosen in
    /// those in which it only learns itself.
    FloorAnswer { nonce: u64, buckets: Vec<(Bucket, Slot, Slot)>, learning: Vec<(Bucket, Slot)> },
    /// Where the sender can be reached, as of an epoch of the topology.
    Address { epoch: u64, address: String },
    /// "What is on your disk of these buckets?"
    AuditAsk { round: u64, buckets: Vec<Bucket> },
    /// The answer.
    AuditAnswer { round: u64, findings: Vec<Finding> },
    /// "What you have of this bucket is not what the majority has at this slot: take it over from `source`."
    Repair { bucket: Bucket, at: Slot, source: NodeId },
    /// "Send me a piece of this bucket, at a slot from `at_least` on." Asked for by a replica that lacks what no journal has.
    CopyAsk { session: u64, bucket: Bucket, chunk: u32, at_least: Slot },
    /// A piece of it.
    Copy(BucketPiece),
    /// The bucket cannot be copied from here, or not any more.
    CopyRefused { session: u64, bucket: Bucket },
    /// "Have a slot decided in these idle buckets": a replica waits to pass its vote floor.
    Nudge { who: Who, buckets: Vec<Bucket> },
}

/// A body that breaks the format: only a faulty peer sends one, checksums cover it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed item: {what}")]
pub(crate) struct Malformed {
    pub(crate) what: &'static str,
}

const fn malformed(what: &'static str) -> Malformed {
    Malformed { what }
}

mod kind {
    pub(super) const PAXOS: u8 = 1;
    pub(super) const PROBE: u8 = 2;
    pub(super) const PROBE_ANSWER: u8 = 3;
    pub(super) const FORWARD: u8 = 4;
    pub(super) const FORWARD_WRITE: u8 = 5;
    pub(super) const FORWARD_ANSWER: u8 = 6;
    pub(super) const FETCH: u8 = 7;
    pub(super) const FETCH_ANSWER: u8 = 8;
    pub(super) const HINT: u8 = 9;
    pub(super) const FOUNDING: u8 = 10;
    pub(super) const FLOOR_ASK: u8 = 11;
    pub(super) const FLOOR_ANSWER: u8 = 12;
    pub(super) const NUDGE: u8 = 13;
    pub(super) const LIFE: u8 = 14;
    pub(super) const WITNESSED: u8 = 15;
    pub(super) const COPY_ASK: u8 = 16;
    pub(super) const COPY: u8 = 17;
    pub(super) const COPY_REFUSED: u8 = 18;
    pub(super) const AUDIT_ASK: u8 = 19;
    pub(super) const AUDIT_ANSWER: u8 = 20;
    pub(super) const REPAIR: u8 = 21;
    pub(super) const ADDRESS: u8 = 22;
    pub(super) const ACCOUNTS: u8 = 23;
    pub(super) const STREAM_ASK: u8 = 24;
    pub(super) const STREAM_NEXT: u8 = 25;
    pub(super) const STREAM_PART: u8 = 26;
}

/// Appends any item.
pub(crate) fn put(out: &mut Vec<u8>, item: &Item) {
    match item {
        Item::Life(life) => put_life(out, life),
        Item::Witnessed(nodes) => introductions::put_witnessed(out, nodes),
        Item::Accounts(lives) => introductions::put_accounts(out, lives),
        Item::Paxos(message) => put_paxos(out, message),
        Item::Probe { round, buckets } => put_probe(out, *round, buckets.iter().copied()),
        Item::ProbeAnswer { round, exceptions } => probes::put_answer(out, *round, exceptions),
        Item::Forward { call, hops, request } => calls::put_forward(out, *call, *hops, request),
        Item::ForwardWrite { call, hops, deadline_ms, bucket, heir, entry } => {
            calls::put_forward_write(out, *call, *hops, *deadline_ms, *bucket, heir.as_ref(), entry);
        }
        Item::ForwardAnswer { call, outcome } => calls::put_answer(out, *call, outcome),
        Item::Fetch { bucket, from, through } => missing::put_fetch(out, *bucket, *from, *through),
        Item::FetchAnswer { bucket, from, commands, chosen } => {
            missing::put_answer(out, *bucket, *from, commands, *chosen);
        }
        Item::StreamAsk { stream, of, buckets } => streams::put_ask(out, *stream, *of, buckets),
        Item::StreamNext { stream, part, through, again } => {
            streams::put_next(out, *stream, *part, *through, *again);
        }
        Item::StreamPart(part) => streams::put_part(out, part),
        Item::Hint { bucket, chosen } => missing::put_hint(out, *bucket, *chosen),
        Item::Founding(founding) => introductions::put_founding(out, founding),
        Item::FloorAsk { nonce, buckets } => floors::put_ask(out, *nonce, buckets),
        Item::FloorAnswer { nonce, buckets, learning } => floors::put_answer(out, *nonce, buckets, learning),
        Item::Address { epoch, address } => introductions::put_address(out, *epoch, address),
        Item::AuditAsk { round, buckets } => audits::put_ask(out, *round, buckets),
        Item::AuditAnswer { round, findings } => audits::put_answer(out, *round, findings),
        Item::Repair { bucket, at, source } => audits::put_repair(out, *bucket, *at, *source),
        Item::CopyAsk { session, bucket, chunk, at_least } => {
            copies::put_ask(out, *session, *bucket, *chunk, *at_least);
        }
        Item::Copy(piece) => copies::put_piece(out, piece),
        Item::CopyRefused { session, bucket } => copies::put_refused(out, *session, *bucket),
        Item::Nudge { who, buckets } => floors::put_nudge(out, *who, buckets),
    }
}

/// Takes the next item from the front of a body; `None` at its end.
pub(crate) fn take(body: &mut Bytes) -> Result<Option<Item>, Malformed> {
    if body.is_empty() {
        return Ok(None);
    }
    let take_rest = match body.get_u8() {
        kind::PAXOS => consensus::take_paxos,
        kind::PROBE => probes::take_probe,
        kind::PROBE_ANSWER => probes::take_answer,
        kind::FORWARD => calls::take_forward,
        kind::FORWARD_WRITE => calls::take_forward_write,
        kind::FORWARD_ANSWER => calls::take_answer,
        kind::FETCH => missing::take_fetch,
        kind::FETCH_ANSWER => missing::take_answer,
        kind::STREAM_ASK => streams::take_ask,
        kind::STREAM_NEXT => streams::take_next,
        kind::STREAM_PART => streams::take_part,
        kind::HINT => missing::take_hint,
        kind::FOUNDING => introductions::take_founding,
        kind::FLOOR_ASK => floors::take_ask,
        kind::FLOOR_ANSWER => floors::take_answer,
        kind::NUDGE => floors::take_nudge,
        kind::LIFE => introductions::take_life,
        kind::WITNESSED => introductions::take_witnessed,
        kind::ACCOUNTS => introductions::take_accounts,
        kind::COPY_ASK => copies::take_ask,
        kind::COPY => copies::take_piece,
        kind::COPY_REFUSED => copies::take_refused,
        kind::AUDIT_ASK => audits::take_ask,
        kind::AUDIT_ANSWER => audits::take_answer,
        kind::REPAIR => audits::take_repair,
        kind::ADDRESS => introductions::take_address,
        _ => return Err(malformed("unknown kind")),
    };
    take_rest(body).map(Some)
}
