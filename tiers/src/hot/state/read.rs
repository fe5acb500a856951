//! Gets and scans.
#![expect(clippy::todo, reason = "signatures first")]

use super::error::StateError;
use super::record::{Page, Record};

/// The answer to a get.
pub enum Lookup {
    /// There is one.
    Found(Record),
    /// There is none.
    Absent,
    /// A file must be read first.
    Deferred(GetJob),
}

/// A get that must read a file. Answers as of the moment it was made.
pub struct GetJob {}

impl GetJob {
    /// Reads. Blocks.
    pub fn run(self) -> Result<Option<Record>, StateError> {
        todo!()
    }
}

/// The answer to a scan.
pub enum Scan {
    /// A page.
    Done(Page),
    /// A file must be read first.
    Deferred(ScanJob),
}

/// A scan that must read a file. Answers as of the moment it was made.
pub struct ScanJob {}

impl ScanJob {
    /// Reads. Blocks.
    pub fn run(self) -> Result<Page, StateError> {
        todo!()
    }
}
