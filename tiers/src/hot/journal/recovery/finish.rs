//! Making the found series ready to be written again. Every step may be repeated after a crash.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use super::super::catalog::{Catalog, CatalogState};
use super::super::config::JournalConfig;
use super::super::directory::{Directory, Files};
use super::super::error::{JournalError, cannot};
use super::super::layout::{BLOCK_BYTES, CatalogLabel, CommitHeader, Generation, JournalIdentity, Seed};
use super::super::numbering::NextSequence;
use super::super::segment::{FileName, Segment, Writable};
use super::super::writer::Journal;
use super::history::ReplayedFrom;
use super::replay::Replayed;
use super::survey::{FoundSegment, Survey};
use super::{Damage, Recovered, Tail};
use crate::disk::{AlignedBuffer, Disk, Lock, OpenMode};
use crate::plant::{Plant, on};

pub(super) fn finish(
    disk: Arc<dyn Disk>,
    path: &Path,
    config: JournalConfig,
    identity: JournalIdentity,
    lock: Box<dyn Lock>,
    mut survey: Survey,
    mut replayed: Replayed,
) -> Result<(Journal, Recovered), JournalError> {
    // Names that were seen may still be nowhere but in memory; what is noted from here on must not know more than the disk.
    disk.sync_directory(path).map_err(cannot("sync", path))?;
    let catalog = settle_catalog(&*disk, path, identity, &mut survey, &replayed)?;
    let mut recovered = Recovered::new(&mut survey, &mut replayed);
    let mut buffer = AlignedBuffer::new();
    keep_proof(&*disk, identity, &survey, &mut replayed, &mut buffer)?;
    let segments = segments(&config, identity, &survey, &replayed, &recovered.damage);

    make_last_commit_durable(&*disk, &survey, &replayed, &mut buffer)?;
    let mut writables = writables(&*disk, &survey, &replayed, &segments, &mut buffer)?;
    let active = writables.pop_front();
    let label = catalog.label();
    let replayed_from = ReplayedFrom {
        generation: survey.replay_from,
        sequence: label.replay_sequence,
        suspect: if on(Plant::SuspectRead) { Generation(0) } else { label.suspect },
    };
    let next_active =
        active.as_ref().map_or(Generation(survey.newest.0 + 1), |active| active.segment.generation);
    let directory = Directory {
        disk,
        path: path.to_path_buf(),
        config,
        identity,
        segments: RwLock::new(segments),
        files: Mutex::new(Files {
            catalog,
            prepared: writables,
            spares: Vec::new(),
            next_spare: survey.spares.iter().max().map_or(0, |spare| spare + 1),
            buffer,
        }),
        active: AtomicU64::new(next_active.0),
        next_sequence: NextSequence::new(replayed.next),
        replayed_from,
        poison: OnceLock::new(),
    };
    take_back(&directory, &survey)?;
    let active = match active {
        Some(active) => Some(active),
        None => first_segment(&directory)?,
    };

    recovered.segments = directory.infos();
    let journal = Journal {
        directory: Arc::new(directory),
        active,
        next: replayed.next,
        previous: replayed.previous,
        buffer: AlignedBuffer::new(),
        pieces: Vec::new(),
        record_checksums: Vec::new(),
        _lock: lock,
    };
    Ok((journal, recovered))
}

/// Where commits go on: the index of a segment, or one past the last when none is to be trusted.
fn resume_at(survey: &Survey, replayed: &Replayed) -> usize {
    if replayed.tail != Tail::InDoubt {
        return replayed.tail_index;
    }
    let end = survey.segments.len();
    if survey.segments.last().is_none_or(|last| last.generation != survey.newest) {
        return end;
    }
    // Behind an end in doubt only segments that were never written to are used, if there are any; and not the first that is replayed, which may have
    // lost all that it had.
    let blank = |index: &usize| {
        let FoundSegment { generation, sound, .. } = survey.segments[*index];
        sound && generation > survey.replay_from && replayed.contents[*index].is_blank()
    };
    end - (0..end).rev().take_while(blank).count()
}

