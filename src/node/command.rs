//! The bytes of a command: what one slot of a bucket's log decides.
//!
//! A command's payload is one or more *entries*, one after the other; each is all that one write asks for. An entry is
//! built once, where the call arrives, and travels unchanged through forwarding, proposal, journal and apply. All
//! integers are little-endian.
//!
//! ```text
//! entry     kind u8 (0x11 write, 0x12 burn, 0x13 write under conditions; the high half is the format version)
//!           mutations u16 · entity length u16 · rest length u32 (bytes after this header's 33)
//!           client u64 · counter u64 · born u64                                        the token
//!           entity · [asked u64 if 0x13] · mutation*
//! mutation  what u8 (0 put, 1 delete, 2 trim) · expect u8 (0 any, 1 absent, 2 present, 3 version) · dated u8
//!           [timestamp u64 · sequence u64 if dated] [version u64 if expected]
//!           put: expires u64 (0 never) · length u32 · value        trim: through u64
//! ```
//!
//! A *burn* entry has no mutations: it takes its token out of use, so that "not committed" can be said for certain.
//!
//! A write under conditions says when it was *asked* for, in milliseconds since 1970 by the clock of the node that was called: what had expired by
//! then is not there for its conditions. So a caller to whom a read shows nothing can put a record that must be absent, and every replica decides
//! the same. (An entry of kind 0x11 may have conditions, too: for them nothing has expired.)

use bytes::{BufMut, Bytes, BytesMut};

use crate::key::{Position, Version};
use crate::request::{Expect, Mutation};
use crate::token::Token;

const WRITE: u8 = 0x11;
const BURN: u8 = 0x12;
const CONDITIONAL: u8 = 0x13;
/// The longest value that any configuration may allow, in bytes: the same at every node for ever, because what a command
/// does must not depend on a node's settings.
pub(crate) const VALUE_BYTES_LIMIT: usize = 16 << 20;
/// The longest command that is taken from another node, in bytes: above what any configuration may allow one's own, and
/// below what a journal record holds with what is around it.
pub(crate) const COMMAND_BYTES_LIMIT: usize = VALUE_BYTES_LIMIT + (1 << 19);
const HEADER_BYTES: usize = 1 + 2 + 2 + 4 + 24;

/// Builds the entry of a write. What had expired when it was asked for, in milliseconds since 1970, is absent for its conditions.
pub(crate) fn encode_write(
    token: &Token,
    entity: &[u8],
    mutations: &[Mutation],
    asked_ms: Option<u64>,
) -> Bytes {
    let values: usize =
        mutations.iter().map(|m| if let Mutation::Put { value, .. } = m { value.len() } else { 0 }).sum();
    let asked_ms = asked_ms.filter(|_| mutations.iter().any(|mutation| mutation.expect() != Expect::Any));
    let mut out = BytesMut::with_capacity(HEADER_BYTES + entity.len() + 8 + mutations.len() * 39 + values);
    header(&mut out, if asked_ms.is_some() { CONDITIONAL } else { WRITE }, token, entity, mutations.len());
    if let Some(asked_ms) = asked_ms {
        out.put_u64_le(asked_ms);
    }
    for mutation in mutations {
        encode_mutation(&mut out, mutation);
    }
    close(out)
}

/// Builds the entry that takes a token out of use.
pub(crate) fn encode_burn(token: &Token) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_BYTES);
    header(&mut out, BURN, token, &[], 0);
    close(out)
}

fn header(out: &mut BytesMut, kind: u8, token: &Token, entity: &[u8], mutations: usize) {
    out.put_u8(kind);
    out.put_u16_le(u16::try_from(mutations).unwrap_or(u16::MAX));
    out.put_u16_le(u16::try_from(entity.len()).unwrap_or(u16::MAX));
    out.put_u32_le(0);
    out.put_u64_le(token.client);
    out.put_u64_le(token.counter);
    out.put_u64_le(token.born);
    out.put_slice(entity);
}

fn close(mut out: BytesMut) -> Bytes {
    let rest = u32::try_from(out.len() - HEADER_BYTES).unwrap_or(u32::MAX);
    out[5..9].copy_from_slice(&rest.to_le_bytes());
    out.freeze()
}

