//! Writes the journal: whatever waits goes into the next commit (group commit).
//!
//! One thread commits what workers [submit](JournalQueue::submit), and a second one makes segments ready ahead of need. A worker that
//! has nothing else to do [commits for itself](JournalQueue::commit_here) where that takes no longer than handing over.

mod committer;
mod gate;
mod preparing;
mod queue;
mod thread;

pub(super) use gate::JournalGate;
pub(super) use queue::JournalQueue;
pub(super) use thread::start;

#[cfg(test)]
mod tests;
