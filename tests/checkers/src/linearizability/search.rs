//! Wing and Gong's search, as Lowe made it fast: calls and answers in a list in the order of time; an operation whose call comes
//! before the first answer may be next; it is taken out of the list with its answer, and put back when nothing works after it.
//! A configuration (which operations are taken, and the state after them) that failed once is not tried again.

use std::collections::HashSet;

use super::model::{Model, fingerprint};
use crate::history::{Call, Operation, Outcome, Reply};
use crate::plant::{self, Plant};

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// There is an order that explains everything.
    Found,
    /// There is none.
    Impossible {
        /// The operations that no order got behind: the answer that stopped the longest one, and what could have been next.
        stuck: Vec<usize>,
    },
    /// More configurations than allowed.
    GaveUp,
}

/// Searches the operations of one key, which are given by their places in the history.
pub fn search<M: Model>(model: &M, history: &[Operation], places: &[usize], configurations_max: u64) -> End {
    let unseen = model.unseen(history, places);
    let relevant = |place: &usize| match history[*place].outcome {
        // What a token says of its write is no operation on the key.
        _ if matches!(history[*place].call, Call::Resolve(_)) => false,
        Outcome::Ok { .. } => true,
        Outcome::Failed { .. } => false,
        Outcome::Unknown => {
            history[*place].changes() && !unseen.contains(place) && !plant::on(Plant::UnknownAsFailed)
        }
    };
    let places: Vec<usize> = places.iter().copied().filter(relevant).collect();
    let line = Line::new(history, &places);
    let search = Search {
        model,
        history,
        places,
        line,
        state: model.initial(),
        taken: 0,
        path: Vec::new(),
        tried: HashSet::new(),
        budget: configurations_max,
    };
    search.run()
}

/// A search under way.
struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Operation],
    /// The operations that matter; elsewhere they go by their place in here.
    places: Vec<usize>,
    /// What is not taken.
    line: Line,
    /// The state after what is taken, and a fingerprint of what is taken.
    state: M::State,
    taken: u128,
    /// What is taken, in order.
    path: Vec<Step<M::State>>,
    /// Configurations that were reached before.
    tried: HashSet<(u128, M::State)>,
    budget: u64,
}

impl<M: Model> Search<'_, M> {
    fn run(mut self) -> End {
        let (mut furthest, mut stuck) = (0, Vec::new());
        // Where to look for the next operation; `None`: a configuration was just reached, and anything can be next.
        let mut behind = None;
        while self.line.answers_left > 0 {
            if self.budget == 0 {
                return End::GaveUp;
            }
            if let Some((local, next, settled)) = self.choose(behind) {
                self.take(local, next, settled);
                behind = None;
                continue;
            }
            if self.path.len() >= furthest {
                furthest = self.path.len() + 1;
                stuck = self.line.open().into_iter().map(|local| self.places[local]).collect();
            }
            let Some(last) = self.back() else { return End::Impossible { stuck } };
            behind = Some(last);
        }
        End::Found
    }

    /// An operation that can be next and leads to what was not tried, and the state after it.
    fn choose(&mut self, behind: Option<usize>) -> Option<(usize, M::State, bool)> {
        // What changes nothing and fits now is taken now: any order that has it later works as well with it here.
        if behind.is_none()
            && let Some(local) = self.settled()
        {
            return self.untried(local, &self.state.clone()).then(|| (local, self.state.clone(), true));
        }
        let mut at = self.line.next(behind.unwrap_or(HEAD));
        while let Some((entry, local)) = at.and_then(|entry| Some((entry, self.line.call_at(entry)?))) {
            if let Some(next) = self.model.step(&self.state, &self.history[self.places[local]])
                && self.untried(local, &next)
            {
                return Some((local, next, false));
            }
            at = self.line.next(entry);
        }
        None
    }

    fn settled(&self) -> Option<usize> {
        let mut at = self.line.next(HEAD);
        while let Some((entry, local)) = at.and_then(|entry| Some((entry, self.line.call_at(entry)?))) {
            let operation = &self.history[self.places[local]];
            let fits = || self.model.step(&self.state, operation).is_some_and(|next| next == self.state);
            // A refusal changes nothing either.
            if (!operation.changes() || matches!(operation.reply(), Some(Reply::Refused { .. }))) && fits() {
                return Some(local);
            }
            at = self.line.next(entry);
        }
        None
    }

    /// Whether the configuration after an operation is reached for the first time.
    fn untried(&mut self, local: usize, next: &M::State) -> bool {
        self.budget = self.budget.saturating_sub(1);
        let state = if plant::on(Plant::StateForgotten) { self.model.initial() } else { next.clone() };
        self.tried.insert((self.taken ^ fingerprint(local as u64), state))
    }

    fn take(&mut self, local: usize, next: M::State, settled: bool) {
        let state = std::mem::replace(&mut self.state, next);
        self.path.push(Step { local, state, settled });
        self.taken ^= fingerprint(local as u64);
        self.line.take(local);
    }

    /// Takes back the last operation that something else could stand in the place of; says where it stood.
    fn back(&mut self) -> Option<usize> {
        while let Some(step) = self.path.pop() {
            self.line.put_back(step.local);
            self.taken ^= fingerprint(step.local as u64);
            self.state = step.state;
            if !step.settled {
                return Some(self.line.calls[step.local]);
            }
        }
        None
    }
}

