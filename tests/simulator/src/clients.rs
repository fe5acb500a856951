//! Clients: each does one operation after the other, at whatever node, and writes down what it was told.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use thermocline::machine::{Call, Reply};
use thermocline::{Error, Expect, Key, Mutation, Position, Resolution, Token, Version};

use crate::history::{Action, EXPIRED_MS, Kind, LOGS, Operation, Outcome, entity, kind};
use crate::plan::Plan;
use crate::queue::Time;
use crate::random::Random;

/// All clients.
pub(crate) struct Clients {
    clients: Vec<Client>,
    random: Random,
    entities: u64,
    logs: u64,
    /// What was done so far.
    pub(crate) history: Vec<Operation>,
    /// The version that each record was last seen with.
    seen: BTreeMap<(u64, Position), Version>,
    next_value: u64,
    next_number: u64,
    last_stamp: u64,
    /// What is to be done when the faults are over, and must succeed: at a node, or at any.
    pub(crate) script: VecDeque<(usize, Action)>,
}

#[derive(Default)]
struct Client {
    pending: Option<Pending>,
    /// How often it did not learn what became of an operation.
    lives: u64,
}

/// An operation under way.
struct Pending {
    number: u64,
    operation: usize,
    node: usize,
    stage: Stage,
    /// The token of a write, once it is known.
    token: Option<Token>,
    attempts: u32,
    /// Where it comes from, if it is from the script.
    scripted: Option<usize>,
}

/// Which answer is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Token,
    First,
    Again,
    Resolve,
}

/// A call that is to be made.
pub(crate) struct Send {
    /// Its number.
    pub(crate) number: u64,
    /// Where.
    pub(crate) node: usize,
    /// What.
    pub(crate) call: Call,
}

/// What comes after an answer.
pub(crate) enum Next {
    /// Another call belongs to the operation.
    Send(Send),
    /// The operation has ended.
    Idle,
    /// The answer was to nobody.
    Nothing,
}

/// Who reads in the end at node 0, 1, ...
const FINAL: u64 = 1 << 40;

/// So far from each other records are appended.
const APPEND_MS: u64 = 40;

/// At most so many attempts at one write.
const ATTEMPTS_MAX: u32 = 4;

