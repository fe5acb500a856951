//! Decided commands that a node lacks: that it does, what it asks for, and what it gets.

use bytes::{Buf, BufMut, Bytes};
use thermocline_paxos::{Bucket, Command, Slot};

use super::fields::{get_command, length, need, put_command};
use super::{Item, Malformed, kind};

pub(super) fn put_fetch(out: &mut Vec<u8>, bucket: Bucket, from: Slot, through: Slot) {
    out.put_u8(kind::FETCH);
    out.put_u32_le(bucket.0);
    out.put_u64_le(from.0);
    out.put_u64_le(through.0);
}

pub(super) fn put_answer(out: &mut Vec<u8>, bucket: Bucket, from: Slot, commands: &[Command], chosen: Slot) {
    out.put_u8(kind::FETCH_ANSWER);
    out.put_u32_le(bucket.0);
    out.put_u64_le(from.0);
    out.put_u64_le(chosen.0);
    out.put_u32_le(length(commands.len()));
    for command in commands {
        put_command(out, command);
    }
}

pub(super) fn put_hint(out: &mut Vec<u8>, bucket: Bucket, chosen: Slot) {
    out.put_u8(kind::HINT);
    out.put_u32_le(bucket.0);
    out.put_u64_le(chosen.0);
}

pub(super) fn take_fetch(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 20)?;
    Ok(Item::Fetch {
        bucket: Bucket(body.get_u32_le()),
        from: Slot(body.get_u64_le()),
        through: Slot(body.get_u64_le()),
    })
}

pub(super) fn take_answer(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 24)?;
    let bucket = Bucket(body.get_u32_le());
    let (from, chosen) = (Slot(body.get_u64_le()), Slot(body.get_u64_le()));
    let count = body.get_u32_le();
    let mut commands = Vec::new();
    for _ in 0..count {
        commands.push(get_command(body)?);
    }
    Ok(Item::FetchAnswer { bucket, from, commands, chosen })
}

pub(super) fn take_hint(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 12)?;
    Ok(Item::Hint { bucket: Bucket(body.get_u32_le()), chosen: Slot(body.get_u64_le()) })
}
