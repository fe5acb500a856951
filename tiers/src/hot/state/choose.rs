//! Which runs to merge: size-tiered, within one set, neighbours in age only, so that a run's entries stay all newer or all older than another's.

use std::ops::Range;

use super::key::RunSet;

/// The sizes of one set's runs in bytes, from the newest to the oldest.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) set: RunSet,
    pub(super) bytes: Vec<u64>,
}

/// The size of a run that must be merged with nothing: no stretch holds it and another.
pub(super) const UNMERGEABLE: u64 = u64::MAX;

/// Merge these runs of this set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) set: RunSet,
    pub(super) runs: Range<usize>,
}

/// At least `fan` neighbours of similar size, the next one never more than twice the mean of those before it, all of them at most `bytes_max`
/// together. Of several such stretches the longest, of equally long ones the smallest in bytes.
pub(super) fn choose(sets: &[Sizes], fan: usize, bytes_max: u64) -> Option<Choice> {
    let mut best: Option<(usize, u64, Choice)> = None;
    for Sizes { set, bytes } in sets {
        for start in 0..bytes.len() {
            let Some((end, total)) = stretch(bytes, start, bytes_max) else { continue };
            let count = end - start;
            if count < fan {
                continue;
            }
            let better = best
                .as_ref()
                .is_none_or(|(most, least, _)| count > *most || count == *most && total < *least);
            if better {
                best = Some((count, total, Choice { set: *set, runs: start..end }));
            }
        }
    }
    best.map(|(_, _, choice)| choice)
}

/// The longest stretch of similar sizes from `start` on: its end and its bytes.
fn stretch(bytes: &[u64], start: usize, bytes_max: u64) -> Option<(usize, u64)> {
    let mut total = *bytes.get(start)?;
    let mut end = start + 1;
    while let Some(&next) = bytes.get(end) {
        let count = (end - start) as u64;
        if next > total.saturating_mul(2) / count || total.saturating_add(next) > bytes_max {
            break;
        }
        total += next;
        end += 1;
    }
    Some((end, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hot::state::Window;

    fn chosen(bytes: &[u64]) -> Option<Range<usize>> {
        let sets = [Sizes { set: RunSet::Undated, bytes: bytes.to_vec() }];
        choose(&sets, 4, 10_000).map(|choice| choice.runs)
    }

    #[test]
    fn neighbours_of_similar_size_are_chosen() {
        let table: &[(&[u64], Option<Range<usize>>)] = &[
            (&[], None),
            (&[64], None),
            (&[64, 64, 64], None),
            (&[64, 64, 64, 64], Some(0..4)),
            (&[64, 64, 64, 256], None),
            (&[64, 64, 64, 64, 256, 256], Some(0..4)),
            (&[64, 256, 256, 256, 256, 1024], Some(1..5)),
            (&[64, 64, 64, 64, 64, 1024, 1024, 1024, 1024], Some(0..5)),
            // Small old runs go along with a large new one.
            (&[1024, 64, 64, 64], Some(0..4)),
            // The bound on bytes cuts a stretch short, and rules one out.
            (&[3000, 3000, 3000, 3000], None),
            (&[2500, 2500, 2500, 2500, 2500], Some(0..4)),
            // What is damaged ends a stretch on both sides.
            (&[64, 64, UNMERGEABLE, 64, 64], None),
            (&[64, 64, UNMERGEABLE, 64, 64, 64, 64], Some(3..7)),
        ];
        for (bytes, expected) in table {
            assert_eq!(chosen(bytes), *expected, "{bytes:?}");
        }
    }

    #[test]
    fn the_longest_stretch_goes_first_then_the_smallest() {
        let set =
            |window, bytes: &[u64]| Sizes { set: RunSet::Window(Window(window)), bytes: bytes.to_vec() };
        let sets = [set(1, &[8; 4]), set(2, &[9; 5]), set(3, &[7; 5])];
        let expected = Choice { set: RunSet::Window(Window(3)), runs: 0..5 };
        assert_eq!(choose(&sets, 4, 10_000), Some(expected));
    }
}
