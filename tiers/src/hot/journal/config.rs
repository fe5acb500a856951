//! The limits of a journal.

use super::error::JournalError;
use super::layout::{BLOCK_BYTES, COMMIT_HEADER_BYTES, RECORD_HEADER_BYTES};

/// The least `segment_bytes`.
pub const SEGMENT_BYTES_MIN: u32 = 16 << 10;
/// The largest `segment_bytes`.
pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;

/// The limits of a journal. They may change from one start to the next: files say their own length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Length of a segment file, in bytes. Default 64 MiB; a multiple of 4,096 from [`SEGMENT_BYTES_MIN`] to [`SEGMENT_BYTES_MAX`].
    pub segment_bytes: u32,
    /// Bound of all segment files together, waiting ones included. Default 64; from `headroom_segments` + 2 to 65,536.
    pub segments_max: u32,
    /// Files kept ready beyond the next one for [`Journal::commit_from_headroom`](super::Journal::commit_from_headroom)
    /// when the disk is full. Default 1; from 0 to 1,024.
    pub headroom_segments: u32,
    /// Released files kept for reuse, beyond the headroom; more are removed. Default 2; from 0 to 65,536.
    pub spare_segments_max: u32,
    /// Bound of one commit's write, in bytes, and of the buffer for it; what is more is spread over several commits.
    /// Default 8 MiB; a multiple of 4,096 that holds at least one largest record, at most `segment_bytes` - 4,096.
    pub commit_bytes_max: u32,
    /// Bound of one record's payload, in bytes. Default 4 MiB.
    pub payload_bytes_max: u32,
    /// Bound of one batch, in bytes, record headers included. Default 8 MiB; holds at least one largest record.
    pub batch_bytes_max: u32,
}

impl Default for JournalConfig {
    fn default() -> JournalConfig {
        JournalConfig {
            segment_bytes: 64 << 20,
            segments_max: 64,
            headroom_segments: 1,
            spare_segments_max: 2,
            commit_bytes_max: 8 << 20,
            payload_bytes_max: 4 << 20,
            batch_bytes_max: 8 << 20,
        }
    }
}

impl JournalConfig {
    /// Limits that fit a segment length: a commit may fill a segment, a batch too, a record half of one.
    pub fn with_segment_bytes(segment_bytes: u32) -> JournalConfig {
        let commit = segment_bytes.saturating_sub(BLOCK_BYTES).min(8 << 20);
        let payload = (commit / 2).min(4 << 20);
        JournalConfig {
            segment_bytes,
            commit_bytes_max: commit,
            payload_bytes_max: payload,
            batch_bytes_max: commit,
            ..JournalConfig::default()
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] naming the first field that is out of its bounds.
    pub fn check(&self) -> Result<(), JournalError> {
        within("segment_bytes", self.segment_bytes, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)?;
        whole_blocks("segment_bytes", self.segment_bytes)?;
        within("headroom_segments", self.headroom_segments, 0, 1024)?;
        within("segments_max", self.segments_max, self.headroom_segments + 2, 65_536)?;
        within("spare_segments_max", self.spare_segments_max, 0, 65_536)?;
        within("commit_bytes_max", self.commit_bytes_max, BLOCK_BYTES, self.segment_bytes - BLOCK_BYTES)?;
        whole_blocks("commit_bytes_max", self.commit_bytes_max)?;
        let overhead = COMMIT_HEADER_BYTES + RECORD_HEADER_BYTES;
        within("payload_bytes_max", self.payload_bytes_max, 1, self.commit_bytes_max - overhead)?;
        let record = self.payload_bytes_max + RECORD_HEADER_BYTES;
        within("batch_bytes_max", self.batch_bytes_max, record, SEGMENT_BYTES_MAX)
    }
}

fn within(field: &'static str, value: u32, min: u32, max: u32) -> Result<(), JournalError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(JournalError::Invalid { field, value: value.into(), min: min.into(), max: max.into() })
}

fn whole_blocks(field: &'static str, value: u32) -> Result<(), JournalError> {
    if value.is_multiple_of(BLOCK_BYTES) {
        return Ok(());
    }
    Err(JournalError::Unaligned { field, value: value.into(), alignment: BLOCK_BYTES.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_own_bounds() {
        JournalConfig::default().check().unwrap();
        for segment_bytes in [SEGMENT_BYTES_MIN, 64 << 10, 1 << 20, SEGMENT_BYTES_MAX] {
            JournalConfig::with_segment_bytes(segment_bytes).check().unwrap();
        }
    }

    #[test]
    fn each_field_is_refused_out_of_its_bounds() {
        let refused = |change: fn(&mut JournalConfig)| {
            let mut config = JournalConfig::default();
            change(&mut config);
            match config.check().unwrap_err() {
                JournalError::Invalid { field, .. } | JournalError::Unaligned { field, .. } => field,
                other => panic!("{other}"),
            }
        };
        assert_eq!(refused(|config| config.segment_bytes = SEGMENT_BYTES_MIN - 4096), "segment_bytes");
        assert_eq!(refused(|config| config.segment_bytes = SEGMENT_BYTES_MAX + 4096), "segment_bytes");
        assert_eq!(refused(|config| config.segment_bytes += 1), "segment_bytes");
        assert_eq!(refused(|config| config.segments_max = 2), "segments_max");
        assert_eq!(refused(|config| config.headroom_segments = 1025), "headroom_segments");
        assert_eq!(refused(|config| config.spare_segments_max = 65_537), "spare_segments_max");
        assert_eq!(refused(|config| config.commit_bytes_max = config.segment_bytes), "commit_bytes_max");
        assert_eq!(refused(|config| config.commit_bytes_max += 512), "commit_bytes_max");
        assert_eq!(refused(|config| config.payload_bytes_max = config.commit_bytes_max), "payload_bytes_max");
        assert_eq!(refused(|config| config.payload_bytes_max = 0), "payload_bytes_max");
        assert_eq!(refused(|config| config.batch_bytes_max = config.payload_bytes_max), "batch_bytes_max");
    }
}
