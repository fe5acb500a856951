//! Runs: immutable sorted files, each belonging to one [`RunSet`].

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::cache::BlockCache;
use super::config::{Identity, StateConfig};
use super::entry::{Block, EntryKey, Input};
use super::error::StateError;
use super::filter;
use super::key::{RunSet, Window};
use super::page::{PageSeed, unseal};
use super::record::Version;
use crate::disk::{Disk, File, OpenMode};
use crate::hot::Bucket;

/// When a memtable began: later ones are higher. What a memtable holds keeps its age in the runs it goes to, so that of two
/// entries of one key the one of higher age is the newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age(pub(super) u64);

/// A run file's number; never used twice in a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RunId(pub(super) u64);

/// What the manifest says of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunMeta {
    pub(super) id: RunId,
    pub(super) set: RunSet,
    /// The length of the file in bytes.
    pub(super) len: u64,
    /// How many entries.
    pub(super) entries: u64,
    /// The ages of the memtables in it.
    pub(super) oldest: Age,
    pub(super) newest: Age,
    pub(super) first_bucket: Bucket,
    pub(super) last_bucket: Bucket,
    /// The timestamps in it, in milliseconds; 0 in a run that holds no dated keys.
    pub(super) first_ms: u64,
    pub(super) last_ms: u64,
}

/// What all runs of a part share.
pub(super) struct RunStore {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) identity: Identity,
    pub(super) config: StateConfig,
    pub(super) next_file: AtomicU64,
    pub(super) corruptions: AtomicU64,
    /// Set once and for ever when a change of the manifest failed half-way.
    pub(super) poisoned: AtomicBool,
    readers: Mutex<Readers>,
    cache: BlockCache,
}

/// The indexes and filters in memory, the ones loaded first at the front.
#[derive(Default)]
struct Readers {
    loaded: VecDeque<(Weak<Run>, usize)>,
    bytes: usize,
}

impl RunStore {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        identity: Identity,
        config: StateConfig,
    ) -> RunStore {
        let cache = BlockCache::new(config.block_cache_bytes);
        RunStore {
            disk,
            dir,
            identity,
            config,
            next_file: AtomicU64::new(1),
            corruptions: AtomicU64::new(0),
            poisoned: AtomicBool::new(false),
            readers: Mutex::default(),
            cache,
        }
    }

    pub(super) fn new_file(&self) -> RunId {
        RunId(self.next_file.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn path(&self, id: RunId) -> PathBuf {
        self.dir.join(format!("{:016x}.run", id.0))
    }

    pub(super) fn seed(&self, id: RunId) -> PageSeed {
        let mut name = [0; 28];
        name[..16].copy_from_slice(&self.identity.store.to_le_bytes());
        name[16..20].copy_from_slice(&self.identity.part.to_le_bytes());
        name[20..].copy_from_slice(&id.0.to_le_bytes());
        PageSeed::new(&name)
    }

    /// Takes a reader into account, and lets go of those unused for longest once there are too many of them, or too many bytes.
    fn loaded(&self, run: &Arc<Run>, bytes: usize) {
        let mut dropped = Vec::new();
        let mut readers = self.readers.lock();
        readers.loaded.push_back((Arc::downgrade(run), bytes));
        readers.bytes += bytes;
        let mut spared = 0;
        let (bytes_max, count_max) = (self.config.index_cache_bytes, self.config.open_runs_max);
        while (readers.bytes > bytes_max || readers.loaded.len() > count_max) && readers.loaded.len() > 1 {
            let Some((weak, bytes)) = readers.loaded.pop_front() else { break };
            if let Some(run) = weak.upgrade() {
                if run.used.swap(false, Ordering::Relaxed) && spared < readers.loaded.len() {
                    spared += 1;
                    readers.loaded.push_back((weak, bytes));
                    continue;
                }
                dropped.push(run.reader.lock().take());
            }
            readers.bytes -= bytes;
        }
    }

    /// How many runs are open, or were until they went.
    #[cfg(test)]
    pub(super) fn open_runs(&self) -> usize {
        self.readers.lock().loaded.len()
    }
}

/// One run. Its file is there as long as this is held.
pub(super) struct Run {
    pub(super) meta: RunMeta,
    pub(super) store: Arc<RunStore>,
    reader: Mutex<Option<Arc<Reader>>>,
    used: AtomicBool,
}

/// An open run: what must be in memory to find a block.
pub(super) struct Reader {
    file: Arc<dyn File>,
    seed: PageSeed,
    /// One entry per data page: its first key, and as value its offset and length.
    index: Block,
    filter: Vec<u8>,
}

/// What a run holds of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BucketSpan {
    pub(super) bucket: Bucket,
    pub(super) newest: Version,
    pub(super) entries: u64,
}

