//! One entry of a run, and blocks of them.

use super::key::Place;
use super::record::Version;
use crate::hot::Bucket;

/// What an entry does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A live record, attribute or outcome.
    Put,
    /// A tombstone.
    Delete,
    /// A trim mark.
    Trim,
}

/// The full key of an entry, in the order of every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryKey<'a> {
    pub(super) bucket: Bucket,
    pub(super) entity: &'a [u8],
    pub(super) place: Place,
}

/// An entry, borrowed from a memtable or a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) key: EntryKey<'a>,
    pub(super) kind: Kind,
    pub(super) version: Version,
    pub(super) expires_ms: Option<u64>,
    pub(super) value: &'a [u8],
}

const KIND_MASK: u8 = 0b11;
const EXPIRES: u8 = 1 << 2;
const NAMED: u8 = 1 << 3;
const PLACE_SHIFT: u8 = 4;

/// Writes entries one behind the other. The entity is written only when it differs from the one before.
#[derive(Default)]
pub(super) struct BlockBuilder {
    bytes: Vec<u8>,
    entity: Vec<u8>,
    bucket: Bucket,
}

impl BlockBuilder {
    pub(super) fn push(&mut self, entry: &Entry<'_>) {
        let key = &entry.key;
        let named = self.bytes.is_empty() || self.bucket != key.bucket || self.entity != key.entity;
        let (tag, major, minor) = key.place.parts();
        let mut head = (tag << PLACE_SHIFT)
            | match entry.kind {
                Kind::Put => 0,
                Kind::Delete => 1,
                Kind::Trim => 2,
            };
        if named {
            head |= NAMED;
        }
        if entry.expires_ms.is_some() {
            head |= EXPIRES;
        }
        self.bytes.push(head);
        if named {
            self.bytes.extend_from_slice(&key.bucket.0.to_le_bytes());
            self.bytes.extend_from_slice(&(key.entity.len() as u16).to_le_bytes());
            self.bytes.extend_from_slice(key.entity);
            self.bucket = key.bucket;
            self.entity.clear();
            self.entity.extend_from_slice(key.entity);
        }
        match tag {
            0 => self.bytes.extend_from_slice(&(!major).to_le_bytes()),
            1 => {}
            _ => {
                self.bytes.extend_from_slice(&major.to_le_bytes());
                self.bytes.extend_from_slice(&minor.to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(&entry.version.0.to_le_bytes());
        if let Some(expires_ms) = entry.expires_ms {
            self.bytes.extend_from_slice(&expires_ms.to_le_bytes());
        }
        if entry.kind == Kind::Put {
            self.bytes.extend_from_slice(&(entry.value.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(entry.value);
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// Where an entry's parts lie in its block.
#[derive(Clone, Copy)]
struct Span {
    place: Place,
    version: Version,
    expires_ms: Option<u64>,
    bucket: Bucket,
    entity_at: u32,
    value_at: u32,
    value_len: u32,
    entity_len: u16,
    kind: Kind,
}

/// A decoded block: every length in it has been checked.
pub(super) struct Block {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Block {
    /// Takes a block apart; the error says what is wrong with it.
    pub(super) fn decode(bytes: Vec<u8>) -> Result<Block, &'static str> {
        let mut spans = Vec::new();
        let mut input = Input { bytes: &bytes, at: 0 };
        let (mut bucket, mut entity_at, mut entity_len) = (Bucket(0), 0, 0);
        while input.at < bytes.len() {
            let head = input.u8()?;
            if head & NAMED != 0 {
                bucket = Bucket(input.u32()?);
                entity_len = input.u16()?;
                entity_at = input.skip(usize::from(entity_len))?;
            } else if spans.is_empty() {
                return Err("the first entry names no entity");
            }
            let place = match head >> PLACE_SHIFT {
                0 => Place::trim(input.u64()?),
                1 => Place::UNDATED,
                2 => Place::dated(input.u64()?, input.u64()?),
                _ => return Err("unknown place of an entry"),
            };
            let version = Version(input.u64()?);
            let expires_ms = if head & EXPIRES != 0 { Some(input.u64()?) } else { None };
            let (kind, value_len) = match head & KIND_MASK {
                0 => (Kind::Put, input.u32()?),
                1 => (Kind::Delete, 0),
                2 => (Kind::Trim, 0),
                _ => return Err("unknown kind of an entry"),
            };
            let value_at = input.skip(value_len as usize)?;
            spans.push(Span {
                place,
                version,
                expires_ms,
                bucket,
                entity_at,
                value_at,
                value_len,
                entity_len,
                kind,
            });
        }
        Ok(Block { bytes, spans })
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// What it holds in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>() + size_of::<Block>()
    }

    pub(super) fn key(&self, index: usize) -> EntryKey<'_> {
        let span = &self.spans[index];
        let entity_at = span.entity_at as usize;
        EntryKey {
            bucket: span.bucket,
            entity: &self.bytes[entity_at..entity_at + usize::from(span.entity_len)],
            place: span.place,
        }
    }

    pub(super) fn entry(&self, index: usize) -> Entry<'_> {
        let span = &self.spans[index];
        let value_at = span.value_at as usize;
        Entry {
            key: self.key(index),
            kind: span.kind,
            version: span.version,
            expires_ms: span.expires_ms,
            value: &self.bytes[value_at..value_at + span.value_len as usize],
        }
    }

    /// The first entry at or after a key; `len()` when there is none.
    pub(super) fn at_or_after(&self, key: &EntryKey<'_>) -> usize {
        self.first_where(|found| found >= key)
    }

    /// The first entry after a key; `len()` when there is none.
    pub(super) fn after(&self, key: &EntryKey<'_>) -> usize {
        self.first_where(|found| found > key)
    }

    fn first_where(&self, reached: impl Fn(&EntryKey<'_>) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if reached(&self.key(middle)) { high = middle } else { low = middle + 1 }
        }
        low
    }
}

/// Little-endian integers off a slice of bytes that nobody vouches for.
pub(super) struct Input<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Input<'a> {
    /// The next `len` bytes' offset, past which the input then stands.
    pub(super) fn skip(&mut self, len: usize) -> Result<u32, &'static str> {
        let start = self.at;
        self.take(len)?;
        u32::try_from(start).map_err(|_| "longer than 4 GiB")
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], &'static str> {
        let rest = self.bytes.get(self.at..).ok_or("cut short")?;
        let taken = rest.get(..len).ok_or("cut short")?;
        self.at += len;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        self.take(N)?.try_into().map_err(|_| "cut short")
    }

    pub(super) fn u8(&mut self) -> Result<u8, &'static str> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, &'static str> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, &'static str> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn u128(&mut self) -> Result<u128, &'static str> {
        self.array().map(u128::from_le_bytes)
    }
}