/// Sees to it that a catalog is there, twice, and says what is known now. When the end is in doubt that is noted in it, as
/// going on behind it would hide the damage from the next start.
fn settle_catalog(
    disk: &dyn Disk,
    path: &Path,
    identity: JournalIdentity,
    survey: &mut Survey,
    replayed: &Replayed,
) -> Result<Catalog, JournalError> {
    let old = match survey.catalog {
        CatalogState::Present { label, stale } => Some((label, stale)),
        CatalogState::Absent | CatalogState::Corrupt => None,
    };
    let first_sequence = replayed.contents.iter().find_map(|found| found.first_sequence);
    let mut label = CatalogLabel {
        newest: survey.newest,
        ..old.map_or_else(
            || CatalogLabel {
                identity,
                revision: 1,
                floor: survey.floor,
                replay_from: survey.replay_from,
                replay_sequence: first_sequence.unwrap_or(replayed.next),
                newest: survey.newest,
                suspect: Generation(0),
            },
            |(label, _)| label,
        )
    };
    if replayed.tail == Tail::InDoubt {
        let resume = survey.segments.get(resume_at(survey, replayed));
        let last = resume.map_or(survey.newest, |resume| Generation(resume.generation.0.saturating_sub(1)));
        label.suspect = last.max(label.replay_from).max(label.suspect);
        // No number is given out twice, not even that of a segment which is only suspected to have been there.
        label.newest = label.newest.max(label.suspect);
        survey.newest = label.newest;
    }
    match old {
        None => Catalog::create(disk, path, label),
        Some((old, stale)) => {
            let mut catalog = Catalog::open(disk, path, old, stale)?;
            if label != old || stale.is_some() {
                let path = catalog.path().to_path_buf();
                catalog.update(|old| *old = label).map_err(cannot("write", &path))?;
            }
            Ok(catalog)
        }
    }
}

fn segments(
    config: &JournalConfig,
    identity: JournalIdentity,
    survey: &Survey,
    replayed: &Replayed,
    damages: &[Damage],
) -> BTreeMap<Generation, Arc<Segment>> {
    let mut segments = BTreeMap::new();
    for (found, contents) in survey.segments.iter().zip(&replayed.contents) {
        let damaged = damages.iter().any(|damage| damage.generation == found.generation);
        let reusable = found.sound && !damaged && found.capacity == config.segment_bytes;
        let (generation, capacity) = (found.generation, found.capacity);
        let segment = Segment::new(
            identity,
            generation,
            capacity,
            reusable,
            found.path.clone(),
            Arc::clone(&found.file),
        );
        segment.set_end(contents.end);
        segment.add_records(contents.records);
        if let Some(sequence) = contents.first_sequence {
            segment.first_sequence.started(sequence);
        }
        segments.insert(generation, Arc::new(segment));
    }
    for FoundSegment { generation, path, file, capacity, sound } in &survey.history {
        let reusable = *sound && *capacity == config.segment_bytes;
        let (path, file) = (path.clone(), Arc::clone(file));
        let segment = Segment::new(identity, *generation, *capacity, reusable, path, file);
        segments.insert(*generation, Arc::new(segment));
    }
    segments
}

/// Where the header of a torn commit is all that proves damage before it, a witness takes its place: cutting the commit off would
/// take the proof away, and the next start would find less.
fn keep_proof(
    disk: &dyn Disk,
    identity: JournalIdentity,
    survey: &Survey,
    replayed: &mut Replayed,
    buffer: &mut AlignedBuffer,
) -> Result<(), JournalError> {
    let Some((index, offset, sequence)) = replayed.proof else { return Ok(()) };
    let segment = &survey.segments[index];
    let witness = CommitHeader {
        generation: segment.generation,
        sequence,
        offset,
        body_bytes: 0,
        records: 0,
        previous: replayed.previous,
        records_checksum: crc32fast::hash(&[]),
    };
    let block = buffer.resize(BLOCK_BYTES as usize);
    block.fill(0);
    let checksum = witness.encode(Seed::new(identity, segment.generation), block);
    let direct = disk.open_direct(&segment.path).map_err(cannot("open", &segment.path))?;
    direct.write_all_at(buffer.as_slice(), offset.into()).map_err(cannot("write", &segment.path))?;
    let contents = &mut replayed.contents[index];
    contents.first_sequence.get_or_insert(sequence);
    contents.end = offset + BLOCK_BYTES;
    replayed.tail_index = index;
    replayed.next = sequence.next();
    replayed.previous = checksum;
    // It is durable, and what is before it was.
    replayed.last = None;
    Ok(())
}

