//! Finding one key in the runs.

use std::sync::Arc;

use super::cursor::{RunCursor, Via};
use super::entry::{Entry, EntryKey};
use super::error::StateError;
use super::filter::EntityHash;
use super::key::{Place, RunSet};
use super::memtable::add_trim;
use super::record::Version;
use super::run::{Age, Run, RunList};
use crate::hot::Bucket;
use crate::plant::{Plant, on};

/// The newest entry of a key, wherever it lies in the runs of a set.
pub(super) fn find<T>(
    runs: &RunList,
    set: RunSet,
    wiped_below: Age,
    key: &EntryKey<'_>,
    answer: impl FnOnce(Entry<'_>) -> T,
) -> Result<Option<T>, StateError> {
    let hash = EntityHash::new(key.bucket, key.entity).place(key.place);
    for run in visible(runs.of(set), wiped_below, key.bucket) {
        let reader = run.reader()?;
        if !reader.may_hold(hash) {
            continue;
        }
        let block = run.cached_block(&reader, reader.page_of(key))?;
        let at = block.at_or_after(key);
        if at < block.len() && block.key(at) == *key {
            return Ok(Some(answer(block.entry(at))));
        }
    }
    Ok(None)
}

/// Whether the filters in memory already say that no run of a set has a key of this hash.
pub(super) fn is_surely_absent(
    runs: &RunList,
    set: RunSet,
    wiped_below: Age,
    bucket: Bucket,
    hash: u64,
) -> bool {
    visible(runs.of(set), wiped_below, bucket)
        .all(|run| run.loaded().is_some_and(|reader| !reader.may_hold(hash)))
}

/// Adds the trim marks of an entity that lie in runs.
pub(super) fn trims(
    runs: &RunList,
    wiped_below: Age,
    bucket: Bucket,
    entity: &[u8],
    into: &mut Vec<(u64, Version)>,
) -> Result<(), StateError> {
    if on(Plant::TrimForgotten) {
        return Ok(());
    }
    let hash = EntityHash::new(bucket, entity).place(Place::FIRST);
    for run in visible(runs.of(RunSet::Undated), wiped_below, bucket) {
        if !run.reader()?.may_hold(hash) {
            continue;
        }
        let mut cursor =
            RunCursor::at_or_after(run, &EntryKey { bucket, entity, place: Place::FIRST }, Via::Cache)?;
        while let Some(entry) = cursor.entry()
            && (entry.key.bucket, entry.key.entity) == (bucket, entity)
            && let Some(through_ms) = entry.key.place.trim_through()
        {
            add_trim(into, through_ms, entry.version);
            cursor.next()?;
        }
    }
    Ok(())
}

/// The runs in which a bucket may have something to find.
pub(super) fn visible(
    runs: &[Arc<Run>],
    wiped_below: Age,
    bucket: Bucket,
) -> impl Iterator<Item = &Arc<Run>> {
    runs.iter().filter(move |run| run.covers(&(bucket..=bucket)) && !run.is_before(wiped_below))
}
