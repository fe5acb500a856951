//! Decided commands in the order of a journal, for a node that lacks many.

use bytes::{Buf, BufMut, Bytes};
use thermocline_paxos::{Bucket, Slot};

use super::fields::{get_bytes, length, need, put_bytes};
use super::{Item, Malformed, kind, malformed};
use crate::node::stream::{Commands, StreamPart};

pub(super) fn put_ask(out: &mut Vec<u8>, stream: u64, of: u32, buckets: &[(Bucket, Slot)]) {
    out.put_u8(kind::STREAM_ASK);
    out.put_u64_le(stream);
    out.put_u32_le(of);
    out.put_u32_le(length(buckets.len()));
    for (bucket, slot) in buckets {
        out.put_u32_le(bucket.0);
        out.put_u64_le(slot.0);
    }
}

pub(super) fn put_next(out: &mut Vec<u8>, stream: u64, part: u32, through: u32, again: bool) {
    out.put_u8(kind::STREAM_NEXT);
    out.put_u64_le(stream);
    out.put_u32_le(part);
    out.put_u32_le(through);
    out.put_u8(u8::from(again));
}

pub(super) fn put_part(out: &mut Vec<u8>, part: &StreamPart) {
    let StreamPart { stream, part, commands, ended } = part;
    out.put_u8(kind::STREAM_PART);
    out.put_u64_le(*stream);
    out.put_u32_le(*part);
    out.put_u8(u8::from(*ended));
    put_bytes(out, commands.as_bytes());
}

pub(super) fn take_ask(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 16)?;
    let stream = body.get_u64_le();
    let (of, count) = (body.get_u32_le(), body.get_u32_le());
    let mut buckets = Vec::new();
    for _ in 0..count {
        need(body, 12)?;
        buckets.push((Bucket(body.get_u32_le()), Slot(body.get_u64_le())));
    }
    Ok(Item::StreamAsk { stream, of, buckets })
}

pub(super) fn take_next(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 17)?;
    let stream = body.get_u64_le();
    let (part, through) = (body.get_u32_le(), body.get_u32_le());
    Ok(Item::StreamNext { stream, part, through, again: take_flag(body)? })
}

pub(super) fn take_part(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 13)?;
    let stream = body.get_u64_le();
    let part = body.get_u32_le();
    let ended = take_flag(body)?;
    let commands = Commands::new(get_bytes(body)?);
    Ok(Item::StreamPart(StreamPart { stream, part, commands, ended }))
}

fn take_flag(body: &mut Bytes) -> Result<bool, Malformed> {
    match body.get_u8() {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(malformed("a flag of a stream")),
    }
}
