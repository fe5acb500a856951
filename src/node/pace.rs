//! How long something takes that gets less, by how fast it did lately.

/// The pace is that of the last one to two such spans, in milliseconds: what is empty goes first and says little of what is not.
const SPAN_MS: u64 = 5_000;

/// How many were left when.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: u64,
    left: u32,
}

/// How many are left, seen from time to time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// What the pace is measured from, between one and two spans old, or as old as the whole; and what takes its place.
    marks: Option<(Mark, Mark)>,
}

impl Pace {
    /// So many are left now. When there are more than before, it begins anew.
    pub(super) fn note(&mut self, now: u64, left: u32) {
        let mark = Mark { at: now, left };
        self.marks = match self.marks {
            _ if left == 0 => None,
            Some((since, next)) if left <= since.left => {
                let is_due = now.saturating_sub(next.at) >= SPAN_MS;
                Some(if is_due { (next, mark) } else { (since, next) })
            }
            _ => Some((mark, mark)),
        };
    }

    /// How long those that are `left` still take, in milliseconds; `None` when none got done lately.
    pub(super) fn ms_left(&self, now: u64, left: u32) -> Option<u64> {
        let (since, _) = self.marks?;
        let done = u64::from(since.left.checked_sub(left)?);
        (u64::from(left) * now.saturating_sub(since.at)).checked_div(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_seconds() {
        let mut pace = Pace::default();
        assert_eq!(pace.ms_left(0, 10), None, "nothing is known");
        pace.note(1_000, 60_000);
        assert_eq!(pace.ms_left(1_000, 60_000), None, "nothing is done");
        pace.note(2_000, 40_000);
        assert_eq!(pace.ms_left(2_000, 40_000), Some(2_000), "20,000 a second");
        // All but 1,000 within six seconds, and those take ten milliseconds each.
        for ms in (6_000..=14_000).step_by(100) {
            pace.note(ms, 1_000 - (ms as u32 - 6_000) / 10);
        }
        assert_eq!(pace.ms_left(14_000, 200), Some(2_000));
    }

    #[test]
    fn it_begins_anew_with_more_and_ends_with_none() {
        let mut pace = Pace::default();
        pace.note(0, 10);
        pace.note(1_000, 5);
        pace.note(2_000, 11);
        assert_eq!(pace.ms_left(3_000, 1), Some(100), "ten in a second");
        pace.note(4_000, 0);
        assert_eq!(pace.ms_left(4_000, 0), None);
    }

    #[test]
    fn what_stands_still_has_no_end() {
        let mut pace = Pace::default();
        pace.note(0, 10);
        for ms in (1_000..20_000).step_by(1_000) {
            pace.note(ms, 3);
        }
        assert_eq!(pace.ms_left(20_000, 3), None);
    }
}
