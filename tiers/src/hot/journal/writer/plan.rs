//! How records that do not fit one commit are spread over several.

use super::super::batch::JournalBatch;
use super::super::config::JournalConfig;
use super::super::error::JournalError;
use super::super::layout::{BLOCK_BYTES, COMMIT_HEADER_BYTES, CommitHeader, RECORD_HEADER_BYTES};

/// Some records of a batch, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Piece {
    pub(super) batch: usize,
    pub(super) first: usize,
    pub(super) end: usize,
}

impl Piece {
    pub(super) fn whole(batch: usize, records: &JournalBatch) -> Piece {
        Piece { batch, first: 0, end: records.len() }
    }

    pub(super) fn bytes(&self, batch: &JournalBatch) -> usize {
        batch.records(self.first, self.end).len()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) commits: Vec<PlannedCommit>,
    /// New segments that the commits need.
    pub(super) segments: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PlannedCommit {
    /// Whether it begins a new segment.
    pub(super) rolls: bool,
    pub(super) pieces: Vec<Piece>,
}

impl Plan {
    /// Spreads all records over commits, in order, given the bytes left in the segment at hand.
    pub(super) fn new(
        batches: &[&mut JournalBatch],
        room: u32,
        config: &JournalConfig,
    ) -> Result<Plan, JournalError> {
        let fresh = config.segment_bytes - BLOCK_BYTES;
        let bytes: u64 = batches.iter().map(|batch| batch.byte_len() as u64).sum();
        if CommitHeader::padded_bytes(bytes) <= config.commit_bytes_max.into() {
            // Better a little room lost at a segment's end than two writes.
            let pieces =
                batches.iter().enumerate().map(|(index, batch)| Piece::whole(index, batch)).collect();
            return Ok(Plan { commits: vec![PlannedCommit { rolls: true, pieces }], segments: 1 });
        }
        let mut plan = Plan { commits: Vec::new(), segments: 0 };
        let mut room = room;
        let mut current = PlannedCommit::default();
        let mut body = 0_u64;
        for (index, batch) in batches.iter().enumerate() {
            let mut first = 0;
            for record in 0..batch.len() {
                let bytes = u64::from(batch.start(record + 1) - batch.start(record));
                let most = u64::from(config.payload_bytes_max + RECORD_HEADER_BYTES);
                if bytes > most {
                    return Err(JournalError::Invalid {
                        field: "record bytes",
                        value: bytes,
                        min: 0,
                        max: most,
                    });
                }
                if CommitHeader::padded_bytes(body + bytes) <= u64::from(room.min(config.commit_bytes_max)) {
                    body += bytes;
                    continue;
                }
                current.add(index, first, record);
                first = record;
                if !current.pieces.is_empty() {
                    room -= CommitHeader::padded_bytes(body) as u32;
                    plan.commits.push(std::mem::take(&mut current));
                }
                body = bytes;
                if CommitHeader::padded_bytes(body) > room.into() {
                    current.rolls = true;
                    plan.segments += 1;
                    room = fresh;
                }
            }
            current.add(index, first, batch.len());
        }
        plan.commits.push(current);
        Ok(plan)
    }
}

impl PlannedCommit {
    fn add(&mut self, batch: usize, first: usize, end: usize) {
        if first < end {
            self.pieces.push(Piece { batch, first, end });
        }
    }
}

const _: () = assert!(COMMIT_HEADER_BYTES + RECORD_HEADER_BYTES < BLOCK_BYTES);
