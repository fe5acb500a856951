//! What a replica has of some buckets is read back, on a disk thread.

use thermocline_paxos::Bucket;
use thermocline_tiers::hot::journal::{JournalError, JournalReader, Position};
use thermocline_tiers::hot::state::{Snapshot, StateError};

use super::Finding;

/// Reads the contents of some buckets, and their records in the journal. Blocks.
pub(crate) struct Reading {
    pub(super) snapshot: Snapshot,
    /// In order of their numbers.
    pub(super) buckets: Vec<(Bucket, Vec<Position>)>,
}

impl Reading {
    pub(crate) fn run(self, reader: &JournalReader) -> Vec<(Finding, Option<StateError>)> {
        let Self { snapshot, buckets } = self;
        let numbers: Vec<_> =
            buckets.iter().map(|(bucket, _)| thermocline_tiers::hot::Bucket(bucket.0)).collect();
        let contents = snapshot.contents(&numbers);
        let mut buffer = Vec::new();
        let mut found = |((bucket, places), content): ((Bucket, Vec<Position>), _)| {
            let damaged = places.iter().filter(|place| {
                let read = reader.read(**place, &mut buffer);
                matches!(read, Err(JournalError::Corrupt { .. } | JournalError::Io { .. }))
            });
            let journal_damage = damaged.count() as u32;
            let (content, error) = match content {
                Ok(content) => (Some(content), None),
                Err(error) => (None, Some(error)),
            };
            (Finding { bucket, content, journal_damage }, error)
        };
        buckets.into_iter().zip(contents).map(&mut found).collect()
    }
}