impl Run {
    pub(super) fn new(meta: RunMeta, store: Arc<RunStore>) -> Run {
        Run { meta, store, reader: Mutex::new(None), used: AtomicBool::new(false) }
    }

    /// Whether a bucket wiped at `wiped_below` has nothing to find here.
    pub(super) fn is_before(&self, wiped_below: Age) -> bool {
        self.meta.newest < wiped_below
    }

    /// Whether it may have something of any of these buckets.
    pub(super) fn covers(&self, buckets: &RangeInclusive<Bucket>) -> bool {
        self.meta.first_bucket <= *buckets.end() && *buckets.start() <= self.meta.last_bucket
    }

    /// The open run, if it is in memory.
    pub(super) fn loaded(&self) -> Option<Arc<Reader>> {
        let reader = self.reader.lock().clone();
        if reader.is_some() {
            self.used.store(true, Ordering::Relaxed);
        }
        reader
    }

    /// The open run.
    pub(super) fn reader(self: &Arc<Run>) -> Result<Arc<Reader>, StateError> {
        if let Some(reader) = self.loaded() {
            return Ok(reader);
        }
        let reader = Arc::new(self.load()?);
        let mut slot = self.reader.lock();
        if let Some(other) = slot.as_ref() {
            return Ok(Arc::clone(other));
        }
        *slot = Some(Arc::clone(&reader));
        drop(slot);
        self.store.loaded(self, reader.weight());
        Ok(reader)
    }

    fn load(&self) -> Result<Reader, StateError> {
        let (file, footer) = self.open()?;
        let seed = self.store.seed(self.meta.id);
        let index = Block::decode(self.page(&*file, seed, footer.index)?)
            .map_err(|what| self.corrupt(footer.index.offset, what))?;
        if index.len() == 0 || (0..index.len()).any(|at| index.entry(at).value.len() != PageAt::BYTES) {
            return Err(self.corrupt(footer.index.offset, "index without places"));
        }
        let filter = self.page(&*file, seed, footer.filter)?;
        if !filter::is_whole(&filter) {
            return Err(self.corrupt(footer.filter.offset, "filter of no length"));
        }
        Ok(Reader { file, seed, index, filter })
    }

