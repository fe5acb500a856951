//! What nodes say to one another: the items inside a frame's body.
//!
//! A body is a series of items, each a kind byte and fixed little-endian fields; the frame around it carries the length
//! and the checksum. Items for many buckets share one frame. Each kind's bytes stand with its encoder and its decoder.
//!
//! **A decoder here never panics and never allocates by a number it read**: lists are read one element at a time from
//! bytes that are there.

use bytes::{Buf, BufMut, Bytes};
use thermocline_paxos::{
    Accepted, Ballot, Boot, Bucket, Command, CommandId, Known, Message, NodeId, Originator, Slot,
};
use thermocline_tiers::hot::state::{Content, Digest, RunSet, Window};

use super::audit::Finding;
use super::command::COMMAND_BYTES_LIMIT;
use super::lives::{Life, Reach, Witnessed};
use super::request_codec;
use crate::request::{Outcome, Request};

/// One thing said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// Whose frame this is: the first item of each, and nowhere else.
    Life(Life),
    /// What the sender remembers of the lives of nodes.
    Witnessed(Vec<(NodeId, Witnessed)>),
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
    /// A piece of a bucket as it is at slot `at`, with a running hash over all pieces.
    Copy {
        session: u64,
        bucket: Bucket,
        chunk: u32,
        at: Slot,
        digest: u128,
        sum: u64,
        last: bool,
        body: Bytes,
    },
    /// The bucket cannot be copied from here, or not any more.
    CopyRefused { session: u64, bucket: Bucket },
    /// "Have a slot decided in these idle buckets": a replica waits to pass its vote floor.
    Nudge { buckets: Vec<Bucket> },
}

/// How a bucket differs from what a probe's sender knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProbeException {
    pub(crate) bucket: Bucket,
    pub(crate) chosen: Slot,
    pub(crate) accepted_next: bool,
    pub(crate) voting: bool,
}

/// A node's founding record: whether it votes, and the disks that were there when it first did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Founding {
    /// The sender's disk.
    pub(crate) disk: u64,
    /// The nodes and disks that the sender will found the group with; durable, and never another for this disk.
    #[serde(deserialize_with = "crate::encoding::optional_list")]
    pub(crate) intent: Option<Vec<(u16, u64)>>,
    /// The nodes and disks of the group's founding; `None` when the sender has not been founded.
    #[serde(deserialize_with = "crate::encoding::optional_list")]
    pub(crate) members: Option<Vec<(u16, u64)>>,
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

/// The longest founding record, in bytes.
const FOUNDING_BYTES_MAX: usize = 4096;

/// The longest address: a name and a port.
const ADDRESS_BYTES_MAX: usize = 262;

/// The longest list of what is remembered, in bytes: 64 nodes with 32 retired disks each fit.
const WITNESSED_BYTES_MAX: usize = 64 << 10;

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
}

/// Bits of a Paxos item's flags: which of its fields are there.
mod flag {
    pub(super) const PROMISED: u16 = 1;
    pub(super) const ACCEPTED: u16 = 2;
    pub(super) const ID: u16 = 4;
    pub(super) const COMMAND: u16 = 8;
    pub(super) const DURABLE: u16 = 16;
    pub(super) const CHOSEN: u16 = 32;
    pub(super) const KNOWN_PROMISED: u16 = 64;
    pub(super) const KNOWN_ACCEPTED: u16 = 128;
    pub(super) const MISSING: u16 = 256;
    pub(super) const HEIR: u16 = 512;
}

