//! Buckets that are copied whole, piece by piece.

use bytes::{Buf, BufMut, Bytes};
use thermocline_paxos::{Bucket, Slot};
use thermocline_tiers::hot::state::Digest;

use super::fields::{get_bytes, need, put_bytes};
use super::{Item, Malformed, kind};

/// A piece of a bucket as it is at slot `at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BucketPiece {
    /// The asker's number for this copy.
    pub(crate) session: u64,
    pub(crate) bucket: Bucket,
    pub(crate) chunk: u32,
    pub(crate) at: Slot,
    /// The bucket's digest at that slot.
    pub(crate) digest: Digest,
    /// The running hash over this piece and those before it.
    pub(crate) sum: u64,
    pub(crate) last: bool,
    pub(crate) body: Bytes,
}

pub(super) fn put_ask(out: &mut Vec<u8>, session: u64, bucket: Bucket, chunk: u32, at_least: Slot) {
    out.put_u8(kind::COPY_ASK);
    out.put_u64_le(session);
    out.put_u32_le(bucket.0);
    out.put_u32_le(chunk);
    out.put_u64_le(at_least.0);
}

pub(super) fn put_piece(out: &mut Vec<u8>, piece: &BucketPiece) {
    out.put_u8(kind::COPY);
    out.put_u64_le(piece.session);
    out.put_u32_le(piece.bucket.0);
    out.put_u32_le(piece.chunk);
    out.put_u64_le(piece.at.0);
    out.put_u128_le(piece.digest.0);
    out.put_u64_le(piece.sum);
    out.put_u8(u8::from(piece.last));
    put_bytes(out, &piece.body);
}

pub(super) fn put_refused(out: &mut Vec<u8>, session: u64, bucket: Bucket) {
    out.put_u8(kind::COPY_REFUSED);
    out.put_u64_le(session);
    out.put_u32_le(bucket.0);
}

pub(super) fn take_ask(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 8 + 4 + 4 + 8)?;
    Ok(Item::CopyAsk {
        session: body.get_u64_le(),
        bucket: Bucket(body.get_u32_le()),
        chunk: body.get_u32_le(),
        at_least: Slot(body.get_u64_le()),
    })
}

pub(super) fn take_piece(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 8 + 4 + 4 + 8 + 16 + 8 + 1)?;
    Ok(Item::Copy(BucketPiece {
        session: body.get_u64_le(),
        bucket: Bucket(body.get_u32_le()),
        chunk: body.get_u32_le(),
        at: Slot(body.get_u64_le()),
        digest: Digest(body.get_u128_le()),
        sum: body.get_u64_le(),
        last: body.get_u8() != 0,
        body: get_bytes(body)?,
    }))
}

pub(super) fn take_refused(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 12)?;
    Ok(Item::CopyRefused { session: body.get_u64_le(), bucket: Bucket(body.get_u32_le()) })
}
