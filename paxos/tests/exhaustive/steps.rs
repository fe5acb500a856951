//! What a replica does in a state when something happens: asked of the real core once, and looked up from then on.

use std::collections::HashMap;
use std::rc::Rc;

use thermocline_paxos::{Boot, Command, Freshness, Message, Originator, Slot};

use super::table::{Mixed, Table, mix};
use super::{Model, REPLICAS_MAX};
use crate::check::{Fact, History};
use crate::world::node::{BUCKET, Node, Step};

/// What can happen to a replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    Propose,
    ProposeFor {
        heir: Originator,
    },
    ProposeNoOp,
    Retry,
    /// Its first record that waits for its sync is synced.
    Sync,
    /// With so many records that were not synced, and so many slots of the state.
    Crash {
        survive: usize,
        saved: u64,
    },
    Wipe,
    Learn {
        slot: Slot,
        command: Command,
    },
    Receive {
        from: usize,
        message: Message,
    },
    /// An answer to the floor question of one of its starts.
    FloorAnswer {
        from: usize,
        boot: Boot,
        touched: Slot,
    },
}

/// What may still happen to a replica, after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) crashes: bool,
    pub(super) wipes: bool,
}

/// What is asked of a replica's state again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facets {
    pub(super) me: Originator,
    pub(super) chosen: Slot,
    pub(super) unsynced: usize,
    pub(super) may_propose: bool,
    pub(super) needs_floor: bool,
    pub(super) touched: Option<Slot>,
    pub(super) fresh: Freshness,
}

/// A packet, which is an input of the one who gets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) to: usize,
    pub(super) input: u32,
    /// From whom to whom; answers to floor questions have links of their own.
    pub(super) link: u8,
    /// The slot that it is about; none for an answer to a floor question.
    pub(super) slot: Option<Slot>,
    /// What it adds to the sum over a network.
    pub(super) key: u64,
}

/// What comes of an input.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) node: u32,
    /// The packets that it sends.
    pub(super) sends: Box<[u16]>,
    /// A list of facts; 0 for none.
    pub(super) facts: u32,
}

pub(super) struct Steps {
    pub(super) nodes: Table<Node>,
    pub(super) facets: Vec<Facets>,
    pub(super) inputs: Table<Input>,
    packet_ids: Table<(usize, u32)>,
    pub(super) packets: Vec<Packet>,
    outcomes: Vec<Outcome>,
    known: HashMap<u64, u32, Mixed>,
    facts: Table<(usize, Vec<Fact>)>,
    pub(super) histories: Table<History>,
    noted: HashMap<u64, (u32, bool), Mixed>,
    slots: Slot,
    synced_at_once: bool,
    cut: &'static [(usize, usize)],
}

impl Steps {
    pub(super) fn new(model: &Model) -> Self {
        let mut facts = Table::new();
        facts.id((0, vec![]));
        Self {
            nodes: Table::new(),
            facets: vec![],
            inputs: Table::new(),
            packet_ids: Table::new(),
            packets: vec![],
            outcomes: vec![],
            known: HashMap::default(),
            facts,
            histories: Table::new(),
            noted: HashMap::default(),
            slots: Slot(model.slots),
            synced_at_once: model.synced_at_once,
            cut: model.cut,
        }
    }

    /// How many steps the core has made.
    pub(super) fn count(&self) -> usize {
        self.outcomes.len()
    }

    pub(super) fn node(&mut self, node: Node) -> u32 {
        let core = &node.core;
        let status = core.status(BUCKET);
        let facets = Facets {
            me: node.me(),
            chosen: node.chosen(),
            unsynced: node.unsynced(),
            may_propose: node.votes() && !status.proposing,
            needs_floor: core.needs_floor(BUCKET),
            touched: core.touched(BUCKET),
            fresh: core.fresh(BUCKET),
        };
        let (id, new) = self.nodes.id(node);
        if new {
            self.facets.push(facets);
        }
        id
    }

    pub(super) fn input(&mut self, input: Input) -> u32 {
        self.inputs.id(input).0
    }

