//! A part: the state of a fixed share of a node's buckets.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use hashbrown::HashMap;

use super::choose::{Sizes, UNMERGEABLE, choose};
use super::config::StateConfig;
use super::error::StateError;
use super::job::{Base, Finished, Job, JobKind, Stretch, Work};
use super::key::{RunSet, Window};
use super::manifest::{self, Mark, Marks};
use super::memtable::Memtable;
use super::meta::OUTCOME_BYTES;
use super::record::{Attribute, Digest, TokenKey};
use super::run::{Age, Run, RunId, RunList, RunStore};
use super::snapshot::Snapshot;
use super::tokens::{Link, Origin};
use super::write::{Apply, Restore};
use crate::hot::{Bucket, Slot};

/// The digest of a bucket that was wiped, until it is whole again.
const INSTALLING: Digest = Digest(u128::MAX);

/// Where a part keeps what a write will touch, until the next write.
#[derive(Clone, Copy, Debug)]
pub struct Located {
    standing: Option<u32>,
    entity: Option<u32>,
}

/// The state of a fixed share of a node's buckets. Owned by one worker, and takes no lock to apply a command.
///
/// What a bucket's commands write goes to the active memtable. [`Part::freeze`] sets memtables aside, cut between commands, and its job writes
/// them as sorted runs, each in one window, which one change of the manifest makes live together with the slot that every bucket has
/// reached in them. So a crash leaves each bucket at [`Part::durable`], exactly.
///
/// **No journal in here:** what is in the memtables alone must be applied again after a crash.
pub struct Part {
    pub(super) store: Arc<RunStore>,
    pub(super) runs: Arc<RunList>,
    durable: Arc<Marks>,
    standings: Vec<Standing>,
    by_bucket: HashMap<Bucket, u32>,
    /// The newest outcome that a restore has put into a bucket, until its durable slot is past that: it can be flushed before the bucket has
    /// an applied slot.
    restored: HashMap<Bucket, Slot>,
    pub(super) active: Memtable,
    /// From the oldest to the newest.
    pub(super) frozen: VecDeque<Arc<Memtable>>,
    /// Held by the job under way.
    ticket: Weak<()>,
    /// Runs that no manifest names any more; removed once nothing reads them.
    dead: Vec<Arc<Run>>,
    /// Runs with damaged blocks: they are read as far as they can be, and merged with nothing.
    unmergeable: HashSet<RunId>,
    /// No runs are to be merged; until they change.
    is_merged: bool,
    /// What the last manifest says.
    rests_on: u64,
    flushed_bytes: u64,
    merged_bytes: u64,
}

impl Part {
    pub(super) fn new(
        store: Arc<RunStore>,
        runs: RunList,
        marks: Marks,
        next_age: Age,
        rests_on: u64,
    ) -> Part {
        let active = Memtable::new(next_age, hash_seed(&store));
        let standing = |(bucket, mark): (&Bucket, &Mark)| Standing {
            bucket: *bucket,
            mark: *mark,
            durable: mark.applied,
            outcomes: Link::NONE,
            marked_in: Age::default(),
        };
        Part {
            store,
            runs: Arc::new(runs),
            standings: marks.iter().map(standing).collect(),
            by_bucket: marks.keys().copied().zip(0..).collect(),
            restored: HashMap::new(),
            durable: Arc::new(marks),
            active,
            frozen: VecDeque::new(),
            ticket: Weak::new(),
            dead: Vec::new(),
            unmergeable: HashSet::new(),
            is_merged: false,
            rests_on,
            flushed_bytes: 0,
            merged_bytes: 0,
        }
    }

    /// The settings it was opened with.
    pub fn config(&self) -> &StateConfig {
        &self.store.config
    }

    /// The newest applied slot of a bucket; 0 when there is none.
    pub fn applied(&self, bucket: Bucket) -> Slot {
        self.mark(bucket).applied
    }

    /// The applied slot that a crash now would leave.
    pub fn durable(&self, bucket: Bucket) -> Slot {
        self.standing(bucket).map_or(Slot(0), |standing| standing.durable)
    }

    /// The highest number that a [job](Job::rest_on) was told whose work is durable: what the part has on the disk may come from the caller's journal
    /// through the commit of that number. A journal that ends before it has lost its end.
    pub fn rests_on(&self) -> u64 {
        self.rests_on
    }