/// Appends the core's message.
pub(crate) fn put_paxos(out: &mut Vec<u8>, message: &Message) {
    let mut flags = 0;
    let mut set = |bit, on: bool| {
        if on {
            flags |= bit;
        }
    };
    set(flag::PROMISED, message.promised != Ballot::ZERO);
    set(flag::DURABLE, message.durable);
    set(flag::CHOSEN, message.chosen);
    set(flag::MISSING, message.missing);
    set(flag::KNOWN_PROMISED, message.known.promised != Ballot::ZERO);
    set(flag::KNOWN_ACCEPTED, message.known.accepted != Ballot::ZERO);
    if let Some(accepted) = &message.accepted {
        set(flag::ACCEPTED, true);
        set(flag::ID, accepted.id.is_some());
        set(flag::COMMAND, accepted.command.is_some());
        set(flag::HEIR, accepted.command.as_ref().is_some_and(|command| command.heir.is_some()));
    }
    out.reserve(128);
    out.put_u8(kind::PAXOS);
    out.put_u16_le(flags);
    out.put_u32_le(message.bucket.0);
    out.put_u64_le(message.slot.0);
    out.put_u64_le(message.chosen_through.0);
    for (bit, ballot) in [
        (flag::PROMISED, &message.promised),
        (flag::KNOWN_PROMISED, &message.known.promised),
        (flag::KNOWN_ACCEPTED, &message.known.accepted),
    ] {
        if flags & bit != 0 {
            put_ballot(out, ballot);
        }
    }
    if let Some(accepted) = &message.accepted {
        put_ballot(out, &accepted.ballot);
        if let Some(id) = &accepted.id {
            put_id(out, id);
        }
        if let Some(command) = &accepted.command {
            if let Some(heir) = &command.heir {
                put_originator(out, heir);
            }
            put_bytes(out, &command.payload);
        }
    }
}

fn get_paxos(body: &mut Bytes) -> Result<Message, Malformed> {
    need(body, 2 + 4 + 8 + 8)?;
    let flags = body.get_u16_le();
    let bucket = Bucket(body.get_u32_le());
    let slot = Slot(body.get_u64_le());
    let chosen_through = Slot(body.get_u64_le());
    let ballot = |body: &mut Bytes, bit| if flags & bit == 0 { Ok(Ballot::ZERO) } else { get_ballot(body) };
    let promised = ballot(body, flag::PROMISED)?;
    let known = Known {
        promised: ballot(body, flag::KNOWN_PROMISED)?,
        accepted: ballot(body, flag::KNOWN_ACCEPTED)?,
    };
    let accepted = if flags & flag::ACCEPTED == 0 {
        None
    } else {
        let ballot = get_ballot(body)?;
        let id = if flags & flag::ID == 0 { None } else { Some(get_id(body)?) };
        // A command outlives the frame that brought it: it gets memory of its own, so that no frame is pinned.
        let command = if flags & flag::COMMAND == 0 {
            None
        } else {
            let heir = if flags & flag::HEIR == 0 { None } else { Some(get_originator(body)?) };
            Some(Command { id, heir, payload: get_payload(body)? })
        };
        Some(Accepted { ballot, id, command })
    };
    Ok(Message {
        bucket,
        slot,
        promised,
        accepted,
        durable: flags & flag::DURABLE != 0,
        chosen: flags & flag::CHOSEN != 0,
        missing: flags & flag::MISSING != 0,
        known,
        chosen_through,
    })
}

