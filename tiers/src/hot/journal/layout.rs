//! Every byte of the journal's files: pure encoding and decoding, described in FORMAT.md.

use std::fmt;

use super::super::{Bucket, Slot};
use super::config::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::plant::{Plant, on};

/// The format written, and the only one read.
pub const FORMAT_VERSION: u16 = 1;
/// Bytes before a record's payload.
pub const RECORD_HEADER_BYTES: u32 = 28;
/// Bytes before a commit's records.
pub(super) const COMMIT_HEADER_BYTES: u32 = 48;
/// What commits begin at multiples of.
pub(super) const BLOCK_BYTES: u32 = 4096;
/// Bytes of a label: what identifies a file, at its very beginning.
pub(super) const LABEL_BYTES: usize = 512;

/// The largest number that a label or a name may have: one can count on from it for ever.
pub(super) const NUMBER_MAX: u64 = u64::MAX >> 2;

const SEGMENT_MAGIC: [u8; 8] = *b"TCJRNSEG";
const CATALOG_MAGIC: [u8; 8] = *b"TCJRNCAT";
const COMMIT_MAGIC: [u8; 4] = *b"TCJC";

/// Whose journal it is. Every file carries it, every checksum depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalIdentity {
    /// The cluster.
    pub cluster: u128,
    /// The node within the cluster.
    pub node: u16,
    /// A random number drawn when the disk was first used: no two disks share it.
    pub disk: u64,
}

impl fmt::Display for JournalIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "node {} of cluster {:032x} on disk {:016x}", self.node, self.cluster, self.disk)
    }
}

/// The number of a segment's life: grows strictly, is never used twice, also when the file is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The number of a commit, from 1, without gaps as long as nothing was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    pub(super) fn next(self) -> Sequence {
        Sequence(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What sort of record it is; means something to the caller alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKind(pub u8);

/// What the journal knows of a record besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// The bucket that suffers when the payload is corrupt.
    pub bucket: Bucket,
    /// The position in that bucket's log.
    pub slot: Slot,
    /// What sort of record it is.
    pub kind: RecordKind,
}

/// Why a label was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelFault {
    /// Not a label, or a damaged one.
    Corrupt,
    /// A whole label of a format this code does not know.
    Version(u16),
}

/// The first block of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentLabel {
    pub(super) identity: JournalIdentity,
    pub(super) generation: Generation,
    pub(super) segment_bytes: u32,
}

impl SegmentLabel {
    pub(super) fn encode(&self) -> [u8; LABEL_BYTES] {
        let mut bytes = start_label(SEGMENT_MAGIC, self.identity);
        bytes[42..46].copy_from_slice(&self.segment_bytes.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.generation.0.to_le_bytes());
        seal_label(bytes)
    }

    pub(super) fn decode(bytes: &[u8; LABEL_BYTES]) -> Result<SegmentLabel, LabelFault> {
        let identity = check_label(bytes, SEGMENT_MAGIC)?;
        let segment_bytes = u32_at(bytes, 42);
        let generation = Generation(number_at(bytes, 48)?);
        let bounded = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment_bytes);
        if !bounded || !segment_bytes.is_multiple_of(BLOCK_BYTES) {
            return Err(LabelFault::Corrupt);
        }
        Ok(SegmentLabel { identity, segment_bytes, generation })
    }
}

/// One copy of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CatalogLabel {
    pub(super) identity: JournalIdentity,
    /// Raised with each change; the higher of two copies counts.
    pub(super) revision: u64,
    /// Every segment below has been released.
    pub(super) floor: Generation,
    /// Opening replays from this segment on; those between the floor and it are there to be read only. Not below the floor.
    pub(super) replay_from: Generation,
    /// The first commit at or after that segment's begin.
    pub(super) replay_sequence: Sequence,
    /// No segment above has been written to.
    pub(super) newest: Generation,
    /// Damage was found that leaves no other trace: what lies in segments up to this one is not to be trusted. 0 when none was.
    pub(super) suspect: Generation,
}

impl CatalogLabel {
    pub(super) fn encode(&self) -> [u8; LABEL_BYTES] {
        let mut bytes = start_label(CATALOG_MAGIC, self.identity);
        bytes[48..56].copy_from_slice(&self.revision.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.floor.0.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.replay_sequence.0.to_le_bytes());
        bytes[72..80].copy_from_slice(&self.newest.0.to_le_bytes());
        bytes[80..88].copy_from_slice(&self.suspect.0.to_le_bytes());
        let replay_from = if self.replay_from == self.floor { 0 } else { self.replay_from.0 };
        bytes[88..96].copy_from_slice(&replay_from.to_le_bytes());
        seal_label(bytes)
    }

