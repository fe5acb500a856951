//! What items are made of: numbers, lists, ballots, commands.

use bytes::{Buf, BufMut, Bytes};
use thermocline_paxos::{Ballot, Boot, Bucket, Command, CommandId, NodeId, Originator};

use super::{Malformed, malformed};
use crate::node::command::COMMAND_BYTES_LIMIT;

pub(super) fn put_buckets(out: &mut Vec<u8>, buckets: &[Bucket]) {
    out.put_u32_le(length(buckets.len()));
    for bucket in buckets {
        out.put_u32_le(bucket.0);
    }
}

/// Takes buckets; the caller has checked that their number is there.
pub(super) fn take_buckets(body: &mut Bytes) -> Result<Vec<Bucket>, Malformed> {
    list(body, 4, |body| Bucket(body.get_u32_le()))
}

/// Takes a list of elements of `size` bytes each; the caller has checked that their number is there.
pub(super) fn list<T>(
    body: &mut Bytes,
    size: usize,
    mut read: impl FnMut(&mut Bytes) -> T,
) -> Result<Vec<T>, Malformed> {
    let count = body.get_u32_le() as usize;
    need(body, count.checked_mul(size).ok_or(malformed("list length"))?)?;
    Ok((0..count).map(|_| read(body)).collect())
}

pub(super) fn length(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(in crate::node) fn need(body: &Bytes, bytes: usize) -> Result<(), Malformed> {
    if body.len() < bytes { Err(malformed("cut short")) } else { Ok(()) }
}

pub(in crate::node) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32_le(length(bytes.len()));
    out.put_slice(bytes);
}

pub(in crate::node) fn get_bytes(body: &mut Bytes) -> Result<Bytes, Malformed> {
    need(body, 4)?;
    let length = body.get_u32_le() as usize;
    need(body, length)?;
    Ok(body.split_to(length))
}

/// The length of a ballot.
pub(in crate::node) const BALLOT_BYTES: usize = 18;

pub(in crate::node) fn put_ballot(out: &mut Vec<u8>, ballot: &Ballot) {
    out.put_u32_le(ballot.round);
    out.put_u16_le(ballot.node.0);
    put_boot(out, &ballot.boot);
}

pub(in crate::node) fn get_ballot(body: &mut Bytes) -> Result<Ballot, Malformed> {
    need(body, BALLOT_BYTES)?;
    Ok(Ballot { round: body.get_u32_le(), node: NodeId(body.get_u16_le()), boot: get_boot(body) })
}

pub(super) fn put_boot(out: &mut Vec<u8>, boot: &Boot) {
    out.put_u64_le(boot.disk);
    out.put_u32_le(boot.count);
}

/// Twelve bytes that the caller has checked to be there.
pub(super) fn get_boot(body: &mut Bytes) -> Boot {
    Boot { disk: body.get_u64_le(), count: body.get_u32_le() }
}

pub(super) fn put_id(out: &mut Vec<u8>, id: &CommandId) {
    put_originator(out, &id.originator);
    out.put_u64_le(id.sequence);
}

pub(super) fn put_originator(out: &mut Vec<u8>, originator: &Originator) {
    out.put_u16_le(originator.node.0);
    put_boot(out, &originator.boot);
}

pub(super) fn get_originator(body: &mut Bytes) -> Result<Originator, Malformed> {
    need(body, 14)?;
    Ok(Originator { node: NodeId(body.get_u16_le()), boot: get_boot(body) })
}

pub(super) fn get_id(body: &mut Bytes) -> Result<CommandId, Malformed> {
    need(body, 22)?;
    let originator = get_originator(body)?;
    Ok(CommandId { originator, sequence: body.get_u64_le() })
}

/// Bits of a command's first byte.
const HAS_ID: u8 = 1;
const HAS_HEIR: u8 = 2;

/// Appends a command with its id and heir.
pub(in crate::node) fn put_command(out: &mut Vec<u8>, command: &Command) {
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
pub(in crate::node) fn get_command(body: &mut Bytes) -> Result<Command, Malformed> {
    let command = get_command_within(body)?;
    Ok(Command { payload: Bytes::copy_from_slice(&command.payload), ..command })
}

/// Takes a command; its payload stays where it is, and keeps all of the frame in memory: for commands that are kept no longer than
/// others of their frame.
pub(in crate::node) fn get_command_within(body: &mut Bytes) -> Result<Command, Malformed> {
    need(body, 1)?;
    let has = body.get_u8();
    if !matches!(has, 0 | HAS_ID) && has != HAS_ID | HAS_HEIR {
        return Err(malformed("command"));
    }
    let id = if has & HAS_ID == 0 { None } else { Some(get_id(body)?) };
    let heir = if has & HAS_HEIR == 0 { None } else { Some(get_originator(body)?) };
    Ok(Command { id, heir, payload: get_payload_within(body)? })
}

pub(super) fn get_payload(body: &mut Bytes) -> Result<Bytes, Malformed> {
    Ok(Bytes::copy_from_slice(&get_payload_within(body)?))
}

fn get_payload_within(body: &mut Bytes) -> Result<Bytes, Malformed> {
    let payload = get_bytes(body)?;
    if payload.len() > COMMAND_BYTES_LIMIT {
        return Err(malformed("a command that no journal takes"));
    }
    Ok(payload)
}
