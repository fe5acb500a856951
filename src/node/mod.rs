//! The deterministic node: consensus, state and routing put together, with no runtime below it.
//!
//! [`worker`] lists all that can happen to a worker and [`effects`] all that it can want; the other files each hold one side of
//! its work. [`recovery`] makes workers from a directory.
//!
//! **Nothing in here imports tokio, a socket, a file or a clock.** Disks are reached through `Disk`.

pub(crate) mod active;
pub(crate) mod admission;
mod answers;
pub(crate) mod apply;
mod asking;
mod audit;
mod bucket_set;
pub(crate) mod calls;
pub(crate) mod catch_up;
pub(crate) mod command;
mod copies;
mod copy_codec;
pub(crate) mod counters;
mod damage;
pub(crate) mod effects;
mod forward;
pub(crate) mod founding;
pub(crate) mod holes;
pub(crate) mod identity;
pub(crate) mod journal_index;
pub(crate) mod lives;
pub(crate) mod load;
#[cfg(feature = "test-util")]
mod look;
mod loss;
mod nudges;
mod pace;
pub(crate) mod peer_file;
mod read;
pub(crate) mod reclaim;
pub(crate) mod record_codec;
pub(crate) mod recovery;
mod renewal;
pub(crate) mod request_codec;
pub(crate) mod route;
mod small_file;
mod state_parts;
pub(crate) mod stream;
#[cfg(test)]
mod tests;
mod timers;
mod transfer;
mod upkeep;
pub(crate) mod wire;
mod witness;
pub(crate) mod witnessed;
pub(crate) mod worker;
mod write;

use thermocline_tiers::hot::journal::JournalError;
use thermocline_tiers::hot::state::StateError;

use crate::error::{Error, StorageKind};

/// The hash that decides where an entity lives.
pub(crate) fn entity_hash(entity: &[u8]) -> u64 {
    thermocline_routing_table::entity_hash(entity)
}

/// An error of the state, as callers see it.
pub(crate) fn state_error(error: &StateError) -> Error {
    let what = described(error);
    match error {
        StateError::Corrupt { .. } | StateError::Manifest { .. } => Error::Corrupt { what },
        StateError::Foreign { .. } => Error::storage(StorageKind::Foreign, what),
        StateError::Io { source, .. } => Error::storage(StorageKind::of(source), what),
        StateError::Poisoned => Error::storage(StorageKind::SyncFailed, what),
        StateError::Full { what, bound } => Error::Overloaded { what, limit: bound.to_string() },
        StateError::Invalid { field, value, bound } => {
            Error::invalid(*field, value.to_string(), bound.to_string())
        }
    }
}

/// An error of the journal, as callers see it.
pub(crate) fn journal_error(error: &JournalError) -> Error {
    let what = error.to_string();
    match error {
        JournalError::Corrupt { .. } => Error::Corrupt { what },
        JournalError::Full { .. } => Error::storage(StorageKind::Full, what),
        JournalError::InUse { .. } => Error::storage(StorageKind::Locked, what),
        JournalError::Foreign { .. } | JournalError::UnsupportedVersion { .. } => {
            Error::storage(StorageKind::Foreign, what)
        }
        JournalError::Poisoned(_) => Error::storage(StorageKind::SyncFailed, what),
        JournalError::Io { source, .. } => Error::storage(StorageKind::of(source), what),
        JournalError::Invalid { field, value, min, max } => {
            Error::invalid(*field, value.to_string(), format!("{min} to {max}"))
        }
        JournalError::Unaligned { field, value, alignment } => {
            Error::invalid(*field, value.to_string(), format!("a multiple of {alignment}"))
        }
        JournalError::BatchFull { .. } | JournalError::Gone(_) | JournalError::NoSuchRecord { .. } => {
            Error::storage(StorageKind::Io, what)
        }
    }
}

/// An error with all that is behind it.
fn described(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod error_tests {
    use super::*;
    use std::io;
    use std::sync::Arc;
    use thermocline_tiers::hot::journal::Poison;

    fn kind(error: Error) -> StorageKind {
        let Error::Storage { kind, .. } = error else { panic!("{error:?}") };
        kind
    }

    #[test]
    fn a_disks_error_keeps_its_kind() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let broken = || io::Error::other("broken");
        let path = || std::path::PathBuf::from("some-file");
        let state = |source| StateError::Io { action: "cannot write", file: path(), source };
        let journal = |source| JournalError::Io { action: "write", path: path(), source };
        assert_eq!(kind(state_error(&state(full()))), StorageKind::Full);
        assert_eq!(kind(state_error(&state(broken()))), StorageKind::Io);
        assert_eq!(kind(state_error(&StateError::Poisoned)), StorageKind::SyncFailed);
        assert_eq!(kind(journal_error(&journal(full()))), StorageKind::Full);
        assert_eq!(kind(journal_error(&journal(broken()))), StorageKind::Io);
        assert_eq!(kind(journal_error(&JournalError::InUse { path: path() })), StorageKind::Locked);
        assert_eq!(kind(journal_error(&JournalError::Full { segments: 3, bytes: 4096 })), StorageKind::Full);
        let poison = Arc::new(Poison { action: "sync", path: path(), source: broken() });
        assert_eq!(kind(journal_error(&JournalError::Poisoned(poison))), StorageKind::SyncFailed);
        let manifest = StateError::Manifest { file: path(), offset: 0, what: "cut short" };
        assert!(matches!(state_error(&manifest), Error::Corrupt { .. }));
    }

    #[test]
    fn an_error_says_file_and_cause() {
        let source = io::Error::other("the cable is out");
        let error = state_error(&StateError::Io { action: "cannot write", file: "some-file".into(), source });
        assert_eq!(error.to_string(), "storage: cannot write some-file: the cable is out");
    }
}
