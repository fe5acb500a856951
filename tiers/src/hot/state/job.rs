//! Work off the worker thread: flushes, merges, dropped windows, removed files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;

use super::error::StateError;
use super::fold::Fold;
use super::key::{Place, RunSet, Window};
use super::manifest::{self, Marks};
use super::memtable::{Half, Memtable};
use super::merge::{Merge, Source};
use super::record::Version;
use super::run::{Age, Run, RunId, RunList, RunMeta, RunStore};
use super::writer::RunWriter;
use crate::hot::state::entry::EntryKey;
use crate::hot::{Bucket, Slot};
use crate::plant::{Plant, on};

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Writes frozen memtables as runs.
    Flush,
    /// Merges neighbouring runs.
    Merge,
    /// Drops a window.
    Drop,
    /// Removes files.
    Sweep,
}

/// Work to be run on another thread. One at a time per part: as long as the job or what it returned is held, the part gives out no other.
/// Dropping it undone is harmless.
#[must_use = "a job does nothing until it is run"]
pub struct Job {
    pub(super) work: Work,
    pub(super) base: Base,
    /// Runs that no manifest names any more and nothing reads.
    pub(super) dead: Vec<Arc<Run>>,
    pub(super) ticket: Arc<()>,
}

pub(super) enum Work {
    /// From the oldest to the newest.
    Flush(Vec<Arc<Memtable>>),
    /// Of different sets.
    Merge(Vec<Stretch>),
    Drop {
        window: Window,
        through: BTreeMap<Bucket, Slot>,
    },
    Sweep,
}

/// Neighbours of one set that become one run.
pub(super) struct Stretch {
    pub(super) set: RunSet,
    /// From the newest to the oldest.
    pub(super) runs: Vec<Arc<Run>>,
    /// They reach down to the oldest run of the set.
    pub(super) bottom: bool,
}

/// Runs that have given way to another one, if anything of them is left.
struct Exchanged {
    set: RunSet,
    /// From the newest to the oldest.
    old: Vec<Arc<Run>>,
    new: Option<RunMeta>,
}

/// What is durable when the job is made.
pub(super) struct Base {
    pub(super) store: Arc<RunStore>,
    pub(super) runs: Arc<RunList>,
    pub(super) marks: Arc<Marks>,
    /// Above every age given out.
    pub(super) next_age: Age,
    /// See [`Part::rests_on`](super::Part::rests_on).
    pub(super) rests_on: u64,
}

/// What a job has done, for [`Part::install`](super::Part::install).
#[must_use = "the part goes on reading the old runs until this is installed"]
pub struct Finished {
    pub(super) kind: JobKind,
    pub(super) done: Result<Done, StateError>,
    pub(super) ticket: Arc<()>,
}

/// What is durable now.
pub(super) struct Done {
    pub(super) runs: Arc<RunList>,
    pub(super) marks: Arc<Marks>,
    pub(super) rests_on: u64,
    /// The newest memtable that was flushed.
    pub(super) flushed: Option<Age>,
    pub(super) written: u64,
    /// Runs that the manifest no longer names.
    pub(super) dead: Vec<Arc<Run>>,
}

impl Job {
    /// What it does.
    pub fn kind(&self) -> JobKind {
        match self.work {
            Work::Flush(_) => JobKind::Flush,
            Work::Merge(_) => JobKind::Merge,
            Work::Drop { .. } => JobKind::Drop,
            Work::Sweep => JobKind::Sweep,
        }
    }

    /// What it writes rests on the caller's journal through this commit, of those that are numbered from 1; the highest number that it was told counts.
    /// The next [`Part::rests_on`](super::Part::rests_on) tells.
    pub fn rest_on(&mut self, commit: u64) {
        self.base.rests_on = self.base.rests_on.max(commit);
    }

    /// Does it: writes and syncs files and the manifest. Blocks.
    pub fn run(self) -> Finished {
        let kind = self.kind();
        let Job { work, base, dead, ticket } = self;
        let poisoned = base.store.poisoned.load(Ordering::Relaxed);
        let done = if poisoned {
            Err(StateError::Poisoned)
        } else {
            for run in dead {
                // What cannot be removed now is removed when the part is opened the next time.
                let _ = base.store.disk.remove(&base.store.path(run.meta.id));
            }
            base.run(work)
        };
        Finished { kind, done, ticket }
    }
}

impl Finished {
    /// What the job did.
    pub fn kind(&self) -> JobKind {
        self.kind
    }
}

impl Base {
    fn run(self, work: Work) -> Result<Done, StateError> {
        let mut made = Made::default();
        let done = match work {
            Work::Flush(memtables) => self.flush(&memtables, &mut made),
            Work::Merge(stretches) => self.merge(stretches, &mut made),
            Work::Drop { window, through } => self.drop_window(window, &through, &mut made),
            Work::Sweep => Ok(self.done(Arc::clone(&self.runs), Arc::clone(&self.marks), &made, Vec::new())),
        };
        if done.is_err() && !self.store.poisoned.load(Ordering::Relaxed) {
            for id in made.ids {
                let _ = self.store.disk.remove(&self.store.path(id));
            }
        }
        done
    }