fn encode_mutation(out: &mut BytesMut, mutation: &Mutation) {
    let (what, position) = match mutation {
        Mutation::Put { position, .. } => (0, *position),
        Mutation::Delete { position, .. } => (1, *position),
        Mutation::Trim { .. } => (2, Position::Undated),
    };
    let expect = mutation.expect();
    out.put_u8(what);
    out.put_u8(match expect {
        Expect::Any => 0,
        Expect::Absent => 1,
        Expect::Present => 2,
        Expect::Version(_) => 3,
    });
    match position {
        Position::Undated => out.put_u8(0),
        Position::Dated { timestamp, sequence } => {
            out.put_u8(1);
            out.put_u64_le(timestamp);
            out.put_u64_le(sequence);
        }
    }
    if let Expect::Version(version) = expect {
        out.put_u64_le(version.0);
    }
    match mutation {
        Mutation::Put { value, expires_at, .. } => {
            out.put_u64_le(expires_at.unwrap_or(0));
            out.put_u32_le(u32::try_from(value.len()).unwrap_or(u32::MAX));
            out.put_slice(value);
        }
        Mutation::Delete { .. } => {}
        Mutation::Trim { through } => out.put_u64_le(*through),
    }
}

/// One entry of a command, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) token: EntryToken,
    pub(crate) kind: EntryKind<'a>,
}

/// A token without its bucket, which the command's place tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EntryToken {
    pub(crate) client: u64,
    pub(crate) counter: u64,
    pub(crate) born: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum EntryKind<'a> {
    Burn,
    Write {
        entity: &'a [u8],
        mutations: Mutations<'a>,
        /// When it was asked for, in milliseconds since 1970, if its conditions depend on that.
        asked_ms: Option<u64>,
    },
}

/// The changes of an entry, checked when the entry was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mutations<'a> {
    left: u16,
    bytes: &'a [u8],
}

/// One change, its value borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    Put { position: Position, value: &'a [u8], expires_at: Option<u64>, expect: Expect },
    Delete { position: Position, expect: Expect },
    Trim { through: u64 },
}

impl Change<'_> {
    /// On what condition.
    fn expect(&self) -> Expect {
        match self {
            Self::Put { expect, .. } | Self::Delete { expect, .. } => *expect,
            Self::Trim { .. } => Expect::Any,
        }
    }
}

/// A command or an entry whose bytes make no sense. It can only come from a faulty node: checksums cover both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed entry at byte {at} of a command")]
pub(crate) struct Malformed {
    pub(crate) at: usize,
}

/// A copy of an entry under another token.
pub(crate) fn with_token(entry: &Bytes, token: &Token) -> Bytes {
    let mut out = BytesMut::from(&entry[..]);
    out[9..17].copy_from_slice(&token.client.to_le_bytes());
    out[17..25].copy_from_slice(&token.counter.to_le_bytes());
    out[25..33].copy_from_slice(&token.born.to_le_bytes());
    out.freeze()
}

/// Reads the entries of a command's payload.
pub(crate) fn entries(payload: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Malformed>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= payload.len() {
            return None;
        }
        match read_entry(&payload[at..]) {
            Some((entry, length)) => {
                at += length;
                Some(Ok(entry))
            }
            None => {
                let malformed = Malformed { at };
                at = payload.len();
                Some(Err(malformed))
            }
        }
    })
}

/// Reads bytes that must be exactly one entry, as a forwarded write is.
pub(crate) fn single(bytes: &[u8]) -> Result<Entry<'_>, Malformed> {
    match read_entry(bytes) {
        Some((entry, length)) if length == bytes.len() => Ok(entry),
        _ => Err(Malformed { at: 0 }),
    }
}

fn read_entry(bytes: &[u8]) -> Option<(Entry<'_>, usize)> {
    let mut reader = Reader(bytes);
    let kind = reader.u8()?;
    let count = reader.u16()?;
    let entity_length = reader.u16()? as usize;
    let rest = reader.u32()? as usize;
    let token = EntryToken { client: reader.u64()?, counter: reader.u64()?, born: reader.u64()? };
    let mut reader = Reader(reader.take(rest)?);
    let kind = match kind {
        BURN if rest == 0 && count == 0 => EntryKind::Burn,
        WRITE | CONDITIONAL => {
            let entity = reader.take(entity_length)?;
            if entity.is_empty() || entity.len() > crate::key::ENTITY_BYTES_MAX {
                return None;
            }
            let asked_ms = if kind == CONDITIONAL { Some(reader.u64()?) } else { None };
            let bytes = reader.0;
            let mut is_conditional = false;
            for _ in 0..count {
                is_conditional |= reader.change()?.expect() != Expect::Any;
            }
            if !reader.0.is_empty() || (asked_ms.is_some() && !is_conditional) {
                return None;
            }
            EntryKind::Write { entity, mutations: Mutations { left: count, bytes }, asked_ms }
        }
        _ => return None,
    };
    Some((Entry { token, kind }, HEADER_BYTES + rest))
}

