//! Which files there are and whose they are: everything that can be said before a single record is read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::catalog::{Catalog, CatalogState};
use super::super::config::SEGMENT_BYTES_MAX;
use super::super::error::{JournalError, cannot};
use super::super::layout::{
    BLOCK_BYTES, FORMAT_VERSION, Generation, JournalIdentity, LABEL_BYTES, LabelFault, SegmentLabel,
};
use super::super::segment::FileName;
use super::{DamageReason, Damages};
use crate::disk::{Disk, File, OpenMode};

/// The files of a journal, as found.
pub(super) struct Survey {
    pub(super) catalog: CatalogState,
    pub(super) catalog_path: PathBuf,
    /// Those that are replayed, in order.
    pub(super) segments: Vec<FoundSegment>,
    /// Those before them, which nobody needs to start from, in order. Of them nothing counts as damage.
    pub(super) history: Vec<FoundSegment>,
    /// Released before, but still under their names.
    pub(super) released: Vec<(PathBuf, u64)>,
    pub(super) spares: Vec<u64>,
    /// The highest number of any file or in the catalog.
    pub(super) newest: Generation,
    /// Segments below it are released.
    pub(super) floor: Generation,
    /// The first segment that is replayed.
    pub(super) replay_from: Generation,
    pub(super) damages: Damages,
    /// Whether commits may have been lost at the end of the series.
    pub(super) in_doubt: bool,
}

pub(super) struct FoundSegment {
    pub(super) generation: Generation,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
    /// What can be read, at most what the label says.
    pub(super) capacity: u32,
    /// Whether label and length are as they were written.
    pub(super) sound: bool,
}

impl Survey {
    /// Reads names, catalog and labels; changes nothing.
    pub(super) fn new(
        disk: &dyn Disk,
        directory: &Path,
        identity: JournalIdentity,
    ) -> Result<Survey, JournalError> {
        let mut named = Vec::new();
        let mut spares = Vec::new();
        for name in disk.list(directory).map_err(cannot("list", directory))? {
            match FileName::parse(&name) {
                Some(FileName::Segment(generation)) => named.push(generation),
                Some(FileName::Spare(number)) => spares.push(number),
                Some(FileName::Catalog | FileName::NewCatalog) | None => {}
            }
        }
        named.sort();
        let catalog = Catalog::read(disk, directory, identity)?;
        let newest_named = named.last().copied().unwrap_or(Generation(0));
        let mut survey = Survey {
            catalog,
            catalog_path: FileName::Catalog.path(directory),
            segments: Vec::new(),
            history: Vec::new(),
            released: Vec::new(),
            spares,
            newest: newest_named,
            floor: named.first().copied().unwrap_or(Generation(1)),
            replay_from: named.first().copied().unwrap_or(Generation(1)),
            damages: Damages::default(),
            in_doubt: false,
        };
        survey.judge_catalog(newest_named);
        for generation in named {
            let path = FileName::Segment(generation).path(directory);
            let file = disk.open(&path, OpenMode::Read).map_err(cannot("open", &path))?;
            let length = file.len().map_err(cannot("measure", &path))?;
            if generation < survey.floor {
                survey.released.push((path, length));
            } else if generation < survey.replay_from {
                let (capacity, fault) = read_label(generation, &path, &*file, length, identity)?;
                let sound = fault.is_none();
                survey.history.push(FoundSegment { generation, path, file, capacity, sound });
            } else {
                survey.judge_segment(generation, path, file, length, identity)?;
            }
        }
        survey.find_missing(directory);
        Ok(survey)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.catalog == CatalogState::Absent && self.segments.is_empty() && self.spares.is_empty()
    }

    /// Whether a spare file can be given a new generation. Not when it may have had that one already, because the catalog
    /// has forgotten how far it had counted: its old records would verify again.
    pub(super) fn may_reuse(&self, file: &dyn File) -> bool {
        let CatalogState::Present { label, .. } = self.catalog else { return false };
        let mut bytes = [0; LABEL_BYTES];
        match file.read_exact_at(&mut bytes, 0).map(|()| SegmentLabel::decode(&bytes)) {
            Ok(Ok(spare)) => spare.generation <= label.newest,
            // Never labelled: zero-filled.
            Ok(Err(_)) => bytes == [0; LABEL_BYTES],
            Err(_) => false,
        }
    }

