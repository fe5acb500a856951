//! All configurations at once: at each answer, whichever operations can have happened by then and the state after them, kept only
//! where the operation that answers has happened. If none is left, no order explains the history.
//!
//! It shares the models with the search, and nothing else. It is meant for short histories, as a second opinion.

use std::collections::{BTreeSet, HashSet};

use super::model::Model;
use super::search::End;
use crate::history::{Call, Operation, Outcome};

/// Which of the open operations have happened, and the state after them.
type Configuration<S> = (BTreeSet<usize>, S);

/// Decides the operations of one key, which are given by their places in the history.
pub fn decide<M: Model>(
    model: &M,
    history: &[Operation],
    places: &[usize],
    configurations_max: usize,
) -> End {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for &place in places {
        let operation = &history[place];
        match operation.outcome {
            _ if matches!(operation.call, Call::Resolve(_)) => continue,
            Outcome::Failed { .. } => continue,
            Outcome::Unknown if !operation.changes() => continue,
            Outcome::Unknown => {}
            Outcome::Ok { at, .. } => events.push((at, true, place)),
        }
        events.push((operation.invoked, false, place));
    }
    events.sort_unstable();

    let mut open: BTreeSet<usize> = BTreeSet::new();
    let mut possible: HashSet<Configuration<M::State>> = HashSet::from([(BTreeSet::new(), model.initial())]);
    for (_, answer, place) in events {
        if !answer {
            open.insert(place);
            continue;
        }
        let Some(closed) = close(model, history, &open, possible, configurations_max) else {
            return End::GaveUp;
        };
        let with_it = |(mut happened, state): Configuration<M::State>| {
            happened.remove(&place).then_some((happened, state))
        };
        possible = closed.into_iter().filter_map(with_it).collect();
        open.remove(&place);
        if possible.is_empty() {
            return End::Impossible { stuck: std::iter::once(place).chain(open).collect() };
        }
    }
    End::Found
}

/// Everything that can come of these configurations when open operations happen; `None` if it is too much.
fn close<M: Model>(
    model: &M,
    history: &[Operation],
    open: &BTreeSet<usize>,
    from: HashSet<Configuration<M::State>>,
    configurations_max: usize,
) -> Option<HashSet<Configuration<M::State>>> {
    let mut todo: Vec<_> = from.iter().cloned().collect();
    let mut all = from;
    while let Some((happened, state)) = todo.pop() {
        for &place in open.difference(&happened) {
            // Of several lost operations that ask the same, the first happens first: which of them did it, nobody can say.
            let twin = |&other: &usize| {
                history[other].call == history[place].call && history[other].outcome == Outcome::Unknown
            };
            if history[place].outcome == Outcome::Unknown
                && open.range(..place).any(|other| twin(other) && !happened.contains(other))
            {
                continue;
            }
            let Some(state) = model.step(&state, &history[place]) else { continue };
            let mut happened = happened.clone();
            happened.insert(place);
            let next = (happened, state);
            if all.insert(next.clone()) {
                if all.len() > configurations_max {
                    return None;
                }
                todo.push(next);
            }
        }
    }
    Some(all)
}
