//! What the two small stores share: a front that speaks the Redis protocol, a log file with group commit, and framed
//! links between the nodes.
//!
//! They exist to measure consensus libraries, not to keep data. A node cannot restart from its log, takes no
//! snapshots, never trims its log, and does not bound its queues: all of that is work a product does and these do
//! not, so they flatter the libraries they carry. What they do not leave out is the promise being measured: no write
//! is acknowledged before a majority has it behind an `fdatasync`.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]

mod arguments;
mod drive;
mod front;
mod link;
mod log_file;
mod set;

pub use arguments::{Address, Arguments};
pub use front::{Refusal, Store, serve};
pub use link::{FRAME_BYTES_MAX, FrameReader, Links, push_frame};
pub use log_file::{GroupCommit, LogFile};
pub use set::Set;
