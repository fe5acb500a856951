//! The search itself: depth first, over every step that can come next.

use std::collections::HashSet;

use thermocline_paxos::Slot;
use thermocline_paxos::read::{ReadQuorum, Verdict};

use super::net::Net;
use super::steps::{Facets, Fate, Input, Steps};
use super::table::{Mixed, Table, mix};
use super::{Bound, Explored, Model, REPLICAS_MAX};
use crate::check::{History, Votes};
use crate::world::node::{FOUNDER, Node, members};

/// A state, by the numbers of its parts.
#[derive(Clone)]
struct State {
    nodes: [u32; REPLICAS_MAX],
    history: u32,
    /// The read under way.
    read: Option<Read>,
    left: Bound,
    net: Net,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Read {
    at: usize,
    /// The highest slot that anybody knew to be chosen when it began.
    bound: Slot,
    quorum: ReadQuorum,
}

/// What leads from a state to the next.
#[derive(Clone, Copy, Debug)]
enum Action {
    Begin,
    /// Something happens to a replica.
    Step {
        at: usize,
        input: u32,
    },
    /// A voter says to one that lost its disk what it has touched.
    Touched {
        from: usize,
        to: usize,
    },
    Read {
        at: usize,
    },
    /// A replica answers the read.
    Answer {
        from: usize,
    },
}

pub(super) struct Search<'a> {
    model: &'a Model,
    steps: Steps,
    reads: Table<Option<Read>>,
    /// Fingerprints. That two of ten million states share one has odds of one in 400,000.
    seen: HashSet<u64, Mixed>,
    stack: Vec<(usize, Action, State)>,
    /// The actions that led to the state at hand.
    path: Vec<Action>,
    transitions: u64,
}

impl<'a> Search<'a> {
    pub(super) fn new(model: &'a Model) -> Self {
        let mut search = Self {
            model,
            steps: Steps::new(model),
            reads: Table::new(),
            seen: HashSet::default(),
            stack: vec![],
            path: vec![],
            transitions: 0,
        };
        search.reads.id(None);
        let history = search.steps.histories.id(History::founded_by(FOUNDER)).0;
        for bound in model.bounds {
            let mut nodes = [0; REPLICAS_MAX];
            for (index, node) in nodes.iter_mut().enumerate().take(model.replicas) {
                *node = search.steps.node(Node::founder(index, model.replicas, model.thrifty));
            }
            search
                .push(Action::Begin, State { nodes, history, read: None, left: *bound, net: Net::default() });
        }
        search
    }

    /// Visits all states, or so many.
    pub(super) fn run(mut self, states_max: usize) -> Explored {
        let mut checked = Ok(());
        while let Some((depth, action, state)) = self.stack.pop() {
            self.path.truncate(depth);
            self.path.push(action);
            checked = self.expand(&state);
            if checked.is_err() || self.seen.len() >= states_max {
                break;
            }
        }
        Explored {
            states: self.seen.len(),
            transitions: self.transitions,
            steps: self.steps.count(),
            all: checked.is_ok() && self.stack.is_empty(),
            checked: checked.map_err(|error| format!("{error}\n{}", self.tell_path())),
        }
    }

    /// Finds every state that can come next.
    fn expand(&mut self, state: &State) -> Result<(), String> {
        for index in 0..state.net.0.len() {
            let packet = self.steps.packets[usize::from(state.net.0[index])];
            self.step(state, packet.to, packet.input, state.left)?;
        }
        for at in 0..self.model.replicas {
            let node = self.facets(state, at);
            if !self.is_left_alone(state, at) {
                self.local(state, at, node)?;
                self.floor(state, at, node);
            }
            if state.left.reads[at] > 0 && state.read.is_none() {
                self.read(state, at)?;
            }
            if state.read.is_some_and(|read| read.at != at) {
                self.answer(state, at)?;
            }
        }
        Ok(())
    }

    fn facets(&self, state: &State, at: usize) -> Facets {
        self.steps.facets[state.nodes[at] as usize]
    }

    /// Whether a replica knows all slots, and nothing can take that from it.
    fn is_left_alone(&self, state: &State, at: usize) -> bool {
        let fate = fate(&state.left, at);
        !fate.crashes && !fate.wipes && self.facets(state, at).chosen.0 >= self.model.slots
    }

