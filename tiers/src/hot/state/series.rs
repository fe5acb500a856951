//! The dated records of one entity in a memtable, in order.

use std::collections::BTreeMap;

use super::arena::Location;

/// (timestamp, sequence)
pub(super) type Stamp = (u64, u64);

/// A record that arrives this many places before the end of a sorted list turns the list into a tree.
const SHIFT_MAX: usize = 512;

/// Records mostly arrive in order of time, so that they can be appended to a list; what arrives far out of order goes to a tree.
pub(super) enum Series {
    List(Vec<(Stamp, Location)>),
    Tree(BTreeMap<Stamp, Location>),
}

impl Default for Series {
    fn default() -> Series {
        Series::List(Vec::new())
    }
}

impl Series {
    /// Sets what is at a stamp; returns what was there.
    pub(super) fn insert(&mut self, stamp: Stamp, location: Location) -> Option<Location> {
        let list = match self {
            Series::Tree(tree) => return tree.insert(stamp, location),
            Series::List(list) => list,
        };
        if list.last().is_none_or(|(last, _)| *last < stamp) {
            list.push((stamp, location));
            return None;
        }
        match list.binary_search_by_key(&stamp, |(stamp, _)| *stamp) {
            Ok(at) => Some(std::mem::replace(&mut list[at].1, location)),
            Err(at) if list.len() - at <= SHIFT_MAX => {
                list.insert(at, (stamp, location));
                None
            }
            Err(_) => {
                let mut tree: BTreeMap<_, _> = std::mem::take(list).into_iter().collect();
                tree.insert(stamp, location);
                *self = Series::Tree(tree);
                None
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Series::List(list) => list.len(),
            Series::Tree(tree) => tree.len(),
        }
    }

    /// Where the newest record is, if that is known at once.
    pub(super) fn last(&self) -> Option<Location> {
        match self {
            Series::List(list) => list.last().map(|(_, location)| *location),
            Series::Tree(_) => None,
        }
    }

    pub(super) fn get(&self, stamp: Stamp) -> Option<Location> {
        match self {
            Series::List(list) => {
                let at = list.binary_search_by_key(&stamp, |(stamp, _)| *stamp).ok()?;
                Some(list[at].1)
            }
            Series::Tree(tree) => tree.get(&stamp).copied(),
        }
    }

    /// What lies between two stamps, both included, in order; can be walked from both ends.
    pub(super) fn range(
        &self,
        from: Stamp,
        to: Stamp,
    ) -> Box<dyn DoubleEndedIterator<Item = (Stamp, Location)> + '_> {
        match self {
            _ if from > to => Box::new(std::iter::empty()),
            Series::List(list) => {
                let start = list.partition_point(|(stamp, _)| *stamp < from);
                let end = list.partition_point(|(stamp, _)| *stamp <= to);
                Box::new(list[start..end].iter().copied())
            }
            Series::Tree(tree) => Box::new(tree.range(from..=to).map(|(stamp, at)| (*stamp, *at))),
        }
    }

    /// The entry at or after a stamp, given a guess of its index in a list; with the index of the one behind it.
    pub(super) fn at_or_after(&self, stamp: Stamp, guess: usize) -> Option<(Stamp, Location, usize)> {
        match self {
            Series::List(list) => {
                let at = match list.get(guess) {
                    Some((found, _)) if *found >= stamp && (guess == 0 || list[guess - 1].0 < stamp) => guess,
                    _ => list.partition_point(|(found, _)| *found < stamp),
                };
                list.get(at).map(|(stamp, location)| (*stamp, *location, at + 1))
            }
            Series::Tree(tree) => tree.range(stamp..).next().map(|(stamp, at)| (*stamp, *at, 0)),
        }
    }
}
