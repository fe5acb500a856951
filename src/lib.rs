//! Thermocline.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]

mod config;
mod error;
mod key;
mod request;
mod runtime;
mod store;
mod token;
mod topology;

pub use error::Error;
pub use key::{Entity, Key, Position, Record, Version};
pub use store::Store;
