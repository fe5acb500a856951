//! The bytes of a bucket on its way from one replica to another: a series of entries, cut into chunks between entries.
//!
//! ```text
//! put        0 undated, 1 dated    entity · [timestamp u64 · sequence u64] · version u64 · has expiry u8 [expiry u64] · value
//! delete     2 undated, 3 dated    entity · [timestamp u64 · sequence u64] · version u64
//! trim       4                     entity · through u64 · version u64
//! outcome    5                     client u64 · counter u64 · slot u64 · status u8 · detail u64 · born u64
//! attribute  6                     kind u8 · index u64 · value
//! ```
//!
//! Integers are little-endian; entities and values are a length u32 and their bytes.

use bytes::{Buf, BufMut, Bytes};
use thermocline_tiers::hot::Slot;
use thermocline_tiers::hot::state::{
    ATTRIBUTE_BYTES_MAX, Attribute, Change, ENTITY_BYTES_MAX, Outcome, Position, SnapshotItem, TokenKey,
    Version,
};

use super::wire::{Malformed, get_bytes, need, put_bytes};

/// One entry of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Item(SnapshotItem),
    Outcome(TokenKey, Outcome),
    Attribute(Attribute, Bytes),
}

const fn malformed(what: &'static str) -> Malformed {
    Malformed { what }
}

/// Appends an entry of a snapshot.
pub(crate) fn put_item(out: &mut Vec<u8>, item: &SnapshotItem) {
    let (tag, position) = match &item.change {
        Change::Put { position, .. } => (0, Some(*position)),
        Change::Delete { position } => (2, Some(*position)),
        Change::Trim { .. } => (4, None),
    };
    let dated = matches!(position, Some(Position::Dated { .. }));
    out.put_u8(tag + u8::from(dated));
    put_bytes(out, &item.entity);
    if let Some(Position::Dated { timestamp_ms, sequence }) = position {
        out.put_u64_le(timestamp_ms);
        out.put_u64_le(sequence);
    }
    if let Change::Trim { through_ms } = &item.change {
        out.put_u64_le(*through_ms);
    }
    out.put_u64_le(item.version.0);
    if let Change::Put { value, expires_ms, .. } = &item.change {
        out.put_u8(u8::from(expires_ms.is_some()));
        if let Some(expires_ms) = expires_ms {
            out.put_u64_le(*expires_ms);
        }
        put_bytes(out, value);
    }
}

/// Appends the outcome of a token.
pub(crate) fn put_outcome(out: &mut Vec<u8>, token: &TokenKey, outcome: &Outcome) {
    out.put_u8(5);
    for number in [token.client, token.counter, outcome.slot.0] {
        out.put_u64_le(number);
    }
    out.put_u8(outcome.status);
    out.put_u64_le(outcome.detail);
    out.put_u64_le(outcome.born);
}

/// Appends an attribute.
pub(crate) fn put_attribute(out: &mut Vec<u8>, attribute: Attribute, value: &[u8]) {
    out.put_u8(6);
    out.put_u8(attribute.kind);
    out.put_u64_le(attribute.index);
    put_bytes(out, value);
}

/// Reads a chunk's entries. Nothing is let through that the state would not hold: `value_bytes_max` bounds values, `at` versions.
pub(crate) fn entries(mut body: Bytes, at: Slot, value_bytes_max: usize) -> Result<Vec<Entry>, Malformed> {
    let mut entries = Vec::new();
    while body.has_remaining() {
        entries.push(entry(&mut body, at, value_bytes_max)?);
    }
    Ok(entries)
}

fn entry(body: &mut Bytes, at: Slot, value_bytes_max: usize) -> Result<Entry, Malformed> {
    match body.get_u8() {
        tag @ 0..=4 => item(body, tag, at, value_bytes_max).map(Entry::Item),
        5 => {
            need(body, 3 * 8 + 1 + 2 * 8)?;
            let token = TokenKey { client: body.get_u64_le(), counter: body.get_u64_le() };
            let slot = Slot(body.get_u64_le());
            if slot > at {
                return Err(malformed("an outcome later than its bucket"));
            }
            let status = body.get_u8();
            let outcome = Outcome { slot, status, detail: body.get_u64_le(), born: body.get_u64_le() };
            Ok(Entry::Outcome(token, outcome))
        }
        6 => {
            need(body, 9)?;
            let attribute = Attribute { kind: body.get_u8(), index: body.get_u64_le() };
            let value = bounded(body, ATTRIBUTE_BYTES_MAX, "an attribute too long")?;
            Ok(Entry::Attribute(attribute, value))
        }
        _ => Err(malformed("unknown entry")),
    }
}

