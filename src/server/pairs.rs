//! How the fields of a stream entry are a record's value.
//!
//! ```text
//! bytes 0..4   "TCF1"
//! then for each field, and for each field's value, in the order of XADD:
//!   u32        length, little-endian
//!   ...        the bytes
//! ```
//! A value that is not exactly this was not written by XADD: it is shown as one field `value`.

use bytes::{BufMut, Bytes, BytesMut};

const MAGIC: &[u8] = b"TCF1";

/// The name under which a value that has no fields is shown.
pub(super) const PLAIN_FIELD: &[u8] = b"value";

/// The value for fields and values in turn. Each of them is shorter than a request may be, so its length fits.
pub(super) fn encode<'a>(parts: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let length = MAGIC.len() + parts.clone().map(|part| 4 + part.len()).sum::<usize>();
    let mut value = BytesMut::with_capacity(length);
    value.put_slice(MAGIC);
    for part in parts {
        value.put_u32_le(part.len() as u32);
        value.put_slice(part);
    }
    value.freeze()
}

/// The fields and their values; `None` when the value has none.
pub(super) fn decode(value: &[u8]) -> Option<Pairs<'_>> {
    let pairs = Pairs { rest: value.strip_prefix(MAGIC)? };
    let mut check = pairs.clone();
    while check.next().is_some() {}
    check.rest.is_empty().then_some(pairs)
}

/// Fields and their values, checked to be whole.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (field, rest) = part(self.rest)?;
        let (value, rest) = part(rest)?;
        self.rest = rest;
        Some((field, value))
    }
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}