    /// What happens to a replica, but for messages.
    fn local(&mut self, state: &State, at: usize, node: Facets) -> Result<(), String> {
        let open = node.chosen.0 < self.model.slots;
        if node.unsynced > 0 {
            self.take(state, at, Input::Sync, state.left)?;
        }
        if open && state.left.proposals[at] > 0 && node.may_propose {
            let mut left = state.left;
            left.proposals[at] -= 1;
            self.take(state, at, Input::Propose, left)?;
        }
        if open && state.left.hand_overs[at] > 0 && node.may_propose {
            let mut left = state.left;
            left.hand_overs[at] -= 1;
            for heir in (0..self.model.replicas).filter(|heir| *heir != at) {
                let heir = self.facets(state, heir).me;
                self.take(state, at, Input::ProposeFor { heir }, left)?;
            }
        }
        if open && state.left.retries[at] > 0 {
            let mut left = state.left;
            left.retries[at] -= 1;
            self.take(state, at, Input::Retry, left)?;
        }
        if state.left.crashes[at] > 0 {
            let mut left = state.left;
            left.crashes[at] -= 1;
            for survive in 0..=node.unsynced {
                for saved in [0, self.model.slots] {
                    self.take(state, at, Input::Crash { survive, saved }, left)?;
                }
            }
        }
        if state.left.wipes[at] > 0 && self.may_lose(state, at) {
            let mut left = state.left;
            left.wipes[at] -= 1;
            self.take(state, at, Input::Wipe, left)?;
        }
        let history = self.steps.histories.get(state.history);
        if let Some(command) = history.chosen.get(&node.chosen.next()).filter(|_| open) {
            let input = Input::Learn { slot: node.chosen.next(), command: command.clone() };
            self.take(state, at, input, state.left)?;
        }
        Ok(())
    }

    /// Whether a replica's disk may be lost: a majority of the group, all of them others, votes by what it has synced.
    fn may_lose(&self, state: &State, at: usize) -> bool {
        let intact = (0..self.model.replicas).filter(|other| *other != at).filter(|other| {
            let node = self.facets(state, *other);
            node.fresh.voting && node.unsynced == 0
        });
        intact.count() > self.model.replicas / 2
    }

    /// Peers answer the floor question.
    fn floor(&mut self, state: &State, to: usize, node: Facets) {
        if !node.needs_floor {
            return;
        }
        for from in (0..self.model.replicas).filter(|from| *from != to) {
            let Some(touched) = self.facets(state, from).touched else { continue };
            let packet = self.steps.packet(to, Input::FloorAnswer { from, boot: node.me.boot, touched });
            let mut next = state.clone();
            next.net.send(packet, self.model.kept, &self.steps.packets);
            self.push(Action::Touched { from, to }, next);
        }
    }

    fn read(&mut self, state: &State, at: usize) -> Result<(), String> {
        let members = members(self.model.replicas);
        let quorum = ReadQuorum::new(&members, members[at], self.facets(state, at).fresh);
        let bound = self.steps.histories.get(state.history).highest();
        let mut next = state.clone();
        next.left.reads[at] -= 1;
        next.read = Some(Read { at, bound, quorum });
        self.judge(Action::Read { at }, next)
    }

    fn answer(&mut self, state: &State, from: usize) -> Result<(), String> {
        let mut next = state.clone();
        let node = members(self.model.replicas)[from];
        let fresh = self.facets(state, from).fresh;
        let Some(read) = &mut next.read else { return Ok(()) };
        read.quorum.answer(node, fresh);
        self.judge(Action::Answer { from }, next)
    }

    /// Looks at what the answers to the read allow.
    fn judge(&mut self, action: Action, mut next: State) -> Result<(), String> {
        let Some(Read { at, bound, quorum }) = next.read else { return Ok(()) };
        let verdict = quorum.verdict();
        let history = self.steps.histories.get(next.history);
        history.check_read(bound, verdict).map_err(|error| format!("{error}\nlast: {action:?}"))?;
        if verdict != Verdict::Wait {
            next.read = None;
        }
        if matches!(verdict, Verdict::Finish { .. }) && !self.is_left_alone(&next, at) {
            let left = next.left;
            return self.take(&next, at, Input::ProposeNoOp, left);
        }
        self.push(action, next);
        Ok(())
    }