impl<'a> Iterator for Mutations<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut reader = Reader(self.bytes);
        let change = reader.change();
        debug_assert!(change.is_some(), "an entry's changes were checked when it was read");
        self.bytes = reader.0;
        change
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn change(&mut self) -> Option<Change<'a>> {
        let what = self.u8()?;
        let expect = self.u8()?;
        let position = match self.u8()? {
            0 => Position::Undated,
            1 => Position::Dated { timestamp: self.u64()?, sequence: self.u64()? },
            _ => return None,
        };
        let expect = match expect {
            0 => Expect::Any,
            1 => Expect::Absent,
            2 => Expect::Present,
            3 => Expect::Version(Version(self.u64()?)),
            _ => return None,
        };
        match what {
            0 => {
                let expires = self.u64()?;
                let length = self.u32()? as usize;
                if length > VALUE_BYTES_LIMIT {
                    return None;
                }
                let value = self.take(length)?;
                Some(Change::Put { position, value, expires_at: (expires != 0).then_some(expires), expect })
            }
            1 => Some(Change::Delete { position, expect }),
            2 => Some(Change::Trim { through: self.u64()? }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> Token {
        Token { client: 7, counter: 8, bucket: 3, born: 9 }
    }

    fn position() -> impl Strategy<Value = Position> {
        prop_oneof![
            Just(Position::Undated),
            (any::<u64>(), any::<u64>())
                .prop_map(|(timestamp, sequence)| Position::Dated { timestamp, sequence })
        ]
    }

    fn expect() -> impl Strategy<Value = Expect> {
        prop_oneof![
            Just(Expect::Any),
            Just(Expect::Absent),
            Just(Expect::Present),
            any::<u64>().prop_map(|v| Expect::Version(Version(v)))
        ]
    }

    fn mutation() -> impl Strategy<Value = Mutation> {
        prop_oneof![
            (position(), expect(), proptest::collection::vec(any::<u8>(), 0..50), 1u64..).prop_map(
                |(position, expect, value, expires)| Mutation::Put {
                    position,
                    expect,
                    value: value.into(),
                    expires_at: Some(expires)
                }
            ),
            (position(), expect()).prop_map(|(position, expect)| Mutation::Delete { position, expect }),
            any::<u64>().prop_map(|through| Mutation::Trim { through }),
        ]
    }

    proptest! {
        #[test]
        fn a_write_reads_back(
            entity in proptest::collection::vec(any::<u8>(), 1..40),
            mutations in proptest::collection::vec(mutation(), 0..5),
            asked in any::<Option<u64>>(),
        ) {
            let bytes = encode_write(&token(), &entity, &mutations, asked);
            let entry = single(&bytes).unwrap();
            let EntryKind::Write { entity: read, mutations: changes, asked_ms } = entry.kind else { panic!("a write") };
            prop_assert_eq!(read, &entity[..]);
            let is_conditional = mutations.iter().any(|mutation| mutation.expect() != Expect::Any);
            prop_assert_eq!(asked_ms, asked.filter(|_| is_conditional));
            let owned: Vec<Mutation> = changes.map(|change| match change {
                Change::Put { position, value, expires_at, expect } =>
                    Mutation::Put { position, value: Bytes::copy_from_slice(value), expires_at, expect },
                Change::Delete { position, expect } => Mutation::Delete { position, expect },
                Change::Trim { through } => Mutation::Trim { through },
            }).collect();
            prop_assert_eq!(owned, mutations);
        }

        #[test]
        fn any_bytes_end_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for entry in entries(&bytes) {
                if let Ok(Entry { kind: EntryKind::Write { mutations, .. }, .. }) = entry {
                    mutations.for_each(drop);
                }
            }
        }

        #[test]
        fn a_cut_command_is_malformed(cut in 1usize..60) {
            let put = Mutation::Put { position: Position::Undated, value: Bytes::from_static(b"value"), expires_at: None, expect: Expect::Any };
            let bytes = encode_write(&token(), b"entity", &[put], None);
            let cut = cut.min(bytes.len() - 1);
            prop_assert!(single(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn entries_follow_one_another() {
        let mut payload = encode_burn(&token()).to_vec();
        payload.extend_from_slice(&encode_write(&token(), b"e", &[Mutation::Trim { through: 5 }], None));
        let read: Vec<_> = entries(&payload).collect::<Result<_, _>>().unwrap();
        assert!(matches!(read[0].kind, EntryKind::Burn));
        assert!(matches!(read[1].kind, EntryKind::Write { entity: b"e", .. }));
    }
}