/// Appends any item.
pub(crate) fn put(out: &mut Vec<u8>, item: &Item) {
    match item {
        Item::Life(life) => put_life(out, life),
        Item::Witnessed(nodes) => {
            out.put_u8(kind::WITNESSED);
            let nodes: Vec<(u16, &Witnessed)> = nodes.iter().map(|(node, known)| (node.0, known)).collect();
            // Too long a list is told as none: the peers of the others tell it too.
            let bytes = crate::encoding::encode::<WITNESSED_BYTES_MAX, _>(&nodes).unwrap_or_default();
            put_bytes(out, &bytes);
        }
        Item::CopyAsk { session, bucket, chunk, at_least } => {
            out.put_u8(kind::COPY_ASK);
            out.put_u64_le(*session);
            out.put_u32_le(bucket.0);
            out.put_u32_le(*chunk);
            out.put_u64_le(at_least.0);
        }
        Item::Copy { session, bucket, chunk, at, digest, sum, last, body } => {
            out.put_u8(kind::COPY);
            out.put_u64_le(*session);
            out.put_u32_le(bucket.0);
            out.put_u32_le(*chunk);
            out.put_u64_le(at.0);
            out.put_u128_le(*digest);
            out.put_u64_le(*sum);
            out.put_u8(u8::from(*last));
            put_bytes(out, body);
        }
        Item::CopyRefused { session, bucket } => {
            out.put_u8(kind::COPY_REFUSED);
            out.put_u64_le(*session);
            out.put_u32_le(bucket.0);
        }
        Item::Paxos(message) => put_paxos(out, message),
        Item::Probe { round, buckets } => {
            put_probe(out, *round, buckets.iter().copied());
        }
        Item::ProbeAnswer { round, exceptions } => {
            out.put_u8(kind::PROBE_ANSWER);
            out.put_u64_le(*round);
            out.put_u32_le(length(exceptions.len()));
            for exception in exceptions {
                out.put_u32_le(exception.bucket.0);
                out.put_u64_le(exception.chosen.0);
                out.put_u8(u8::from(exception.accepted_next) | u8::from(exception.voting) << 1);
            }
        }
        Item::Forward { call, hops, request } => {
            out.put_u8(kind::FORWARD);
            out.put_u64_le(*call);
            out.put_u8(*hops);
            put_bytes(out, &request_codec::encode_request(request));
        }
        Item::ForwardWrite { call, hops, deadline_ms, bucket, heir, entry } => {
            out.put_u8(kind::FORWARD_WRITE);
            out.put_u64_le(*call);
            out.put_u8(*hops);
            out.put_u32_le(*deadline_ms);
            out.put_u32_le(bucket.0);
            out.put_u8(u8::from(heir.is_some()));
            if let Some(boot) = heir {
                put_boot(out, boot);
            }
            put_bytes(out, entry);
        }
        Item::ForwardAnswer { call, outcome } => {
            out.put_u8(kind::FORWARD_ANSWER);
            out.put_u64_le(*call);
            request_codec::put_outcome(out, outcome);
        }
        Item::Fetch { bucket, from, through } => {
            out.put_u8(kind::FETCH);
            out.put_u32_le(bucket.0);
            out.put_u64_le(from.0);
            out.put_u64_le(through.0);
        }
        Item::FetchAnswer { bucket, from, commands, chosen } => {
            out.put_u8(kind::FETCH_ANSWER);
            out.put_u32_le(bucket.0);
            out.put_u64_le(from.0);
            out.put_u64_le(chosen.0);
            out.put_u32_le(length(commands.len()));
            for command in commands {
                put_command(out, command);
            }
        }
        Item::Hint { bucket, chosen } => {
            out.put_u8(kind::HINT);
            out.put_u32_le(bucket.0);
            out.put_u64_le(chosen.0);
        }
        Item::Founding(founding) => {
            out.put_u8(kind::FOUNDING);
            // A group has at most 64 machines: far below the limit.
            let bytes = crate::encoding::encode::<FOUNDING_BYTES_MAX, _>(founding).unwrap_or_default();
            put_bytes(out, &bytes);
        }
        Item::FloorAsk { nonce, buckets } => {
            out.put_u8(kind::FLOOR_ASK);
            out.put_u64_le(*nonce);
            put_buckets(out, buckets);
        }
        Item::Nudge { buckets } => {
            out.put_u8(kind::NUDGE);
            put_buckets(out, buckets);
        }
        Item::FloorAnswer { nonce, buckets, learning } => {
            out.put_u8(kind::FLOOR_ANSWER);
            out.put_u64_le(*nonce);
            out.put_u32_le(length(buckets.len()));
            for (bucket, touched, chosen) in buckets {
                out.put_u32_le(bucket.0);
                out.put_u64_le(touched.0);
                out.put_u64_le(chosen.0);
            }
            out.put_u32_le(length(learning.len()));
            for (bucket, chosen) in learning {
                out.put_u32_le(bucket.0);
                out.put_u64_le(chosen.0);
            }
        }
        Item::Address { epoch, address } => {
            out.put_u8(kind::ADDRESS);
            out.put_u64_le(*epoch);
            put_bytes(out, address.as_bytes());
        }
        Item::AuditAsk { round, buckets } => {
            out.put_u8(kind::AUDIT_ASK);
            out.put_u64_le(*round);
            put_buckets(out, buckets);
        }
        Item::AuditAnswer { round, findings } => {
            out.put_u8(kind::AUDIT_ANSWER);
            out.put_u64_le(*round);
            out.put_u32_le(length(findings.len()));
            findings.iter().for_each(|finding| put_finding(out, finding));
        }
        Item::Repair { bucket, at, source } => {
            out.put_u8(kind::REPAIR);
            out.put_u32_le(bucket.0);
            out.put_u64_le(at.0);
            out.put_u16_le(source.0);
        }
    }
}

