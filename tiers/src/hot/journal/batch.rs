//! Records waiting to be committed.

use super::config::JournalConfig;
use super::error::JournalError;
use super::layout::Generation;
use super::layout::{RECORD_HEADER_BYTES, RecordHead, RecordHeader};
use super::segment::Position;

/// Records in the form they will have on disk, but for the place they will lie at.
///
/// A worker fills it without knowing anything of the journal; it is reused after [`clear`](JournalBatch::clear), and
/// allocates nothing once it has grown to its usual size.
#[derive(Debug)]
pub struct JournalBatch {
    payload_bytes_max: u32,
    batch_bytes_max: u32,
    bytes: Vec<u8>,
    /// Where each record ends in `bytes`.
    ends: Vec<u32>,
    runs: Vec<Run>,
}

/// Records of a batch that lie one behind the other in one segment.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: usize,
    end: usize,
    generation: Generation,
    /// Where the first of them begins.
    offset: u32,
}

impl JournalBatch {
    /// An empty batch with the limits of `config`.
    pub fn new(config: &JournalConfig) -> JournalBatch {
        JournalBatch {
            payload_bytes_max: config.payload_bytes_max,
            batch_bytes_max: config.batch_bytes_max,
            bytes: Vec::new(),
            ends: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Adds a record whose payload is what `write` puts into its argument; returns its index in the batch.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] when the payload is longer than `payload_bytes_max`, [`JournalError::BatchFull`] when the
    /// batch has no room for it. The batch is then as before.
    pub fn push(
        &mut self,
        head: RecordHead,
        write: impl FnOnce(&mut PayloadWriter<'_>),
    ) -> Result<usize, JournalError> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; RECORD_HEADER_BYTES as usize]);
        let payload_start = self.bytes.len();
        let mut writer = PayloadWriter {
            bytes: &mut self.bytes,
            start: payload_start,
            room: self.payload_bytes_max,
            refused: 0,
        };
        write(&mut writer);
        let refused = writer.refused;
        let payload = self.bytes.len() - payload_start;
        if refused > 0 {
            self.bytes.truncate(start);
            return Err(JournalError::Invalid {
                field: "payload_bytes",
                value: payload as u64 + refused,
                min: 0,
                max: self.payload_bytes_max.into(),
            });
        }
        if self.bytes.len() > self.batch_bytes_max as usize {
            let bytes = self.bytes.len() as u64;
            self.bytes.truncate(start);
            return Err(JournalError::BatchFull { bytes, max: self.batch_bytes_max.into() });
        }
        let payload_checksum = crc32fast::hash(&self.bytes[payload_start..]);
        let header = RecordHeader { head, payload_bytes: payload as u32, payload_checksum };
        header.encode_unsealed(&mut self.bytes[start..payload_start]);
        self.ends.push(self.bytes.len() as u32);
        Ok(self.ends.len() - 1)
    }

    /// Forgets the records and their positions, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.runs.clear();
    }

    /// The records in it.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Its length in bytes, record headers included.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Where record `index` lies since the last commit of this batch; `None` before one, or when there is no such record.
    pub fn position(&self, index: usize) -> Option<Position> {
        let run = self.runs.iter().rev().find(|run| run.first <= index && index < run.end)?;
        let offset = run.offset + (self.start(index) - self.start(run.first));
        let length = self.ends[index] - self.start(index);
        Some(Position { generation: run.generation, offset, length })
    }

    /// Where all its records lie since the last commit of this batch, in order; nothing before one.
    pub fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        self.runs.iter().flat_map(move |run| {
            let base = self.start(run.first);
            (run.first..run.end).map(move |index| {
                let start = self.start(index);
                let offset = run.offset + (start - base);
                Position { generation: run.generation, offset, length: self.ends[index] - start }
            })
        })
    }

    /// Where record `index` begins within the batch; one past the last is the end.
    pub(super) fn start(&self, index: usize) -> u32 {
        if index == 0 { 0 } else { self.ends[index - 1] }
    }

    pub(super) fn records(&self, first: usize, end: usize) -> &[u8] {
        &self.bytes[self.start(first) as usize..self.start(end) as usize]
    }

    pub(super) fn forget_positions(&mut self) {
        self.runs.clear();
    }

    pub(super) fn placed(&mut self, first: usize, end: usize, generation: Generation, offset: u32) {
        self.runs.push(Run { first, end, generation, offset });
    }
}

/// Where a record's payload is written to.
#[derive(Debug)]
pub struct PayloadWriter<'a> {
    bytes: &'a mut Vec<u8>,
    start: usize,
    room: u32,
    /// Bytes that were over the limit.
    refused: u64,
}

impl PayloadWriter<'_> {
    /// Appends bytes. What exceeds the record's limit is dropped, and the push fails.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.refused > 0 || self.len() + bytes.len() > self.room as usize {
            self.refused += bytes.len() as u64;
            return;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a byte.
    pub fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// Appends a number, little-endian.
    pub fn put_u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    /// Appends a number, little-endian.
    pub fn put_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    /// Appends a number, little-endian.
    pub fn put_u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    /// The bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
