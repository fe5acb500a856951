//! How the process ends.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, JOURNAL_DISK, StorageKind};
use crate::topology::Topology;

/// What `--help` says of it.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  something else, a comparison that found a difference included
  2  bad configuration, usage or input
  3  a disk holds corrupt bytes
  4  a disk is full
  5  a disk failed to read, write or sync
  6  the directory is in use, or belongs to another node or cluster";

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Code {
    Other = 1,
    Usage = 2,
    Corrupt = 3,
    Full = 4,
    Disk = 5,
    Directory = 6,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why the process ends, and how it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { code: Code::Usage, message: message.into() }
    }

    pub(super) fn other(message: impl Into<String>) -> Self {
        Self { code: Code::Other, message: message.into() }
    }

    /// A file that was named cannot be read: that is for its name to be mended, and no failing disk.
    pub(super) fn unreadable(error: Error) -> Self {
        Self { code: Code::Usage, message: error.to_string() }
    }

    /// Waits until somebody presses Ctrl-C, or asks the process to end; for ever, where that cannot be found out.
    pub(super) async fn interrupted() -> Self {
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
        tokio::select! {
            Ok(()) = tokio::signal::ctrl_c() => Self::other("interrupted"),
            Some(()) = terminate.recv() => Self::other("terminated"),
            else => std::future::pending().await,
        }
    }

    /// The same, with what was being done in front.
    pub(super) fn during(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Reads a topology that was named.
pub(super) fn read_topology(path: &Path) -> Result<Topology, Failure> {
    Topology::read(path).map_err(Failure::unreadable)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: code_of(&error), message: error.to_string() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let code = if StorageKind::of(&error) == StorageKind::Full { Code::Full } else { Code::Disk };
        Self { code, message: error.to_string() }
    }
}

fn code_of(error: &Error) -> Code {
    match error {
        Error::Invalid { .. } => Code::Usage,
        Error::Corrupt { .. } => Code::Corrupt,
        Error::Overloaded { what, .. } if *what == JOURNAL_DISK => Code::Full,
        Error::Storage { kind, .. } => match kind {
            StorageKind::Full => Code::Full,
            StorageKind::Locked | StorageKind::Foreign => Code::Directory,
            StorageKind::SyncFailed | StorageKind::Io => Code::Disk,
            StorageKind::System => Code::Other,
        },
        _ => Code::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_code() {
        let storage = |kind| code_of(&Error::storage(kind, "something"));
        assert_eq!(code_of(&Error::invalid("a", "b", "c")), Code::Usage);
        assert_eq!(code_of(&Error::Corrupt { what: "block".to_owned() }), Code::Corrupt);
        assert_eq!(code_of(&Error::Overloaded { what: JOURNAL_DISK, limit: "1 GiB".to_owned() }), Code::Full);
        assert_eq!(code_of(&Error::Overloaded { what: "call queue", limit: "5".to_owned() }), Code::Other);
        assert_eq!(code_of(&Error::Closed), Code::Other);
        assert_eq!(Failure::from(std::io::Error::from(std::io::ErrorKind::StorageFull)).code, Code::Full);
        assert_eq!(Failure::from(std::io::Error::other("broken")).code, Code::Disk);
        assert_eq!(storage(StorageKind::Full), Code::Full);
        assert_eq!(storage(StorageKind::Locked), Code::Directory);
        assert_eq!(storage(StorageKind::Foreign), Code::Directory);
        assert_eq!(storage(StorageKind::SyncFailed), Code::Disk);
        assert_eq!(storage(StorageKind::Io), Code::Disk);
        assert_eq!(storage(StorageKind::System), Code::Other);
    }

    #[test]
    fn the_help_lists_every_code() {
        for code in [Code::Other, Code::Usage, Code::Corrupt, Code::Full, Code::Disk, Code::Directory] {
            assert!(HELP.contains(&format!("\n  {}  ", code as u8)), "{code:?}");
        }
    }
}