/// Appends a probe.
pub(crate) fn put_probe(
    out: &mut Vec<u8>,
    round: u64,
    buckets: impl ExactSizeIterator<Item = (Bucket, Slot)>,
) {
    out.reserve(16 + buckets.len() * 12);
    out.put_u8(kind::PROBE);
    out.put_u64_le(round);
    out.put_u32_le(length(buckets.len()));
    for (bucket, slot) in buckets {
        out.put_u32_le(bucket.0);
        out.put_u64_le(slot.0);
    }
}

/// Takes the next item from the front of a body; `None` at its end.
pub(crate) fn take(body: &mut Bytes) -> Result<Option<Item>, Malformed> {
    if body.is_empty() {
        return Ok(None);
    }
    let item = match body.get_u8() {
        kind::PAXOS => Item::Paxos(get_paxos(body)?),
        kind::PROBE => {
            need(body, 12)?;
            let round = body.get_u64_le();
            let buckets = list(body, 12, |body| (Bucket(body.get_u32_le()), Slot(body.get_u64_le())))?;
            Item::Probe { round, buckets }
        }
        kind::PROBE_ANSWER => {
            need(body, 12)?;
            let round = body.get_u64_le();
            let exceptions = list(body, 13, |body| {
                let (bucket, chosen, bits) =
                    (Bucket(body.get_u32_le()), Slot(body.get_u64_le()), body.get_u8());
                ProbeException { bucket, chosen, accepted_next: bits & 1 != 0, voting: bits & 2 != 0 }
            })?;
            Item::ProbeAnswer { round, exceptions }
        }
        kind::FORWARD => {
            need(body, 9)?;
            let (call, hops) = (body.get_u64_le(), body.get_u8());
            let request = request_codec::decode_request(get_bytes(body)?)?;
            Item::Forward { call, hops, request }
        }
        kind::FORWARD_WRITE => {
            need(body, 18)?;
            let (call, hops) = (body.get_u64_le(), body.get_u8());
            let (deadline_ms, bucket) = (body.get_u32_le(), Bucket(body.get_u32_le()));
            let heir = match body.get_u8() {
                0 => None,
                1 => {
                    need(body, 12)?;
                    Some(get_boot(body))
                }
                _ => return Err(malformed("heir of a forwarded write")),
            };
            Item::ForwardWrite {
                call,
                hops,
                deadline_ms,
                bucket,
                heir,
                entry: Bytes::copy_from_slice(&get_bytes(body)?),
            }
        }
        kind::FORWARD_ANSWER => {
            need(body, 8)?;
            let call = body.get_u64_le();
            Item::ForwardAnswer { call, outcome: request_codec::get_outcome(body)? }
        }
        kind::FETCH => {
            need(body, 20)?;
            Item::Fetch {
                bucket: Bucket(body.get_u32_le()),
                from: Slot(body.get_u64_le()),
                through: Slot(body.get_u64_le()),
            }
        }
        kind::FETCH_ANSWER => {
            need(body, 24)?;
            let bucket = Bucket(body.get_u32_le());
            let (from, chosen) = (Slot(body.get_u64_le()), Slot(body.get_u64_le()));
            let count = body.get_u32_le();
            let mut commands = Vec::new();
            for _ in 0..count {
                commands.push(get_command(body)?);
            }
            Item::FetchAnswer { bucket, from, commands, chosen }
        }
        kind::HINT => {
            need(body, 12)?;
            Item::Hint { bucket: Bucket(body.get_u32_le()), chosen: Slot(body.get_u64_le()) }
        }
        kind::FOUNDING => {
            let bytes = get_bytes(body)?;
            let founding = crate::encoding::decode::<FOUNDING_BYTES_MAX, _>(&bytes);
            Item::Founding(founding.map_err(|_| malformed("founding record"))?)
        }
        kind::FLOOR_ASK => {
            need(body, 12)?;
            let nonce = body.get_u64_le();
            Item::FloorAsk { nonce, buckets: list(body, 4, |body| Bucket(body.get_u32_le()))? }
        }
        kind::FLOOR_ANSWER => {
            need(body, 12)?;
            let nonce = body.get_u64_le();
            let buckets = list(body, 20, |body| {
                (Bucket(body.get_u32_le()), Slot(body.get_u64_le()), Slot(body.get_u64_le()))
            })?;
            need(body, 4)?;
            let learning = list(body, 12, |body| (Bucket(body.get_u32_le()), Slot(body.get_u64_le())))?;
            Item::FloorAnswer { nonce, buckets, learning }
        }
        kind::NUDGE => {
            need(body, 4)?;
            Item::Nudge { buckets: list(body, 4, |body| Bucket(body.get_u32_le()))? }
        }
        kind::LIFE => Item::Life(get_life(body)?),
        kind::WITNESSED => {
            let bytes = get_bytes(body)?;
            let nodes: Vec<(u16, Witnessed)> = if bytes.is_empty() {
                Vec::new()
            } else {
                let list = crate::encoding::decode::<WITNESSED_BYTES_MAX, crate::encoding::List<_>>(&bytes);
                list.map_err(|_| malformed("what is remembered"))?.0
            };
            Item::Witnessed(nodes.into_iter().map(|(node, known)| (NodeId(node), known)).collect())
        }
        kind::COPY_ASK => {
            need(body, 8 + 4 + 4 + 8)?;
            Item::CopyAsk {
                session: body.get_u64_le(),
                bucket: Bucket(body.get_u32_le()),
                chunk: body.get_u32_le(),
                at_least: Slot(body.get_u64_le()),
            }
        }
        kind::COPY => {
            need(body, 8 + 4 + 4 + 8 + 16 + 8 + 1)?;
            let (session, bucket, chunk) = (body.get_u64_le(), Bucket(body.get_u32_le()), body.get_u32_le());
            let (at, digest, sum) = (Slot(body.get_u64_le()), body.get_u128_le(), body.get_u64_le());
            let last = body.get_u8() != 0;
            Item::Copy { session, bucket, chunk, at, digest, sum, last, body: get_bytes(body)? }
        }
        kind::COPY_REFUSED => {
            need(body, 12)?;
            Item::CopyRefused { session: body.get_u64_le(), bucket: Bucket(body.get_u32_le()) }
        }
        kind::ADDRESS => {
            need(body, 8)?;
            let (epoch, address) = (body.get_u64_le(), get_bytes(body)?);
            let address =
                std::str::from_utf8(&address).ok().filter(|address| address.len() <= ADDRESS_BYTES_MAX);
            Item::Address { epoch, address: address.ok_or(malformed("address"))?.to_owned() }
        }
        kind::AUDIT_ASK => {
            need(body, 12)?;
            let round = body.get_u64_le();
            Item::AuditAsk { round, buckets: list(body, 4, |body| Bucket(body.get_u32_le()))? }
        }
        kind::AUDIT_ANSWER => {
            need(body, 12)?;
            let (round, count) = (body.get_u64_le(), body.get_u32_le());
            let mut findings = Vec::new();
            for _ in 0..count {
                findings.push(get_finding(body)?);
            }
            Item::AuditAnswer { round, findings }
        }
        kind::REPAIR => {
            need(body, 14)?;
            let (bucket, at) = (Bucket(body.get_u32_le()), Slot(body.get_u64_le()));
            Item::Repair { bucket, at, source: NodeId(body.get_u16_le()) }
        }
        _ => return Err(malformed("unknown kind")),
    };
    Ok(Some(item))
}