    fn judge_catalog(&mut self, newest_named: Generation) {
        let path = self.catalog_path.clone();
        let reason = match self.catalog {
            CatalogState::Present { label, .. } => {
                self.newest = newest_named.max(label.newest);
                self.floor = label.floor;
                self.replay_from = label.replay_from;
                if label.suspect < label.replay_from {
                    return;
                }
                self.damages.all_buckets(DamageReason::EarlierDamage, &path, label.suspect, 0);
                return;
            }
            CatalogState::Absent if newest_named == Generation(0) && self.spares.is_empty() => return,
            CatalogState::Absent => DamageReason::MissingCatalog,
            CatalogState::Corrupt => DamageReason::CorruptCatalog,
        };
        self.in_doubt = true;
        self.damages.all_buckets(reason, &path, Generation(0), 0);
    }

    fn judge_segment(
        &mut self,
        generation: Generation,
        path: PathBuf,
        file: Arc<dyn File>,
        length: u64,
        identity: JournalIdentity,
    ) -> Result<(), JournalError> {
        let (capacity, fault) = read_label(generation, &path, &*file, length, identity)?;
        if let Some(reason) = fault {
            let offset = if reason == DamageReason::TruncatedSegment { length } else { 0 };
            self.damages.all_buckets(reason, &path, generation, offset);
        }
        if let Some(DamageReason::MisplacedSegment { .. }) = fault {
            // Its records belong to another place in the series, or are there already.
            self.in_doubt = true;
            return Ok(());
        }
        self.segments.push(FoundSegment { generation, path, file, capacity, sound: fault.is_none() });
        Ok(())
    }

    /// Every number from the first that is replayed to the newest must be there.
    fn find_missing(&mut self, directory: &Path) {
        let newest = match self.catalog {
            CatalogState::Present { label, .. } => label.newest,
            CatalogState::Absent | CatalogState::Corrupt => self.newest,
        };
        let mut expected = self.replay_from;
        let mut gaps = Vec::new();
        for segment in &self.segments {
            if segment.generation > expected {
                gaps.push((expected, Generation(segment.generation.0 - 1)));
            }
            expected = Generation(segment.generation.0 + 1);
        }
        if expected <= newest {
            gaps.push((expected, newest));
            self.in_doubt = true;
        }
        for (first, last) in gaps {
            let path = FileName::Segment(first).path(directory);
            self.damages.all_buckets(DamageReason::MissingSegment { first, last }, &path, first, 0);
        }
    }
}

/// What of a segment can be read, by its label and its file's length, and what is wrong with them.
fn read_label(
    generation: Generation,
    path: &Path,
    file: &dyn File,
    length: u64,
    identity: JournalIdentity,
) -> Result<(u32, Option<DamageReason>), JournalError> {
    let path = || path.to_path_buf();
    let readable = length.min(SEGMENT_BYTES_MAX.into()) as u32;
    let mut bytes = [0; LABEL_BYTES];
    let label = match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => SegmentLabel::decode(&bytes),
        Err(_) => Err(LabelFault::Corrupt),
    };
    let (capacity, fault) = match label {
        Err(LabelFault::Version(found)) => {
            return Err(JournalError::UnsupportedVersion { path: path(), found, supported: FORMAT_VERSION });
        }
        Ok(label) if label.identity != identity => {
            return Err(JournalError::Foreign { path: path(), found: label.identity, expected: identity });
        }
        Ok(label) if label.generation != generation => {
            (readable, Some(DamageReason::MisplacedSegment { found: label.generation }))
        }
        Ok(label) if u64::from(label.segment_bytes) > length => {
            (readable, Some(DamageReason::TruncatedSegment))
        }
        Ok(label) => (label.segment_bytes.min(readable), None),
        Err(LabelFault::Corrupt) => (readable, Some(DamageReason::CorruptLabel)),
    };
    Ok((capacity / BLOCK_BYTES * BLOCK_BYTES, fault))
}