    /// What the run holds of each bucket.
    pub(super) fn buckets(&self) -> Result<Vec<BucketSpan>, StateError> {
        let (file, footer) = self.open()?;
        let bytes = self.page(&*file, self.store.seed(self.meta.id), footer.buckets)?;
        let mut input = Input { bytes: &bytes, at: 0 };
        let mut spans = Vec::new();
        while input.at < bytes.len() {
            let mut span = || -> Result<BucketSpan, &'static str> {
                Ok(BucketSpan {
                    bucket: Bucket(input.u32()?),
                    newest: Version(input.u64()?),
                    entries: input.u64()?,
                })
            };
            spans.push(span().map_err(|what| self.corrupt(footer.buckets.offset, what))?);
        }
        Ok(spans)
    }

    fn open(&self) -> Result<(Arc<dyn File>, Footer), StateError> {
        let path = self.store.path(self.meta.id);
        let file = match self.store.disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(self.corrupt(0, "file is gone"));
            }
            Err(source) => return Err(StateError::Io { action: "open", file: path, source }),
        };
        let len = file.len().map_err(|source| self.io("measure", source))?;
        if len != self.meta.len || len < Footer::BYTES as u64 {
            return Err(self.corrupt(0, "file of another length"));
        }
        let offset = len - Footer::BYTES as u64;
        let mut bytes = [0; Footer::BYTES];
        file.read_exact_at(&mut bytes, offset).map_err(|source| self.io("read", source))?;
        let footer = Footer::decode(&bytes, self.store.identity, &self.meta)
            .map_err(|what| self.corrupt(offset, what))?;
        for page in [footer.index, footer.filter, footer.buckets] {
            if page.offset.checked_add(u64::from(page.len)).is_none_or(|end| end > offset) {
                return Err(self.corrupt(offset, "footer points outside"));
            }
        }
        Ok((file, footer))
    }

    fn page(&self, file: &dyn File, seed: PageSeed, at: PageAt) -> Result<Vec<u8>, StateError> {
        let mut bytes = vec![0; at.len as usize];
        file.read_exact_at(&mut bytes, at.offset).map_err(|source| self.io("read", source))?;
        unseal(seed, at.offset, &bytes).map_err(|what| self.corrupt(at.offset, what))
    }

    /// A data page, from the cache or for it.
    pub(super) fn cached_block(&self, reader: &Reader, page: usize) -> Result<Arc<Block>, StateError> {
        let name = (self.meta.id, page as u32);
        if let Some(block) = self.store.cache.get(name) {
            return Ok(block);
        }
        let block = self.block(reader, page)?;
        self.store.cache.insert(name, &block);
        Ok(block)
    }

    /// A data page, from the file.
    pub(super) fn block(&self, reader: &Reader, page: usize) -> Result<Arc<Block>, StateError> {
        let entry = reader.index.entry(page);
        let at = PageAt::decode(entry.value);
        if at.offset.checked_add(u64::from(at.len)).is_none_or(|end| end > self.meta.len) {
            return Err(self.corrupt(at.offset, "index points outside"));
        }
        let narrow = |error| match error {
            StateError::Corrupt { file, offset, what, set, .. } => {
                let first = entry.key.bucket;
                let last = match page + 1 {
                    next if next < reader.pages() => reader.index.key(next).bucket,
                    _ => self.meta.last_bucket,
                };
                StateError::Corrupt { file, offset, what, set, first, last }
            }
            other => other,
        };
        let bytes = self.page(&*reader.file, reader.seed, at).map_err(narrow)?;
        let block = Block::decode(bytes).map_err(|what| narrow(self.corrupt(at.offset, what)))?;
        if block.len() == 0 {
            return Err(narrow(self.corrupt(at.offset, "empty block")));
        }
        Ok(Arc::new(block))
    }

    pub(super) fn corrupt(&self, offset: u64, what: &'static str) -> StateError {
        self.store.corruptions.fetch_add(1, Ordering::Relaxed);
        StateError::Corrupt {
            file: self.store.path(self.meta.id),
            offset,
            what,
            set: self.meta.set,
            first: self.meta.first_bucket,
            last: self.meta.last_bucket,
        }
    }

    fn io(&self, action: &'static str, source: std::io::Error) -> StateError {
        StateError::Io { action, file: self.store.path(self.meta.id), source }
    }
}

impl Reader {
    pub(super) fn pages(&self) -> usize {
        self.index.len()
    }

    pub(super) fn may_hold(&self, hash: u64) -> bool {
        filter::may_hold(&self.filter, hash)
    }

    /// The page that a key must be in, if it is anywhere: the last one that begins at or before it.
    pub(super) fn page_of(&self, key: &EntryKey<'_>) -> usize {
        self.index.after(key).saturating_sub(1)
    }

    fn weight(&self) -> usize {
        self.index.weight() + self.filter.capacity()
    }
}

/// Where a page lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageAt {
    pub(super) offset: u64,
    pub(super) len: u32,
}

impl PageAt {
    pub(super) const BYTES: usize = 12;

    pub(super) fn encode(self) -> [u8; PageAt::BYTES] {
        let mut bytes = [0; PageAt::BYTES];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..].copy_from_slice(&self.len.to_le_bytes());
        bytes
    }

    /// `bytes` must be [`PageAt::BYTES`] long.
    fn decode(bytes: &[u8]) -> PageAt {
        let mut offset = [0; 8];
        let mut len = [0; 4];
        offset.copy_from_slice(&bytes[..8]);
        len.copy_from_slice(&bytes[8..]);
        PageAt { offset: u64::from_le_bytes(offset), len: u32::from_le_bytes(len) }
    }
}

