//! What the journal's file finds as `super::layout`.

/// The number of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequence(pub(crate) u64);