impl Clients {
    /// The clients of a plan.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            clients: (0..plan.clients).map(|_| Client::default()).collect(),
            random: Random::new(plan.seed, 3),
            entities: plan.entities,
            logs: plan.logs,
            history: Vec::new(),
            seen: BTreeMap::new(),
            next_value: 0,
            next_number: 0,
            last_stamp: 0,
            script: VecDeque::new(),
        }
    }

    /// Whether a client has nothing under way.
    pub(crate) fn is_idle(&self, client: usize) -> bool {
        self.clients[client].pending.is_none()
    }

    /// Whether no client has anything under way.
    pub(crate) fn are_idle(&self) -> bool {
        self.clients.iter().all(|client| client.pending.is_none())
    }

    /// The client that a call is from.
    pub(crate) fn client_of(&self, number: u64) -> usize {
        (number % self.clients.len() as u64) as usize
    }

    /// What the caller of a call that is waited for wants.
    pub(crate) fn action_of(&self, number: u64) -> Option<&Action> {
        let pending = self.clients[self.client_of(number)].pending.as_ref()?;
        (pending.number == number).then(|| &self.history[pending.operation].action)
    }

    /// The calls that wait for an answer of a node.
    pub(crate) fn waiting_at(&self, node: usize) -> Vec<u64> {
        let pending = self.clients.iter().filter_map(|client| client.pending.as_ref());
        pending.filter(|pending| pending.node == node).map(|pending| pending.number).collect()
    }

    /// Begins an operation of a client's own choice.
    pub(crate) fn begin(&mut self, client: usize, now: Time, nodes: &[usize]) -> Send {
        let home = nodes[client % nodes.len()];
        let node = if self.random.below(6) == 0 { *self.random.pick(nodes) } else { home };
        let action = self.draw();
        let is_write = matches!(action, Action::Write { .. });
        let stage = if is_write && self.random.below(4) == 0 { Stage::Token } else { Stage::First };
        self.start(client, now, node, action, stage, None)
    }

    /// Begins the next operation of the script; says nothing when there is none.
    pub(crate) fn begin_scripted(&mut self, client: usize, now: Time) -> Option<Send> {
        let (node, action) = self.script.pop_front()?;
        Some(self.start(client, now, node, action, Stage::First, Some(node)))
    }

    fn start(
        &mut self,
        client: usize,
        now: Time,
        node: usize,
        action: Action,
        stage: Stage,
        scripted: Option<usize>,
    ) -> Send {
        let operation = self.history.len();
        let outcome = Outcome::Unknown;
        let process = match scripted {
            Some(node) => FINAL + node as u64,
            None => client as u64 + self.clients[client].lives * self.clients.len() as u64,
        };
        let invoked = self.stamp(now);
        self.history.push(Operation { process, action, invoked, completed: None, outcome });
        let pending = Pending { number: 0, operation, node, stage, token: None, attempts: 0, scripted };
        self.clients[client].pending = Some(pending);
        self.send(client)
    }

    /// A moment, on a clock that never shows the same twice: what happened first is earlier.
    pub(crate) fn stamp(&mut self, now: Time) -> u64 {
        self.last_stamp = (self.last_stamp + 1).max(now * 1_000);
        self.last_stamp
    }

    /// The call of a client's stage.
    fn send(&mut self, client: usize) -> Send {
        let count = self.clients.len() as u64;
        let number = self.next_number * count + client as u64;
        self.next_number += 1;
        let Some(pending) = &mut self.clients[client].pending else {
            unreachable!("a client calls for an operation");
        };
        pending.number = number;
        let action = &self.history[pending.operation].action;
        let call = match (pending.stage, action, pending.token) {
            (Stage::Resolve, _, Some(token)) => Call::Resolve(token),
            (Stage::Token, action, _) => Call::NewToken { entity: entity(action.entity()) },
            (_, Action::Write { entity: number, mutations }, token) => {
                Call::Write { entity: entity(*number), mutations: mutations.clone(), token }
            }
            (_, Action::Get { entity: number, position }, _) => {
                Call::Get(Key { entity: entity(*number), position: *position })
            }
            (_, Action::Scan { entity: number, newest_first, limit }, _) => Call::Scan {
                entity: entity(*number),
                from: Position::dated(0, 0),
                to: Position::dated(u64::MAX, u64::MAX),
                newest_first: *newest_first,
                limit: *limit,
            },
        };
        Send { number, node: pending.node, call }
    }

    /// A call was answered, or will never be (`None`).
    pub(crate) fn answered(
        &mut self,
        number: u64,
        answer: Option<Result<Reply, Error>>,
        now: Time,
        nodes: &[usize],
    ) -> Next {
        let client = self.client_of(number);
        let Some(pending) = &mut self.clients[client].pending else { return Next::Nothing };
        if pending.number != number {
            return Next::Nothing;
        }
        let stage = pending.stage;
        let outcome = match answer {
            Some(Ok(Reply::Token(token))) => {
                (pending.token, pending.stage) = (Some(token), Stage::First);
                return Next::Send(self.send(client));
            }
            Some(Ok(Reply::Written(version))) => Some(Outcome::Written(version)),
            Some(Ok(Reply::Resolved(Resolution::Committed(version)))) => Some(Outcome::Written(version)),
            Some(Ok(Reply::Resolved(Resolution::NotCommitted))) => Some(Outcome::NotApplied),
            Some(Ok(Reply::Resolved(Resolution::Forgotten))) => None,
            Some(Ok(reply)) => Outcome::of_read(reply),
            Some(Err(Error::Conflict { current })) => Some(Outcome::Conflict(current)),
            Some(Err(Error::Unknown(token))) => {
                pending.token = Some(token);
                return self.follow_up(client, now, nodes);
            }
            Some(Err(_)) if stage == Stage::Token || stage == Stage::First => Some(Outcome::NotApplied),
            Some(Err(_)) => return self.follow_up(client, now, nodes),
            None if stage == Stage::Token => Some(Outcome::NotApplied),
            None => return self.follow_up(client, now, nodes),
        };
        self.end(client, outcome, now)
    }

    /// A write's outcome is unknown: the client asks for it, sends the same again, or lives with it.
    fn follow_up(&mut self, client: usize, now: Time, nodes: &[usize]) -> Next {
        let choice = self.random.below(4);
        let node = if nodes.is_empty() { 0 } else { *self.random.pick(nodes) };
        let Some(pending) = &mut self.clients[client].pending else { return Next::Nothing };
        if pending.token.is_none() || pending.attempts >= ATTEMPTS_MAX || choice == 0 || nodes.is_empty() {
            return self.end(client, None, now);
        }
        pending.attempts += 1;
        // Once its token may be burned, a write is not sent again.
        let burned = pending.stage == Stage::Resolve;
        pending.stage = if burned || choice == 1 { Stage::Resolve } else { Stage::Again };
        pending.node = node;
        Next::Send(self.send(client))
    }

    fn end(&mut self, client: usize, outcome: Option<Outcome>, now: Time) -> Next {
        let Some(pending) = self.clients[client].pending.take() else { return Next::Nothing };
        let stamp = self.stamp(now);
        self.clients[client].lives += u64::from(outcome.is_none());
        let operation = &mut self.history[pending.operation];
        let is_read = !matches!(operation.action, Action::Write { .. });
        let succeeded = matches!(outcome, Some(Outcome::Written(_) | Outcome::Got(_) | Outcome::Page(..)));
        if let (Some(node), false) = (pending.scripted, succeeded) {
            // It must succeed in the end. A write comes with another value then.
            let mut action = operation.action.clone();
            if let Action::Write { mutations, .. } = &mut action {
                for mutation in mutations {
                    if let Mutation::Put { value, .. } = mutation {
                        self.next_value += 1;
                        *value = Bytes::from(format!("{:06}", self.next_value));
                    }
                }
            }
            self.script.push_back((node, action));
        }
        if let Some(outcome) = outcome.filter(|outcome| !(is_read && *outcome == Outcome::NotApplied)) {
            operation.completed = Some(stamp);
            operation.outcome = outcome;
            let operation = &self.history[pending.operation];
            note_versions(&mut self.seen, operation);
        }
        Next::Idle
    }

    /// What a client does next.
    fn draw(&mut self) -> Action {
        let of_a_log = self.logs > 0 && self.random.below(3) == 0;
        let entity =
            if of_a_log { LOGS + self.random.below(self.logs) } else { self.random.below(self.entities) };
        match kind(entity) {
            Kind::Registers => self.draw_register(entity),
            Kind::Series => self.draw_series(entity),
            Kind::Log => self.draw_log(entity),
        }
    }

    fn draw_series(&mut self, entity: u64) -> Action {
        if self.random.below(3) == 0 {
            let newest_first = self.random.coin();
            let limit = if self.random.coin() { 10_000 } else { self.random.spread(1, 100) as u32 };
            return Action::Scan { entity, newest_first, limit };
        }
        let count = if self.random.below(5) == 0 { self.random.between(2, 4) } else { 1 };
        let mutations = (0..count).map(|_| self.append()).collect();
        Action::Write { entity, mutations }
    }

    /// A record behind all others of its series, or nearly.
    fn append(&mut self) -> Mutation {
        let value = self.value();
        put(Position::dated(self.next_value * APPEND_MS, 0), value, Expect::Any)
    }

    fn draw_log(&mut self, entity: u64) -> Action {
        let recent = self.recent();
        let mutations = match self.random.below(20) {
            0..6 => {
                let limit = if self.random.below(4) == 0 { self.random.spread(1, 20) as u32 } else { 10_000 };
                return Action::Scan { entity, newest_first: self.random.coin(), limit };
            }
            6 | 7 => return Action::Get { entity, position: recent },
            8 => vec![self.trim()],
            // As a stream is kept short: what comes is never what goes.
            9 | 10 => vec![self.append(), self.trim()],
            11 => vec![Mutation::Delete { position: recent, expect: Expect::Any }],
            12 => vec![put(recent, self.value(), Expect::Any)],
            13 => vec![expired(recent, self.value())],
            14 => vec![self.append(), expired(recent, self.value())],
            _ => (0..self.random.between(1, 3)).map(|_| self.append()).collect(),
        };
        Action::Write { entity, mutations }
    }

    /// Where something was put lately, in this log or another entity.
    fn recent(&mut self) -> Position {
        let back = self.random.spread(1, 30);
        Position::dated(self.next_value.saturating_sub(back - 1) * APPEND_MS, 0)
    }

    /// All but the last few records of a log go.
    fn trim(&mut self) -> Mutation {
        let back = self.random.spread(1, 30);
        let off = self.random.below(3);
        Mutation::Trim { through: (self.next_value.saturating_sub(back) * APPEND_MS + off).saturating_sub(1) }
    }

    fn draw_register(&mut self, entity: u64) -> Action {
        let position = self.position();
        let seen = self.seen.get(&(entity, position)).copied();
        let mutations = match self.random.below(20) {
            0..8 => return Action::Get { entity, position },
            8..11 => vec![put(position, self.value(), Expect::Any)],
            11..15 => match seen {
                Some(version) => vec![put(position, self.value(), Expect::Version(version))],
                None => vec![put(position, self.value(), Expect::Absent)],
            },
            15 => vec![put(position, self.value(), Expect::Absent)],
            16 | 17 => vec![Mutation::Delete { position, expect: Expect::Any }],
            _ => vec![
                put(Position::Undated, self.value(), Expect::Any),
                put(Position::dated(1_500, 0), self.value(), Expect::Any),
            ],
        };
        Action::Write { entity, mutations }
    }

    fn position(&mut self) -> Position {
        *self.random.pick(&[Position::Undated, Position::dated(1_500, 0), Position::dated(7_000, 1)])
    }

    /// A value like no other, seldom long.
    fn value(&mut self) -> Bytes {
        self.next_value += 1;
        let length = if self.random.below(8) == 0 { self.random.spread(100, 2_000) } else { 0 };
        Bytes::from(format!("{:0width$}", self.next_value, width = 6 + length as usize))
    }

    fn all_entities(&self) -> impl Iterator<Item = u64> + use<> {
        (0..self.entities).chain(LOGS..LOGS + self.logs)
    }

    /// What must succeed when the faults are over: a write of every entity.
    pub(crate) fn script_writes(&mut self, nodes: usize) {
        for entity in self.all_entities() {
            let node = self.random.below(nodes as u64) as usize;
            let mutations = match kind(entity) {
                Kind::Registers => vec![put(Position::Undated, self.value(), Expect::Any)],
                Kind::Series | Kind::Log => vec![self.append()],
            };
            self.script.push_back((node, Action::Write { entity, mutations }));
        }
    }

    /// And then: every record read at every node.
    pub(crate) fn script_reads(&mut self, nodes: usize) {
        for node in 0..nodes {
            for entity in self.all_entities() {
                if kind(entity) != Kind::Registers {
                    self.script
                        .push_back((node, Action::Scan { entity, newest_first: false, limit: 10_000 }));
                    continue;
                }
                for position in [Position::Undated, Position::dated(1_500, 0), Position::dated(7_000, 1)] {
                    self.script.push_back((node, Action::Get { entity, position }));
                }
            }
        }
    }
}

impl Action {
    pub(crate) fn entity(&self) -> u64 {
        match self {
            Self::Write { entity, .. } | Self::Get { entity, .. } | Self::Scan { entity, .. } => *entity,
        }
    }
}

fn expired(position: Position, value: Bytes) -> Mutation {
    Mutation::Put { position, value, expires_at: Some(EXPIRED_MS), expect: Expect::Any }
}

fn put(position: Position, value: Bytes, expect: Expect) -> Mutation {
    Mutation::Put { position, value, expires_at: None, expect }
}

fn note_versions(seen: &mut BTreeMap<(u64, Position), Version>, operation: &Operation) {
    match (&operation.action, &operation.outcome) {
        (Action::Write { entity, mutations }, Outcome::Written(version)) => {
            for change in crate::history::changes(mutations) {
                if change.value.is_some() {
                    seen.insert((*entity, change.position), *version);
                } else {
                    seen.remove(&(*entity, change.position));
                }
            }
        }
        (Action::Get { entity, position }, Outcome::Got(found)) => match found {
            Some((_, version, _)) => drop(seen.insert((*entity, *position), *version)),
            None => drop(seen.remove(&(*entity, *position))),
        },
        _ => {}
    }
}