const LIFE_BYTES: usize = 8 + 4 + 4 + 8 + 2 * 12;

/// Appends what stands at the head of every body.
pub(crate) fn put_life(out: &mut Vec<u8>, life: &Life) {
    out.put_u8(kind::LIFE);
    out.put_u64_le(life.disk);
    out.put_u32_le(life.era);
    out.put_u32_le(life.count);
    out.put_u64_le(life.start);
    for reach in [life.recovered, life.synced] {
        out.put_u64_le(reach.generation);
        out.put_u32_le(reach.offset);
    }
}

fn get_life(body: &mut Bytes) -> Result<Life, Malformed> {
    need(body, LIFE_BYTES)?;
    let (disk, era, count) = (body.get_u64_le(), body.get_u32_le(), body.get_u32_le());
    let start = body.get_u64_le();
    let mut reach = || Reach { generation: body.get_u64_le(), offset: body.get_u32_le() };
    Ok(Life { disk, era, count, start, recovered: reach(), synced: reach() })
}

fn put_finding(out: &mut Vec<u8>, finding: &Finding) {
    out.put_u32_le(finding.bucket.0);
    out.put_u32_le(finding.journal_damage);
    out.put_u8(u8::from(finding.content.is_some()));
    let Some(content) = &finding.content else { return };
    out.put_u64_le(content.applied.0);
    out.put_u128_le(content.digest.0);
    out.put_u64_le(content.rest);
    out.put_u64_le(content.records);
    out.put_u32_le(length(content.sets.len()));
    for (set, sum) in &content.sets {
        let (tag, window) = match set {
            RunSet::Meta => (0, 0),
            RunSet::Undated => (1, 0),
            RunSet::Window(window) => (2, window.0),
        };
        out.put_u8(tag);
        out.put_u64_le(window);
        out.put_u64_le(*sum);
    }
}

