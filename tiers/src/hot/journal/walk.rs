//! Reading many records in the order of writing, while the journal is being written.

use std::io;
use std::ops::Bound;

use super::Record;
use super::error::JournalError;
use super::layout::{
    BLOCK_BYTES, COMMIT_HEADER_BYTES, CommitHeader, Generation, RECORD_HEADER_BYTES, RecordHeader,
};
use super::reader::JournalReader;
use super::segment::{Bookmark, Position, Segment};
use crate::disk::AlignedBuffer;

impl JournalReader {
    /// Reads on from a bookmark in the order of writing, through about `bytes` bytes of the journal and at least one record, and gives `each`
    /// what verifies; damage is passed over. Returns where to go on: `None` when all that was committed is read. `buffer` has what was
    /// read: no more than `bytes`, or the longest record, and two blocks.
    ///
    /// It reads past the page cache, which commits have passed by too: what is read once is not worth a place there, nor the copying.
    ///
    /// # Errors
    /// [`JournalError::Gone`] when the segment was reclaimed, also while it was read, [`JournalError::NoSuchRecord`] when the bookmark is
    /// beyond the journal's end, [`JournalError::Io`].
    pub fn read_on(
        &self,
        from: Bookmark,
        bytes: u32,
        buffer: &mut AlignedBuffer,
        mut each: impl FnMut(Record<'_>, Position),
    ) -> Result<Option<Bookmark>, JournalError> {
        let Bookmark { generation, offset } = from;
        let place = Position { generation, offset, length: 0 };
        let segment = self.segment(place)?;
        // Looked for before the end is: once there are commits behind this segment, its end is the last one.
        let next = self.begun_after(generation);
        let end = segment.end();
        let mut walk = Walk { segment: &segment, start: offset.max(BLOCK_BYTES), end };
        if walk.start >= end {
            return Ok(next);
        }
        let file = match self.directory.disk.open_direct(&segment.path) {
            Ok(file) => file,
            Err(source) => return Err(self.gone_or(&segment, place, "open", source)),
        };
        let mut wanted = bytes.max(BLOCK_BYTES);
        loop {
            let length = wanted.min(end - walk.start);
            let in_block = walk.start % BLOCK_BYTES;
            let read = buffer.resize((in_block + length) as usize);
            if let Err(source) = file.read_exact_at(read, (walk.start - in_block).into()) {
                return Err(self.gone_or(&segment, place, "read", source));
            }
            match walk.go(&read[in_block as usize..][..length as usize], &mut each) {
                Walked::Through(start) => walk.start = start,
                Walked::RecordOf(length) => {
                    wanted = length;
                    continue;
                }
            }
            break;
        }
        // The file may have begun its next life meanwhile: then records were passed over.
        self.segment(place)?;
        Ok(if walk.start < end { Some(Bookmark { generation, offset: walk.start }) } else { next })
    }

    fn gone_or(
        &self,
        segment: &Segment,
        place: Position,
        action: &'static str,
        source: io::Error,
    ) -> JournalError {
        let error = JournalError::Io { action, path: segment.path.clone(), source };
        self.segment(place).err().unwrap_or(error)
    }

    /// The first segment after this one that has commits.
    fn begun_after(&self, generation: Generation) -> Option<Bookmark> {
        let segments = self.directory.segments.read();
        let mut later = segments.range((Bound::Excluded(generation), Bound::Unbounded));
        let (next, _) = later.find(|(_, segment)| segment.end() > BLOCK_BYTES)?;
        Some(Bookmark { generation: *next, offset: BLOCK_BYTES })
    }
}

/// A walk over the records of a stretch of a segment. Each record proves by its own checksums that it is one, and lies here, so that the walk
/// may begin at any of them, in the middle of a commit.
struct Walk<'a> {
    segment: &'a Segment,
    /// Where the stretch begins.
    start: u32,
    /// Where the segment's last commit ends.
    end: u32,
}

/// How far a walk came.
enum Walked {
    /// To this byte of the segment.
    Through(u32),
    /// Not over its first record, which has so many bytes.
    RecordOf(u32),
}

impl Walk<'_> {
    fn go(&self, bytes: &[u8], each: &mut impl FnMut(Record<'_>, Position)) -> Walked {
        let Self { segment, start, end } = *self;
        let stretch_end = start + bytes.len() as u32;
        let mut at = start;
        while at < stretch_end {
            let rest = &bytes[(at - start) as usize..];
            if rest.len() < COMMIT_HEADER_BYTES as usize && stretch_end < end {
                break;
            }
            let Some((header, _)) = RecordHeader::decode(rest, segment.seed, at) else {
                at = self.next_commit(at, bytes);
                continue;
            };
            let length = u64::from(RECORD_HEADER_BYTES) + u64::from(header.payload_bytes);
            if u64::from(at) + length > end.into() {
                at = self.next_commit(at + 1, bytes);
                continue;
            }
            let length = length as u32;
            let Some(record) = rest.get(..length as usize) else {
                if at == start {
                    return Walked::RecordOf(length);
                }
                break;
            };
            let payload = &record[RECORD_HEADER_BYTES as usize..];
            if crc32fast::hash(payload) == header.payload_checksum {
                let position = Position { generation: segment.generation, offset: at, length };
                each(Record { head: header.head, payload }, position);
            }
            at += length;
        }
        Walked::Through(at)
    }

    /// The first record of the next commit from a byte on: commits begin with a block. The stretch's end if there is none before it.
    fn next_commit(&self, from: u32, bytes: &[u8]) -> u32 {
        let Self { segment, start, end } = *self;
        let stretch_end = start + bytes.len() as u32;
        let mut block = from.next_multiple_of(BLOCK_BYTES);
        while block < stretch_end {
            let rest = &bytes[(block - start) as usize..];
            if rest.len() < COMMIT_HEADER_BYTES as usize {
                // What is left is for the next stretch, or is no commit.
                return if stretch_end < end { block } else { stretch_end };
            }
            let capacity = segment.capacity;
            if CommitHeader::decode(rest, segment.seed, segment.generation, block, capacity).is_some() {
                return block + COMMIT_HEADER_BYTES;
            }
            block += BLOCK_BYTES;
        }
        block.min(end)
    }
}
