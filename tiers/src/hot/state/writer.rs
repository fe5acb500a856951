//! Writing a run.

use std::path::PathBuf;
use std::sync::Arc;

use super::entry::{BlockBuilder, Entry, Kind};
use super::error::StateError;
use super::filter::{self, EntityHash};
use super::key::RunSet;
use super::page::{PageSeed, seal};
use super::record::Version;
use super::run::{Age, BucketSpan, Footer, PageAt, RunId, RunMeta, RunStore};
use crate::disk::{File, OpenMode};
use crate::hot::Bucket;
use crate::plant::{Plant, on};

/// So much is collected before it is written.
const WRITE_BYTES: usize = 256 * 1024;

/// Writes one run from entries in order of their keys.
pub(super) struct RunWriter {
    file: Arc<dyn File>,
    path: PathBuf,
    store: Arc<RunStore>,
    seed: PageSeed,
    /// Sealed bytes from `offset` of the file on, not yet written.
    pending: Vec<u8>,
    offset: u64,
    block: BlockBuilder,
    block_first: Option<OwnedKey>,
    index: BlockBuilder,
    hashes: Vec<u64>,
    entity: Option<(Vec<u8>, EntityHash)>,
    trim_hashed: bool,
    buckets: Vec<BucketSpan>,
    meta: RunMeta,
}

struct OwnedKey {
    bucket: Bucket,
    entity: Vec<u8>,
    place: super::key::Place,
}

impl RunWriter {
    pub(super) fn create(
        store: &Arc<RunStore>,
        set: RunSet,
        oldest: Age,
        newest: Age,
    ) -> Result<RunWriter, StateError> {
        let id: RunId = store.new_file();
        let path = store.path(id);
        let file = store.disk.open(&path, OpenMode::CreateNew).map_err(|source| StateError::Io {
            action: "create",
            file: path.clone(),
            source,
        })?;
        Ok(RunWriter {
            file,
            path,
            store: Arc::clone(store),
            seed: store.seed(id),
            pending: Vec::with_capacity(WRITE_BYTES + 2 * store.config.block_bytes),
            offset: 0,
            block: BlockBuilder::default(),
            block_first: None,
            index: BlockBuilder::default(),
            hashes: Vec::new(),
            entity: None,
            trim_hashed: false,
            buckets: Vec::new(),
            meta: RunMeta {
                id,
                set,
                len: 0,
                entries: 0,
                oldest,
                newest,
                first_bucket: Bucket(0),
                last_bucket: Bucket(0),
                first_ms: u64::MAX,
                last_ms: 0,
            },
        })
    }

    pub(super) fn id(&self) -> RunId {
        self.meta.id
    }

    pub(super) fn push(&mut self, entry: &Entry<'_>) -> Result<(), StateError> {
        let key = &entry.key;
        self.note(entry);
        if self.block_first.is_none() {
            self.block_first =
                Some(OwnedKey { bucket: key.bucket, entity: key.entity.to_vec(), place: key.place });
        }
        self.block.push(entry);
        if self.block.bytes().len() >= self.store.config.block_bytes {
            self.close_block()?;
        }
        Ok(())
    }

    /// Keeps the books: hashes, buckets, timestamps.
    fn note(&mut self, entry: &Entry<'_>) {
        let key = &entry.key;
        self.meta.entries += 1;
        match self.buckets.last_mut() {
            Some(span) if span.bucket == key.bucket => {
                span.newest = span.newest.max(entry.version);
                span.entries += 1;
            }
            last => {
                assert!(last.is_none_or(|last| last.bucket < key.bucket), "entries come in order");
                self.entity = None;
                self.buckets.push(BucketSpan { bucket: key.bucket, newest: entry.version, entries: 1 });
            }
        }
        let hash = match &self.entity {
            Some((entity, hash)) if entity == key.entity => *hash,
            _ => {
                let hash = EntityHash::new(key.bucket, key.entity);
                let mut entity = self.entity.take().map_or_else(Vec::new, |(entity, _)| entity);
                entity.clear();
                entity.extend_from_slice(key.entity);
                self.entity = Some((entity, hash));
                self.trim_hashed = false;
                if key.place.is_dated() {
                    self.hashes.push(hash.anything());
                }
                hash
            }
        };
        if entry.kind != Kind::Trim || !self.trim_hashed {
            self.hashes.push(hash.place(key.place));
            self.trim_hashed = entry.kind == Kind::Trim;
        }
        if key.place.is_dated() {
            let (_, timestamp_ms, _) = key.place.parts();
            self.meta.first_ms = self.meta.first_ms.min(timestamp_ms);
            self.meta.last_ms = self.meta.last_ms.max(timestamp_ms);
        }
    }

    fn close_block(&mut self) -> Result<(), StateError> {
        let Some(first) = self.block_first.take() else { return Ok(()) };
        let raw = std::mem::take(&mut self.block);
        let at = self.page(raw.bytes(), true)?;
        self.block = raw;
        self.block.clear();
        let key = super::entry::EntryKey { bucket: first.bucket, entity: &first.entity, place: first.place };
        let (kind, version) = (Kind::Put, Version(0));
        self.index.push(&Entry { key, kind, version, expires_ms: None, value: &at.encode() });
        Ok(())
    }

    fn page(&mut self, raw: &[u8], compress: bool) -> Result<PageAt, StateError> {
        let offset = self.offset + self.pending.len() as u64;
        let before = self.pending.len();
        seal(self.seed, offset, raw, compress, &mut self.pending);
        let len = (self.pending.len() - before) as u32;
        if self.pending.len() >= WRITE_BYTES {
            self.write()?;
        }
        Ok(PageAt { offset, len })
    }

    fn write(&mut self) -> Result<(), StateError> {
        self.file.write_all_at(&self.pending, self.offset).map_err(|source| self.io("write", source))?;
        self.offset += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes the rest and syncs. The directory entry is not durable yet.
    pub(super) fn finish(mut self) -> Result<RunMeta, StateError> {
        assert!(self.meta.entries > 0, "a run is never empty");
        self.close_block()?;
        let index = std::mem::take(&mut self.index);
        let index = self.page(index.bytes(), true)?;
        let filter = filter::build(&self.hashes);
        let filter = self.page(&filter, false)?;
        let mut buckets = Vec::with_capacity(self.buckets.len() * 20);
        for span in &self.buckets {
            buckets.extend_from_slice(&span.bucket.0.to_le_bytes());
            buckets.extend_from_slice(&span.newest.0.to_le_bytes());
            buckets.extend_from_slice(&span.entries.to_le_bytes());
        }
        let buckets = self.page(&buckets, true)?;
        let footer = Footer { index, filter, buckets };
        let meta = &self.meta;
        self.pending.extend_from_slice(&footer.encode(self.store.identity, meta.id, meta.set, meta.entries));
        self.write()?;
        if !on(Plant::ManifestBeforeSync) {
            self.file.sync().map_err(|source| self.io("sync", source))?;
        }
        let mut meta = self.meta;
        meta.len = self.offset;
        if let (Some(first), Some(last)) = (self.buckets.first(), self.buckets.last()) {
            (meta.first_bucket, meta.last_bucket) = (first.bucket, last.bucket);
        }
        if meta.first_ms > meta.last_ms {
            meta.first_ms = 0;
        }
        Ok(meta)
    }

    fn io(&self, action: &'static str, source: std::io::Error) -> StateError {
        StateError::Io { action, file: self.path.clone(), source }
    }
}
