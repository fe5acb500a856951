//! The bytes of a forwarded request and of its outcome.
//!
//! The few that are frequent are laid out by hand; rare ones (errors) go through the control encoding.

use bytes::{Buf, BufMut, Bytes};

use super::wire::{Malformed, get_bytes, need, put_bytes};
use crate::error::{CALLS, Error, JOURNAL_DISK, PART_MEMORY, StorageKind, WRITES_UNDER_WAY};
use crate::key::{Key, Position, Record, Version};
use crate::request::{Answer, Ask, Consistency, Outcome, Request, ScanQuery};
use crate::token::{Resolution, Token};

const MALFORMED: Malformed = Malformed { what: "request" };

/// What can be full at a node, by number; what is none of these is a queue.
const FULL: [&str; 4] = [JOURNAL_DISK, WRITES_UNDER_WAY, PART_MEMORY, CALLS];

/// Encodes a request that is not a write; writes travel as entries.
///
/// # Panics
/// When given a write.
pub(crate) fn encode_request(request: &Request) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.put_u32_le(request.deadline_ms);
    out.put_u8(u8::from(request.consistency == Consistency::Stale));
    match &request.ask {
        Ask::Get(key) => {
            out.put_u8(0);
            put_position(&mut out, key.position);
            put_bytes(&mut out, &key.entity);
        }
        Ask::Scan(query) => {
            out.put_u8(1);
            put_position(&mut out, query.from);
            put_position(&mut out, query.to);
            out.put_u8(u8::from(query.newest_first));
            out.put_u32_le(query.limit_records);
            out.put_u32_le(query.limit_bytes);
            put_bytes(&mut out, &query.entity);
        }
        Ask::Resolve(token) => {
            out.put_u8(2);
            put_token(&mut out, token);
        }
        Ask::NewToken { entity } => {
            out.put_u8(3);
            put_bytes(&mut out, entity);
        }
        Ask::Write { .. } => unreachable!("a write is forwarded as its entry"),
    }
    out
}

pub(crate) fn decode_request(mut body: Bytes) -> Result<Request, Malformed> {
    let body = &mut body;
    need(body, 6)?;
    let deadline_ms = body.get_u32_le();
    let consistency = if body.get_u8() == 1 { Consistency::Stale } else { Consistency::Linearizable };
    let ask = match body.get_u8() {
        0 => {
            let position = get_position(body)?;
            Ask::Get(Key { entity: get_bytes(body)?, position })
        }
        1 => {
            let (from, to) = (get_position(body)?, get_position(body)?);
            need(body, 9)?;
            let (newest_first, limit_records, limit_bytes) =
                (body.get_u8() == 1, body.get_u32_le(), body.get_u32_le());
            Ask::Scan(ScanQuery {
                entity: get_bytes(body)?,
                from,
                to,
                newest_first,
                limit_records,
                limit_bytes,
            })
        }
        2 => Ask::Resolve(get_token(body)?),
        3 => Ask::NewToken { entity: get_bytes(body)? },
        _ => return Err(MALFORMED),
    };
    Ok(Request { ask, deadline_ms, consistency })
}

pub(crate) fn put_outcome(out: &mut Vec<u8>, outcome: &Outcome) {
    match outcome {
        Ok(Answer::Written(version)) => {
            out.put_u8(0);
            out.put_u64_le(version.0);
        }
        Ok(Answer::Got(None)) => out.put_u8(1),
        Ok(Answer::Got(Some(record))) => {
            out.put_u8(2);
            put_record(out, record);
        }
        Ok(Answer::Page { records, end }) => {
            out.put_u8(3);
            out.put_u8(u8::from(*end));
            out.put_u32_le(u32::try_from(records.len()).unwrap_or(u32::MAX));
            for record in records {
                put_record(out, record);
            }
        }
        Ok(Answer::Resolved(resolution)) => {
            out.put_u8(4);
            let (kind, version) = match resolution {
                Resolution::Committed(version) => (0, version.0),
                Resolution::NotCommitted => (1, 0),
                Resolution::Forgotten => (2, 0),
            };
            out.put_u8(kind);
            out.put_u64_le(version);
        }
        Ok(Answer::Token(token)) => {
            out.put_u8(5);
            put_token(out, token);
        }
        Ok(Answer::Expired { chosen }) => {
            out.put_u8(6);
            out.put_u64_le(*chosen);
        }
        Ok(Answer::Burned) => out.put_u8(7),
        Err(error) => put_error(out, error),
    }
}

