//! Work off the worker thread: flushes, merges, dropped windows, removed files.
#![expect(clippy::todo, reason = "signatures first")]

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Writes frozen memtables as runs.
    Flush,
    /// Merges neighbouring runs.
    Merge,
    /// Drops a window.
    Drop,
    /// Removes files.
    Sweep,
}

/// Work to be run on another thread. One at a time per part: as long as the job or what it returned is held, the part gives out no other.
/// Dropping it undone is harmless.
#[must_use = "a job does nothing until it is run"]
pub struct Job {}

impl Job {
    /// What it does.
    pub fn kind(&self) -> JobKind {
        todo!()
    }
    /// Does it: writes and syncs files and the manifest. Blocks.
    pub fn run(self) -> Finished {
        todo!()
    }
}

/// What a job has done, for [`Part::install`](super::Part::install).
#[must_use = "the part goes on reading the old runs until this is installed"]
pub struct Finished {}