    /// The caller's journal ends with this commit, and it has written down what that means: from now on nothing rests on a later one. Blocks.
    ///
    /// # Errors
    /// [`StateError`]: nothing has changed, or what it has cannot be known ([`StateError::Poisoned`] from then on).
    pub fn rest_on_no_more_than(&mut self, commit: u64) -> Result<(), StateError> {
        if self.rests_on > commit {
            let runs = self.runs.all().map(|run| &run.meta);
            let next_age = Age(self.active.age.0 + 1);
            manifest::replace(
                &self.store,
                &manifest::encode(&self.store, next_age, commit, runs, &self.durable),
            )?;
            self.rests_on = commit;
        }
        Ok(())
    }

    /// Finds what a write to an entity will touch. With [`approach`](Part::approach) and [`touch`](Part::touch) this brings it into the
    /// processor's caches: each of the three is to be called for all that is about to be applied before the next one is, so that their memory is
    /// waited for together. What one reads says where the next one looks.
    pub fn locate(&self, bucket: Bucket, entity: &[u8]) -> Located {
        Located {
            standing: self.by_bucket.get(&bucket).copied(),
            entity: self.active.data.locate(bucket, entity),
        }
    }

    /// Reads how the bucket stands, and where the entity's bytes are.
    pub fn approach(&self, located: Located) {
        let standing = located.standing.map(|index| self.standings[index as usize].mark.applied);
        black_box((standing, located.entity.map(|index| self.active.data.approach(index))));
    }

    /// Reads the entity's first bytes.
    pub fn touch(&self, located: Located) {
        black_box(located.entity.map(|index| self.active.data.touch(index)));
    }

    /// The bucket's digest at its applied slot.
    pub fn digest(&self, bucket: Bucket) -> Digest {
        self.mark(bucket).digest
    }

    /// The buckets that have an applied slot, in order.
    pub fn buckets(&self) -> Vec<Bucket> {
        let mut buckets: Vec<Bucket> = self
            .standings
            .iter()
            .filter_map(|standing| (standing.mark.applied > Slot(0)).then_some(standing.bucket))
            .collect();
        buckets.sort_unstable();
        buckets
    }

    /// The windows that have runs, in order.
    pub fn windows(&self) -> Vec<Window> {
        let window = |set: &RunSet| match set {
            RunSet::Window(window) => Some(*window),
            _ => None,
        };
        self.runs.sets.keys().filter_map(window).collect()
    }