pub(crate) fn get_outcome(body: &mut Bytes) -> Result<Outcome, Malformed> {
    need(body, 1)?;
    let answer = match body.get_u8() {
        0 => {
            need(body, 8)?;
            Answer::Written(Version(body.get_u64_le()))
        }
        1 => Answer::Got(None),
        2 => Answer::Got(Some(get_record(body)?)),
        3 => {
            need(body, 5)?;
            let (end, count) = (body.get_u8() == 1, body.get_u32_le());
            let mut records = Vec::new();
            for _ in 0..count {
                records.push(get_record(body)?);
            }
            Answer::Page { records, end }
        }
        4 => {
            need(body, 9)?;
            let (kind, version) = (body.get_u8(), Version(body.get_u64_le()));
            Answer::Resolved(match kind {
                0 => Resolution::Committed(version),
                1 => Resolution::NotCommitted,
                2 => Resolution::Forgotten,
                _ => return Err(MALFORMED),
            })
        }
        5 => Answer::Token(get_token(body)?),
        6 => {
            need(body, 8)?;
            Answer::Expired { chosen: body.get_u64_le() }
        }
        7 => Answer::Burned,
        kind => return get_error(kind, body).map(Err),
    };
    Ok(Ok(answer))
}

/// Errors that a node answers for another: each keeps its kind, so that a caller can act on it.
fn put_error(out: &mut Vec<u8>, error: &Error) {
    match error {
        Error::Conflict { current } => {
            out.put_u8(32);
            out.put_u8(u8::from(current.is_some()));
            out.put_u64_le(current.map_or(0, |version| version.0));
        }
        Error::Contended => out.put_u8(33),
        Error::Unknown(token) => {
            out.put_u8(34);
            put_token(out, token);
        }
        Error::Invalid { what, value, bound } => {
            out.put_u8(35);
            for text in [what, value, bound] {
                put_bytes(out, text.as_bytes());
            }
        }
        Error::Overloaded { what, limit } => {
            out.put_u8(36);
            out.put_u8(FULL.iter().position(|full| full == what).unwrap_or(FULL.len()) as u8);
            put_bytes(out, limit.as_bytes());
        }
        Error::Unavailable { reason } => {
            out.put_u8(37);
            put_bytes(out, reason.as_bytes());
        }
        Error::Corrupt { what } => {
            out.put_u8(38);
            put_bytes(out, what.as_bytes());
        }
        Error::Storage { kind, what } => {
            out.put_u8(39);
            out.put_u8(match kind {
                StorageKind::Locked => 0,
                StorageKind::Foreign => 1,
                StorageKind::Full => 2,
                StorageKind::SyncFailed => 3,
                StorageKind::Io => 4,
                StorageKind::System => 5,
            });
            put_bytes(out, what.as_bytes());
        }
        Error::Closed => out.put_u8(40),
    }
}