/// One operation of the order that is being tried, and what was before it.
struct Step<S> {
    local: usize,
    /// The state before it.
    state: S,
    /// Nothing else need be tried in its place.
    settled: bool,
}

/// Calls and answers in the order of time, as a list that entries can be taken out of and put back into.
struct Line {
    /// What each entry is. Entry 0 is the head.
    entries: Vec<Entry>,
    previous: Vec<usize>,
    next: Vec<usize>,
    /// The entries of each operation's call and answer.
    calls: Vec<usize>,
    answers: Vec<Option<usize>>,
    /// Answers that are still in the list.
    answers_left: usize,
}

#[derive(Clone, Copy)]
enum Entry {
    Head,
    Call(usize),
    Answer(usize),
}

const HEAD: usize = 0;
/// The end of the list.
const END: usize = usize::MAX;

impl Line {
    fn new(history: &[Operation], places: &[usize]) -> Self {
        let mut order: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * places.len());
        for (local, &place) in places.iter().enumerate() {
            let operation = &history[place];
            order.push((operation.invoked, false, local));
            match operation.ended() {
                Some(_) if plant::on(Plant::RealTimeIgnored) => order.push((u64::MAX, true, local)),
                Some(ended) => order.push((ended, true, local)),
                None if plant::on(Plant::UnknownAsDone) => order.push((u64::MAX, true, local)),
                None => {}
            }
        }
        order.sort_unstable();
        let mut line = Self {
            entries: vec![Entry::Head],
            previous: (0..=order.len()).map(|entry| entry.wrapping_sub(1)).collect(),
            next: (1..=order.len()).chain([END]).collect(),
            calls: vec![0; places.len()],
            answers: vec![None; places.len()],
            answers_left: 0,
        };
        for (_, answer, local) in order {
            let entry = line.entries.len();
            if answer {
                line.entries.push(Entry::Answer(local));
                line.answers[local] = Some(entry);
                line.answers_left += 1;
            } else {
                line.entries.push(Entry::Call(local));
                line.calls[local] = entry;
            }
        }
        line
    }

    fn next(&self, entry: usize) -> Option<usize> {
        Some(self.next[entry]).filter(|&next| next != END)
    }

    fn call_at(&self, entry: usize) -> Option<usize> {
        match self.entries[entry] {
            Entry::Call(local) => Some(local),
            Entry::Answer(_) | Entry::Head => None,
        }
    }

    /// What is called before the first answer, the one with that answer first.
    fn open(&self) -> Vec<usize> {
        let mut open = Vec::new();
        let mut at = self.next(HEAD);
        while let Some(entry) = at {
            match self.entries[entry] {
                Entry::Call(local) => open.push(local),
                Entry::Answer(local) => {
                    open.retain(|&other| other != local);
                    open.insert(0, local);
                    break;
                }
                Entry::Head => {}
            }
            at = self.next(entry);
        }
        open
    }

    fn take(&mut self, local: usize) {
        self.unlink(self.calls[local]);
        if let Some(answer) = self.answers[local] {
            self.unlink(answer);
            self.answers_left -= 1;
        }
    }

    fn put_back(&mut self, local: usize) {
        if let Some(answer) = self.answers[local] {
            self.link(answer);
            self.answers_left += 1;
        }
        self.link(self.calls[local]);
    }

    fn unlink(&mut self, entry: usize) {
        let (previous, next) = (self.previous[entry], self.next[entry]);
        self.next[previous] = next;
        if next != END {
            self.previous[next] = previous;
        }
    }

    fn link(&mut self, entry: usize) {
        let (previous, next) = (self.previous[entry], self.next[entry]);
        self.next[previous] = entry;
        if next != END {
            self.previous[next] = entry;
        }
    }
}
