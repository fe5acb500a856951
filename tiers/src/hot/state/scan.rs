//! Scans of one entity, in both directions.

use std::ops;
use std::sync::Arc;

use bytes::Bytes;

use super::arena::Location;
use super::cursor::{RunCursor, Via};
use super::entry::{Entry, EntryKey, Kind};
use super::error::StateError;
use super::filter::EntityHash;
use super::key::{Place, Position, RunSet};
use super::memtable::{Entity, add_trim, hidden_below};
use super::part::Part;
use super::record::{Page, Record, ScanRange, Version};
use super::run::{Age, Run, RunList};
use super::search;
use crate::hot::Bucket;

/// The answer to a scan.
pub enum Scan {
    /// A page.
    Done(Page),
    /// A file must be read first.
    Deferred(ScanJob),
}

/// A scan that must read a file. Answers as of the moment it was made.
pub struct ScanJob(Box<Plan>);

impl ScanJob {
    /// Reads. Blocks.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Io`].
    pub fn run(self) -> Result<Page, StateError> {
        self.0.run()
    }
}

/// All that a scan needs to know.
struct Plan {
    runs: Arc<RunList>,
    wiped_below: Age,
    bucket: Bucket,
    entity: Box<[u8]>,
    range: Range,
    window_span_ms: u64,
    memory: InMemory,
    /// Where to go on after the range: it was cut where the memtables gave enough.
    beyond: Option<Position>,
}

/// Which places, and which way.
#[derive(Clone, Copy)]
struct Range {
    from: Place,
    to: Place,
    newest_first: bool,
    limit_records: usize,
    limit_bytes: usize,
}

/// What the memtables have of the range: the newest entry of each place, tombstones too, the way the scan goes.
#[derive(Default)]
struct InMemory {
    entries: Vec<Held>,
    values: Bytes,
    trims: Vec<(u64, Version)>,
    /// The last place, when there was more after it.
    cut: Option<Place>,
}

struct Held {
    place: Place,
    version: Version,
    expires_ms: Option<u64>,
    /// Where in the values; `None` for a tombstone.
    value: Option<ops::Range<usize>>,
}

/// A page ends after this many entries for each record asked for and `SKIPPED_BASE` more, even when it is not full: so many tombstones
/// and hidden records are passed over in one go at most.
const SKIPPED_PER_RECORD: usize = 16;
const SKIPPED_BASE: usize = 4096;

impl Part {
    /// Scans an entity. Never reads the disk. A limit of 0 counts as 1.
    pub fn scan(&self, bucket: Bucket, entity: &[u8], range: &ScanRange) -> Scan {
        let mut range = Range {
            from: range.from.into(),
            to: range.to.into(),
            newest_first: range.newest_first,
            limit_records: range.limit_records.max(1),
            limit_bytes: range.limit_bytes.max(1),
        };
        let wiped_below = self.mark(bucket).wiped_below;
        let window_span_ms = self.store.config.window_span_ms;
        let memory = self.collect(bucket, entity, &range, wiped_below);
        let beyond = memory.cut.and_then(Place::position).and_then(|last| range.after(last));
        if let Some(cut) = memory.cut {
            range.cut(cut);
        }
        let hash = EntityHash::new(bucket, entity);
        let in_files = range.sets(&self.runs, window_span_ms).any(|set| {
            search::visible(self.runs.of(set), wiped_below, bucket).any(|run| {
                range.meets(run) && run.loaded().is_none_or(|reader| reader.may_hold(hash_for(set, hash)))
            })
        });
        let runs = if in_files { Arc::clone(&self.runs) } else { Arc::default() };
        let plan =
            Plan { runs, wiped_below, bucket, entity: entity.into(), range, window_span_ms, memory, beyond };
        if in_files { Scan::Deferred(ScanJob(Box::new(plan))) } else { Scan::Done(plan.in_memory()) }
    }

    fn collect(&self, bucket: Bucket, entity: &[u8], range: &Range, wiped_below: Age) -> InMemory {
        let mut memory = InMemory::default();
        let mut heads = Vec::new();
        for memtable in self.memtables(wiped_below) {
            if let Some(found) = memtable.data.find(bucket, entity) {
                for (through_ms, version) in &found.trims {
                    add_trim(&mut memory.trims, *through_ms, *version);
                }
                let mut places = range.places(found);
                if let Some(first) = places.next() {
                    heads.push((first, places, memtable));
                }
            }
        }
        let mut values = Vec::new();
        let mut live = 0;
        while let Some(place) = heads
            .iter()
            .map(|((place, _), _, _)| *place)
            .reduce(|one, other| if range.is_before(other, one) { other } else { one })
        {
            if live == range.limit_records
                || live > 0 && values.len() >= range.limit_bytes
                || memory.entries.len() >= range.steps_max()
            {
                memory.cut = memory.entries.last().map(|held| held.place);
                break;
            }
            let mut newest = true;
            heads.retain_mut(|((found, location), places, memtable)| {
                if *found != place {
                    return true;
                }
                if std::mem::take(&mut newest) {
                    let entry = memtable.data.entry(EntryKey { bucket, entity, place }, *location);
                    let is_live = entry.kind == Kind::Put && !is_hidden(&memory.trims, place, entry.version);
                    let start = values.len();
                    if is_live {
                        live += 1;
                        values.extend_from_slice(entry.value);
                    }
                    let value = is_live.then_some(start..values.len());
                    let (version, expires_ms) = (entry.version, entry.expires_ms);
                    memory.entries.push(Held { place, version, expires_ms, value });
                }
                match places.next() {
                    Some(next) => {
                        (*found, *location) = next;
                        true
                    }
                    None => false,
                }
            });
        }
        memory.values = Bytes::from(values);
        memory
    }
}