    pub(super) fn decode(bytes: &[u8; LABEL_BYTES]) -> Result<CatalogLabel, LabelFault> {
        let identity = check_label(bytes, CATALOG_MAGIC)?;
        let floor = Generation(number_at(bytes, 56)?);
        let label = CatalogLabel {
            identity,
            revision: number_at(bytes, 48)?,
            floor,
            replay_sequence: Sequence(number_at(bytes, 64)?),
            newest: Generation(number_at(bytes, 72)?),
            suspect: Generation(number_at(bytes, 80)?),
            replay_from: match number_at(bytes, 88)? {
                0 => floor,
                number => Generation(number),
            },
        };
        let consistent = label.floor.0 > 0
            && label.replay_sequence.0 > 0
            && label.floor <= label.replay_from
            && label.replay_from.0 <= label.newest.0 + 1
            && label.suspect <= label.newest;
        if consistent { Ok(label) } else { Err(LabelFault::Corrupt) }
    }
}

/// The start of every checksum in a segment: depends on the identity and the generation, so that bytes of another
/// journal, or of the file's former life, verify nowhere. As the disk number is random, a payload cannot imitate a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(u32);

impl Seed {
    pub(super) fn new(identity: JournalIdentity, generation: Generation) -> Seed {
        let mut bytes = [0; 34];
        bytes[..16].copy_from_slice(&identity.cluster.to_le_bytes());
        bytes[16..24].copy_from_slice(&identity.disk.to_le_bytes());
        bytes[24..26].copy_from_slice(&identity.node.to_le_bytes());
        let generation = if on(Plant::GenerationIgnored) { Generation(0) } else { generation };
        bytes[26..].copy_from_slice(&generation.0.to_le_bytes());
        Seed(crc32fast::hash(&bytes))
    }

    pub(super) fn checksum(self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// The start of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommitHeader {
    pub(super) generation: Generation,
    pub(super) sequence: Sequence,
    /// Where in its segment it begins.
    pub(super) offset: u32,
    /// Bytes of records after the header.
    pub(super) body_bytes: u32,
    pub(super) records: u32,
    /// The checksum of the header of the commit before it; 0 when there is none or none is known.
    pub(super) previous: u32,
    /// Over the checksums of all its record headers, so that records of two commits never pass as one.
    pub(super) records_checksum: u32,
}

impl CommitHeader {
    /// The bytes it takes in the file, padding included.
    pub(super) fn padded_bytes(body_bytes: u64) -> u64 {
        (u64::from(COMMIT_HEADER_BYTES) + body_bytes).next_multiple_of(u64::from(BLOCK_BYTES))
    }

    /// Writes the header and returns its checksum.
    pub(super) fn encode(&self, seed: Seed, into: &mut [u8]) -> u32 {
        into[0..4].copy_from_slice(&COMMIT_MAGIC);
        into[4..6].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        into[6..8].fill(0);
        into[8..16].copy_from_slice(&self.generation.0.to_le_bytes());
        into[16..24].copy_from_slice(&self.sequence.0.to_le_bytes());
        into[24..28].copy_from_slice(&self.offset.to_le_bytes());
        into[28..32].copy_from_slice(&self.body_bytes.to_le_bytes());
        into[32..36].copy_from_slice(&self.records.to_le_bytes());
        into[36..40].copy_from_slice(&self.previous.to_le_bytes());
        into[40..44].copy_from_slice(&self.records_checksum.to_le_bytes());
        let checksum = seed.checksum(&into[..44]);
        into[44..48].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }

    /// The header at `offset` of a segment, and its checksum; `None` when the bytes are no commit of this generation here.
    pub(super) fn decode(
        bytes: &[u8],
        seed: Seed,
        generation: Generation,
        offset: u32,
        segment_bytes: u32,
    ) -> Option<(CommitHeader, u32)> {
        if bytes.len() < COMMIT_HEADER_BYTES as usize || bytes[..4] != COMMIT_MAGIC {
            return None;
        }
        let checksum = u32_at(bytes, 44);
        if seed.checksum(&bytes[..44]) != checksum {
            return None;
        }
        let header = CommitHeader {
            generation: Generation(u64_at(bytes, 8)),
            sequence: Sequence(u64_at(bytes, 16)),
            offset: u32_at(bytes, 24),
            body_bytes: u32_at(bytes, 28),
            records: u32_at(bytes, 32),
            previous: u32_at(bytes, 36),
            records_checksum: u32_at(bytes, 40),
        };
        let end = u64::from(offset) + CommitHeader::padded_bytes(header.body_bytes.into());
        let fits = end <= u64::from(segment_bytes);
        let same = header.generation == generation || on(Plant::GenerationIgnored);
        let ours = same && header.offset == offset;
        let whole =
            u16_at(bytes, 4) == FORMAT_VERSION && u16_at(bytes, 6) == 0 && header.sequence.0 < u64::MAX;
        (ours && fits && whole).then_some((header, checksum))
    }

