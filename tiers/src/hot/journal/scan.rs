//! Reading one segment from its beginning, trusting nothing.

use std::sync::Arc;

use super::layout::{
    BLOCK_BYTES, COMMIT_HEADER_BYTES, CommitHeader, Generation, RECORD_HEADER_BYTES, RecordHead,
    RecordHeader, Seed,
};
use crate::disk::{AlignedBuffer, File};
use crate::plant::{Plant, on};

/// How much is read at a time, at least, in bytes.
const WINDOW_BYTES: u32 = 1 << 20;

/// The blocks of a segment through a window. Never holds more than a commit or the window, whichever is longer, and never
/// more than the file has, each rounded up to a power of two.
pub(super) struct Scan {
    file: Arc<dyn File>,
    seed: Seed,
    generation: Generation,
    /// What is there to be read, in whole blocks.
    length: u32,
    window: AlignedBuffer,
    window_start: u32,
    /// The last block seen that the disk could not read.
    unreadable: Option<u32>,
}

/// A part of a commit's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A record that verifies, where it begins in the segment, and its length.
    Record { head: RecordHead, offset: u32, length: u32 },
    /// A record whose header verifies and whose payload does not.
    BadPayload { head: RecordHead, offset: u32 },
    /// From here to the commit's end nothing is known.
    BadHeader { offset: u32 },
    /// The records verify one by one, but are not those that the commit was written with.
    OtherRecords { offset: u32 },
}

impl Scan {
    pub(super) fn new(file: Arc<dyn File>, seed: Seed, generation: Generation, length: u32) -> Scan {
        let length = length / BLOCK_BYTES * BLOCK_BYTES;
        Scan {
            file,
            seed,
            generation,
            length,
            window: AlignedBuffer::new(),
            window_start: 0,
            unreadable: None,
        }
    }

    pub(super) fn unreadable(&self) -> Option<u32> {
        self.unreadable
    }

    /// The memory it holds.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.window.memory_bytes()
    }

    /// The commit header at a block, and its checksum, if there is one.
    pub(super) fn commit_at(&mut self, offset: u32) -> Option<(CommitHeader, u32)> {
        let (seed, generation, length) = (self.seed, self.generation, self.length);
        let block = self.bytes(offset, BLOCK_BYTES)?;
        CommitHeader::decode(block, seed, generation, offset, length)
    }

    /// Whether a block looks as if a commit of this generation had begun there.
    pub(super) fn resembles_commit(&mut self, offset: u32) -> bool {
        let generation = self.generation;
        self.bytes(offset, BLOCK_BYTES).is_some_and(|block| CommitHeader::resembles(block, generation))
    }

    /// The next block from `offset` on that begins a commit.
    pub(super) fn next_commit(&mut self, mut offset: u32) -> Option<(u32, CommitHeader)> {
        while offset < self.length {
            if let Some((header, _)) = self.commit_at(offset) {
                return Some((offset, header));
            }
            offset += BLOCK_BYTES;
        }
        None
    }

    /// Walks a commit's records; `each` gets every part with its payload (empty where there is none to trust). Returns
    /// whether all of it verifies.
    pub(super) fn walk(&mut self, header: &CommitHeader, mut each: impl FnMut(Part, &[u8])) -> bool {
        let seed = self.seed;
        let start = header.offset + COMMIT_HEADER_BYTES;
        // The header was checked to end within the segment, so this is no length that only bytes claim.
        let padded = CommitHeader::padded_bytes(header.body_bytes.into()) as u32;
        let Some(commit) = self.bytes(header.offset, padded) else {
            each(Part::BadHeader { offset: start }, &[]);
            return false;
        };
        let body = &commit[COMMIT_HEADER_BYTES as usize..][..header.body_bytes as usize];
        let mut checksums = crc32fast::Hasher::new();
        let (mut at, mut records, mut whole) = (0_usize, 0_u32, true);
        while at < body.len() {
            let offset = start + at as u32;
            let Some((record, checksum)) = RecordHeader::decode(&body[at..], seed, offset) else {
                each(Part::BadHeader { offset }, &[]);
                return false;
            };
            let payload_start = at + RECORD_HEADER_BYTES as usize;
            let payload_end = payload_start.saturating_add(record.payload_bytes as usize);
            let Some(payload) = body.get(payload_start..payload_end) else {
                each(Part::BadHeader { offset }, &[]);
                return false;
            };
            checksums.update(&checksum.to_le_bytes());
            records += 1;
            if crc32fast::hash(payload) == record.payload_checksum || on(Plant::PayloadChecksumIgnored) {
                let length = RECORD_HEADER_BYTES + record.payload_bytes;
                each(Part::Record { head: record.head, offset, length }, payload);
            } else {
                each(Part::BadPayload { head: record.head, offset }, &[]);
                whole = false;
            }
            at = payload_end;
        }
        let other = records != header.records || checksums.finalize() != header.records_checksum;
        if other && !on(Plant::CommitChecksumIgnored) {
            each(Part::OtherRecords { offset: start }, &[]);
            whole = false;
        }
        whole
    }

    /// Whole blocks of the segment; `None` past its end. What the disk cannot read is zeros, which verify as nothing.
    fn bytes(&mut self, offset: u32, length: u32) -> Option<&[u8]> {
        if u64::from(offset) + u64::from(length) > self.length.into() {
            return None;
        }
        let window_end = self.window_start + self.window.as_slice().len() as u32;
        if offset < self.window_start || offset + length > window_end {
            let wanted = length.max(WINDOW_BYTES).min(self.length - offset);
            self.fill(offset, wanted);
        }
        let start = (offset - self.window_start) as usize;
        Some(&self.window.as_slice()[start..start + length as usize])
    }

    fn fill(&mut self, offset: u32, length: u32) {
        self.window_start = offset;
        let window = self.window.resize(length as usize);
        if self.file.read_exact_at(window, offset.into()).is_ok() {
            return;
        }
        for (index, block) in window.chunks_mut(BLOCK_BYTES as usize).enumerate() {
            let at = offset + index as u32 * BLOCK_BYTES;
            if self.file.read_exact_at(block, at.into()).is_err() {
                block.fill(0);
                self.unreadable = self.unreadable.max(Some(at));
            }
        }
    }
}
