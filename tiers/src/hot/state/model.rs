//! Test only: what a part must be equal to, ordered maps and nothing clever; and how a part is played with.
#![expect(clippy::unwrap_used, reason = "for tests, which may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::disk::MemoryDisk;
use crate::hot::{Bucket, Slot};

pub(super) const DIR: &str = "state/0";
pub(super) const IDENTITY: Identity = Identity { store: 0x0123_4567_89ab_cdef_0011_2233_4455_6677, part: 3 };

pub(super) fn config() -> StateConfig {
    StateConfig {
        window_span_ms: 100,
        outcome_slots: 8,
        memtable_bytes: 1 << 20,
        block_bytes: 512,
        index_cache_bytes: 16 << 10,
        ..StateConfig::default()
    }
}

pub(super) fn open(disk: &MemoryDisk, config: StateConfig) -> Result<Part, StateError> {
    Part::open(Arc::new(disk.clone()), Path::new(DIR), config, IDENTITY)
}

pub(super) fn dated(timestamp_ms: u64, sequence: u64) -> Position {
    Position::Dated { timestamp_ms, sequence }
}

pub(super) fn merge(part: &mut Part) -> Result<bool, StateError> {
    match part.choose_merge() {
        Some(job) => part.install(job.run()).map(|()| true),
        None => Ok(false),
    }
}

pub(super) fn get(
    part: &Part,
    bucket: u32,
    entity: &[u8],
    position: Position,
) -> Result<Option<Record>, StateError> {
    match part.get(Bucket(bucket), &Key::new(entity, position)?) {
        Lookup::Found(record) => Ok(Some(record)),
        Lookup::Absent => Ok(None),
        Lookup::Deferred(job) => job.run(),
    }
}

pub(super) fn scan(part: &Part, bucket: u32, entity: &[u8], range: &ScanRange) -> Result<Page, StateError> {
    match part.scan(Bucket(bucket), entity, range) {
        Scan::Done(page) => Ok(page),
        Scan::Deferred(job) => job.run(),
    }
}

/// One bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct BucketModel {
    pub(super) applied: u64,
    pub(super) digest: Digest,
    pub(super) records: BTreeMap<(Vec<u8>, Position), Held>,
    pub(super) trims: Vec<(Vec<u8>, u64, u64)>,
    pub(super) outcomes: BTreeMap<TokenKey, Outcome>,
    pub(super) attributes: BTreeMap<Attribute, Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) version: u64,
    /// `None` for a deleted one.
    pub(super) value: Option<(Vec<u8>, Option<u64>)>,
}

/// All buckets of a part.
pub(super) type Model = BTreeMap<u32, BucketModel>;

/// What a command does.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Put { entity: Vec<u8>, position: Position, value: Vec<u8>, expires_ms: Option<u64> },
    Delete { entity: Vec<u8>, position: Position },
    Trim { entity: Vec<u8>, through_ms: u64 },
    Outcome { token: TokenKey, status: u8 },
    Attribute { name: Attribute, value: Vec<u8> },
}

impl BucketModel {
    /// The live record under a key.
    pub(super) fn live(&self, entity: &[u8], position: Position) -> Option<Record> {
        let held = self.records.get(&(entity.to_vec(), position))?;
        let (value, expires_ms) = held.value.clone()?;
        if let Position::Dated { timestamp_ms, .. } = position {
            let is_hidden = |(trimmed, through_ms, version): &(Vec<u8>, u64, u64)| {
                trimmed == entity && *through_ms >= timestamp_ms && *version > held.version
            };
            if self.trims.iter().any(is_hidden) {
                return None;
            }
        }
        Some(Record { position, value: value.into(), version: Version(held.version), expires_ms })
    }

    pub(super) fn entities(&self) -> Vec<Vec<u8>> {
        let mut entities: Vec<_> = self.records.keys().map(|(entity, _)| entity.clone()).collect();
        entities.dedup();
        entities
    }

    pub(super) fn scan(
        &self,
        entity: &[u8],
        from: Position,
        to: Position,
        newest_first: bool,
    ) -> Vec<Record> {
        let of_entity = self.records.keys().filter(|(found, _)| found == entity);
        let mut records: Vec<_> = of_entity
            .filter(|(_, position)| (from..=to).contains(position))
            .filter_map(|(_, position)| self.live(entity, *position))
            .collect();
        if newest_first {
            records.reverse();
        }
        records
    }

