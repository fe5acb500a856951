//! Opening a journal: what is there, what can be trusted, where to go on. The table is in FORMAT.md; each of its rows is
//! a test of the same name.

mod finish;
mod history;
mod inspect;
mod replay;
mod survey;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::history::HistoryReader;
pub(super) use self::history::ReplayedFrom;
pub use self::inspect::{identity_of, inspect};
use self::replay::{Replayed, replay};
use self::survey::Survey;
use super::super::Bucket;
use super::config::JournalConfig;
use super::error::{JournalError, cannot};
use super::layout::{Generation, JournalIdentity, Sequence};
use super::segment::{Position, SegmentInfo};
use super::writer::Journal;
use super::{Found, Record};
use crate::disk::Disk;

/// At most so many damages are listed; one more for all buckets then stands for the rest.
const DAMAGES_MAX: usize = 1024;

/// What opening a journal found.
#[derive(Debug)]
pub struct Recovered {
    /// Whether no commit was ever acknowledged here: a new node, or one that has lost everything.
    pub never_used: bool,
    /// How the last commit ended.
    pub tail: Tail,
    /// What can no longer be trusted: amnesia for the buckets named. Reported again at each start until the segments
    /// concerned are reclaimed.
    pub damage: Vec<Damage>,
    /// Records delivered.
    pub records: u64,
    /// The last commit found; 0 when there is none.
    pub sequence: Sequence,
    /// What the segments hold, oldest first.
    pub segments: Vec<SegmentInfo>,
    /// The first segment that was replayed. Those before it are there to be [read](HistoryReader), and seem to be empty until they are.
    pub replayed_from: Generation,
}

impl Recovered {
    /// Takes the damages out of both.
    fn new(survey: &mut Survey, replayed: &mut Replayed) -> Recovered {
        let mut damages = std::mem::take(&mut survey.damages);
        for damage in std::mem::take(&mut replayed.damages.0) {
            damages.add(damage);
        }
        let segments = survey.segments.iter().zip(&replayed.contents).map(|(found, contents)| SegmentInfo {
            generation: found.generation,
            bytes: contents.end,
            records: contents.records,
            capacity: found.capacity,
        });
        Recovered {
            never_used: damages.0.is_empty() && replayed.next == Sequence(1),
            tail: replayed.tail.clone(),
            damage: damages.0,
            records: replayed.records,
            sequence: Sequence(replayed.next.0 - 1),
            segments: segments.collect(),
            replayed_from: survey.replay_from,
        }
    }

    /// Whether some damage concerns this bucket.
    pub fn is_damaged(&self, bucket: Bucket) -> bool {
        self.damage.iter().any(|damage| match damage.scope {
            DamageScope::Bucket(damaged) => damaged == bucket,
            DamageScope::AllBuckets => true,
        })
    }
}

/// How the last commit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With a whole commit, or none was ever made.
    Clean,
    /// In the middle of a commit, which was cut off: normal after a crash, as it was never acknowledged.
    Torn {
        /// The segment.
        generation: Generation,
        /// Where the torn commit began.
        offset: u32,
    },
    /// Where the end was cannot be known; there is damage for all buckets that says why.
    InDoubt,
}

/// Something that can no longer be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Whose records may be lost.
    pub scope: DamageScope,
    /// What is wrong.
    pub reason: DamageReason,
    /// Where: the file.
    pub path: PathBuf,
    /// Where: the segment, 0 for the catalog.
    pub generation: Generation,
    /// Where: the byte.
    pub offset: u64,
}

/// Whose records may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageScope {
    /// This bucket's.
    Bucket(Bucket),
    /// Anyone's.
    AllBuckets,
}

