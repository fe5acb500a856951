//! The one writer of a journal.

mod plan;

use std::sync::Arc;

use self::plan::{Piece, Plan};
use super::batch::JournalBatch;
use super::config::JournalConfig;
use super::directory::{Directory, Preparer};
use super::error::JournalError;
use super::layout::{
    BLOCK_BYTES, COMMIT_HEADER_BYTES, CommitHeader, Generation, RECORD_HEADER_BYTES, RecordHeader, Seed,
    Sequence,
};
use super::reader::JournalReader;
use super::segment::{SegmentInfo, Writable};
use crate::disk::{AlignedBuffer, Lock, OpenMode};
use crate::plant::{Plant, on};

/// A node's journal, opened for writing. It has one owner; see [`Journal::reader`] and [`Journal::preparer`] for the others.
pub struct Journal {
    pub(super) directory: Arc<Directory>,
    pub(super) active: Option<Writable>,
    pub(super) next: Sequence,
    /// The checksum of the last commit's header.
    pub(super) previous: u32,
    pub(super) buffer: AlignedBuffer,
    pub(super) pieces: Vec<Piece>,
    pub(super) record_checksums: Vec<u8>,
    pub(super) _lock: Box<dyn Lock>,
}

/// What a call to [`Journal::commit`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The number of the last commit written, or of the one before when there was nothing to write.
    pub sequence: Sequence,
    /// Writes made.
    pub commits: u32,
    /// Records in them.
    pub records: u64,
    /// Bytes written, padding included.
    pub bytes: u64,
    /// Whether another segment was begun, so that [`Preparer::prepare_next`] has something to do.
    pub rolled: bool,
}

/// Who may use the last files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Ordinary,
    Headroom,
}

impl Journal {
    /// Writes all records of the batches; they are durable when it returns, and each batch knows its records' positions.
    /// Normally that is one write; more when the segment has no room for all, or the limit of a commit is exceeded.
    ///
    /// # Errors
    /// [`JournalError::Full`] before anything is written; [`JournalError::Invalid`] when a batch was made with larger limits
    /// than this journal's, also before; [`JournalError::Poisoned`], after which it is unknown which of the records are there.
    pub fn commit(&mut self, batches: &mut [&mut JournalBatch]) -> Result<Committed, JournalError> {
        self.commit_into(batches, Room::Ordinary)
    }

    /// As [`commit`](Journal::commit), but may use the headroom: for the little that must go on when the journal is full.
    ///
    /// # Errors
    /// As [`commit`](Journal::commit).
    pub fn commit_from_headroom(
        &mut self,
        batches: &mut [&mut JournalBatch],
    ) -> Result<Committed, JournalError> {
        self.commit_into(batches, Room::Headroom)
    }

    /// Writes an empty commit: a witness that the one before it was durable, so that its corruption is not taken for a
    /// torn tail. Worth a write when the journal falls idle, and before an orderly end. It may use the headroom.
    ///
    /// # Errors
    /// As [`commit`](Journal::commit).
    pub fn witness(&mut self) -> Result<Committed, JournalError> {
        self.check()?;
        let mut committed = self.nothing_committed();
        if self.room() < BLOCK_BYTES {
            self.make_ready(1, Room::Headroom)?;
            self.roll(&mut committed)?;
        }
        self.write_commit(&mut [], &mut committed)?;
        Ok(committed)
    }

    /// Ends the journal in order, with a [`witness`](Journal::witness). Dropping it instead loses nothing either.
    ///
    /// # Errors
    /// As [`commit`](Journal::commit).
    pub fn close(mut self) -> Result<(), JournalError> {
        self.witness().map(|_| ())
    }

    /// Whether batches of so many bytes go into the active segment with one write, so that [`commit`](Journal::commit) does nothing else, and waits for nobody.
    pub fn takes_at_once(&self, bytes: u64) -> bool {
        CommitHeader::padded_bytes(bytes) <= u64::from(self.room().min(self.config().commit_bytes_max))
    }

    /// A reader of single records, for any thread.
    pub fn reader(&self) -> JournalReader {
        JournalReader { directory: Arc::clone(&self.directory) }
    }

    /// The handle that makes files ready and takes them back, for any thread.
    pub fn preparer(&self) -> Preparer {
        Preparer { directory: Arc::clone(&self.directory) }
    }

    /// The limits it was opened with.
    pub fn config(&self) -> &JournalConfig {
        &self.directory.config
    }

