//! Reading single records while the journal is being written.

use std::sync::Arc;

use super::Record;
use super::directory::Directory;
use super::error::JournalError;
use super::layout::{BLOCK_BYTES, COMMIT_HEADER_BYTES, RECORD_HEADER_BYTES, RecordHeader};
use super::segment::{Position, Segment};

/// Reads records by position; cheap to clone, usable from any thread. Takes no part in the journal's poisoning: what was
/// committed can still be read.
#[derive(Clone)]
pub struct JournalReader {
    pub(super) directory: Arc<Directory>,
}

impl JournalReader {
    /// Reads the record at a position, into `buffer`.
    ///
    /// # Errors
    /// [`JournalError::Gone`] when its segment was reclaimed, [`JournalError::NoSuchRecord`] when the position was never given
    /// out, [`JournalError::Corrupt`] when its bytes do not verify, [`JournalError::Io`].
    pub fn read<'a>(&self, position: Position, buffer: &'a mut Vec<u8>) -> Result<Record<'a>, JournalError> {
        let segment = self.segment(position)?;
        let first = BLOCK_BYTES + COMMIT_HEADER_BYTES;
        let end = u64::from(position.offset) + u64::from(position.length);
        // Checked before anything is allocated: a record never is longer than what was written.
        if position.length < RECORD_HEADER_BYTES || position.offset < first || end > segment.end().into() {
            return Err(no_such_record(position));
        }
        buffer.clear();
        buffer.resize(position.length as usize, 0);
        let read = segment.file.read_exact_at(buffer, position.offset.into());
        let decoded = read.map(|()| verify(&segment, position, buffer));
        let head = match decoded {
            Ok(Some(header)) => header,
            // The file may have begun its next life meanwhile: then the record is gone, not corrupt.
            other => {
                self.segment(position)?;
                let path = segment.path.clone();
                return Err(match other {
                    Err(source) => JournalError::Io { action: "read", path, source },
                    Ok(_) => JournalError::Corrupt { path, offset: position.offset.into() },
                });
            }
        };
        if head.payload_bytes + RECORD_HEADER_BYTES != position.length {
            return Err(no_such_record(position));
        }
        Ok(Record { head: head.head, payload: &buffer[RECORD_HEADER_BYTES as usize..] })
    }

    pub(super) fn segment(&self, position: Position) -> Result<Arc<Segment>, JournalError> {
        let segments = self.directory.segments.read();
        match segments.get(&position.generation) {
            Some(segment) => Ok(Arc::clone(segment)),
            None if segments.keys().next_back().is_none_or(|newest| position.generation <= *newest) => {
                Err(JournalError::Gone(position.generation))
            }
            None => Err(no_such_record(position)),
        }
    }
}

/// The header, if it and the payload verify; a length that differs from the position's is for the caller to judge.
fn verify(segment: &Segment, position: Position, bytes: &[u8]) -> Option<RecordHeader> {
    let (header, _) = RecordHeader::decode(bytes, segment.seed, position.offset)?;
    let payload = &bytes[RECORD_HEADER_BYTES as usize..];
    let whole =
        payload.len() != header.payload_bytes as usize || crc32fast::hash(payload) == header.payload_checksum;
    whole.then_some(header)
}

fn no_such_record(position: Position) -> JournalError {
    JournalError::NoSuchRecord {
        generation: position.generation,
        offset: position.offset,
        length: position.length,
    }
}
