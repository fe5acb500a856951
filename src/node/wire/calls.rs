//! Calls that one node passes on to another, and what came of them.

use bytes::{Buf, BufMut, Bytes};
use thermocline_paxos::{Boot, Bucket};

use super::fields::{get_boot, get_bytes, need, put_boot, put_bytes};
use super::{Item, Malformed, kind, malformed};
use crate::node::request_codec;
use crate::request::{Outcome, Request};

pub(super) fn put_forward(out: &mut Vec<u8>, call: u64, hops: u8, request: &Request) {
    out.put_u8(kind::FORWARD);
    out.put_u64_le(call);
    out.put_u8(hops);
    put_bytes(out, &request_codec::encode_request(request));
}

pub(super) fn put_forward_write(
    out: &mut Vec<u8>,
    call: u64,
    hops: u8,
    deadline_ms: u32,
    bucket: Bucket,
    heir: Option<&Boot>,
    entry: &[u8],
) {
    out.put_u8(kind::FORWARD_WRITE);
    out.put_u64_le(call);
    out.put_u8(hops);
    out.put_u32_le(deadline_ms);
    out.put_u32_le(bucket.0);
    out.put_u8(u8::from(heir.is_some()));
    if let Some(boot) = heir {
        put_boot(out, boot);
    }
    put_bytes(out, entry);
}

pub(super) fn put_answer(out: &mut Vec<u8>, call: u64, outcome: &Outcome) {
    out.put_u8(kind::FORWARD_ANSWER);
    out.put_u64_le(call);
    request_codec::put_outcome(out, outcome);
}

pub(super) fn take_forward(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 9)?;
    let (call, hops) = (body.get_u64_le(), body.get_u8());
    let request = request_codec::decode_request(get_bytes(body)?)?;
    Ok(Item::Forward { call, hops, request })
}

pub(super) fn take_forward_write(body: &mut Bytes) -> Result<Item, Malformed> {
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
    // An entry outlives the frame that brought it, as a command does.
    let entry = Bytes::copy_from_slice(&get_bytes(body)?);
    Ok(Item::ForwardWrite { call, hops, deadline_ms, bucket, heir, entry })
}

pub(super) fn take_answer(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 8)?;
    let call = body.get_u64_le();
    Ok(Item::ForwardAnswer { call, outcome: request_codec::get_outcome(body)? })
}