    fn flush(&self, memtables: &[Arc<Memtable>], made: &mut Made) -> Result<Done, StateError> {
        let mut marks = (*self.marks).clone();
        for memtable in memtables {
            marks.extend(memtable.marks.iter().copied());
        }
        let marks = Arc::new(marks);
        let mut metas = self.flush_half(memtables, Half::Meta, &marks, made)?;
        if on(Plant::TwoManifests) {
            let runs = self.with(&metas);
            self.install(&runs, &marks)?;
        }
        metas.extend(self.flush_half(memtables, Half::Data, &marks, made)?);
        let runs = self.with(&metas);
        let count = runs.all().count();
        if count > self.store.config.runs_max {
            return Err(StateError::Full { what: "runs_max", bound: self.store.config.runs_max as u64 });
        }
        self.install(&runs, &marks)?;
        let mut done = self.done(Arc::new(runs), marks, made, Vec::new());
        done.flushed = memtables.last().map(|memtable| memtable.age);
        Ok(done)
    }

    /// Writes one half of the memtables as one run per set. Only so many sets at a time; the rest takes another pass.
    fn flush_half(
        &self,
        memtables: &[Arc<Memtable>],
        half: Half,
        marks: &Arc<Marks>,
        made: &mut Made,
    ) -> Result<Vec<RunMeta>, StateError> {
        const WRITERS_MAX: usize = 32;
        let config = &self.store.config;
        let (Some(oldest), Some(newest)) = (memtables.first(), memtables.last()) else {
            return Ok(Vec::new());
        };
        // The marks of a pass before the first entry of a set is met are those of the passes before it.
        let mut finished: BTreeMap<RunSet, Option<RunMeta>> = BTreeMap::new();
        loop {
            let mut writers: BTreeMap<RunSet, Option<RunWriter>> = BTreeMap::new();
            let mut left_over = false;
            let no_runs = Arc::new(RunList::default());
            let mut fold = Fold::new(no_runs, Arc::clone(marks), config.outcome_slots, config.sinks);
            let sources =
                memtables.iter().flat_map(|memtable| Source::memtable(memtable, half, &BEGIN)).collect();
            let mut merge = Merge::new(sources, Arc::clone(marks))?;
            while let Some(entry) = merge.entry() {
                let set = match half {
                    Half::Meta => RunSet::Meta,
                    Half::Data => entry.key.place.run_set(config.window_span_ms),
                };
                let bottom = self.runs.of(set).is_empty();
                if fold.keeps(set, &entry, bottom)? && !finished.contains_key(&set) {
                    if writers.len() < WRITERS_MAX || writers.contains_key(&set) {
                        let writer = writers.entry(set).or_default();
                        let writer = match writer {
                            Some(writer) => writer,
                            none => none.insert(self.writer(set, oldest.age, newest.age, made)?),
                        };
                        writer.push(&entry)?;
                    } else {
                        left_over = true;
                    }
                }
                merge.next()?;
            }
            for (set, writer) in writers {
                let meta = writer.map(|writer| writer.finish()).transpose()?;
                made.bytes += meta.as_ref().map_or(0, |meta| meta.len);
                finished.insert(set, meta);
            }
            if !left_over {
                return Ok(finished.into_values().flatten().collect());
            }
        }
    }

    /// Merges stretches, one after the other, and makes all of them live with one change of the manifest.
    fn merge(&self, stretches: Vec<Stretch>, made: &mut Made) -> Result<Done, StateError> {
        let mut exchanged = Vec::with_capacity(stretches.len());
        for stretch in stretches {
            let new = self.merge_stretch(&stretch, made)?;
            exchanged.push(Exchanged { set: stretch.set, old: stretch.runs, new });
        }
        self.exchange(&exchanged, made)
    }

    fn merge_stretch(&self, stretch: &Stretch, made: &mut Made) -> Result<Option<RunMeta>, StateError> {
        let Stretch { set, runs, bottom } = stretch;
        let bottom = *bottom || on(Plant::TombstoneTooEarly);
        let config = &self.store.config;
        let (Some(newest), Some(oldest)) = (runs.first(), runs.last()) else { return Ok(None) };
        let mut fold =
            Fold::new(Arc::clone(&self.runs), Arc::clone(&self.marks), config.outcome_slots, config.sinks);
        let sources = runs.iter().map(|run| Source::run(run, &BEGIN)).collect::<Result<_, _>>()?;
        let mut merge = Merge::new(sources, Arc::clone(&self.marks))?;
        let mut writer = None;
        while let Some(entry) = merge.entry() {
            if fold.keeps(*set, &entry, bottom)? {
                let writer = match &mut writer {
                    Some(writer) => writer,
                    none => none.insert(self.writer(*set, oldest.meta.oldest, newest.meta.newest, made)?),
                };
                writer.push(&entry)?;
            }
            merge.next()?;
        }
        let meta = writer.map(RunWriter::finish).transpose()?;
        made.bytes += meta.as_ref().map_or(0, |meta| meta.len);
        Ok(meta)
    }