fn get_finding(body: &mut Bytes) -> Result<Finding, Malformed> {
    need(body, 9)?;
    let (bucket, journal_damage) = (Bucket(body.get_u32_le()), body.get_u32_le());
    if body.get_u8() == 0 {
        return Ok(Finding { bucket, content: None, journal_damage });
    }
    need(body, 8 + 16 + 8 + 8 + 4)?;
    let applied = thermocline_tiers::hot::Slot(body.get_u64_le());
    let digest = Digest(body.get_u128_le());
    let (rest, records) = (body.get_u64_le(), body.get_u64_le());
    let sets = list(body, 17, |body| {
        let (tag, window) = (body.get_u8(), Window(body.get_u64_le()));
        let set = match tag {
            0 => RunSet::Meta,
            1 => RunSet::Undated,
            _ => RunSet::Window(window),
        };
        (set, body.get_u64_le())
    })?;
    let content = Content { applied, digest, rest, sets: sets.into_iter().collect(), records };
    Ok(Finding { bucket, content: Some(content), journal_damage })
}

fn put_buckets(out: &mut Vec<u8>, buckets: &[Bucket]) {
    out.put_u32_le(length(buckets.len()));
    for bucket in buckets {
        out.put_u32_le(bucket.0);
    }
}

fn list<T>(
    body: &mut Bytes,
    size: usize,
    mut read: impl FnMut(&mut Bytes) -> T,
) -> Result<Vec<T>, Malformed> {
    let count = body.get_u32_le() as usize;
    need(body, count.checked_mul(size).ok_or(malformed("list length"))?)?;
    Ok((0..count).map(|_| read(body)).collect())
}