/// Writes the last whole commit once more, as it is. It is the only one that may have reached nothing but a page cache
/// (the process died before its sync, or the sync failed); all others were followed by another one.
fn make_last_commit_durable(
    disk: &dyn Disk,
    survey: &Survey,
    replayed: &Replayed,
    buffer: &mut AlignedBuffer,
) -> Result<(), JournalError> {
    let Some((index, offset, length)) = replayed.last else { return Ok(()) };
    let segment = &survey.segments[index];
    let bytes = buffer.resize(length as usize);
    segment.file.read_exact_at(bytes, offset.into()).map_err(cannot("read", &segment.path))?;
    let direct = disk.open_direct(&segment.path).map_err(cannot("open", &segment.path))?;
    direct.write_all_at(buffer.as_slice(), offset.into()).map_err(cannot("write", &segment.path))
}

/// The segments that commits go on in, the one to go on with first; none when there is none to be trusted.
fn writables(
    disk: &dyn Disk,
    survey: &Survey,
    replayed: &Replayed,
    segments: &BTreeMap<Generation, Arc<Segment>>,
    buffer: &mut AlignedBuffer,
) -> Result<VecDeque<Writable>, JournalError> {
    let first = resume_at(survey, replayed);
    let mut writables = VecDeque::new();
    for index in first..survey.segments.len() {
        let (found, end) = (&survey.segments[index], replayed.contents[index].end);
        let direct = disk.open_direct(&found.path).map_err(cannot("open", &found.path))?;
        if end < found.capacity {
            // What was cut off never comes back, whatever a later torn write adds to its remains.
            buffer.resize(BLOCK_BYTES as usize).fill(0);
            direct.write_all_at(buffer.as_slice(), end.into()).map_err(cannot("write", &found.path))?;
        }
        let Some(segment) = segments.get(&found.generation) else {
            unreachable!("made of the same survey");
        };
        writables.push_back(Writable { segment: Arc::clone(segment), direct });
    }
    Ok(writables)
}

/// Finishes releases that a crash interrupted, and keeps or removes the spare files.
fn take_back(directory: &Directory, survey: &Survey) -> Result<(), JournalError> {
    let mut files = directory.files.lock();
    let right = u64::from(directory.config.segment_bytes);
    let wanted = (directory.config.headroom_segments + directory.config.spare_segments_max) as usize;
    for number in &survey.spares {
        let path = FileName::Spare(*number).path(&directory.path);
        let file = directory.disk.open(&path, OpenMode::Read).map_err(cannot("open", &path))?;
        let length = file.len().map_err(cannot("measure", &path))?;
        if length == right && survey.may_reuse(&*file) && files.spares.len() < wanted {
            files.spares.push(*number);
        } else {
            directory.disk.remove(&path).map_err(cannot("remove", &path))?;
        }
    }
    for (path, length) in &survey.released {
        directory.retire(&mut files, path, *length == right).map_err(cannot("release", path))?;
    }
    directory.disk.sync_directory(&directory.path).map_err(cannot("sync", &directory.path))
}

/// A new segment; none when there is no room, which commits will say.
fn first_segment(directory: &Directory) -> Result<Option<Writable>, JournalError> {
    let mut files = directory.files.lock();
    match directory.ensure_ready(&mut files, 1) {
        Ok(()) => directory.take_next(&mut files).map(Some),
        Err(JournalError::Full { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