impl Range {
    /// Whether `left` comes before `right` the way the scan goes.
    fn is_before(&self, left: Place, right: Place) -> bool {
        if self.newest_first { left > right } else { left < right }
    }

    /// The range goes no further than this place.
    fn cut(&mut self, last: Place) {
        if self.newest_first { self.from = last } else { self.to = last }
    }

    /// Where a scan goes on that has come to `last`.
    fn after(&self, last: Position) -> Option<Position> {
        let next = if self.newest_first { last.previous() } else { last.next() }?;
        self.holds(next.into()).then_some(next)
    }

    fn holds(&self, place: Place) -> bool {
        self.from <= place && place <= self.to
    }

    fn steps_max(&self) -> usize {
        self.limit_records.saturating_mul(SKIPPED_PER_RECORD).saturating_add(SKIPPED_BASE)
    }

    /// The sets that have runs in the range, the way the scan goes.
    fn sets<'r>(&self, runs: &'r RunList, window_span_ms: u64) -> Box<dyn Iterator<Item = RunSet> + 'r> {
        if self.from > self.to {
            return Box::new(std::iter::empty());
        }
        let (from, to) = (self.from.run_set(window_span_ms), self.to.run_set(window_span_ms));
        let sets = runs.sets.range(from..=to).map(|(set, _)| *set);
        if self.newest_first { Box::new(sets.rev()) } else { Box::new(sets) }
    }

    /// Whether a run's timestamps meet the range.
    fn meets(&self, run: &Run) -> bool {
        let RunSet::Window(_) = run.meta.set else { return true };
        self.from <= Place::dated(run.meta.last_ms, u64::MAX) && self.to >= Place::dated(run.meta.first_ms, 0)
    }

    /// What an entity has in a memtable, the way the scan goes.
    fn places<'e>(&self, entity: &'e Entity) -> Box<dyn Iterator<Item = (Place, Location)> + 'e> {
        let undated = entity.undated.map(|location| (Place::UNDATED, location));
        let range = *self;
        let undated = undated.into_iter().filter(move |(place, _)| range.holds(*place));
        let stamp = |place: Place| match place.parts() {
            (2, timestamp_ms, sequence) => Some((timestamp_ms, sequence)),
            _ => None,
        };
        let Some(to) = stamp(self.to) else { return Box::new(undated) };
        let dated = entity.dated.range(stamp(self.from).unwrap_or((0, 0)), to);
        let place = |((timestamp_ms, sequence), location)| (Place::dated(timestamp_ms, sequence), location);
        if self.newest_first {
            Box::new(dated.rev().map(place).chain(undated))
        } else {
            Box::new(undated.chain(dated.map(place)))
        }
    }
}

/// What to ask a run's filter whether it has something of an entity that a scan wants.
fn hash_for(set: RunSet, hash: EntityHash) -> u64 {
    if let RunSet::Window(_) = set { hash.anything() } else { hash.place(Place::UNDATED) }
}

fn is_hidden(trims: &[(u64, Version)], place: Place, version: Version) -> bool {
    let (_, timestamp_ms, _) = place.parts();
    place.is_dated() && version < hidden_below(trims, timestamp_ms)
}

impl Plan {
    fn run(mut self) -> Result<Page, StateError> {
        search::trims(&self.runs, self.wiped_below, self.bucket, &self.entity, &mut self.memory.trims)?;
        let hash = EntityHash::new(self.bucket, &self.entity);
        let memory = std::mem::take(&mut self.memory);
        let mut held = memory.entries.iter().peekable();
        let mut page = Filling::new(self.range, &memory);
        // One window after the other: those that a full page does not reach are not touched.
        for set in self.range.sets(&self.runs, self.window_span_ms) {
            let mut heads = self.heads(set, hash)?;
            while let Some(place) = self.first(&heads) {
                if let Some(held) = held.next_if(|held| !self.range.is_before(place, held.place)) {
                    if held.place == place {
                        self.pass(&mut heads, place, |_| {})?;
                    }
                    page.hold(held);
                } else {
                    let take = |entry: &Entry<'_>| page.take(entry);
                    self.pass(&mut heads, place, take)?;
                }
                if page.full {
                    return Ok(page.finish(&memory, self.beyond));
                }
            }
        }
        for held in held {
            page.hold(held);
            if page.full {
                break;
            }
        }
        Ok(page.finish(&memory, self.beyond))
    }

