//! The outcomes of tokens in a memtable: entries of one length, which nearly every command adds to.

use std::sync::{Arc, OnceLock};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slotted;

use super::entry::{Entry, EntryKey, Kind};
use super::key::Place;
use super::memtable::Memtable;
use super::meta::{self, OUTCOME_BYTES, OUTCOME_NAME_BYTES};
use super::record::{Outcome, TokenKey, Version};
use crate::hot::{Bucket, Slot};

/// Outcomes by bucket and token, one behind the other as they came; found by hash, put in order only when asked to, once nothing is written
/// any more. The newest of a token takes the place of an older one.
#[derive(Default)]
pub(super) struct Tokens {
    held: Vec<Held>,
    by_token: HashTable<Place32>,
    seed: u64,
    order: OnceLock<Vec<u32>>,
}

/// An outcome, with name and value as they are in a run.
struct Held {
    slot: Slot,
    bucket: Bucket,
    name: [u8; OUTCOME_NAME_BYTES],
    value: [u8; OUTCOME_BYTES],
}

/// Which of the outcomes; with its hash, so that a growing table need not look at the outcomes themselves.
struct Place32 {
    index: u32,
    hash: u32,
}

impl Place32 {
    fn wide(&self) -> u64 {
        wide(self.hash)
    }
}

/// What an outcome takes in memory, in bytes: itself, and its share of a hash table that is between half and fully used.
const TOKEN_COST: usize = size_of::<Held>() + 2 * size_of::<Place32>();

impl Tokens {
    /// The seed keeps callers from choosing tokens that collide.
    pub(super) fn new(seed: u64) -> Tokens {
        Tokens { seed, ..Tokens::default() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.held.len() * TOKEN_COST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Keeps an outcome, encoded as in a run.
    ///
    /// Panics when a later slot's outcome of the token is here already.
    pub(super) fn write(&mut self, bucket: Bucket, token: &TokenKey, slot: Slot, value: [u8; OUTCOME_BYTES]) {
        let hash = self.hash(bucket, token);
        let name = meta::outcome_name(token);
        let held = &mut self.held;
        let is_it = |place: &Place32| {
            place.hash == hash && {
                let found = &held[place.index as usize];
                found.bucket == bucket && found.name == name
            }
        };
        match self.by_token.entry(wide(hash), is_it, Place32::wide) {
            Slotted::Occupied(occupied) => {
                let found = &mut held[occupied.get().index as usize];
                assert!(
                    found.slot <= slot,
                    "the outcome of slot {} is written after that of slot {}",
                    slot.0,
                    found.slot.0
                );
                (found.slot, found.value) = (slot, value);
            }
            Slotted::Vacant(vacant) => {
                vacant.insert(Place32 { index: held.len() as u32, hash });
                held.push(Held { slot, bucket, name, value });
            }
        }
    }

    pub(super) fn get(&self, bucket: Bucket, token: &TokenKey) -> Option<Outcome> {
        if self.held.is_empty() {
            return None;
        }
        let hash = self.hash(bucket, token);
        let is_it = |place: &Place32| {
            place.hash == hash && {
                let found = &self.held[place.index as usize];
                found.bucket == bucket && found.name == meta::outcome_name(token)
            }
        };
        let place = self.by_token.find(wide(hash), is_it)?;
        let found = &self.held[place.index as usize];
        meta::decode_outcome(found.slot, &found.value)
    }

    fn hash(&self, bucket: Bucket, token: &TokenKey) -> u32 {
        let hash = mix(self.seed ^ u64::from(bucket.0), token.client ^ 0x9e37_79b9_7f4a_7c15);
        let hash = mix(hash ^ self.seed.rotate_left(32), token.counter ^ 0xd1b5_4a32_d192_ed03);
        hash as u32
    }

    /// The outcomes in order of bucket and token.
    fn order(&self) -> &[u32] {
        self.order.get_or_init(|| {
            let mut order: Vec<(Bucket, [u8; OUTCOME_NAME_BYTES], u32)> =
                (0_u32..).zip(&self.held).map(|(index, held)| (held.bucket, held.name, index)).collect();
            order.sort_unstable();
            order.into_iter().map(|(_, _, index)| index).collect()
        })
    }
}

/// The two halves of the product of what may be zero by chance only.
fn mix(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}

/// The hash table takes a hash's place from its lowest bits and a tag from its highest.
fn wide(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// Walks the outcomes of a memtable in order of keys.
pub(super) struct TokensCursor {
    memtable: Arc<Memtable>,
    ordinal: usize,
}

impl TokensCursor {
    pub(super) fn at_or_after(memtable: &Arc<Memtable>, key: &EntryKey<'_>) -> TokensCursor {
        let tokens = &memtable.tokens;
        let ordinal = tokens.order().partition_point(|&index| tokens.held[index as usize].key() < *key);
        TokensCursor { memtable: Arc::clone(memtable), ordinal }
    }

    fn current(&self) -> Option<&Held> {
        let tokens = &self.memtable.tokens;
        let index = *tokens.order().get(self.ordinal)?;
        Some(&tokens.held[index as usize])
    }

    pub(super) fn key(&self) -> Option<EntryKey<'_>> {
        self.current().map(Held::key)
    }

    pub(super) fn entry(&self) -> Option<Entry<'_>> {
        let held = self.current()?;
        let version = Version::from(held.slot);
        Some(Entry { key: held.key(), kind: Kind::Put, version, expires_ms: None, value: &held.value })
    }

    pub(super) fn next(&mut self) {
        self.ordinal += 1;
    }
}

impl Held {
    fn key(&self) -> EntryKey<'_> {
        EntryKey { bucket: self.bucket, entity: &self.name, place: Place::UNDATED }
    }
}
