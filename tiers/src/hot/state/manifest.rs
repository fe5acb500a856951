//! The manifest: which runs are live, and where each bucket stands. One file, replaced as a whole.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::config::{Identity, StateConfig};
use super::entry::Input;
use super::error::StateError;
use super::key::RunSet;
use super::record::Digest;
use super::run::{Age, Run, RunId, RunList, RunMeta, RunStore};
use crate::disk::{Disk, OpenMode, is_full};
use crate::hot::{Bucket, Slot};
use crate::plant::{Plant, on};

/// Where a bucket stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) applied: Slot,
    pub(super) digest: Digest,
    /// What is older than this age, the bucket was wiped of.
    pub(super) wiped_below: Age,
}

/// Where every bucket stands.
pub(super) type Marks = BTreeMap<Bucket, Mark>;

/// What a manifest says.
pub(super) struct Manifest {
    pub(super) next_file: u64,
    pub(super) next_age: Age,
    /// See [`Part::rests_on`](super::Part::rests_on).
    pub(super) rests_on: u64,
    pub(super) runs: Vec<RunMeta>,
    pub(super) marks: Marks,
}

const MAGIC: [u8; 4] = *b"TCmf";
const FORMAT: u32 = 2;
const HEADER_BYTES: usize = 4 + 4 + 16 + 4 + 8 + 8 + 8 + 8 + 8 + 4 + 4;

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("manifest")
}

pub(super) fn new_path(dir: &Path) -> PathBuf {
    dir.join("manifest.new")
}

pub(super) fn encode<'a>(
    store: &RunStore,
    next_age: Age,
    rests_on: u64,
    runs: impl Iterator<Item = &'a RunMeta>,
    marks: &Marks,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + marks.len() * 36 + 4096);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&store.identity.store.to_le_bytes());
    out.extend_from_slice(&store.identity.part.to_le_bytes());
    out.extend_from_slice(&store.config.window_span_ms.to_le_bytes());
    out.extend_from_slice(&store.config.outcome_slots.to_le_bytes());
    out.extend_from_slice(&store.next_file.load(Ordering::Relaxed).to_le_bytes());
    out.extend_from_slice(&next_age.0.to_le_bytes());
    out.extend_from_slice(&rests_on.to_le_bytes());
    let counts = out.len();
    out.extend_from_slice(&0_u32.to_le_bytes());
    out.extend_from_slice(&(marks.len() as u32).to_le_bytes());
    let mut count = 0_u32;
    for run in runs {
        count += 1;
        let (tag, window) = run.set.encode();
        out.push(tag);
        for number in
            [window, run.id.0, run.len, run.entries, run.oldest.0, run.newest.0, run.first_ms, run.last_ms]
        {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&run.first_bucket.0.to_le_bytes());
        out.extend_from_slice(&run.last_bucket.0.to_le_bytes());
    }
    out[counts..counts + 4].copy_from_slice(&count.to_le_bytes());
    for (bucket, mark) in marks {
        out.extend_from_slice(&bucket.0.to_le_bytes());
        out.extend_from_slice(&mark.applied.0.to_le_bytes());
        out.extend_from_slice(&mark.digest.0.to_le_bytes());
        out.extend_from_slice(&mark.wiped_below.0.to_le_bytes());
    }
    let checksum = crc32fast::hash(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// Takes a manifest apart. The directory's fixed settings must be the caller's.
pub(super) fn decode(
    file: &Path,
    bytes: &[u8],
    identity: Identity,
    config: &StateConfig,
) -> Result<Manifest, StateError> {
    let corrupt =
        |offset: usize, what| StateError::Manifest { file: file.to_path_buf(), offset: offset as u64, what };
    let Some((body, checksum)) = bytes.split_last_chunk::<4>() else { return Err(corrupt(0, "cut short")) };
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(corrupt(0, "wrong checksum"));
    }
    let mut input = Input { bytes: body, at: 0 };
    let fixed = fixed(&mut input).map_err(|what| corrupt(0, what))?;
    fixed.compare(file, identity, config)?;
    let rest = contents(&mut input);
    let manifest = rest.map_err(|what| corrupt(input.at, what))?;
    if input.at != body.len() {
        return Err(corrupt(input.at, "longer than it says"));
    }
    Ok(manifest)
}

/// What may never change in a directory.
struct Fixed {
    format: u32,
    identity: Identity,
    window_span_ms: u64,
    outcome_slots: u64,
}