    pub(super) fn outcome(&self, token: &TokenKey, outcome_slots: u64) -> Option<Outcome> {
        self.outcomes.get(token).copied().filter(|outcome| outcome.slot.0 + outcome_slots > self.applied)
    }
}

/// Applies the next command of a bucket to both. Of several actions on one key the first counts.
pub(super) fn apply(part: &mut Part, model: &mut Model, bucket: u32, actions: &[Action]) {
    let model = model.entry(bucket).or_default();
    let slot = model.applied + 1;
    let mut batch = part.apply(Bucket(bucket), Slot(slot));
    let mut seen = Vec::new();
    let mut is_first = |name: String| {
        let first = !seen.contains(&name);
        seen.push(name);
        first
    };
    for action in actions {
        match action {
            Action::Put { entity, position, value, expires_ms } => {
                if is_first(format!("{entity:?} {position:?}")) {
                    batch.put(&Key::new(entity, *position).unwrap(), value, *expires_ms);
                    let value = Some((value.clone(), *expires_ms));
                    model.records.insert((entity.clone(), *position), Held { version: slot, value });
                }
            }
            Action::Delete { entity, position } => {
                if is_first(format!("{entity:?} {position:?}")) {
                    batch.delete(&Key::new(entity, *position).unwrap());
                    model.records.insert((entity.clone(), *position), Held { version: slot, value: None });
                }
            }
            Action::Trim { entity, through_ms } => {
                batch.trim(entity, *through_ms);
                model.trims.push((entity.clone(), *through_ms, slot));
            }
            Action::Outcome { token, status } => {
                if is_first(format!("{token:?}")) {
                    batch.outcome(*token, *status, 5, 6);
                    let outcome = Outcome { slot: Slot(slot), status: *status, detail: 5, born: 6 };
                    model.outcomes.insert(*token, outcome);
                }
            }
            Action::Attribute { name, value } => {
                batch.set_attribute(*name, value);
                model.attributes.insert(*name, value.clone());
            }
        }
    }
    batch.finish();
    model.applied = slot;
    model.digest = part.digest(Bucket(bucket));
}

/// What drops of a sunk window take away.
pub(super) fn drop_window(model: &mut Model, span_ms: u64, window: u64, through: &BTreeMap<Bucket, Slot>) {
    for (bucket, model) in model {
        let Some(through) = through.get(&Bucket(*bucket)) else { continue };
        model.records.retain(|(_, position), held| match position {
            Position::Dated { timestamp_ms, .. } => {
                timestamp_ms / span_ms != window || held.version > through.0
            }
            Position::Undated => true,
        });
    }
}

/// Whether a part is what the model says, asked in every way there is; the error names the first difference.
pub(super) fn check(part: &mut Part, model: &Model) -> Result<(), String> {
    let outcome_slots = part.config().outcome_slots;
    let known: Vec<Bucket> = part.buckets();
    let expected: Vec<Bucket> =
        model.iter().filter(|(_, model)| model.applied > 0).map(|(bucket, _)| Bucket(*bucket)).collect();
    same("buckets", known, expected)?;
    for (number, model) in model {
        let bucket = Bucket(*number);
        same("applied", part.applied(bucket).0, model.applied)?;
        same("digest", part.digest(bucket), model.digest)?;
        for (entity, position) in model.records.keys() {
            let expected = model.live(entity, *position);
            let found = get(part, *number, entity, *position).map_err(|error| error.to_string())?;
            same(&format!("get {bucket:?} {entity:?} {position:?}"), &found, &expected)?;
            let key = Key::new(entity, *position).unwrap();
            let version = |at_ms| part.version_of(bucket, &key, at_ms).map_err(|error| error.to_string());
            same("version", version(None)?, expected.as_ref().map(|record| record.version))?;
            if let Some(Record { version: standing, expires_ms: Some(expires_ms), .. }) = expected {
                let before = (expires_ms > 0).then_some(standing);
                same("version before it expires", version(Some(expires_ms.saturating_sub(1)))?, before)?;
                same("version when it expires", version(Some(expires_ms))?, None)?;
            }
        }
        for entity in model.entities() {
            for newest_first in [false, true] {
                check_scan(
                    part,
                    *number,
                    model,
                    &entity,
                    Position::FIRST,
                    Position::LAST,
                    newest_first,
                    3,
                    40,
                )?;
            }
        }
        for token in model.outcomes.keys() {
            let found = part.outcome(bucket, token).map_err(|error| error.to_string())?;
            same("outcome", found, model.outcome(token, outcome_slots))?;
        }
        for (name, value) in &model.attributes {
            let found = part.attribute(bucket, *name).map_err(|error| error.to_string())?;
            let expected = (!value.is_empty()).then(|| value.clone().into());
            same("attribute", found, expected)?;
        }
    }
    check_attributes(part, model)?;
    check_snapshot(part, model)
}