fn length(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(super) fn need(body: &Bytes, bytes: usize) -> Result<(), Malformed> {
    if body.len() < bytes { Err(malformed("cut short")) } else { Ok(()) }
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32_le(length(bytes.len()));
    out.put_slice(bytes);
}

pub(super) fn get_bytes(body: &mut Bytes) -> Result<Bytes, Malformed> {
    need(body, 4)?;
    let length = body.get_u32_le() as usize;
    need(body, length)?;
    Ok(body.split_to(length))
}

pub(super) fn put_ballot(out: &mut Vec<u8>, ballot: &Ballot) {
    out.put_u32_le(ballot.round);
    out.put_u16_le(ballot.node.0);
    put_boot(out, &ballot.boot);
}

pub(super) fn get_ballot(body: &mut Bytes) -> Result<Ballot, Malformed> {
    need(body, 18)?;
    Ok(Ballot { round: body.get_u32_le(), node: NodeId(body.get_u16_le()), boot: get_boot(body) })
}

fn put_boot(out: &mut Vec<u8>, boot: &Boot) {
    out.put_u64_le(boot.disk);
    out.put_u32_le(boot.count);
}

/// Twelve bytes that the caller has checked to be there.
fn get_boot(body: &mut Bytes) -> Boot {
    Boot { disk: body.get_u64_le(), count: body.get_u32_le() }
}

fn put_id(out: &mut Vec<u8>, id: &CommandId) {
    put_originator(out, &id.originator);
    out.put_u64_le(id.sequence);
}

fn put_originator(out: &mut Vec<u8>, originator: &Originator) {
    out.put_u16_le(originator.node.0);
    put_boot(out, &originator.boot);
}

fn get_originator(body: &mut Bytes) -> Result<Originator, Malformed> {
    need(body, 14)?;
    Ok(Originator { node: NodeId(body.get_u16_le()), boot: get_boot(body) })
}

fn get_id(body: &mut Bytes) -> Result<CommandId, Malformed> {
    need(body, 22)?;
    let originator = get_originator(body)?;
    Ok(CommandId { originator, sequence: body.get_u64_le() })
}

/// Bits of a command's first byte.
const HAS_ID: u8 = 1;
const HAS_HEIR: u8 = 2;

/// Appends a command with its id and heir.
pub(super) fn put_command(out: &mut Vec<u8>, command: &Command) {
    let heir = if command.heir.is_some() { HAS_HEIR } else { 0 };
    out.put_u8(u8::from(command.id.is_some()) | heir);
    if let Some(id) = &command.id {
        put_id(out, id);
    }
    if let Some(heir) = &command.heir {
        put_originator(out, heir);
    }
    put_bytes(out, &command.payload);
}

/// Takes a command; its payload gets memory of its own.
pub(super) fn get_command(body: &mut Bytes) -> Result<Command, Malformed> {
    need(body, 1)?;
    let has = body.get_u8();
    if !matches!(has, 0 | HAS_ID) && has != HAS_ID | HAS_HEIR {
        return Err(malformed("command"));
    }
    let id = if has & HAS_ID == 0 { None } else { Some(get_id(body)?) };
    let heir = if has & HAS_HEIR == 0 { None } else { Some(get_originator(body)?) };
    Ok(Command { id, heir, payload: get_payload(body)? })
}

fn get_payload(body: &mut Bytes) -> Result<Bytes, Malformed> {
    let payload = get_bytes(body)?;
    if payload.len() > COMMAND_BYTES_LIMIT {
        return Err(malformed("a command that no journal takes"));
    }
    Ok(Bytes::copy_from_slice(&payload))
}
