//! The cluster, its network and its clients, all in one thread and one virtual time.

mod calls;
mod processes;
mod turns;

use thermocline::Error;
use thermocline::machine::Machine;
use thermocline_paxos::NodeId;

use crate::clients::Clients;
use crate::fault::Kind;
use crate::heal::Phase;
use crate::invariants::Invariants;
use crate::network::Network;
use crate::node::{Node, Process};
use crate::plan::Plan;
use crate::queue::{Event, Input, Queue, Time};
use crate::random::Random;
use crate::tally::Tally;
use crate::trace::{Trace, hash};

/// More happens in no run that goes well: nodes that talk without end are found out here.
const EVENTS_MAX: u64 = 1_000_000;

/// What a call may take, in milliseconds.
const DEADLINE_MS: u32 = 1_000;

/// A cluster and everything around it.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now: Time,
    pub(crate) queue: Queue,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) clients: Clients,
    pub(crate) invariants: Invariants,
    pub(crate) phase: Phase,
    pub(crate) tally: Tally,
    pub(crate) trace: Trace,
    /// For timing and chance that belong to nothing else.
    pub(crate) random: Random,
    /// For what nodes take for random.
    entropy: Random,
    /// For each scheduled fault, whether it bit.
    pub(crate) bitten: Vec<bool>,
    /// When the healed cluster is looked at next.
    pub(crate) next_look: Time,
    /// When the last reads began, on the clients' clock.
    pub(crate) finals: u64,
}

/// Why a run is red.
pub(crate) type Checked = Result<(), String>;

impl World {
    /// The world of a plan, before anything has happened.
    pub(crate) fn new(plan: Plan, shown: bool) -> Self {
        let seed = plan.seed;
        let nodes: Vec<Node> = (1..)
            .zip(&plan.clocks)
            .map(|(node, clock)| {
                let config = thermocline::machine::MachineConfig { node, ..plan.machine.clone() };
                Node::new(config, seed ^ u64::from(node), clock.clone())
            })
            .collect();
        let mut world = Self {
            now: 0,
            queue: Queue::default(),
            network: Network::new(plan.network.clone(), seed),
            clients: Clients::new(&plan),
            invariants: Invariants::new(nodes.len()),
            phase: Phase::Faults,
            tally: Tally { seeds: 1, of_five: u64::from(nodes.len() == 5), ..Tally::default() },
            trace: Trace::new(shown),
            random: Random::new(seed, 4),
            entropy: Random::new(seed, 5),
            bitten: vec![false; plan.faults.len()],
            next_look: 0,
            finals: 0,
            nodes,
            plan,
        };
        for node in 0..world.nodes.len() {
            let at = world.random.below(20_000);
            world.queue.push(at, Event::Start { node });
        }
        for client in 0..world.plan.clients {
            let at = 20_000 + world.random.below(50_000);
            world.queue.push(at, Event::Client { client });
        }
        for (index, scheduled) in world.plan.faults.iter().enumerate() {
            world.queue.push(scheduled.at, Event::Fault { index });
        }
        world.queue.push(world.plan.duration, Event::Heal);
        world
    }

    /// Lets everything happen until the faults are over and all is well again.
    ///
    /// # Errors
    /// The first thing that must not be.
    pub(crate) fn run(&mut self) -> Checked {
        while !matches!(self.phase, Phase::Done) {
            let Some((at, event)) = self.queue.pop() else { return Err("nothing happens any more".into()) };
            self.now = at;
            if self.trace.events > EVENTS_MAX {
                return Err(format!("it does not come to rest: {EVENTS_MAX} events"));
            }
            self.happen(event)?;
            self.go_on()?;
        }
        self.end()
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Start { node } => self.start(node),
            Event::Node { node, life, input } => {
                if self.nodes[node].life != life || self.nodes[node].process.is_none() {
                    return Ok(());
                }
                let paused = self.nodes[node].paused_until;
                if paused > self.now {
                    self.note_bit(Kind::Pause, node);
                    self.queue.push(paused, Event::Node { node, life, input });
                    return Ok(());
                }
                self.input(node, input)
            }
            Event::Frame { link, session, body } => {
                let node = link.to;
                if !self.network.delivers(link, session) || self.nodes[node].process.is_none() {
                    return Ok(());
                }
                let paused = self.nodes[node].paused_until;
                if paused > self.now {
                    self.queue.push(paused, Event::Frame { link, session, body });
                    return Ok(());
                }
                let facts = [1, link.from as u64, link.to as u64, link.worker as u64, hash(&body)];
                self.trace.event(
                    self.now,
                    &facts,
                    format_args!(
                        "{} <- {} worker {}: {} bytes",
                        link.to + 1,
                        link.from + 1,
                        link.worker,
                        body.len()
                    ),
                );
                self.with(node, |machine, local| {
                    machine.frame(local, link.worker, NodeId(link.from as u16 + 1), body);
                });
                self.end_turn_soon(node, link.worker);
                Ok(())
            }
            Event::Client { client } => {
                self.client(client);
                Ok(())
            }
            Event::Refused { number } => {
                self.answer(number, Some(Err(Error::Unavailable { reason: "nobody is there".into() })));
                Ok(())
            }
            Event::GiveUp { client, number } => {
                if self.clients.client_of(number) == client {
                    self.answer(number, None);
                }
                Ok(())
            }
            Event::Fault { index } => self.fault(index),
            Event::Mend { index } => self.mend(index),
            Event::Flap { index, is_cut } => {
                self.flap(index, is_cut);
                Ok(())
            }
            Event::Heal => self.heal(),
        }
    }

    /// Runs something on a node's machine, with its own clock.
    pub(crate) fn with(&mut self, node: usize, run: impl FnOnce(&mut Machine, u64)) {
        let local = self.nodes[node].local(self.now);
        if let Some(process) = &mut self.nodes[node].process {
            run(&mut process.machine, local);
        }
    }

    /// The process of a node that is up.
    pub(crate) fn process(&mut self, node: usize) -> &mut Process {
        match &mut self.nodes[node].process {
            Some(process) => process,
            None => unreachable!("only a node that is up is given anything"),
        }
    }

    pub(crate) fn end_turn_soon(&mut self, node: usize, worker: usize) {
        if !std::mem::replace(&mut self.process(node).turns[worker], true) {
            let delay = self.random.between(5, 40);
            self.later(node, delay, Input::Turn { worker });
        }
    }

    pub(crate) fn later(&mut self, node: usize, delay: Time, input: Input) {
        self.push_input(self.now + delay, node, input);
    }

    pub(crate) fn push_input(&mut self, at: Time, node: usize, input: Input) {
        let life = self.nodes[node].life;
        self.queue.push(at, Event::Node { node, life, input });
    }
}
