//! Ways to make a right history wrong for certain, and ways that may or may not.

use thermocline_checkers::{Call, History, Operation, Outcome, Reply};

/// A way to make a history wrong for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A read shows what had been overwritten before it began.
    StaleRead,
    /// A read shows what nobody wrote.
    Phantom,
    /// Two reads, one behind the other, show their values in the wrong order.
    ReadsSwapped,
    /// Two compare-and-sets on the same version both succeed.
    ConditionTwice,
    /// A scan misses what was acknowledged before it began.
    Lost,
    /// A scan shows a part of a batch.
    HalfBatch,
    /// A list that others saw too has two elements exchanged.
    ElementsSwapped,
    /// A counter shows less than was added for certain.
    CountTooLow,
    /// A counter shows more than can have been added.
    CountTooHigh,
}

impl Wrong {
    pub(crate) const ALL: [Self; 9] = [
        Self::StaleRead,
        Self::Phantom,
        Self::ReadsSwapped,
        Self::ConditionTwice,
        Self::Lost,
        Self::HalfBatch,
        Self::ElementsSwapped,
        Self::CountTooLow,
        Self::CountTooHigh,
    ];
}

/// The history made wrong, if it has a place for that.
pub(crate) fn make(history: &[Operation], wrong: Wrong) -> Option<History> {
    let mut history = history.to_vec();
    match wrong {
        Wrong::StaleRead => stale_read(&mut history),
        Wrong::Phantom => {
            let read = reads(&history).next_back()?;
            answer(&mut history, read, Reply::Value { value: Some(777_777), version: Some(777_777) })
        }
        Wrong::ReadsSwapped => {
            let version = |operation: &Operation| match operation.reply() {
                Some(Reply::Value { version, .. }) => *version,
                _ => None,
            };
            let pair = pairs(&history, |early, late| {
                version(early).zip(version(late)).is_some_and(|(early, late)| early != late)
            })?;
            let (early, late) = (history[pair.0].reply()?.clone(), history[pair.1].reply()?.clone());
            answer(&mut history, pair.0, late)?;
            answer(&mut history, pair.1, early)
        }
        Wrong::ConditionTwice => {
            let (first, second) = pairs(&history, |early, late| {
                let on_something = |operation: &Operation| match operation.call {
                    Call::CompareAndSetVersion { expected, .. } => expected > 0 && operation.acknowledged(),
                    _ => false,
                };
                on_something(early) && on_something(late)
            })?;
            let Call::CompareAndSetVersion { expected: before, .. } = history[first].call else {
                return None;
            };
            let Call::CompareAndSetVersion { expected, .. } = &mut history[second].call else { return None };
            *expected = before;
            Some(())
        }
        Wrong::Lost => {
            let (_, scan, element) = acknowledged_and_shown(&history)?;
            shown(&mut history, scan)?.retain(|other| *other != element);
            Some(())
        }
        Wrong::HalfBatch => {
            let (add, scan, _) = acknowledged_and_shown(&history)?;
            let (Call::Add(batch) | Call::Append(batch)) = history[add].call.clone() else { return None };
            let rest = batch.get(1..).filter(|rest| !rest.is_empty())?;
            shown(&mut history, scan)?.retain(|other| !rest.contains(other));
            Some(())
        }
        Wrong::ElementsSwapped => {
            let lists: Vec<usize> = (0..history.len())
                .filter(
                    |&place| matches!(history[place].reply(), Some(Reply::Elements(list)) if list.len() > 1),
                )
                .collect();
            let (&one, _) = lists.split_first().filter(|(_, others)| !others.is_empty())?;
            history.iter().any(|operation| matches!(operation.call, Call::Append(_))).then_some(())?;
            shown(&mut history, one)?.swap(0, 1);
            Some(())
        }
        Wrong::CountTooLow => count(&mut history, |steps| steps.min(0) - 1, i64::min),
        Wrong::CountTooHigh => count(&mut history, |steps| steps.max(0) + 1, i64::max),
    }?;
    Some(history)
}

/// Gives one answer in the place of another of the same kind of call: the result may be wrong, or right by chance.
pub(crate) fn disturb(history: &[Operation], one: usize, other: usize) -> History {
    let mut history = history.to_vec();
    let answered: Vec<usize> = (0..history.len()).filter(|&place| history[place].reply().is_some()).collect();
    if answered.is_empty() {
        return history;
    }
    let (one, other) = (answered[one % answered.len()], answered[other % answered.len()]);
    let same = std::mem::discriminant(&history[one].call) == std::mem::discriminant(&history[other].call);
    if let (true, Some(reply)) = (same, history[other].reply().cloned()) {
        answer(&mut history, one, reply);
    }
    history
}

fn stale_read(history: &mut [Operation]) -> Option<()> {
    let write = |operation: &Operation| operation.acknowledged() && matches!(operation.call, Call::Write(_));
    let (first, second) = pairs(history, |early, late| write(early) && write(late))?;
    let until = history[second].ended()?;
    let read = reads(history).find(|&read| history[read].invoked > until)?;
    let reply = Reply::Value { value: history[first].written(), version: history[first].version() };
    answer(history, read, reply)
}

/// The first two operations of which one ended before the other began, and that fit.
fn pairs(history: &[Operation], fit: impl Fn(&Operation, &Operation) -> bool) -> Option<(usize, usize)> {
    (0..history.len()).find_map(|early| {
        let ended = history[early].ended()?;
        let fits = |&late: &usize| history[late].invoked > ended && fit(&history[early], &history[late]);
        Some((early, (0..history.len()).find(fits)?))
    })
}

/// An acknowledged batch, a scan that began after it ended, and its first element.
fn acknowledged_and_shown(history: &[Operation]) -> Option<(usize, usize, u64)> {
    let (add, scan) = pairs(history, |early, late| {
        let batch = match &early.call {
            Call::Add(batch) | Call::Append(batch) => batch.len() > 1,
            _ => false,
        };
        batch && early.acknowledged() && matches!(late.reply(), Some(Reply::Elements(_)))
    })?;
    match &history[add].call {
        Call::Add(batch) | Call::Append(batch) => Some((add, scan, batch[0])),
        _ => None,
    }
}

/// Sets a read of a counter to something that no set of increments explains.
fn count(
    history: &mut [Operation],
    one_more: impl Fn(i64) -> i64,
    bound: impl Fn(i64, i64) -> i64,
) -> Option<()> {
    let read = (0..history.len()).find(|&place| matches!(history[place].reply(), Some(Reply::Count(_))))?;
    let all = history.iter().filter_map(|operation| match operation.call {
        Call::Increment(by) => Some(bound(by, 0)),
        _ => None,
    });
    let beyond = one_more(all.sum());
    answer(history, read, Reply::Count(beyond))
}

fn reads(history: &[Operation]) -> impl DoubleEndedIterator<Item = usize> {
    let reads =
        (0..history.len()).filter(|&place| matches!(history[place].reply(), Some(Reply::Value { .. })));
    reads.collect::<Vec<_>>().into_iter()
}

fn shown(history: &mut [Operation], scan: usize) -> Option<&mut Vec<u64>> {
    match &mut history[scan].outcome {
        Outcome::Ok { reply: Reply::Elements(elements), .. } => Some(elements),
        _ => None,
    }
}

fn answer(history: &mut [Operation], place: usize, answer: Reply) -> Option<()> {
    match &mut history[place].outcome {
        Outcome::Ok { reply, .. } => {
            *reply = answer;
            Some(())
        }
        _ => None,
    }
}
