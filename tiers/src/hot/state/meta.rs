//! Outcomes and attributes as entries: their names, and their bytes.

use super::record::{Attribute, Outcome, TokenKey};
use crate::hot::Slot;

const ATTRIBUTE: u8 = 0;
const OUTCOME: u8 = 1;

/// The length of an outcome's name, in bytes.
pub(super) const OUTCOME_NAME_BYTES: usize = 17;
/// The length of an attribute's name, in bytes.
pub(super) const ATTRIBUTE_NAME_BYTES: usize = 10;
/// The length of an outcome, in bytes.
pub(super) const OUTCOME_BYTES: usize = 17;

pub(super) fn outcome_name(token: &TokenKey) -> [u8; OUTCOME_NAME_BYTES] {
    let mut name = [OUTCOME; OUTCOME_NAME_BYTES];
    name[1..9].copy_from_slice(&token.client.to_be_bytes());
    name[9..].copy_from_slice(&token.counter.to_be_bytes());
    name
}

pub(super) fn attribute_name(name: Attribute) -> [u8; ATTRIBUTE_NAME_BYTES] {
    let mut bytes = [ATTRIBUTE; ATTRIBUTE_NAME_BYTES];
    bytes[1] = name.kind;
    bytes[2..].copy_from_slice(&name.index.to_be_bytes());
    bytes
}

pub(super) fn is_outcome(name: &[u8]) -> bool {
    name.first() == Some(&OUTCOME)
}

/// The names of outcomes begin here.
pub(super) const OUTCOMES: &[u8] = &[OUTCOME];
/// The names of one kind of attributes begin so.
pub(super) fn attributes_of(kind: u8) -> [u8; 2] {
    [ATTRIBUTE, kind]
}

/// The names of attributes begin here.
pub(super) const ATTRIBUTES: &[u8] = &[ATTRIBUTE];

pub(super) fn token_of(name: &[u8]) -> Option<TokenKey> {
    let name: &[u8; OUTCOME_NAME_BYTES] = name.try_into().ok()?;
    let (tag, rest) = name.split_first()?;
    let (client, counter) = rest.split_first_chunk::<8>()?;
    let counter: [u8; 8] = counter.try_into().ok()?;
    (*tag == OUTCOME)
        .then(|| TokenKey { client: u64::from_be_bytes(*client), counter: u64::from_be_bytes(counter) })
}

pub(super) fn attribute_of(name: &[u8]) -> Option<Attribute> {
    let name: &[u8; ATTRIBUTE_NAME_BYTES] = name.try_into().ok()?;
    let (index, head) = (&name[2..], [name[0], name[1]]);
    let index: [u8; 8] = index.try_into().ok()?;
    (head[0] == ATTRIBUTE).then(|| Attribute { kind: head[1], index: u64::from_be_bytes(index) })
}

/// The slot of an outcome is its entry's version.
pub(super) fn encode_outcome(status: u8, detail: u64, born: u64) -> [u8; OUTCOME_BYTES] {
    let mut bytes = [status; OUTCOME_BYTES];
    bytes[1..9].copy_from_slice(&detail.to_le_bytes());
    bytes[9..].copy_from_slice(&born.to_le_bytes());
    bytes
}

pub(super) fn decode_outcome(slot: Slot, bytes: &[u8]) -> Option<Outcome> {
    let (status, rest) = bytes.split_first()?;
    let (detail, born) = rest.split_first_chunk::<8>()?;
    let born: [u8; 8] = born.try_into().ok()?;
    let (detail, born) = (u64::from_le_bytes(*detail), u64::from_le_bytes(born));
    Some(Outcome { slot, status: *status, detail, born })
}