    /// What the segments hold, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.directory.infos()
    }

    /// The segment that the next commit goes to, if it has room; `None` when there is none yet.
    pub fn active_generation(&self) -> Option<Generation> {
        self.active.as_ref().map(|active| active.segment.generation)
    }

    fn check(&self) -> Result<(), JournalError> {
        self.directory.check_poison()
    }

    fn nothing_committed(&self) -> Committed {
        Committed { sequence: Sequence(self.next.0 - 1), commits: 0, records: 0, bytes: 0, rolled: false }
    }

    fn commit_into(
        &mut self,
        batches: &mut [&mut JournalBatch],
        room: Room,
    ) -> Result<Committed, JournalError> {
        self.check()?;
        let mut committed = self.nothing_committed();
        let mut bytes = 0;
        for batch in batches.iter_mut() {
            batch.forget_positions();
            bytes += batch.byte_len() as u64;
        }
        if bytes == 0 {
            return Ok(committed);
        }
        if self.takes_at_once(bytes) {
            self.pieces.clear();
            self.pieces
                .extend(batches.iter().enumerate().map(|(batch, records)| Piece::whole(batch, records)));
            self.write_commit(batches, &mut committed)?;
            return Ok(committed);
        }
        let plan = Plan::new(batches, self.room(), self.config())?;
        self.make_ready(plan.segments, room)?;
        for planned in plan.commits {
            if planned.rolls {
                self.roll(&mut committed)?;
            }
            self.pieces.clear();
            self.pieces.extend(planned.pieces);
            self.write_commit(batches, &mut committed)?;
        }
        Ok(committed)
    }

    /// Bytes left in the active segment.
    fn room(&self) -> u32 {
        self.active.as_ref().map_or(0, |active| active.segment.capacity - active.segment.end())
    }

    fn make_ready(&self, segments: usize, room: Room) -> Result<(), JournalError> {
        if segments == 0 {
            return Ok(());
        }
        let headroom = match room {
            Room::Ordinary => self.config().headroom_segments as usize,
            Room::Headroom => 0,
        };
        self.directory.ensure_ready(&mut self.directory.files.lock(), segments + headroom)
    }

    fn roll(&mut self, committed: &mut Committed) -> Result<(), JournalError> {
        let next = self.directory.take_next(&mut self.directory.files.lock())?;
        self.active = Some(next);
        committed.rolled = true;
        Ok(())
    }

    /// Lays the current pieces behind the last commit, with one write.
    fn write_commit(
        &mut self,
        batches: &mut [&mut JournalBatch],
        committed: &mut Committed,
    ) -> Result<(), JournalError> {
        let Some(active) = &self.active else {
            unreachable!("room was made sure of");
        };
        let segment = &active.segment;
        let offset = segment.end();
        let body: usize = self.pieces.iter().map(|piece| piece.bytes(batches[piece.batch])).sum();
        let padded = CommitHeader::padded_bytes(body as u64) as u32;
        assert!(padded <= segment.capacity - offset, "a commit never leaves its segment");

        let header_bytes = COMMIT_HEADER_BYTES as usize;
        let block = self.buffer.resize(padded as usize);
        self.record_checksums.clear();
        let mut at = header_bytes;
        let mut records = 0;
        for piece in &self.pieces {
            let batch = &mut *batches[piece.batch];
            let bytes = batch.records(piece.first, piece.end);
            block[at..at + bytes.len()].copy_from_slice(bytes);
            let place = offset + at as u32;
            seal_records(&mut block[at..at + bytes.len()], segment.seed, place, &mut self.record_checksums);
            at += bytes.len();
            records += (piece.end - piece.first) as u64;
        }
        block[at..].fill(0);
        let header = CommitHeader {
            generation: segment.generation,
            sequence: self.next,
            offset,
            body_bytes: body as u32,
            records: records as u32,
            previous: self.previous,
            records_checksum: crc32fast::hash(&self.record_checksums),
        };
        let checksum = header.encode(segment.seed, &mut block[..header_bytes]);
        segment.first_sequence.started(self.next);
        let written = match on(Plant::CommitNotSynced) {
            true => self
                .directory
                .disk
                .open(&segment.path, OpenMode::ReadWrite)
                .and_then(|cached| cached.write_all_at(self.buffer.as_slice(), offset.into())),
            false => active.direct.write_all_at(self.buffer.as_slice(), offset.into()),
        };
        if let Err(error) = written {
            return Err(self.directory.poison("write", &segment.path, error));
        }

        segment.add_records(records);
        segment.set_end(offset + padded);
        committed.sequence = self.next;
        committed.commits += 1;
        committed.records += records;
        committed.bytes += u64::from(padded);
        let mut place = offset + COMMIT_HEADER_BYTES;
        for piece in &self.pieces {
            let batch = &mut *batches[piece.batch];
            batch.placed(piece.first, piece.end, segment.generation, place);
            place += piece.bytes(batch) as u32;
        }
        self.pieces.clear();
        self.previous = checksum;
        self.next = self.next.next();
        self.directory.next_sequence.set(self.next);
        Ok(())
    }
}

/// Writes the checksums of record headers that lie one behind the other from `place` of a segment.
fn seal_records(bytes: &mut [u8], seed: Seed, place: u32, checksums: &mut Vec<u8>) {
    let mut at = 0;
    while at < bytes.len() {
        let payload = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let checksum = RecordHeader::seal(&mut bytes[at..], seed, place + at as u32);
        checksums.extend_from_slice(&checksum.to_le_bytes());
        at += (RECORD_HEADER_BYTES + payload) as usize;
    }
}