    /// Whether the bytes look like the start of a commit of this generation, be it a damaged one.
    pub(super) fn resembles(bytes: &[u8], generation: Generation) -> bool {
        bytes.len() >= 16 && bytes[..4] == COMMIT_MAGIC && u64_at(bytes, 8) == generation.0
    }
}

/// The start of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) head: RecordHead,
    pub(super) payload_bytes: u32,
    pub(super) payload_checksum: u32,
}

impl RecordHeader {
    /// Writes all but the checksum, which depends on where the record will lie.
    pub(super) fn encode_unsealed(&self, into: &mut [u8]) {
        into[0..4].copy_from_slice(&self.payload_bytes.to_le_bytes());
        into[4..8].copy_from_slice(&self.payload_checksum.to_le_bytes());
        into[8..12].copy_from_slice(&self.head.bucket.0.to_le_bytes());
        into[12] = self.head.kind.0;
        into[13..16].fill(0);
        into[16..24].copy_from_slice(&self.head.slot.0.to_le_bytes());
    }

    /// Writes the checksum into a header that will lie at `offset` of a segment, and returns it.
    pub(super) fn seal(bytes: &mut [u8], seed: Seed, offset: u32) -> u32 {
        let checksum = RecordHeader::checksum(bytes, seed, offset);
        bytes[24..28].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }

    /// The header at `offset` of a segment, and its checksum; `None` when it does not verify.
    pub(super) fn decode(bytes: &[u8], seed: Seed, offset: u32) -> Option<(RecordHeader, u32)> {
        if bytes.len() < RECORD_HEADER_BYTES as usize {
            return None;
        }
        let checksum = u32_at(bytes, 24);
        if RecordHeader::checksum(bytes, seed, offset) != checksum {
            return None;
        }
        let head = RecordHead {
            bucket: Bucket(u32_at(bytes, 8)),
            slot: Slot(u64_at(bytes, 16)),
            kind: RecordKind(bytes[12]),
        };
        let header =
            RecordHeader { head, payload_bytes: u32_at(bytes, 0), payload_checksum: u32_at(bytes, 4) };
        // A writer of this version leaves the three reserved bytes zero.
        (bytes[13..16] == [0; 3]).then_some((header, checksum))
    }

    fn checksum(bytes: &[u8], seed: Seed, offset: u32) -> u32 {
        let mut covered = [0; 28];
        covered[..4].copy_from_slice(&offset.to_le_bytes());
        covered[4..].copy_from_slice(&bytes[..24]);
        seed.checksum(&covered)
    }
}

fn start_label(magic: [u8; 8], identity: JournalIdentity) -> [u8; LABEL_BYTES] {
    let mut bytes = [0; LABEL_BYTES];
    bytes[..8].copy_from_slice(&magic);
    bytes[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[16..32].copy_from_slice(&identity.cluster.to_le_bytes());
    bytes[32..40].copy_from_slice(&identity.disk.to_le_bytes());
    bytes[40..42].copy_from_slice(&identity.node.to_le_bytes());
    bytes
}

fn seal_label(mut bytes: [u8; LABEL_BYTES]) -> [u8; LABEL_BYTES] {
    let checksum = crc32fast::hash(&bytes[..LABEL_BYTES - 4]);
    bytes[LABEL_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The magic number, the version and the checksum keep their places in every future version, so that a newer format is
/// told apart from a damaged one.
fn check_label(bytes: &[u8; LABEL_BYTES], magic: [u8; 8]) -> Result<JournalIdentity, LabelFault> {
    let checksum = u32_at(bytes, LABEL_BYTES - 4);
    if bytes[..8] != magic || crc32fast::hash(&bytes[..LABEL_BYTES - 4]) != checksum {
        return Err(LabelFault::Corrupt);
    }
    match u16_at(bytes, 8) {
        FORMAT_VERSION => {}
        other => return Err(LabelFault::Version(other)),
    }
    let mut cluster = [0; 16];
    cluster.copy_from_slice(&bytes[16..32]);
    Ok(JournalIdentity {
        cluster: u128::from_le_bytes(cluster),
        disk: u64_at(bytes, 32),
        node: u16_at(bytes, 40),
    })
}

fn number_at(bytes: &[u8; LABEL_BYTES], at: usize) -> Result<u64, LabelFault> {
    let number = u64_at(bytes, at);
    if number <= NUMBER_MAX { Ok(number) } else { Err(LabelFault::Corrupt) }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
