//! Writing: applying commands, restoring snapshots.

use super::digest::Effect;
use super::entry::{Entry, EntryKey, Kind};
use super::key::{ENTITY_BYTES_MAX, Key, Place};
use super::meta;
use super::part::Part;
use super::record::{ATTRIBUTE_BYTES_MAX, Attribute, Digest, Outcome, TokenKey, Version};
use super::snapshot::{Change, SnapshotItem};
use crate::hot::{Bucket, Slot};

/// One command being applied: all of it or nothing survives a crash. Must end with [`Apply::finish`] (asserted when dropped).
///
/// Sizes are the caller's to check when it decodes a command ([`Key::new`], [`StateConfig::check_value`](super::StateConfig::check_value));
/// here they are asserted, as is that a key is written at most once per slot.
pub struct Apply<'a> {
    part: &'a mut Part,
    bucket: Bucket,
    /// Where the part keeps how the bucket stands.
    index: usize,
    slot: Slot,
    digest: Digest,
    finished: bool,
}

impl<'a> Apply<'a> {
    pub(super) fn new(part: &'a mut Part, bucket: Bucket, slot: Slot) -> Apply<'a> {
        let index = part.index(bucket);
        let mark = part.mark_at(index);
        assert_eq!(slot.0, mark.applied.0 + 1, "bucket {} applies its slots in order", bucket.0);
        Apply { part, bucket, index, slot, digest: mark.digest, finished: false }
    }

    /// Puts a record, whatever was there.
    pub fn put(&mut self, key: &Key<'_>, value: &[u8], expires_ms: Option<u64>) {
        let place = key.position().into();
        self.fold(Effect::Put, key.entity(), place, expires_ms, value);
        self.part.write(self.bucket, key.entity(), place, Kind::Put, self.slot.into(), expires_ms, value);
    }

    /// Deletes a record, whether it is there or not.
    pub fn delete(&mut self, key: &Key<'_>) {
        let place = key.position().into();
        self.fold(Effect::Delete, key.entity(), place, None, &[]);
        self.part.write(self.bucket, key.entity(), place, Kind::Delete, self.slot.into(), None, &[]);
    }

    /// Deletes every dated record of an entity up to a timestamp, inclusive, that an earlier slot wrote.
    pub fn trim(&mut self, entity: &[u8], through_ms: u64) {
        let place = Place::trim(through_ms);
        self.fold(Effect::Trim, entity, place, None, &[]);
        self.part.write(self.bucket, entity, place, Kind::Trim, self.slot.into(), None, &[]);
    }

    /// Keeps the outcome of a token for the next [`StateConfig::outcome_slots`](super::StateConfig::outcome_slots) slots.
    pub fn outcome(&mut self, token: TokenKey, status: u8, detail: u64, born: u64) {
        let name = meta::outcome_name(&token);
        let value = meta::encode_outcome(status, detail, born);
        self.fold(Effect::Outcome, &name, Place::UNDATED, None, &value);
        self.part.write_outcome(self.index, &token, self.slot, value, false);
    }

    /// Sets an attribute; empty bytes remove it.
    pub fn set_attribute(&mut self, name: Attribute, value: &[u8]) {
        let name = meta::attribute_name(name);
        self.fold(Effect::Attribute, &name, Place::UNDATED, None, value);
        self.part.write_meta(self.bucket, &name, value, self.slot.into());
    }

    /// The command is complete: its slot is the bucket's applied slot.
    pub fn finish(mut self) {
        self.finished = true;
        self.part.set_applied(self.index, self.slot, self.digest);
    }

    fn fold(&mut self, effect: Effect, entity: &[u8], place: Place, expires_ms: Option<u64>, value: &[u8]) {
        self.digest = self.digest.fold(self.slot, effect, entity, place, expires_ms, value);
    }
}

impl Drop for Apply<'_> {
    fn drop(&mut self) {
        assert!(
            self.finished || std::thread::panicking(),
            "slot {} of bucket {} was applied in part",
            self.slot.0,
            self.bucket.0
        );
    }
}

/// A wiped bucket being filled from a snapshot of another replica. Can be dropped and taken up again in between.
pub struct Restore<'a> {
    part: &'a mut Part,
    bucket: Bucket,
}

impl<'a> Restore<'a> {
    pub(super) fn new(part: &'a mut Part, bucket: Bucket) -> Restore<'a> {
        assert_eq!(part.applied(bucket), Slot(0), "bucket {} must be wiped before it is restored", bucket.0);
        Restore { part, bucket }
    }

    /// Takes in one entry.
    pub fn item(&mut self, item: &SnapshotItem) {
        let (part, bucket, entity, version) = (&mut *self.part, self.bucket, &item.entity[..], item.version);
        match &item.change {
            Change::Put { position, value, expires_ms } => {
                part.write(bucket, entity, (*position).into(), Kind::Put, version, *expires_ms, value);
            }
            Change::Delete { position } => {
                part.write(bucket, entity, (*position).into(), Kind::Delete, version, None, &[]);
            }
            Change::Trim { through_ms } => {
                part.write(bucket, entity, Place::trim(*through_ms), Kind::Trim, version, None, &[]);
            }
        }
    }

    /// Takes in the outcome of a token.
    pub fn outcome(&mut self, token: TokenKey, outcome: Outcome) {
        let value = meta::encode_outcome(outcome.status, outcome.detail, outcome.born);
        let standing = self.part.index(self.bucket);
        self.part.note_restored(self.bucket, outcome.slot);
        self.part.write_outcome(standing, &token, outcome.slot, value, true);
    }

    /// Takes in an attribute.
    pub fn attribute(&mut self, name: Attribute, value: &[u8]) {
        self.part.write_meta(self.bucket, &meta::attribute_name(name), value, Version(0));
    }

    /// The bucket is whole: it is at this slot, with this digest.
    pub fn finish(self, applied: Slot, digest: Digest) {
        let index = self.part.index(self.bucket);
        self.part.set_applied(index, applied, digest);
    }
}

impl Part {
    #[expect(clippy::too_many_arguments, reason = "an entry's parts, which have no owner yet")]
    fn write(
        &mut self,
        bucket: Bucket,
        entity: &[u8],
        place: Place,
        kind: Kind,
        version: Version,
        expires_ms: Option<u64>,
        value: &[u8],
    ) {
        assert!((1..=ENTITY_BYTES_MAX).contains(&entity.len()), "an entity of {} bytes", entity.len());
        assert!(value.len() <= self.config().value_bytes_max, "a value of {} bytes", value.len());
        let key = EntryKey { bucket, entity, place };
        self.active.data.write(&Entry { key, kind, version, expires_ms, value }, false);
    }

    /// An attribute; empty is a tombstone. It can be set outside of any slot, and so again under the same version.
    pub(super) fn write_meta(&mut self, bucket: Bucket, name: &[u8], value: &[u8], version: Version) {
        assert!(value.len() <= ATTRIBUTE_BYTES_MAX, "an attribute of {} bytes", value.len());
        let kind = if value.is_empty() { Kind::Delete } else { Kind::Put };
        let key = EntryKey { bucket, entity: name, place: Place::UNDATED };
        self.active.meta.write(&Entry { key, kind, version, expires_ms: None, value }, true);
    }
}