fn get_error(kind: u8, body: &mut Bytes) -> Result<Error, Malformed> {
    let text = |body: &mut Bytes| -> Result<String, Malformed> {
        Ok(String::from_utf8_lossy(&get_bytes(body)?).into_owned())
    };
    Ok(match kind {
        32 => {
            need(body, 9)?;
            let (some, version) = (body.get_u8() == 1, Version(body.get_u64_le()));
            Error::Conflict { current: some.then_some(version) }
        }
        33 => Error::Contended,
        34 => Error::Unknown(get_token(body)?),
        35 => Error::Invalid { what: text(body)?, value: text(body)?, bound: text(body)? },
        36 => {
            need(body, 1)?;
            let full = usize::from(body.get_u8());
            Error::Overloaded {
                what: FULL.get(full).unwrap_or(&"a queue of the serving node"),
                limit: text(body)?,
            }
        }
        37 => Error::Unavailable { reason: text(body)? },
        38 => Error::Corrupt { what: text(body)? },
        39 => {
            need(body, 1)?;
            let kind = match body.get_u8() {
                0 => StorageKind::Locked,
                1 => StorageKind::Foreign,
                2 => StorageKind::Full,
                3 => StorageKind::SyncFailed,
                4 => StorageKind::Io,
                5 => StorageKind::System,
                _ => return Err(MALFORMED),
            };
            Error::Storage { kind, what: text(body)? }
        }
        40 => Error::Unavailable { reason: "the serving node is closing".into() },
        _ => return Err(MALFORMED),
    })
}

fn put_position(out: &mut Vec<u8>, position: Position) {
    match position {
        Position::Undated => out.put_u8(0),
        Position::Dated { timestamp, sequence } => {
            out.put_u8(1);
            out.put_u64_le(timestamp);
            out.put_u64_le(sequence);
        }
    }
}

fn get_position(body: &mut Bytes) -> Result<Position, Malformed> {
    need(body, 1)?;
    match body.get_u8() {
        0 => Ok(Position::Undated),
        1 => {
            need(body, 16)?;
            Ok(Position::Dated { timestamp: body.get_u64_le(), sequence: body.get_u64_le() })
        }
        _ => Err(MALFORMED),
    }
}

fn put_token(out: &mut Vec<u8>, token: &Token) {
    out.put_u64_le(token.client);
    out.put_u64_le(token.counter);
    out.put_u32_le(token.bucket);
    out.put_u64_le(token.born);
}

fn get_token(body: &mut Bytes) -> Result<Token, Malformed> {
    need(body, 28)?;
    Ok(Token {
        client: body.get_u64_le(),
        counter: body.get_u64_le(),
        bucket: body.get_u32_le(),
        born: body.get_u64_le(),
    })
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    put_position(out, record.key.position);
    out.put_u64_le(record.version.0);
    out.put_u64_le(record.expires_at.unwrap_or(0));
    put_bytes(out, &record.key.entity);
    put_bytes(out, &record.value);
}

fn get_record(body: &mut Bytes) -> Result<Record, Malformed> {
    let position = get_position(body)?;
    need(body, 16)?;
    let (version, expires) = (Version(body.get_u64_le()), body.get_u64_le());
    let entity = get_bytes(body)?;
    let value = get_bytes(body)?;
    let expires_at = (expires != 0).then_some(expires);
    Ok(Record { key: Key { entity, position }, value, version, expires_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_kind_on_its_way() {
        let token = Token { client: 1, counter: 2, bucket: 3, born: 4 };
        let kinds = [
            StorageKind::Locked,
            StorageKind::Foreign,
            StorageKind::Full,
            StorageKind::SyncFailed,
            StorageKind::Io,
            StorageKind::System,
        ];
        let mut errors = vec![
            Error::Conflict { current: Some(Version(7)) },
            Error::Conflict { current: None },
            Error::Contended,
            Error::Unknown(token),
            Error::invalid("limit", "0", "1"),
            Error::Unavailable { reason: "no majority".into() },
            Error::Corrupt { what: "block".into() },
        ];
        errors.extend(kinds.map(|kind| Error::storage(kind, "disk")));
        for error in errors {
            let mut bytes = Vec::new();
            put_outcome(&mut bytes, &Err(error.clone()));
            assert_eq!(get_outcome(&mut bytes.into()).unwrap(), Err(error));
        }
        let unknown_kind = Bytes::from_static(&[39, 6, 0, 0, 0, 0]);
        assert!(get_outcome(&mut unknown_kind.clone()).is_err());
    }
}
