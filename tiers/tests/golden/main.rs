//! The bytes on the disk as version 1 wrote them: today's code reads them, and writes the very same.
//!
//! A difference here is a change of format: it needs a new version, new files beside the old ones, and a word in the format
//! documents. `WRITE_GOLDEN=1 cargo test -p thermocline-tiers --test golden` writes the files where there are none.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod files;
mod journal;
mod state;
