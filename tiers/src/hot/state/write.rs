//! Writing: applying commands, restoring snapshots.
#![expect(unused_variables, clippy::todo, reason = "signatures first")]

use std::marker::PhantomData;

use super::key::Key;
use super::record::{Attribute, Digest, Outcome, TokenKey};
use super::snapshot::SnapshotItem;
use crate::hot::Slot;

/// One command being applied: all of it or nothing survives a crash. Must end with [`Apply::finish`] (asserted when dropped).
///
/// Sizes are the caller's to check when it decodes a command ([`Key::new`], [`StateConfig::check_value`](super::StateConfig::check_value));
/// here they are asserted, as is that a key is written at most once per slot.
pub struct Apply<'a>(PhantomData<&'a mut ()>);

impl Apply<'_> {
    /// Puts a record, whatever was there.
    pub fn put(&mut self, key: &Key<'_>, value: &[u8], expires_ms: Option<u64>) {
        todo!()
    }
    /// Deletes a record, whether it is there or not.
    pub fn delete(&mut self, key: &Key<'_>) {
        todo!()
    }
    /// Deletes every dated record of an entity up to a timestamp, inclusive, that an earlier slot wrote.
    pub fn trim(&mut self, entity: &[u8], through_ms: u64) {
        todo!()
    }
    /// Keeps the outcome of a token for the next [`StateConfig::outcome_slots`](super::StateConfig::outcome_slots) slots.
    pub fn outcome(&mut self, token: TokenKey, status: u8, detail: u64, born: u64) {
        todo!()
    }
    /// Sets an attribute; empty bytes remove it.
    pub fn set_attribute(&mut self, name: Attribute, value: &[u8]) {
        todo!()
    }
    /// The command is complete: its slot is the bucket's applied slot.
    pub fn finish(self) {
        todo!()
    }
}

/// A wiped bucket being filled from a snapshot of another replica. Can be dropped and taken up again in between.
pub struct Restore<'a>(PhantomData<&'a mut ()>);

impl Restore<'_> {
    /// Takes in one entry.
    pub fn item(&mut self, item: &SnapshotItem) {
        todo!()
    }
    /// Takes in the outcome of a token.
    pub fn outcome(&mut self, token: TokenKey, outcome: Outcome) {
        todo!()
    }
    /// Takes in an attribute.
    pub fn attribute(&mut self, name: Attribute, value: &[u8]) {
        todo!()
    }
    /// The bucket is whole: it is at this slot, with this digest.
    pub fn finish(self, applied: Slot, digest: Digest) {
        todo!()
    }
}