    fn take(&mut self, state: &State, at: usize, input: Input, left: Bound) -> Result<(), String> {
        let input = self.steps.input(input);
        self.step(state, at, input, left)
    }

    /// The state after a replica's step.
    fn step(&mut self, state: &State, at: usize, input: u32, left: Bound) -> Result<(), String> {
        let fate = fate(&left, at);
        let failed = |error, steps: &Steps| format!("{error}\nlast, at {at}: {:?}", steps.inputs.get(input));
        let outcome = match self.steps.outcome(at, state.nodes[at], input, fate) {
            Ok(outcome) => outcome,
            Err(error) => return Err(failed(error, &self.steps)),
        };
        let (node, facts) = (outcome.node, outcome.facts);
        if node == state.nodes[at] && facts == 0 && left == state.left && outcome.sends.is_empty() {
            return Ok(());
        }
        let mut net = state.net.clone();
        for packet in outcome.sends.clone() {
            net.send(packet, self.model.kept, &self.steps.packets);
        }
        let (history, news) =
            self.steps.note(state.history, facts).map_err(|error| failed(error, &self.steps))?;
        let mut next = State { history, left, net, ..*state };
        let rebooted = self.steps.facets[node as usize].me != self.facets(state, at).me;
        next.nodes[at] = node;
        // A read ends with the start that began it.
        next.read = state.read.filter(|read| read.at != at || !rebooted);
        if news {
            let nodes = &next.nodes[..self.model.replicas];
            let votes = Votes(nodes.iter().map(|node| &self.steps.nodes.get(*node).memory).collect());
            let history = self.steps.histories.get(next.history);
            for fact in &self.steps.facts(facts).1 {
                history.check_votes(fact, &votes).map_err(|error| failed(error, &self.steps))?;
            }
        }
        self.drop_dead(&mut next);
        self.push(Action::Step { at, input }, next);
        Ok(())
    }

    /// Drops the packets that can change nothing any more.
    fn drop_dead(&self, state: &mut State) {
        let mut net = std::mem::take(&mut state.net);
        net.0.retain(|packet| {
            let packet = self.steps.packets[usize::from(*packet)];
            let (node, fate) = (self.facets(state, packet.to), fate(&state.left, packet.to));
            if fate.crashes || fate.wipes {
                return true;
            }
            let late = match packet.slot {
                Some(slot) => slot < node.chosen,
                None => !node.needs_floor,
            };
            !late && node.chosen.0 < self.model.slots
        });
        state.net = net;
    }

    /// Remembers to visit a state, if it is new.
    fn push(&mut self, action: Action, state: State) {
        self.transitions += 1;
        let mut print = state
            .net
            .0
            .iter()
            .fold(0, |print, packet| mix(print ^ self.steps.packets[usize::from(*packet)].key));
        let mut add = |number: u64| print = mix(print ^ number.wrapping_add(0x9e37_79b9_7f4a_7c15));
        for pair in [
            [state.nodes[0], state.nodes[1]],
            [state.nodes[2], state.nodes[3]],
            [state.nodes[4], state.history],
        ] {
            add(u64::from(pair[0]) << 32 | u64::from(pair[1]));
        }
        add(u64::from(self.reads.id(state.read).0));
        let Bound { proposals, hand_overs, retries, crashes, wipes, reads } = state.left;
        for counts in [proposals, hand_overs, retries, crashes, wipes, reads] {
            add(counts.iter().fold(0, |sum, count| sum << 8 | u64::from(*count)));
        }
        if self.seen.insert(print) {
            self.stack.push((self.path.len(), action, state));
        }
    }

    fn tell_path(&self) -> String {
        let tell = |action: &Action| match action {
            Action::Step { at, input } => format!("  at {at}: {:?}\n", self.steps.inputs.get(*input)),
            action => format!("  {action:?}\n"),
        };
        self.path.iter().map(tell).collect()
    }
}

fn fate(left: &Bound, at: usize) -> Fate {
    Fate { crashes: left.crashes[at] > 0, wipes: left.wipes[at] > 0 }
}