fn item(body: &mut Bytes, tag: u8, at: Slot, value_bytes_max: usize) -> Result<SnapshotItem, Malformed> {
    let entity = bounded(body, ENTITY_BYTES_MAX, "an entity too long")?;
    if entity.is_empty() {
        return Err(malformed("an entity without a name"));
    }
    let position = match tag {
        0 | 2 => Position::Undated,
        1 | 3 => {
            need(body, 16)?;
            Position::Dated { timestamp_ms: body.get_u64_le(), sequence: body.get_u64_le() }
        }
        _ => {
            need(body, 16)?;
            let change = Change::Trim { through_ms: body.get_u64_le() };
            return Ok(SnapshotItem { entity, change, version: version(body, at)? });
        }
    };
    let version = version(body, at)?;
    let change = if tag >= 2 {
        Change::Delete { position }
    } else {
        need(body, 1)?;
        let expires_ms = match body.get_u8() {
            0 => None,
            1 => {
                need(body, 8)?;
                Some(body.get_u64_le())
            }
            _ => return Err(malformed("expiry")),
        };
        Change::Put { position, value: bounded(body, value_bytes_max, "a value too long")?, expires_ms }
    };
    Ok(SnapshotItem { entity, version, change })
}

fn version(body: &mut Bytes, at: Slot) -> Result<Version, Malformed> {
    need(body, 8)?;
    let version = Version(body.get_u64_le());
    if version > Version::from(at) { Err(malformed("an entry later than its bucket")) } else { Ok(version) }
}

fn bounded(body: &mut Bytes, bytes_max: usize, what: &'static str) -> Result<Bytes, Malformed> {
    let bytes = get_bytes(body)?;
    if bytes.len() > bytes_max { Err(malformed(what)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Slot = Slot(9);

    fn all() -> Vec<Entry> {
        let item = |version, change| {
            Entry::Item(SnapshotItem {
                entity: Bytes::from_static(b"alice"),
                version: Version(version),
                change,
            })
        };
        let dated = Position::Dated { timestamp_ms: 5, sequence: 6 };
        let value = Bytes::from_static(b"value");
        vec![
            item(1, Change::Trim { through_ms: 3 }),
            item(9, Change::Put { position: Position::Undated, value: value.clone(), expires_ms: None }),
            item(2, Change::Put { position: dated, value: Bytes::new(), expires_ms: Some(7) }),
            item(3, Change::Delete { position: dated }),
            item(4, Change::Delete { position: Position::Undated }),
            Entry::Outcome(
                TokenKey { client: 1, counter: 2 },
                Outcome { slot: Slot(8), status: 3, detail: 4, born: 5 },
            ),
            Entry::Attribute(Attribute { kind: 1, index: 2 }, value),
        ]
    }

    fn encoded(entries: &[Entry]) -> Vec<u8> {
        let mut out = Vec::new();
        for entry in entries {
            match entry {
                Entry::Item(item) => put_item(&mut out, item),
                Entry::Outcome(token, outcome) => put_outcome(&mut out, token, outcome),
                Entry::Attribute(attribute, value) => put_attribute(&mut out, *attribute, value),
            }
        }
        out
    }

    #[test]
    fn entries_come_back_as_they_were() {
        assert_eq!(entries(encoded(&all()).into(), AT, 5), Ok(all()));
    }

    #[test]
    fn what_the_state_would_not_hold_is_refused() {
        assert!(entries(encoded(&all()).into(), Slot(8), 5).is_err(), "a version later than the bucket");
        assert!(entries(encoded(&all()).into(), AT, 4).is_err(), "a value too long");
        let mut long = encoded(&all()[1..2]);
        long[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(entries(long.into(), AT, 5).is_err(), "a length that is not there");
        assert!(entries(Bytes::from_static(&[0, 0, 0, 0, 0]), AT, 5).is_err(), "an entity without a name");
        assert!(entries(Bytes::from_static(&[9]), AT, 5).is_err());
    }

    #[test]
    fn a_chunk_cut_anywhere_else_than_between_entries_is_refused() {
        let whole = encoded(&all());
        let ends: Vec<usize> = (0..=all().len()).map(|count| encoded(&all()[..count]).len()).collect();
        for cut in 0..whole.len() {
            let read = entries(Bytes::copy_from_slice(&whole[..cut]), AT, 5);
            assert_eq!(read.is_ok(), ends.contains(&cut), "cut at {cut}");
        }
    }
}
