//! What a checker says.

use std::fmt;

/// What a checker says of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A correct store could have produced it.
    Holds,
    /// No correct store could have produced it; why, at least once.
    Violated(Vec<Violation>),
    /// The checker gave up. A run that ends so has failed: it proves nothing.
    Unknown(String),
}

/// Why a history is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The key or entity concerned.
    pub key: u64,
    /// What is wrong, for people.
    pub what: String,
    /// The operations that show it, by their place in the history.
    pub operations: Vec<usize>,
}

/// The most violations that one checker tells of; the first ones say enough.
const VIOLATIONS_MAX: usize = 20;

impl Verdict {
    /// Whether the history was found right.
    #[must_use]
    pub fn holds(&self) -> bool {
        *self == Self::Holds
    }

    /// Whether the history was found wrong.
    #[must_use]
    pub fn violated(&self) -> bool {
        matches!(self, Self::Violated(_))
    }

    /// Violated if there are violations.
    pub(crate) fn of(mut violations: Vec<Violation>) -> Self {
        violations.truncate(VIOLATIONS_MAX);
        if violations.is_empty() { Self::Holds } else { Self::Violated(violations) }
    }

    /// The verdict over both: wrong if one is wrong, unknown if one is unknown.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Violated(mut one), Self::Violated(two)) => {
                one.extend(two);
                Self::of(one)
            }
            (Self::Violated(one), _) | (_, Self::Violated(one)) => Self::Violated(one),
            (Self::Unknown(why), _) | (_, Self::Unknown(why)) => Self::Unknown(why),
            (Self::Holds, Self::Holds) => Self::Holds,
        }
    }
}

impl Violation {
    pub(crate) fn new(
        key: u64,
        what: impl Into<String>,
        operations: impl IntoIterator<Item = usize>,
    ) -> Self {
        Self { key, what: what.into(), operations: operations.into_iter().collect() }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("holds"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
            Self::Violated(violations) => {
                f.write_str("violated")?;
                violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
            }
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", self.key, self.what)?;
        if !self.operations.is_empty() {
            write!(f, " (operations {:?})", self.operations)?;
        }
        Ok(())
    }
}
