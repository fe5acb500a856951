//! The storage tiers of Thermocline: the disk, the journal, the state.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]

#[cfg(any(test, feature = "test-util"))]
pub mod decoders;
pub mod disk;
pub mod hot;
#[cfg(not(any(test, feature = "plant")))]
mod plant;
#[cfg(any(test, feature = "plant"))]
pub mod plant;
