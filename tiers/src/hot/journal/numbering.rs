//! The numbers of commits that the writer shares with who reclaims segments. `tests/threads` goes through every order in which the
//! two can come to them.

use super::layout::Sequence;
use super::sync::{AtomicU64, Ordering};

/// The number that the next commit will have.
pub(super) struct NextSequence(AtomicU64);

impl NextSequence {
    pub(super) fn new(sequence: Sequence) -> Self {
        Self(AtomicU64::new(sequence.0))
    }

    pub(super) fn set(&self, sequence: Sequence) {
        self.0.store(sequence.0, Ordering::SeqCst);
    }

    fn get(&self) -> Sequence {
        Sequence(self.0.load(Ordering::SeqCst))
    }
}

/// The number of a segment's first commit, 0 as long as there is none.
pub(super) struct FirstSequence(AtomicU64);

impl FirstSequence {
    pub(super) fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The segment's first commit has this number, or will have it; the first call counts. Only the writer calls it, before it says
    /// what the next number is.
    pub(super) fn started(&self, sequence: Sequence) {
        if self.get().is_none() {
            self.0.store(sequence.0, Ordering::SeqCst);
        }
    }

    fn get(&self) -> Option<Sequence> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            number => Some(Sequence(number)),
        }
    }
}

/// The number of the first commit that lies, or will lie, in the segments that are kept, oldest first. The writer may commit
/// meanwhile, but not go on to another segment: the caller holds the lock on the files.
pub(super) fn first_kept<'a>(
    next: &NextSequence,
    mut kept: impl Iterator<Item = &'a FirstSequence>,
) -> Sequence {
    // The number is read before the segments: were it the other way round, the first commit to an empty segment could come in
    // between.
    let next = next.get();
    kept.find_map(FirstSequence::get).unwrap_or(next)
}