    /// Begins to apply the command of `slot`, which must be the one after the applied one (asserted).
    pub fn apply(&mut self, bucket: Bucket, slot: Slot) -> Apply<'_> {
        Apply::new(self, bucket, slot)
    }

    /// Makes a bucket empty, at applied slot 0: everything it had goes, attributes too, without a tombstone. The first step of installing a
    /// snapshot, and how a bucket that moved away is dropped.
    ///
    /// # Errors
    /// [`StateError::Full`] while [`StateConfig::frozen_max`] frozen memtables wait for a flush.
    pub fn wipe(&mut self, bucket: Bucket) -> Result<(), StateError> {
        self.wipe_all(&[bucket])
    }

    /// Wipes several buckets at once, which costs no more memtables than wiping one.
    ///
    /// # Errors
    /// As [`Part::wipe`]; nothing was wiped then.
    pub fn wipe_all(&mut self, buckets: &[Bucket]) -> Result<(), StateError> {
        self.set_aside()?;
        for bucket in buckets {
            let index = self.index(*bucket);
            self.standings[index].mark.wiped_below = self.active.age;
            self.set_applied(index, Slot(0), INSTALLING);
        }
        Ok(())
    }

    /// Whether a bucket was wiped, and what was to come in its place is not whole. Durable with the wipe itself: a crash leaves
    /// the bucket as it was before, or installing, or whole.
    pub fn is_installing(&self, bucket: Bucket) -> bool {
        let mark = self.mark(bucket);
        mark.applied == Slot(0) && mark.digest == INSTALLING
    }

    /// Whether nothing was ever applied or installed in a bucket: it can be restored without being wiped.
    pub fn is_untouched(&self, bucket: Bucket) -> bool {
        self.standing(bucket).is_none_or(|standing| standing.mark == Mark::default())
    }

    /// Puts entries of a snapshot into a wiped bucket (asserted: its applied slot is 0).
    pub fn restore(&mut self, bucket: Bucket) -> Restore<'_> {
        Restore::new(self, bucket)
    }

    /// Sets an attribute outside of any command; empty bytes remove it. Durable with the next flush.
    ///
    /// Panics when the value is longer than [`ATTRIBUTE_BYTES_MAX`](super::ATTRIBUTE_BYTES_MAX).
    pub fn set_attribute(&mut self, bucket: Bucket, name: Attribute, value: &[u8]) {
        let version = self.applied(bucket).into();
        self.write_meta(bucket, &super::meta::attribute_name(name), value, version);
    }

    /// Pins the state as it is now.
    ///
    /// # Errors
    /// [`StateError::Full`] while [`StateConfig::frozen_max`] frozen memtables wait for a flush.
    pub fn snapshot(&mut self) -> Result<Snapshot, StateError> {
        self.set_aside()?;
        let marks: Marks = self.standings.iter().map(|standing| (standing.bucket, standing.mark)).collect();
        Ok(Snapshot::new(
            Arc::clone(&self.store),
            Arc::clone(&self.runs),
            Arc::new(marks),
            self.frozen.iter().cloned().collect(),
        ))
    }

    /// Whether the memtable is over [`StateConfig::memtable_bytes`], or frozen ones wait.
    pub fn wants_flush(&self) -> bool {
        !self.frozen.is_empty() || self.active.bytes() >= self.store.config.memtable_bytes
    }

    /// Whether the active memtable alone is over twice [`StateConfig::memtable_bytes`]: flushes do not keep up, and nothing more should be
    /// taken in until one is installed.
    pub fn is_full(&self) -> bool {
        self.active.bytes() >= 2 * self.store.config.memtable_bytes
    }

    /// Freezes the memtable and returns the job that writes all frozen ones. `None` while another job is under way, or when nothing is to
    /// be written.
    pub fn freeze(&mut self) -> Option<Job> {
        if self.is_busy() {
            return None;
        }
        // When too many are frozen already, those go first.
        let _ = self.set_aside();
        if self.frozen.is_empty() {
            return None;
        }
        Some(self.job(Work::Flush(self.frozen.iter().cloned().collect())))
    }

    /// Sets the active memtable aside, unless it is empty.
    fn set_aside(&mut self) -> Result<(), StateError> {
        if self.active.is_empty() {
            return Ok(());
        }
        let bound = self.store.config.frozen_max;
        if self.frozen.len() >= bound {
            return Err(StateError::Full { what: "frozen_max", bound: bound as u64 });
        }
        let next = Memtable::new(Age(self.active.age.0 + 1), hash_seed(&self.store));
        let mut active = std::mem::replace(&mut self.active, next);
        active.marks = active
            .marked
            .iter()
            .map(|&index| &self.standings[index as usize])
            .map(|standing| (standing.bucket, standing.mark))
            .collect();
        self.frozen.push_back(Arc::new(active));
        Ok(())
    }

    /// The most useful merges, if any: of one set, and of others with it while all together take in no more than
    /// [`StateConfig::memtable_bytes`]. `None` while another job is under way, or before runs have changed since there was none.
    pub fn choose_merge(&mut self) -> Option<Job> {
        let job = self.merge_within(self.store.config.merge_bytes_max);
        self.is_merged = job.is_none() && !self.is_busy();
        job
    }

    /// Of the merges that [`Part::choose_merge`] would find, those that take no longer than a flush does: one may go before a flush that waits,
    /// so that merges follow although flushes never pause.
    pub fn choose_small_merge(&mut self) -> Option<Job> {
        let config = &self.store.config;
        self.merge_within(config.merge_bytes_max.min(config.memtable_bytes as u64))
    }

    fn merge_within(&mut self, bytes_max: u64) -> Option<Job> {
        if self.is_busy() || self.is_merged {
            return None;
        }
        let sizes: Vec<Sizes> = self
            .runs
            .sets
            .iter()
            .map(|(set, runs)| Sizes { set: *set, bytes: runs.iter().map(|run| self.size(run)).collect() })
            .collect();
        let config = &self.store.config;
        let stretches: Vec<Stretch> =
            choose(&sizes, config.merge_fan, bytes_max, config.memtable_bytes as u64)
                .into_iter()
                .map(|choice| {
                    let all = self.runs.of(choice.set);
                    let bottom = choice.runs.end == all.len();
                    Stretch { set: choice.set, runs: all[choice.runs].to_vec(), bottom }
                })
                .collect();
        (!stretches.is_empty()).then(|| self.job(Work::Merge(stretches)))
    }

    /// A run's size, as far as merges are concerned.
    fn size(&self, run: &Run) -> u64 {
        if self.unmergeable.contains(&run.meta.id) { UNMERGEABLE } else { run.meta.len }
    }

    /// A merge met a damaged block. It would again, however often it were tried.
    fn spare_from_merges(&mut self, error: &StateError) {
        if let StateError::Corrupt { file, .. } = error
            && let Some(run) = self.runs.all().find(|run| self.store.path(run.meta.id) == *file)
        {
            self.unmergeable.insert(run.meta.id);
        }
    }

    /// Drops from a sunk window all that has a version up to the one named for its bucket; buckets not named keep all.
    /// Runs that hold nothing else go whole, others are rewritten. `None` while another job is under way, or when the window has no runs.
    ///
    /// A bucket may be named only when the slot of its cold link is [`durable`](Part::durable): else a crash could bring back a
    /// state that has neither the records nor the link.
    pub fn drop_window(&mut self, window: Window, through: BTreeMap<Bucket, Slot>) -> Option<Job> {
        if self.is_busy() || self.runs.of(RunSet::Window(window)).is_empty() {
            return None;
        }
        Some(self.job(Work::Drop { window, through }))
    }

    /// The removal of files that nothing reads any more. `None` while another job is under way, or when there are none.
    /// (Every other job does it too, by the way.)
    pub fn sweep(&mut self) -> Option<Job> {
        if self.is_busy() || !self.dead.iter().any(|run| Arc::strong_count(run) == 1) {
            return None;
        }
        Some(self.job(Work::Sweep))
    }

    fn is_busy(&self) -> bool {
        self.ticket.strong_count() > 0
    }

    fn job(&mut self, work: Work) -> Job {
        let ticket = Arc::new(());
        self.ticket = Arc::downgrade(&ticket);
        let mut dead = Vec::new();
        for run in std::mem::take(&mut self.dead) {
            // A run that no manifest names is found by nobody, so that the count cannot grow any more.
            if Arc::strong_count(&run) == 1 { dead.push(run) } else { self.dead.push(run) }
        }
        let base = Base {
            store: Arc::clone(&self.store),
            runs: Arc::clone(&self.runs),
            marks: Arc::clone(&self.durable),
            next_age: Age(self.active.age.0 + 1),
            rests_on: self.rests_on,
        };
        Job { work, base, dead, ticket }
    }

    /// Takes in what a job has done; in memory only.
    ///
    /// # Errors
    /// A failed job's error comes back here, and nothing has changed; unless it is [`StateError::Poisoned`] it can be tried again. A run
    /// in which a merge found damage is left out of merges from then on.
    pub fn install(&mut self, finished: Finished) -> Result<(), StateError> {
        let Finished { kind, done, ticket } = finished;
        assert!(
            self.ticket.as_ptr() == Arc::as_ptr(&ticket),
            "a job is installed in the part that it is from"
        );
        self.ticket = Weak::new();
        self.is_merged = false;
        let done = done.inspect_err(|error| {
            if kind == JobKind::Merge {
                self.spare_from_merges(error);
            }
        })?;
        for (bucket, mark) in done.marks.iter() {
            let before = self.durable.get(bucket).copied().unwrap_or_default();
            assert!(
                before.applied <= mark.applied || before.wiped_below < mark.wiped_below,
                "bucket {} was durable at slot {}, and now at {}",
                bucket.0,
                before.applied.0,
                mark.applied.0
            );
        }
        self.runs = done.runs;
        if !Arc::ptr_eq(&self.durable, &done.marks) {
            for (bucket, mark) in done.marks.iter() {
                let index = self.index(*bucket);
                self.standings[index].durable = mark.applied;
            }
            // A mark from before a bucket was wiped says nothing of what was restored since.
            let wiped_below = |bucket: &Bucket| {
                self.by_bucket.get(bucket).map(|at| self.standings[*at as usize].mark.wiped_below)
            };
            self.restored.retain(|bucket, newest| {
                done.marks.get(bucket).is_none_or(|mark| {
                    Some(mark.wiped_below) != wiped_below(bucket) || mark.applied < *newest
                })
            });
        }
        self.durable = done.marks;
        self.rests_on = self.rests_on.max(done.rests_on);
        if let Some(flushed) = done.flushed {
            self.frozen.retain(|memtable| memtable.age > flushed);
        }
        match kind {
            JobKind::Flush => self.flushed_bytes += done.written,
            _ => self.merged_bytes += done.written,
        }
        self.unmergeable.retain(|id| !done.dead.iter().any(|run| run.meta.id == *id));
        self.dead.extend(done.dead);
        Ok(())
    }

    /// Bytes held by the memtables.
    pub fn memory_bytes(&self) -> usize {
        self.active.bytes() + self.frozen.iter().map(|memtable| memtable.bytes()).sum::<usize>()
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        Stats {
            memory_bytes: self.memory_bytes() as u64,
            frozen: self.frozen.len() as u64,
            runs: self.runs.all().count() as u64,
            run_bytes: self.runs.all().map(|run| run.meta.len).sum(),
            dead_files: self.dead.len() as u64,
            flushed_bytes: self.flushed_bytes,
            merged_bytes: self.merged_bytes,
            unmergeable: self.unmergeable.len() as u64,
            corruptions: self.store.corruptions.load(Ordering::Relaxed),
        }
    }

    pub(super) fn mark(&self, bucket: Bucket) -> Mark {
        self.standing(bucket).map_or_else(Mark::default, |standing| standing.mark)
    }

    pub(super) fn mark_at(&self, index: usize) -> Mark {
        self.standings[index].mark
    }

    pub(super) fn standing(&self, bucket: Bucket) -> Option<&Standing> {
        let index = *self.by_bucket.get(&bucket)?;
        Some(&self.standings[index as usize])
    }

    /// Where how a bucket stands is kept, for ever; made when there is none yet.
    pub(super) fn index(&mut self, bucket: Bucket) -> usize {
        *self.by_bucket.entry(bucket).or_insert_with(|| {
            self.standings.push(Standing { bucket, ..Standing::default() });
            (self.standings.len() - 1) as u32
        }) as usize
    }

    pub(super) fn note_restored(&mut self, bucket: Bucket, outcome: Slot) {
        let restored = self.restored.entry(bucket).or_default();
        *restored = outcome.max(*restored);
    }

    pub(super) fn restored(&self, bucket: Bucket) -> Slot {
        self.restored.get(&bucket).copied().unwrap_or_default()
    }

    /// Keeps an outcome in the active memtable; `restored` if it comes from another replica.
    pub(super) fn write_outcome(
        &mut self,
        index: usize,
        token: &TokenKey,
        slot: Slot,
        value: [u8; OUTCOME_BYTES],
        restored: bool,
    ) {
        let Standing { bucket, outcomes, .. } = &mut self.standings[index];
        let age = self.active.age;
        let origin = Origin { bucket: *bucket, restored, slot };
        self.active.tokens.write(outcomes, age, origin, token, value);
    }

    /// What is in the active memtable brings a bucket to this slot.
    pub(super) fn set_applied(&mut self, index: usize, applied: Slot, digest: Digest) {
        let standing = &mut self.standings[index];
        (standing.mark.applied, standing.mark.digest) = (applied, digest);
        if standing.marked_in != self.active.age {
            standing.marked_in = self.active.age;
            self.active.marked.push(index as u32);
        }
    }

    /// Removes every file of a part, so that it can be made anew.
    ///
    /// # Errors
    /// [`StateError::Io`]; it can be tried again.
    pub fn destroy(disk: &dyn crate::disk::Disk, dir: &Path) -> Result<(), StateError> {
        super::open::destroy(disk, dir)
    }
}