fn fixed(input: &mut Input<'_>) -> Result<Fixed, &'static str> {
    if input.array::<4>()? != MAGIC {
        return Err("not a manifest");
    }
    Ok(Fixed {
        format: input.u32()?,
        identity: Identity { store: input.u128()?, part: input.u32()? },
        window_span_ms: input.u64()?,
        outcome_slots: input.u64()?,
    })
}

impl Fixed {
    fn compare(&self, file: &Path, identity: Identity, config: &StateConfig) -> Result<(), StateError> {
        let differs = |field, found: String, expected: String| {
            Err(StateError::Foreign { file: file.to_path_buf(), field, found, expected })
        };
        if self.format != FORMAT {
            return differs("format version", self.format.to_string(), FORMAT.to_string());
        }
        if self.identity.store != identity.store {
            let hex = |store: u128| format!("{store:032x}");
            return differs("store", hex(self.identity.store), hex(identity.store));
        }
        for (field, found, expected) in [
            ("part", u64::from(self.identity.part), u64::from(identity.part)),
            ("window_span_ms", self.window_span_ms, config.window_span_ms),
            ("outcome_slots", self.outcome_slots, config.outcome_slots),
        ] {
            if found != expected {
                return differs(field, found.to_string(), expected.to_string());
            }
        }
        Ok(())
    }
}

fn contents(input: &mut Input<'_>) -> Result<Manifest, &'static str> {
    let next_file = input.u64()?;
    let next_age = Age(input.u64()?);
    let rests_on = input.u64()?;
    let (runs_count, marks_count) = (input.u32()?, input.u32()?);
    let mut runs = Vec::new();
    for _ in 0..runs_count {
        let tag = input.u8()?;
        let set = RunSet::decode(tag, input.u64()?)?;
        let run = RunMeta {
            id: RunId(input.u64()?),
            set,
            len: input.u64()?,
            entries: input.u64()?,
            oldest: Age(input.u64()?),
            newest: Age(input.u64()?),
            first_ms: input.u64()?,
            last_ms: input.u64()?,
            first_bucket: Bucket(input.u32()?),
            last_bucket: Bucket(input.u32()?),
        };
        if run.id.0 >= next_file || run.newest >= next_age || run.oldest > run.newest {
            return Err("a run from the future");
        }
        runs.push(run);
    }
    let mut marks = Marks::new();
    for _ in 0..marks_count {
        let bucket = Bucket(input.u32()?);
        let applied = Slot(input.u64()?);
        let digest = Digest(input.u128()?);
        marks.insert(bucket, Mark { applied, digest, wiped_below: Age(input.u64()?) });
    }
    Ok(Manifest { next_file, next_age, rests_on, runs, marks })
}

/// The runs that a manifest names, each set from the newest to the oldest; the error says what cannot be.
pub(super) fn list(store: &Arc<RunStore>, mut runs: Vec<RunMeta>) -> Result<RunList, &'static str> {
    runs.sort_by_key(|run| (run.set, run.oldest));
    let mut list = RunList::default();
    for run in runs {
        if list.of(run.set).first().is_some_and(|newest| newest.meta.newest >= run.oldest) {
            return Err("runs of one set overlap in age");
        }
        list.add(Arc::new(Run::new(run, Arc::clone(store))));
    }
    Ok(list)
}

/// Replaces the manifest. The runs that it names must be synced. [`StateError::Poisoned`] from the moment on from which a failure leaves
/// open which of the two manifests is there.
pub(super) fn replace(store: &RunStore, bytes: &[u8]) -> Result<(), StateError> {
    let (disk, dir) = (&store.disk, store.dir.as_path());
    let new = new_path(dir);
    let io = |action| {
        let file = new.clone();
        move |source| StateError::Io { action, file, source }
    };
    match disk.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io("remove")(error)),
        _ => {}
    }
    let file = disk.open(&new, OpenMode::CreateNew).map_err(io("create"))?;
    file.write_all_at(bytes, 0).map_err(io("write"))?;
    if !on(Plant::ManifestNotSynced) {
        file.sync().map_err(io("sync"))?;
    }
    drop(file);
    // The new runs' directory entries must be durable before a manifest that names them can be.
    if !on(Plant::RunNamesNotSynced) {
        disk.sync_directory(dir).map_err(io("sync the directory of"))?;
    }
    let renamed = match disk.rename(&new, &path(dir)) {
        // Without room for the name nothing was renamed.
        Err(error) if is_full(&error) => return Err(io("rename")(error)),
        Ok(()) if !on(Plant::ManifestNameNotSynced) => disk.sync_directory(dir),
        renamed => renamed,
    };
    renamed.map_err(|source| {
        store.poisoned.store(true, Ordering::Relaxed);
        StateError::Io { action: "replace", file: path(dir), source }
    })
}

/// The bytes of the manifest; `None` when there is none.
pub(super) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Vec<u8>>, StateError> {
    let path = path(dir);
    let io = |action| {
        let file = path.clone();
        move |source| StateError::Io { action, file, source }
    };
    let file = match disk.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("open")(error)),
    };
    let len = file.len().map_err(io("measure"))?;
    if len > MANIFEST_BYTES_MAX {
        return Err(StateError::Manifest { file: path, offset: MANIFEST_BYTES_MAX, what: "too long" });
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0).map_err(io("read"))?;
    Ok(Some(bytes))
}

/// A manifest of 2^20 runs and 2^20 buckets, in bytes, is shorter.
const MANIFEST_BYTES_MAX: u64 = 128 << 20;
