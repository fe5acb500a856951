//! Groups, by number: which machines stand behind a number is the topology's knowledge.

use core::fmt;

/// One group of machines, numbered from 0 in the order in which the groups joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(pub u16);

impl Group {
    /// The number of the group, from 0.
    #[inline]
    #[must_use]
    pub const fn index(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many groups the table is used with: 1 to 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupCount(u16);

impl GroupCount {
    /// A cluster of a single group.
    pub const MIN: Self = Self(1);
    /// The most groups the table knows: 1,000.
    pub const MAX: Self = Self(1_000);

    /// Checks a number of groups.
    ///
    /// # Errors
    /// [`GroupCountError`] unless `count` is from 1 to 1,000.
    pub const fn new(count: u32) -> Result<Self, GroupCountError> {
        if count >= Self::MIN.0 as u32 && count <= Self::MAX.0 as u32 {
            Ok(Self(count as u16))
        } else {
            Err(GroupCountError { count })
        }
    }

    /// Every group count there is, smallest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (Self::MIN.0..=Self::MAX.0).map(Self)
    }

    /// The number of groups.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The groups that exist at this count, in order.
    pub fn groups(self) -> impl ExactSizeIterator<Item = Group> + DoubleEndedIterator {
        (0..self.0).map(Group)
    }
}

impl TryFrom<u32> for GroupCount {
    type Error = GroupCountError;

    fn try_from(count: u32) -> Result<Self, GroupCountError> {
        Self::new(count)
    }
}

impl fmt::Display for GroupCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number of groups that the table does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("group count {count} is outside 1 to 1000")]
pub struct GroupCountError {
    /// The refused number.
    pub count: u32,
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn one_to_a_thousand_groups_are_legal() {
        for count in [0, 1_001, 65_536, 65_537, u32::MAX] {
            let error = GroupCount::new(count).unwrap_err();
            assert_eq!(error, GroupCountError { count });
            assert!(error.to_string().contains(&count.to_string()));
        }
        assert_eq!(GroupCount::all().count(), 1_000);
        for count in GroupCount::all() {
            assert_eq!(GroupCount::try_from(u32::from(count.get())), Ok(count));
            assert_eq!(count.groups().len(), usize::from(count.get()));
        }
    }
}