    /// The number of the packet that brings an input to a replica.
    pub(super) fn packet(&mut self, to: usize, input: Input) -> u16 {
        let (from, slot) = match &input {
            Input::Receive { from, message } => (*from, Some(message.slot)),
            Input::FloorAnswer { from, .. } => (*from + REPLICAS_MAX, None),
            _ => unreachable!("no packet brings {input:?}"),
        };
        let link = (from * REPLICAS_MAX + to) as u8;
        let input = self.input(input);
        let (id, new) = self.packet_ids.id((to, input));
        if new {
            self.packets.push(Packet { to, input, link, slot, key: mix(u64::from(id) + 1) });
        }
        u16::try_from(id).expect("a model has at most 65,536 different packets")
    }

    /// What comes of an input at a replica.
    pub(super) fn outcome(
        &mut self,
        at: usize,
        node: u32,
        input: u32,
        fate: Fate,
    ) -> Result<&Outcome, String> {
        let fated = u64::from(fate.crashes) | u64::from(fate.wipes) << 1;
        let key = u64::from(node) << 32 | u64::from(input) << 2 | fated;
        if let Some(known) = self.known.get(&key) {
            return Ok(&self.outcomes[*known as usize]);
        }
        let outcome = self.take(at, node, input, fate)?;
        self.known.insert(key, u32::try_from(self.outcomes.len()).unwrap());
        self.outcomes.push(outcome);
        Ok(&self.outcomes[self.outcomes.len() - 1])
    }

    /// The core's own step.
    fn take(&mut self, at: usize, node: u32, input: u32, fate: Fate) -> Result<Outcome, String> {
        let mut node = Node::clone(self.nodes.get(node));
        let mut step = match Input::clone(self.inputs.get(input)) {
            Input::Propose => node.propose(),
            Input::ProposeFor { heir } => node.propose_for(heir),
            Input::ProposeNoOp => node.propose_no_op(),
            Input::Retry => node.retry(),
            Input::Sync => node.sync(1),
            Input::Crash { survive, saved } => node.crash(survive, saved),
            Input::Wipe => node.wipe(),
            Input::Learn { slot, command } => node.learn(slot, command),
            Input::Receive { from, message } => node.receive(from, message),
            Input::FloorAnswer { boot, .. } if node.boot != boot => Ok(Step::default()),
            Input::FloorAnswer { from, touched, .. } => node.floor_answer(from, touched),
        }?;
        while self.synced_at_once && node.unsynced() > 0 {
            let next = node.sync(usize::MAX)?;
            step.sends.extend(next.sends);
            step.facts.extend(next.facts);
        }
        if !fate.crashes {
            node.forget_journal();
            if !fate.wipes && node.chosen() >= self.slots {
                node.retire(self.slots);
            }
        }
        let mut sends: Vec<u16> = vec![];
        for (to, message) in step.sends {
            // Nothing is decided beyond the bound; and the last decision can be learned by asking.
            let last = message.slot == self.slots && message.chosen;
            let cut = self.cut.contains(&(at, to)) || self.cut.contains(&(to, at));
            if message.slot <= self.slots && !last && !cut {
                sends.push(self.packet(to, Input::Receive { from: at, message }));
            }
        }
        let facts = if step.facts.is_empty() { 0 } else { self.facts.id((at, step.facts)).0 };
        Ok(Outcome { node: self.node(node), sends: sends.into(), facts })
    }

    /// The history after some facts, and whether there is news in it that the votes have to agree with.
    pub(super) fn note(&mut self, history: u32, facts: u32) -> Result<(u32, bool), String> {
        if facts == 0 {
            return Ok((history, false));
        }
        let key = u64::from(history) << 32 | u64::from(facts);
        if let Some(known) = self.noted.get(&key) {
            return Ok(*known);
        }
        let mut next = History::clone(self.histories.get(history));
        let (node, list) = &**self.facts.get(facts);
        let mut news = false;
        for fact in list {
            news |= next.note(*node, fact)?;
        }
        let noted = (self.histories.id(next).0, news);
        self.noted.insert(key, noted);
        Ok(noted)
    }

    pub(super) fn facts(&self, facts: u32) -> Rc<(usize, Vec<Fact>)> {
        Rc::clone(self.facts.get(facts))
    }
}
