//! How a replica that lost what it promised comes to vote again.

use bytes::{Buf, BufMut, Bytes};
use thermocline_paxos::{Bucket, Slot};

use super::fields::{length, list, need, put_buckets, take_buckets};
use super::{Item, Malformed, kind, malformed};

/// Who pushes an idle bucket over a vote floor, of those who are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// Who owns its open slot: it can without a first phase, and still owns it afterwards.
    Owner,
    /// The one who is asked, unless it knows of an owner that it can reach.
    OwnerOrYou,
    /// The one who is asked, whoever owns it.
    You,
}

pub(super) fn put_ask(out: &mut Vec<u8>, nonce: u64, buckets: &[Bucket]) {
    out.put_u8(kind::FLOOR_ASK);
    out.put_u64_le(nonce);
    put_buckets(out, buckets);
}

pub(super) fn put_answer(
    out: &mut Vec<u8>,
    nonce: u64,
    buckets: &[(Bucket, Slot, Slot)],
    learning: &[(Bucket, Slot)],
) {
    out.put_u8(kind::FLOOR_ANSWER);
    out.put_u64_le(nonce);
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

pub(super) fn put_nudge(out: &mut Vec<u8>, who: Who, buckets: &[Bucket]) {
    out.put_u8(kind::NUDGE);
    out.put_u8(match who {
        Who::Owner => 0,
        Who::OwnerOrYou => 1,
        Who::You => 2,
    });
    put_buckets(out, buckets);
}

pub(super) fn take_ask(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 12)?;
    let nonce = body.get_u64_le();
    Ok(Item::FloorAsk { nonce, buckets: take_buckets(body)? })
}

pub(super) fn take_answer(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 12)?;
    let nonce = body.get_u64_le();
    let buckets =
        list(body, 20, |body| (Bucket(body.get_u32_le()), Slot(body.get_u64_le()), Slot(body.get_u64_le())))?;
    need(body, 4)?;
    let learning = list(body, 12, |body| (Bucket(body.get_u32_le()), Slot(body.get_u64_le())))?;
    Ok(Item::FloorAnswer { nonce, buckets, learning })
}

pub(super) fn take_nudge(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 5)?;
    let who = match body.get_u8() {
        0 => Who::Owner,
        1 => Who::OwnerOrYou,
        2 => Who::You,
        _ => return Err(malformed("who is nudged")),
    };
    Ok(Item::Nudge { who, buckets: take_buckets(body)? })
}