    fn drop_window(
        &self,
        window: Window,
        through: &BTreeMap<Bucket, Slot>,
        made: &mut Made,
    ) -> Result<Done, StateError> {
        let set = RunSet::Window(window);
        let reaches = |bucket: Bucket, version: Version| {
            through.get(&bucket).is_some_and(|slot| version <= Version::from(*slot))
        };
        let mut exchanged = Vec::new();
        for run in self.runs.of(set) {
            let spans = run.buckets()?;
            let goes_whole =
                spans.iter().all(|span| reaches(span.bucket, span.newest) || self.is_wiped(run, span.bucket));
            if goes_whole {
                exchanged.push(Exchanged { set, old: vec![Arc::clone(run)], new: None });
                continue;
            }
            if !spans.iter().any(|span| through.contains_key(&span.bucket)) {
                continue;
            }
            let mut writer: Option<RunWriter> = None;
            let mut merge = Merge::new(vec![Source::run(run, &BEGIN)?], Arc::clone(&self.marks))?;
            while let Some(entry) = merge.entry() {
                if !reaches(entry.key.bucket, entry.version) {
                    let writer = match &mut writer {
                        Some(writer) => writer,
                        none => none.insert(self.writer(set, run.meta.oldest, run.meta.newest, made)?),
                    };
                    writer.push(&entry)?;
                }
                merge.next()?;
            }
            let meta = writer.map(RunWriter::finish).transpose()?;
            made.bytes += meta.as_ref().map_or(0, |meta| meta.len);
            exchanged.push(Exchanged { set, old: vec![Arc::clone(run)], new: meta });
        }
        self.exchange(&exchanged, made)
    }

    fn is_wiped(&self, run: &Run, bucket: Bucket) -> bool {
        self.marks.get(&bucket).is_some_and(|mark| run.is_before(mark.wiped_below))
    }

    /// Installs a manifest in which some runs have given way to others.
    fn exchange(&self, exchanged: &[Exchanged], made: &Made) -> Result<Done, StateError> {
        let mut list = (*self.runs).clone();
        // For each old run, what takes its place: the first one's the new one, the others' nothing.
        let mut given_way: HashMap<RunId, Option<&RunMeta>> = HashMap::new();
        for Exchanged { old, new, .. } in exchanged {
            let mut new = new.as_ref();
            given_way.extend(old.iter().map(|run| (run.meta.id, new.take())));
        }
        for set in exchanged.iter().map(|exchanged| exchanged.set).collect::<BTreeSet<RunSet>>() {
            let stays = |run: &Arc<Run>| match given_way.get(&run.meta.id) {
                None => Some(Arc::clone(run)),
                Some(new) => new.map(|new| Arc::new(Run::new(new.clone(), Arc::clone(&self.store)))),
            };
            let runs: Vec<Arc<Run>> = self.runs.of(set).iter().filter_map(stays).collect();
            if runs.is_empty() {
                list.sets.remove(&set)
            } else {
                list.sets.insert(set, runs)
            };
        }
        let dead: Vec<Arc<Run>> =
            exchanged.iter().flat_map(|exchanged| exchanged.old.iter().cloned()).collect();
        if on(Plant::MergedRunsRemovedEarly) {
            for run in &dead {
                let _ = self.store.disk.remove(&self.store.path(run.meta.id));
            }
        }
        self.install(&list, &self.marks)?;
        Ok(self.done(Arc::new(list), Arc::clone(&self.marks), made, dead))
    }

    fn writer(
        &self,
        set: RunSet,
        oldest: Age,
        newest: Age,
        made: &mut Made,
    ) -> Result<RunWriter, StateError> {
        let writer = RunWriter::create(&self.store, set, oldest, newest)?;
        made.ids.push(writer.id());
        Ok(writer)
    }

    fn with(&self, metas: &[RunMeta]) -> RunList {
        let mut runs = (*self.runs).clone();
        for meta in metas {
            runs.add(Arc::new(Run::new(meta.clone(), Arc::clone(&self.store))));
        }
        runs
    }

    fn install(&self, runs: &RunList, marks: &Marks) -> Result<(), StateError> {
        let metas = runs.all().map(|run| &run.meta);
        manifest::replace(
            &self.store,
            &manifest::encode(&self.store, self.next_age, self.rests_on, metas, marks),
        )
    }

    fn done(&self, runs: Arc<RunList>, marks: Arc<Marks>, made: &Made, dead: Vec<Arc<Run>>) -> Done {
        Done { runs, marks, rests_on: self.rests_on, flushed: None, written: made.bytes, dead }
    }
}

/// Before every key.
pub(super) const BEGIN: EntryKey<'static> = EntryKey { bucket: Bucket(0), entity: &[], place: Place::FIRST };

/// What a job has written so far.
#[derive(Default)]
struct Made {
    ids: Vec<RunId>,
    bytes: u64,
}
