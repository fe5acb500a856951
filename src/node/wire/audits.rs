//! What lies on the disks of replicas, for comparison, and what is to be taken over after it.

use bytes::{Buf, BufMut, Bytes};
use thermocline_paxos::{Bucket, NodeId, Slot};
use thermocline_tiers::hot::state::{Content, Digest, RunSet, Window};

use super::fields::{length, list, need, put_buckets, take_buckets};
use super::{Item, Malformed, kind};
use crate::node::audit::Finding;

pub(super) fn put_ask(out: &mut Vec<u8>, round: u64, buckets: &[Bucket]) {
    out.put_u8(kind::AUDIT_ASK);
    out.put_u64_le(round);
    put_buckets(out, buckets);
}

pub(super) fn put_answer(out: &mut Vec<u8>, round: u64, findings: &[Finding]) {
    out.put_u8(kind::AUDIT_ANSWER);
    out.put_u64_le(round);
    out.put_u32_le(length(findings.len()));
    findings.iter().for_each(|finding| put_finding(out, finding));
}

pub(super) fn put_repair(out: &mut Vec<u8>, bucket: Bucket, at: Slot, source: NodeId) {
    out.put_u8(kind::REPAIR);
    out.put_u32_le(bucket.0);
    out.put_u64_le(at.0);
    out.put_u16_le(source.0);
}

pub(super) fn take_ask(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 12)?;
    let round = body.get_u64_le();
    Ok(Item::AuditAsk { round, buckets: take_buckets(body)? })
}

pub(super) fn take_answer(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 12)?;
    let (round, count) = (body.get_u64_le(), body.get_u32_le());
    let mut findings = Vec::new();
    for _ in 0..count {
        findings.push(get_finding(body)?);
    }
    Ok(Item::AuditAnswer { round, findings })
}

pub(super) fn take_repair(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 14)?;
    let (bucket, at) = (Bucket(body.get_u32_le()), Slot(body.get_u64_le()));
    Ok(Item::Repair { bucket, at, source: NodeId(body.get_u16_le()) })
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
