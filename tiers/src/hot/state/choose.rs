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

/// So many sets at most are merged in one job.
const SETS_MAX: usize = 256;

/// The merges of one job. Of each set at most one: at least `fan` neighbours of similar size, the next one never more than twice the mean of
/// those before it, all of them at most `bytes_max` together; of several such stretches the longest, of equally long ones the smallest in bytes.
/// Of the sets the first by the same order, and with it the next ones, as long as all that is taken in stays within `together` bytes: a
/// flush that has written a tiny run to each of hundreds of windows is followed by one merge, not by hundreds.
pub(super) fn choose(sets: &[Sizes], fan: usize, bytes_max: u64, together: u64) -> Vec<Choice> {
    let mut best: Vec<(usize, u64, Choice)> =
        sets.iter().filter_map(|set| best(set, fan, bytes_max)).collect();
    best.sort_by(|(left, left_bytes, _), (right, right_bytes, _)| {
        right.cmp(left).then(left_bytes.cmp(right_bytes))
    });
    let mut total: u64 = 0;
    let mut chosen = Vec::new();
    for (_, bytes, choice) in best {
        let fits = total.saturating_add(bytes) <= together && chosen.len() < SETS_MAX;
        if chosen.is_empty() || fits {
            total = total.saturating_add(bytes);
            chosen.push(choice);
        }
    }
    chosen
}

/// The best merge of one set: how many runs, how many bytes, and which.
fn best(Sizes { set, bytes }: &Sizes, fan: usize, bytes_max: u64) -> Option<(usize, u64, Choice)> {
    let mut best: Option<(usize, u64, Choice)> = None;
    for start in 0..bytes.len() {
        let Some((end, total)) = stretch(bytes, start, bytes_max) else { continue };
        let count = end - start;
        if count < fan {
            continue;
        }
        let better =
            best.as_ref().is_none_or(|(most, least, _)| count > *most || count == *most && total < *least);
        if better {
            best = Some((count, total, Choice { set: *set, runs: start..end }));
        }
    }
    best
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
        choose(&sets, 4, 10_000, 0).pop().map(|choice| choice.runs)
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

    fn set(window: u64, bytes: &[u64]) -> Sizes {
        Sizes { set: RunSet::Window(Window(window)), bytes: bytes.to_vec() }
    }

    #[test]
    fn the_longest_stretch_goes_first_then_the_smallest() {
        let sets = [set(1, &[8; 4]), set(2, &[9; 5]), set(3, &[7; 5])];
        let expected = Choice { set: RunSet::Window(Window(3)), runs: 0..5 };
        assert_eq!(choose(&sets, 4, 10_000, 0), [expected]);
    }

    #[test]
    fn sets_are_merged_together_within_the_bound() {
        let sets = [set(1, &[8; 4]), set(2, &[90; 4]), set(3, &[7; 5]), set(4, &[7; 3]), set(5, &[9; 4])];
        let windows = |together: u64| -> Vec<RunSet> {
            choose(&sets, 4, 10_000, together).into_iter().map(|choice| choice.set).collect()
        };
        let named = |windows: &[u64]| -> Vec<RunSet> {
            windows.iter().map(|&window| RunSet::Window(Window(window))).collect()
        };
        // 35 bytes, then 32, 36 and 360 of sets with four runs each.
        assert_eq!(windows(0), named(&[3]));
        assert_eq!(windows(66), named(&[3]));
        assert_eq!(windows(67), named(&[3, 1]));
        assert_eq!(windows(103), named(&[3, 1, 5]));
        assert_eq!(windows(u64::MAX), named(&[3, 1, 5, 2]));
        let many: Vec<Sizes> = (0..1_000).map(|window| set(window, &[1; 4])).collect();
        assert_eq!(choose(&many, 4, 10_000, u64::MAX).len(), SETS_MAX);
    }
}
