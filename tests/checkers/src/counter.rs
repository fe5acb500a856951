//! Counters: what is read lies between what must have been added and what may have been.

use crate::history::{Call, Operation, Reply, by_key};
use crate::plant::{self, Plant};
use crate::verdict::{Verdict, Violation};

/// Whether every reading of a counter is within its bounds.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    let mut violations = Vec::new();
    for (key, places) in by_key(history) {
        let bounds = Bounds::of(history, &places);
        for &place in &places {
            let operation = &history[place];
            let (Some(Reply::Count(count)), Some(ended)) = (operation.reply(), operation.ended()) else {
                continue;
            };
            let (least, most) = bounds.at(operation.invoked, ended);
            let below = i128::from(*count) < least && !plant::on(Plant::CounterUpperOnly);
            if below || i128::from(*count) > most {
                let what = format!("{count} was read where {least} to {most} are possible");
                violations.push(Violation::new(key, what, [place]));
            }
        }
    }
    Verdict::of(violations)
}

/// What increments have added up to, by the time at which they surely were, or may have been, counted.
struct Bounds {
    /// Ends of those that succeeded, with sums of the positive and of the negative ones until there.
    certain: Vec<(u64, i128, i128)>,
    /// Calls of those that may have happened, with the same.
    possible: Vec<(u64, i128, i128)>,
}

impl Bounds {
    fn of(history: &[Operation], places: &[usize]) -> Self {
        let (mut certain, mut possible) = (Vec::new(), Vec::new());
        for &place in places {
            let operation = &history[place];
            let Call::Increment(by) = operation.call else { continue };
            let by = i128::from(by);
            if operation.possible() {
                possible.push((operation.invoked, by.max(0), by.min(0)));
            }
            if let (true, Some(ended)) = (operation.acknowledged(), operation.ended()) {
                certain.push((ended, by.max(0), by.min(0)));
            }
        }
        Self { certain: summed(certain), possible: summed(possible) }
    }

    /// The least and the most that a reading between these times can show.
    fn at(&self, invoked: u64, ended: u64) -> (i128, i128) {
        // Ended before the call; called before the end.
        let (surely_up, surely_down) = until(&self.certain, |time| time < invoked);
        let (maybe_up, maybe_down) = until(&self.possible, |time| time <= ended);
        (surely_up + maybe_down, maybe_up + surely_down)
    }
}

fn summed(mut steps: Vec<(u64, i128, i128)>) -> Vec<(u64, i128, i128)> {
    steps.sort_unstable_by_key(|step| step.0);
    let (mut up, mut down) = (0, 0);
    for step in &mut steps {
        up += step.1;
        down += step.2;
        (step.1, step.2) = (up, down);
    }
    steps
}

fn until(sums: &[(u64, i128, i128)], earlier: impl Fn(u64) -> bool) -> (i128, i128) {
    let count = sums.partition_point(|sum| earlier(sum.0));
    count.checked_sub(1).map_or((0, 0), |last| (sums[last].1, sums[last].2))
}