/// The last bytes of a run file.
pub(super) struct Footer {
    pub(super) index: PageAt,
    pub(super) filter: PageAt,
    pub(super) buckets: PageAt,
}

impl Footer {
    pub(super) const BYTES: usize = 104;
    const MAGIC: [u8; 4] = *b"TCrn";
    const VERSION: u32 = 1;

    pub(super) fn encode(
        &self,
        identity: Identity,
        id: RunId,
        set: RunSet,
        entries: u64,
    ) -> [u8; Footer::BYTES] {
        let mut out = Vec::with_capacity(Footer::BYTES);
        out.extend_from_slice(&Footer::MAGIC);
        out.extend_from_slice(&Footer::VERSION.to_le_bytes());
        out.extend_from_slice(&identity.store.to_le_bytes());
        out.extend_from_slice(&identity.part.to_le_bytes());
        out.extend_from_slice(&id.0.to_le_bytes());
        let (tag, window) = set.encode();
        out.extend_from_slice(&u32::from(tag).to_le_bytes());
        out.extend_from_slice(&window.to_le_bytes());
        out.extend_from_slice(&entries.to_le_bytes());
        for page in [self.index, self.filter, self.buckets] {
            out.extend_from_slice(&page.encode());
        }
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        let mut bytes = [0; Footer::BYTES];
        bytes.copy_from_slice(&out);
        bytes
    }

    fn decode(
        bytes: &[u8; Footer::BYTES],
        identity: Identity,
        meta: &RunMeta,
    ) -> Result<Footer, &'static str> {
        let (body, checksum) = bytes.split_at(Footer::BYTES - 4);
        if crc32fast::hash(body).to_le_bytes() != checksum {
            return Err("wrong checksum of the footer");
        }
        let mut input = Input { bytes: body, at: 0 };
        if input.array::<4>()? != Footer::MAGIC {
            return Err("not a run");
        }
        if input.u32()? != Footer::VERSION {
            return Err("unknown format version");
        }
        if (input.u128()?, input.u32()?) != (identity.store, identity.part) {
            return Err("another part's run");
        }
        if input.u64()? != meta.id.0 {
            return Err("another run");
        }
        let (tag, window) = meta.set.encode();
        if (input.u32()?, input.u64()?, input.u64()?) != (u32::from(tag), window, meta.entries) {
            return Err("not what the manifest says");
        }
        let mut page =
            || -> Result<PageAt, &'static str> { Ok(PageAt { offset: input.u64()?, len: input.u32()? }) };
        Ok(Footer { index: page()?, filter: page()?, buckets: page()? })
    }
}

impl RunSet {
    pub(super) fn encode(self) -> (u8, u64) {
        match self {
            RunSet::Meta => (0, 0),
            RunSet::Undated => (1, 0),
            RunSet::Window(window) => (2, window.0),
        }
    }

    pub(super) fn decode(tag: u8, window: u64) -> Result<RunSet, &'static str> {
        match (tag, window) {
            (0, 0) => Ok(RunSet::Meta),
            (1, 0) => Ok(RunSet::Undated),
            (2, window) => Ok(RunSet::Window(Window(window))),
            _ => Err("unknown set of runs"),
        }
    }
}

/// All live runs, those of a set from the newest to the oldest.
#[derive(Clone, Default)]
pub(super) struct RunList {
    pub(super) sets: BTreeMap<RunSet, Vec<Arc<Run>>>,
}

impl RunList {
    pub(super) fn of(&self, set: RunSet) -> &[Arc<Run>] {
        self.sets.get(&set).map_or(&[], Vec::as_slice)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.sets.values().flatten()
    }

    /// Adds a run newer than all others of its set.
    pub(super) fn add(&mut self, run: Arc<Run>) {
        let runs = self.sets.entry(run.meta.set).or_default();
        if let Some(newest) = runs.first() {
            assert!(
                run.meta.oldest > newest.meta.newest,
                "run {:?} is not newer than {:?}",
                run.meta,
                newest.meta
            );
        }
        runs.insert(0, run);
    }
}
