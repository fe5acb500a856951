//! What threads meet at in `numbering.rs`. `tests/threads` puts others in their place.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
