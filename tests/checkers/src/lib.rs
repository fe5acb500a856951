//! Histories of a key-value store, and checkers that say whether a correct store could have produced them.
//!
//! A [`History`] is what clients saw: what they asked, when, and what they were answered. Every checker takes one and gives a
//! [`Verdict`]. A checker knows nothing of how the store works, and shares no code with it.
//!
//! | module | says |
//! |---|---|
//! | [`linearizability`] | every key behaves like one register, one entity or one counter that does one thing at a time |
//! | [`versions`] | a version has one value, versions follow real time, a compare-and-set follows its predecessor |
//! | [`scans`] | each scan of an entity shows one state that the entity was in |
//! | [`batches`] | a batch is seen whole or not at all |
//! | [`list_append`] | lists only grow, and all readers see the same growth |
//! | [`counter`] | a counter lies between what must and what may have been added |
//! | [`set`] | no element is lost, none appears from nowhere |
//! | [`lost_writes`] | what was acknowledged is there at the end, read through every node |
//! | [`tokens`] | a token takes effect at most once, and always says the same of itself |
//! | [`replicas`] | replicas of equal progress are equal |
//!
//! Values are expected to be unique within a key wherever a module says so: a checker that can tell writes apart is both
//! faster and sharper.

pub mod batches;
pub mod counter;
pub mod history;
pub mod linearizability;
pub mod list_append;
pub mod lost_writes;
pub mod plant;
mod real_time;
pub mod replicas;
pub mod scans;
pub mod set;
pub mod tokens;
mod verdict;
pub mod versions;

pub use history::{Call, Change, History, Operation, Outcome, Reply};
pub use verdict::{Verdict, Violation};
