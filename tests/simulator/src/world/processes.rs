//! Processes start from their disks, and end.

use thermocline::machine::Machine;
use thermocline_tiers::disk::Unsynced;

use super::{Checked, World};
use crate::fault::Kind;
use crate::node::Process;
use crate::queue::{Event, Input, Link};

impl World {
    /// The nodes that are up.
    pub(crate) fn up(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].process.is_some()).collect()
    }

    /// A node's process starts from its disk.
    pub(super) fn start(&mut self, node: usize) -> Checked {
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
        self.invariants.check_restart(node, &machine)?;
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
        if self.invariants.is_unaware(node) && self.random.coin() {
            // A copy that ends again, before anybody tells it what it is or soon after.
            let delay = self.random.spread(100, 1_000_000);
            self.later(node, delay, Input::Restart);
        }
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
        if self.invariants.is_unaware(node) {
            self.tally.bite("copy that ended before it knew");
        }
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
}