    /// The page when no file has anything of the range.
    fn in_memory(self) -> Page {
        let mut page = Filling::new(self.range, &self.memory);
        for held in &self.memory.entries {
            page.hold(held);
            if page.full {
                break;
            }
        }
        page.finish(&self.memory, self.beyond)
    }

    /// Cursors into the runs of a set that have something in the range.
    fn heads(&self, set: RunSet, hash: EntityHash) -> Result<Vec<RunCursor>, StateError> {
        let mut heads = Vec::new();
        for run in search::visible(self.runs.of(set), self.wiped_below, self.bucket) {
            if !self.range.meets(run) || !run.reader()?.may_hold(hash_for(set, hash)) {
                continue;
            }
            let key = |place| EntryKey { bucket: self.bucket, entity: &self.entity, place };
            heads.push(match self.range.newest_first {
                true => RunCursor::at_or_before(run, &key(self.range.to))?,
                false => RunCursor::at_or_after(run, &key(self.range.from), Via::Cache)?,
            });
        }
        Ok(heads)
    }

    fn place(&self, head: &RunCursor) -> Option<Place> {
        let key = head.key()?;
        let is_ours = key.bucket == self.bucket && key.entity == &*self.entity && self.range.holds(key.place);
        is_ours.then_some(key.place)
    }

    fn first(&self, heads: &[RunCursor]) -> Option<Place> {
        let places = heads.iter().filter_map(|head| self.place(head));
        places.reduce(|one, other| if self.range.is_before(other, one) { other } else { one })
    }

    /// Takes the newest entry of a place, and passes over the older ones.
    fn pass(
        &self,
        heads: &mut [RunCursor],
        place: Place,
        take: impl FnOnce(&Entry<'_>),
    ) -> Result<(), StateError> {
        let mut take = Some(take);
        for head in heads {
            if self.place(head) != Some(place) {
                continue;
            }
            if let Some(entry) = head.entry()
                && let Some(take) = take.take()
            {
                take(&entry);
            }
            if self.range.newest_first { head.previous()? } else { head.next()? }
        }
        Ok(())
    }
}

/// A page in the making.
struct Filling<'a> {
    range: Range,
    trims: &'a [(u64, Version)],
    records: Vec<(Record, Source)>,
    /// Values that come from files.
    values: Vec<u8>,
    bytes: usize,
    steps: usize,
    last: Option<Place>,
    full: bool,
    /// The record that the bytes did not allow any more.
    refused: Option<Position>,
}

/// Where a record's value is.
enum Source {
    Memory(ops::Range<usize>),
    Files(ops::Range<usize>),
}

impl<'a> Filling<'a> {
    fn new(range: Range, memory: &'a InMemory) -> Filling<'a> {
        Filling {
            range,
            trims: &memory.trims,
            records: Vec::with_capacity(range.limit_records.min(memory.entries.len().max(64))),
            values: Vec::new(),
            bytes: 0,
            steps: 0,
            last: None,
            full: false,
            refused: None,
        }
    }

    fn hold(&mut self, held: &Held) {
        let Some(value) = &held.value else { return self.step(held.place) };
        if is_hidden(self.trims, held.place, held.version) {
            return self.step(held.place);
        }
        self.push(held.place, held.version, held.expires_ms, value.len(), |_| Source::Memory(value.clone()));
    }

    fn take(&mut self, entry: &Entry<'_>) {
        let place = entry.key.place;
        if entry.kind != Kind::Put || is_hidden(self.trims, place, entry.version) {
            return self.step(place);
        }
        self.push(place, entry.version, entry.expires_ms, entry.value.len(), |values| {
            let start = values.len();
            values.extend_from_slice(entry.value);
            Source::Files(start..values.len())
        });
    }

    fn push(
        &mut self,
        place: Place,
        version: Version,
        expires_ms: Option<u64>,
        len: usize,
        source: impl FnOnce(&mut Vec<u8>) -> Source,
    ) {
        let Some(position) = place.position() else { return };
        if !self.records.is_empty() && self.bytes + len > self.range.limit_bytes {
            self.refused = Some(position);
            self.full = true;
            return;
        }
        self.bytes += len;
        let source = source(&mut self.values);
        self.records.push((Record { position, value: Bytes::new(), version, expires_ms }, source));
        self.full = self.records.len() == self.range.limit_records;
        self.step(place);
    }

    fn step(&mut self, place: Place) {
        self.last = Some(place);
        self.steps += 1;
        self.full |= self.steps >= self.range.steps_max();
    }

    fn finish(self, memory: &InMemory, beyond: Option<Position>) -> Page {
        let next = match (self.full, self.refused, self.last.and_then(Place::position)) {
            (true, Some(refused), _) => Some(refused),
            (true, None, Some(last)) => self.range.after(last).or(beyond),
            _ => beyond,
        };
        let values = Bytes::from(self.values);
        let fill = |(record, source)| {
            let value = match source {
                Source::Memory(range) => memory.values.slice(range),
                Source::Files(range) => values.slice(range),
            };
            Record { value, ..record }
        };
        Page { records: self.records.into_iter().map(fill).collect(), next }
    }
}
