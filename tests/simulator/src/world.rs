//! The cluster, its network and its clients, all in one thread and one virtual time.

use bytes::Bytes;
use thermocline::Error;
use thermocline::machine::{Machine, Reply, Turn};
use thermocline_paxos::{NodeId, Slot};
use thermocline_tiers::disk::Unsynced;

use crate::clients::{Clients, Next, Send};
use crate::fault::Kind;
use crate::heal::Phase;
use crate::history::{Action, changes};
use crate::invariants::Invariants;
use crate::network::Network;
use crate::node::{Node, Process};
use crate::plan::Plan;
use crate::queue::{Event, Input, Link, Queue, Time};
use crate::random::Random;
use crate::tally::Tally;
use crate::trace::{Trace, hash};

/// How long a client waits for a node beyond the deadline of its call.
const PATIENCE: Time = 300_000;

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
            clients: Clients::new(seed, plan.clients, plan.entities),
            invariants: Invariants::new(nodes.len()),
            phase: Phase::Faults,
            tally: Tally { seeds: 1, ..Tally::default() },
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

    fn input(&mut self, node: usize, input: Input) -> Checked {
        match input {
            Input::Call { number, call } => {
                let mut worker = 0;
                self.with(node, |machine, local| worker = machine.call(local, number, call, DEADLINE_MS));
                self.end_turn_soon(node, worker);
                Ok(())
            }
            Input::Tick { worker, due } => {
                if self.process(node).ticks[worker] == due {
                    self.turn(node, worker)
                } else {
                    Ok(())
                }
            }
            Input::Turn { worker } => self.turn(node, worker),
            Input::Dial { link } => {
                self.dial(link);
                Ok(())
            }
            Input::LinkDown { link, session } => {
                if self.network.session(link) == Some(session) {
                    self.trace.event(
                        self.now,
                        &[2, node as u64],
                        format_args!("{} lost its link to {}", node + 1, link.to + 1),
                    );
                    self.network.hang_up(link);
                    self.with(node, |machine, local| {
                        machine.link_down(local, link.worker, NodeId(link.to as u16 + 1));
                    });
                    self.end_turn_soon(node, link.worker);
                    self.dial_later(link);
                }
                Ok(())
            }
            Input::CommitEnds => self.commit_ends(node),
            Input::Synced(synced) => {
                let workers: Vec<usize> = synced.through().map(|(worker, _)| worker).collect();
                self.with(node, |machine, local| machine.synced(local, synced));
                for worker in workers {
                    self.end_turn_soon(node, worker);
                }
                Ok(())
            }
            Input::Run(job) => self.run_job(node, job),
            Input::Done(done) => {
                let of_state = done.is_of_state();
                let mut worker = 0;
                self.with(node, |machine, local| worker = machine.done(local, done));
                self.end_turn_soon(node, worker);
                if of_state && let Some(process) = &self.nodes[node].process {
                    self.invariants.check_state(node, &process.machine)?;
                    self.invariants.check_index(node, &process.machine)?;
                }
                Ok(())
            }
            Input::Founding(founding) => self.founding(node, founding),
            Input::Upkeep => self.upkeep(node),
            Input::Restart => {
                self.crash(node, None, "its journal failed")?;
                Ok(())
            }
        }
    }

    /// Ends a worker's turn: what it wants is done, or is on its way.
    fn turn(&mut self, node: usize, worker: usize) -> Checked {
        let wall = self.nodes[node].wall(self.now);
        let mut turn = Turn::default();
        self.with(node, |machine, local| {
            machine.set_wall_clock(wall);
            machine.tick(local, worker);
            turn = machine.turn(local, worker);
        });
        self.process(node).turns[worker] = false;
        self.trace.event(
            self.now,
            &[3, node as u64, worker as u64, turn.frames.len() as u64, turn.replies.len() as u64],
            format_args!(
                "{} worker {worker}: {} frames, {} replies, {} jobs",
                node + 1,
                turn.frames.len(),
                turn.replies.len(),
                turn.jobs.len()
            ),
        );
        self.show(node, &turn);
        if let Some(process) = &self.nodes[node].process {
            if !process.founded_at_start && process.machine.is_founded() {
                self.invariants.note_founded(node, process.machine.boot());
            }
            self.invariants.witness(node, worker, &turn.witnessed, &process.machine)?;
        }
        for (to, body) in turn.frames {
            self.send(Link { from: node, to: usize::from(to.0) - 1, worker }, body);
        }
        for (number, answer) in turn.replies {
            self.check_answer(node, number, &answer)?;
            self.answer(number, Some(answer));
        }
        for job in turn.jobs {
            let takes = self.disk_takes(node, self.plan.disks.job);
            self.later(node, takes, Input::Run(job));
        }
        for founding in turn.foundings {
            let takes = self.disk_takes(node, self.plan.disks.commit);
            self.later(node, takes, Input::Founding(founding));
        }
        self.commit(node);
        self.set_timer(node, worker);
        Ok(())
    }

    /// What a turn's consensus was about, for whoever reads.
    fn show(&self, node: usize, turn: &Turn) {
        if !self.trace.is_shown() {
            return;
        }
        for output in &turn.witnessed {
            for event in &output.events {
                self.trace.note(self.now, format_args!("    {} event {event:?}", node + 1));
            }
            for persist in &output.persist {
                let (bucket, record) = (persist.bucket.0, &persist.record);
                self.trace.note(self.now, format_args!("    {} writes bucket {bucket} {record:?}", node + 1));
            }
            for send in &output.send {
                let message = &send.message;
                self.trace.note(self.now, format_args!("    {} tells {} {message:?}", node + 1, send.to.0));
            }
        }
    }

    /// An acknowledged write stands in the log where its version says.
    fn check_answer(&self, node: usize, number: u64, answer: &Result<Reply, Error>) -> Checked {
        let (Ok(Reply::Written(version)), Some(action), Some(process)) =
            (answer, self.clients.action_of(number), &self.nodes[node].process)
        else {
            return Ok(());
        };
        let Action::Write { entity, mutations } = action else { return Ok(()) };
        let bucket = process.machine.bucket_of(&crate::history::entity(*entity));
        let command = self.invariants.chosen(bucket, Slot(version.0));
        let values = changes(mutations).filter_map(|change| change.value);
        let holds = |value: &Bytes| {
            command.is_some_and(|command| command.payload.windows(value.len()).any(|window| window == value))
        };
        if command.is_some() && values.into_iter().all(holds) {
            return Ok(());
        }
        Err(format!("{action:?} is acknowledged with version {version}, but does not stand in that slot"))
    }

    fn set_timer(&mut self, node: usize, worker: usize) {
        let (local, wanted) = {
            let this = &self.nodes[node];
            let Some(process) = &this.process else { return };
            (this.local(self.now), process.machine.next_timer(worker))
        };
        let due = self.nodes[node].global(wanted.max(local + 1)).max(self.now + 1);
        self.process(node).ticks[worker] = due;
        self.push_input(due, node, Input::Tick { worker, due });
    }

    /// Passes a call on to a node, as a client does.
    pub(crate) fn call(&mut self, send: Send) {
        let client = self.clients.client_of(send.number);
        let Send { number, node, call } = send;
        self.trace.event(
            self.now,
            &[4, node as u64, number],
            format_args!("client {client} asks {}: {call:?} ({number})", node + 1),
        );
        if self.nodes[node].process.is_none() {
            // Refused at the door.
            let delay = 1_000 + self.random.below(20_000);
            self.queue.push(self.now + delay, Event::GiveUp { client, number });
            return;
        }
        let delay = self.random.between(10, 200);
        self.later(node, delay, Input::Call { number, call });
        let patience = Time::from(DEADLINE_MS) * 1_000 + PATIENCE;
        self.queue.push(self.now + patience, Event::GiveUp { client, number });
    }

    /// A client has an answer, or will never have one.
    pub(crate) fn answer(&mut self, number: u64, answer: Option<Result<Reply, Error>>) {
        self.trace.event(self.now, &[5, number], format_args!("client hears {answer:?} ({number})"));
        let client = self.clients.client_of(number);
        let up = self.up();
        match self.clients.answered(number, answer, self.now, &up) {
            Next::Send(send) => self.call(send),
            Next::Idle => {
                let think = self.think();
                self.queue.push(self.now + think, Event::Client { client });
            }
            Next::Nothing => {}
        }
    }

    fn think(&mut self) -> Time {
        if !matches!(self.phase, Phase::Faults) {
            return self.random.below(1_000);
        }
        let mean = self.plan.duration * self.plan.clients as u64 / self.plan.operations.max(1);
        self.random.below(2 * mean)
    }

    fn client(&mut self, client: usize) {
        if !self.clients.is_idle(client) {
            return;
        }
        let send = if matches!(self.phase, Phase::Faults) {
            let up = self.up();
            if up.is_empty() {
                self.queue.push(self.now + 50_000, Event::Client { client });
                return;
            }
            Some(self.clients.begin(client, self.now, &up))
        } else {
            self.clients.begin_scripted(client, self.now)
        };
        match send {
            Some(send) => self.call(send),
            None => self.queue.push(self.now + 20_000, Event::Client { client }),
        }
    }

    /// The nodes that are up.
    pub(crate) fn up(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].process.is_some()).collect()
    }

    /// A process ends: with its power, or by itself; then it starts again later.
    pub(crate) fn crash(&mut self, node: usize, power: Option<Unsynced>, why: &str) -> Checked {
        let takes = self.random.spread(1_000, 2_000_000);
        self.end_process(node, power, why);
        self.queue.push(self.now + takes, Event::Start { node });
        Ok(())
    }

    /// A process ends, and nobody starts it again yet.
    pub(crate) fn end_process(&mut self, node: usize, power: Option<Unsynced>, why: &str) {
        self.trace.event(self.now, &[6, node as u64], format_args!("{} goes down: {why}", node + 1));
        let this = &mut self.nodes[node];
        if let Some(process) = this.process.take() {
            for (name, number) in process.machine.counters() {
                self.tally.count(name, number);
            }
        }
        this.life += 1;
        (this.paused_until, this.stuck_until) = (0, 0);
        match power {
            Some(unsynced) => this.disk.power_cut(unsynced),
            None => this.disk.kill(),
        }
        self.invariants.note_crash(node);
        for number in self.clients.waiting_at(node) {
            let client = self.clients.client_of(number);
            let delay = self.random.below(5_000);
            self.queue.push(self.now + delay, Event::GiveUp { client, number });
        }
        self.break_links_of(node, power.is_some());
    }

    /// A node's process starts from its disk.
    fn start(&mut self, node: usize) -> Checked {
        if self.nodes[node].process.is_some() {
            return Ok(());
        }
        let cut = self.nodes[node].recovery_cut.take();
        if let Some(changes) = cut {
            self.nodes[node].disk.freeze_after(changes);
        }
        self.nodes[node].refusals_before_start = self.nodes[node].disk.calls().failed;
        let entropy = &mut self.entropy;
        let mut random = || entropy.number();
        let this = &self.nodes[node];
        let opened = Machine::open(&this.config, this.disk.clone(), &mut random);
        self.trace.event(
            self.now,
            &[7, node as u64, u64::from(opened.is_ok())],
            format_args!("{} starts: {:?}", node + 1, opened.as_ref().map(|machine| machine.boot())),
        );
        let machine = match opened {
            Ok(machine) if !self.nodes[node].disk.is_frozen() => machine,
            Ok(_) => return self.cut_in_recovery(node),
            Err(_) if self.nodes[node].disk.is_frozen() => return self.cut_in_recovery(node),
            Err(error) => return self.cannot_start(node, &error),
        };
        if cut.is_some() {
            // It came through before the cut: then the cut is now.
            drop(machine);
            return self.cut_in_recovery(node);
        }
        self.invariants.check_restart(node, &machine, self.nodes[node].has_lost)?;
        if !self.nodes[node].has_failed && !machine.damage().is_empty() {
            let damage = machine.damage();
            return Err(format!("node {} finds damage on a disk that never failed: {damage:?}", node + 1));
        }
        let workers = machine.workers();
        let founded_at_start = machine.is_founded();
        self.nodes[node].process = Some(Process {
            machine,
            since: self.now,
            turns: vec![false; workers],
            ticks: vec![0; workers],
            committing: false,
            told_at: 0,
            unwitnessed: false,
            failed: false,
            founded_at_start,
        });
        self.nodes[node].disk.freeze_after(u64::MAX);
        let mut begun = Ok(());
        self.with(node, |machine, local| begun = machine.begin(local));
        begun.map_err(|error| format!("node {} cannot begin: {error}", node + 1))?;
        for worker in 0..workers {
            self.end_turn_soon(node, worker);
            for to in (0..self.nodes.len()).filter(|to| *to != node) {
                self.dial_later(Link { from: node, to, worker });
            }
        }
        let upkeep = self.random.below(self.plan.disks.upkeep);
        self.later(node, upkeep, Input::Upkeep);
        Ok(())
    }

    fn cut_in_recovery(&mut self, node: usize) -> Checked {
        self.tally.bite(Kind::CrashInRecovery.name());
        let unsynced = Unsynced::Mixed(self.random.number());
        self.nodes[node].disk.power_cut(unsynced);
        let takes = self.random.spread(1_000, 500_000);
        self.queue.push(self.now + takes, Event::Start { node });
        Ok(())
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