/// How a bucket stands: one line of a processor's cache, which every command touches.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Standing {
    bucket: Bucket,
    pub(super) mark: Mark,
    /// The applied slot that a crash now would leave.
    pub(super) durable: Slot,
    /// The newest of its outcomes, if a memtable has any.
    pub(super) outcomes: Link,
    /// The memtable that was last told that the mark changed.
    marked_in: Age,
}

const _: () = assert!(size_of::<Standing>() == 64, "a line of a cache each");

/// The seed of the memtables' hashes, so that no caller can choose entities that collide.
fn hash_seed(store: &RunStore) -> u64 {
    let identity = store.identity.store;
    (identity as u64) ^ (identity >> 64) as u64
}

/// Counters and sizes of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes held by the memtables.
    pub memory_bytes: u64,
    /// Frozen memtables that wait for a flush.
    pub frozen: u64,
    /// Live runs.
    pub runs: u64,
    /// Live runs that a merge found damaged, and that are merged no more.
    pub unmergeable: u64,
    /// Bytes of live runs.
    pub run_bytes: u64,
    /// Files no longer named by the manifest, but not removed yet.
    pub dead_files: u64,
    /// Bytes written by flushes since the part was opened.
    pub flushed_bytes: u64,
    /// Bytes written by merges and window drops since the part was opened.
    pub merged_bytes: u64,
    /// Damaged pieces met since the part was opened.
    pub corruptions: u64,
}
