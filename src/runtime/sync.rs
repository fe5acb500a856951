//! What threads meet at in `gathering.rs` and `announced.rs`. `tests/threads` puts others in their place, and goes through every
//! order in which threads can come to them.

pub(super) use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use parking_lot::Mutex;
pub(super) use tokio::sync::Notify;