fn check_attributes(part: &Part, model: &Model) -> Result<(), String> {
    for (bucket, model) in model {
        for kind in 0..3 {
            let found = part.attributes(Bucket(*bucket), kind).map_err(|error| error.to_string())?;
            let expected: Vec<_> = model
                .attributes
                .iter()
                .filter(|(name, value)| name.kind == kind && !value.is_empty())
                .map(|(name, value)| (*name, value.clone().into()))
                .collect();
            same("attributes", found, expected)?;
        }
    }
    Ok(())
}

/// Turns all pages of a scan.
#[expect(clippy::too_many_arguments, reason = "a scan has as many")]
pub(super) fn check_scan(
    part: &Part,
    bucket: u32,
    model: &BucketModel,
    entity: &[u8],
    from: Position,
    to: Position,
    newest_first: bool,
    limit_records: usize,
    limit_bytes: usize,
) -> Result<(), String> {
    let mut range = ScanRange { from, to, newest_first, limit_records, limit_bytes };
    let mut found = Vec::new();
    loop {
        let page = scan(part, bucket, entity, &range).map_err(|error| error.to_string())?;
        let bytes: usize = page.records.iter().map(|record| record.value.len()).sum();
        let fits = page.records.len() <= limit_records && (bytes <= limit_bytes || page.records.len() == 1);
        same("page within its limits", fits, true)?;
        found.extend(page.records);
        match page.next {
            Some(next) if newest_first => range.to = next,
            Some(next) => range.from = next,
            None => break,
        }
    }
    same(&format!("scan of {entity:?}"), found, model.scan(entity, from, to, newest_first))
}

/// A snapshot must tell all that a new part needs to become equal; so a new part is made from it, and compared.
fn check_snapshot(part: &mut Part, model: &Model) -> Result<(), String> {
    let Ok(snapshot) = part.snapshot() else { return Ok(()) };
    for (number, model) in model {
        let bucket = Bucket(*number);
        same("applied of the snapshot", snapshot.applied(bucket).0, model.applied)?;
        let mut live = Vec::new();
        let mut last = None;
        for item in snapshot.bucket(bucket, &[]) {
            let item = item.map_err(|error| error.to_string())?;
            if let Change::Put { position, value, expires_ms } = &item.change {
                let key = (item.entity.to_vec(), *position);
                same("order of the snapshot", last.as_ref() < Some(&key), true)?;
                let record = Record {
                    position: *position,
                    value: value.clone(),
                    version: item.version,
                    expires_ms: *expires_ms,
                };
                live.push((key.clone(), record));
                last = Some(key);
            }
        }
        let expected: Vec<_> =
            model.records.keys().filter_map(|key| Some((key.clone(), model.live(&key.0, key.1)?))).collect();
        same("snapshot", live, expected)?;
        let outcomes = snapshot.outcomes(bucket).map_err(|error| error.to_string())?;
        let slots = part.config().outcome_slots;
        let expected: Vec<_> =
            model.outcomes.keys().filter_map(|token| Some((*token, model.outcome(token, slots)?))).collect();
        same("outcomes of the snapshot", outcomes, expected)?;
    }
    Ok(())
}

pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: found {found:?}, expected {expected:?}")) }
}
