//! How far are the logs of buckets? The question before linearizable reads, and its answer.

use bytes::{Buf, BufMut, Bytes};
use thermocline_paxos::{Bucket, Slot};

use super::fields::{length, list, need};
use super::{Item, Malformed, kind, malformed};

/// How a bucket differs from what a probe's sender knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProbeException {
    pub(crate) bucket: Bucket,
    pub(crate) chosen: Slot,
    pub(crate) accepted_next: bool,
    pub(crate) voting: bool,
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

/// Appends what is different from what a probe's sender knew, in the order of the buckets.
pub(super) fn put_answer(out: &mut Vec<u8>, round: u64, exceptions: &[ProbeException]) {
    out.put_u8(kind::PROBE_ANSWER);
    out.put_u64_le(round);
    out.put_u32_le(length(exceptions.len()));
    for exception in exceptions {
        out.put_u32_le(exception.bucket.0);
        out.put_u64_le(exception.chosen.0);
        out.put_u8(u8::from(exception.accepted_next) | u8::from(exception.voting) << 1);
    }
}

pub(super) fn take_probe(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 12)?;
    let round = body.get_u64_le();
    let buckets = list(body, 12, |body| (Bucket(body.get_u32_le()), Slot(body.get_u64_le())))?;
    Ok(Item::Probe { round, buckets })
}

pub(super) fn take_answer(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 12)?;
    let round = body.get_u64_le();
    let exceptions = list(body, 13, |body| {
        let (bucket, chosen, bits) = (Bucket(body.get_u32_le()), Slot(body.get_u64_le()), body.get_u8());
        ProbeException { bucket, chosen, accepted_next: bits & 1 != 0, voting: bits & 2 != 0 }
    })?;
    if !exceptions.is_sorted_by(|one, next| one.bucket < next.bucket) {
        return Err(malformed("buckets out of order"));
    }
    Ok(Item::ProbeAnswer { round, exceptions })
}