/// What is wrong with a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageReason {
    /// A record's payload does not match its checksum.
    CorruptPayload,
    /// A record's header does not.
    CorruptRecordHeader,
    /// A commit's header does not, and later commits prove that it was whole once.
    CorruptCommitHeader,
    /// A commit's records are not those it was written with.
    ForeignRecords,
    /// Commits with these numbers are not there.
    MissingCommits {
        /// The first.
        first: Sequence,
        /// The last.
        last: Sequence,
    },
    /// A commit does not continue the one before it.
    BrokenChain,
    /// Segments are not there.
    MissingSegment {
        /// The first.
        first: Generation,
        /// The last.
        last: Generation,
    },
    /// A file ends early.
    TruncatedSegment,
    /// A file's first block does not verify.
    CorruptLabel,
    /// A file's first block says that it is another segment.
    MisplacedSegment {
        /// Which one.
        found: Generation,
    },
    /// The disk could not read a place where a commit may have been.
    Unreadable,
    /// The catalog is not there.
    MissingCatalog,
    /// No copy of the catalog verifies.
    CorruptCatalog,
    /// The catalog is older than the segments.
    OldCatalog,
    /// One of the last three, found at an earlier start.
    EarlierDamage,
    /// More was found than is listed.
    MoreDamage,
}

impl Journal {
    /// Opens the journal in a directory, or founds one where nothing is. `visit` gets every record that verifies, in the
    /// order of writing; they may be acted on once this returns, when the last of them is certain to be durable. A crash
    /// while this runs, at any point, costs nothing that was acknowledged.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] or [`JournalError::Unaligned`] for the configuration, [`JournalError::InUse`],
    /// [`JournalError::Foreign`], [`JournalError::UnsupportedVersion`], all before anything is delivered or changed;
    /// [`JournalError::Io`] when the disk fails. Damage is no error: it is in [`Recovered`].
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        config: JournalConfig,
        identity: JournalIdentity,
        mut visit: impl FnMut(Record<'_>, Position),
    ) -> Result<(Journal, Recovered), JournalError> {
        Self::open_and_follow(disk, directory, config, identity, Sequence(0), |found| {
            if let Found::Record(record, position) = found {
                visit(record, position);
            }
        })
    }

    /// As [`open`](Self::open), and `visit` is told, between the records and behind the last one, where others may have been lost. A journal that ends before
    /// the commit `synced`, of which the caller knows from elsewhere that it was acknowledged, has lost its end.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_and_follow(
        disk: Arc<dyn Disk>,
        directory: &Path,
        config: JournalConfig,
        identity: JournalIdentity,
        synced: Sequence,
        mut visit: impl FnMut(Found<'_>),
    ) -> Result<(Journal, Recovered), JournalError> {
        config.check()?;
        create_directory(&*disk, directory)?;
        let lock = disk.lock(directory).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => JournalError::InUse { path: directory.to_path_buf() },
            _ => cannot("lock", directory)(error),
        })?;
        let survey = Survey::new(&*disk, directory, identity)?;
        let replayed = replay(&*disk, &survey, identity, synced, &mut visit);
        finish::finish(disk, directory, config, identity, lock, survey, replayed)
    }
}

/// Creates the directory and makes it durable, its parents included.
fn create_directory(disk: &dyn Disk, directory: &Path) -> Result<(), JournalError> {
    disk.create_directory(directory).map_err(cannot("create", directory))?;
    for parent in directory.ancestors().skip(1) {
        disk.sync_directory(parent).map_err(cannot("sync", parent))?;
    }
    Ok(())
}

/// A bounded list of damages.
#[derive(Debug, Default)]
struct Damages(Vec<Damage>);

impl Damages {
    fn add(&mut self, damage: Damage) {
        if self.0.len() < DAMAGES_MAX {
            self.0.push(damage);
        } else if self.0.len() == DAMAGES_MAX {
            self.0.push(Damage {
                scope: DamageScope::AllBuckets,
                reason: DamageReason::MoreDamage,
                ..damage
            });
        }
    }

    fn all_buckets(&mut self, reason: DamageReason, path: &Path, generation: Generation, offset: u64) {
        self.add(Damage {
            scope: DamageScope::AllBuckets,
            reason,
            path: path.to_path_buf(),
            generation,
            offset,
        });
    }
}
