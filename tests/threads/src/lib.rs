//! Every order in which threads of the product can meet, where no library stands between them.
//!
//! The product's own files are compiled here once more, over forms of `Mutex`, `Notify` and atomics that let
//! [loom](https://docs.rs/loom) go through all interleavings. Each model also has bugs to find: `build.rs` makes copies of the files
//! with one bug each. A worker that sleeps for ever is a deadlock, and loom says so.
//!
//! What threads share besides is counters, hints and flags that are only ever set, or stands behind a `Mutex` or in a channel of a
//! library.

#![cfg(test)]

mod announcing;
mod caught;
mod layout;
mod numbers;
mod queue;
mod sync;
