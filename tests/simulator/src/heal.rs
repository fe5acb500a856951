//! The second phase: the faults are over, and all must be well again within a bound.

use crate::fault::Kind;
use crate::judge::judge;
use crate::queue::{Event, Time};
use crate::world::{Checked, World};

/// After so long without faults everything must be well. Replicas of a bucket that nobody asks about may have to wait for the others'
/// next turn to tell how far they are.
const HEAL_MAX: Time = 70_000_000;

/// After so long a slot that somebody left undecided is decided by others.
const QUIET: Time = 5_000_000;

/// How often the cluster is looked at.
const LOOK: Time = 20_000;

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Faults happen; what is acknowledged must stay.
    Faults,
    /// No faults since then: every entity can be written.
    Writes(Time),
    /// Then nothing is asked for a while, until what was left undecided is decided.
    Quiet(Time),
    /// Then every record can be read at every node.
    Reads(Time),
    /// Then all replicas are equal, and vote.
    Settle(Time),
    /// All of that is so.
    Done,
}

impl World {
    /// The first phase ends, when every fault has bitten. Some wait for others: a node that has nothing to write until all nodes have met.
    pub(crate) fn heal(&mut self) -> Checked {
        self.look_for_bites();
        let waits = self.bitten.iter().any(|bitten| !bitten);
        if waits && self.now < 6 * self.plan.duration {
            self.queue.push(self.now + self.plan.duration / 10, Event::Heal);
            return Ok(());
        }
        self.trace.event(self.now, &[13], format_args!("HEAL"));
        self.network.heal();
        for node in 0..self.nodes.len() {
            self.mend_full(node);
            let this = &mut self.nodes[node];
            this.slowness = 1;
            this.recovery_cut = None;
            this.disk.heal();
            this.disk.freeze_after(u64::MAX);
            let failed = self.plan.faults.iter().any(|scheduled| {
                scheduled.fault.node == node
                    && matches!(scheduled.fault.kind, Kind::FailedRead | Kind::FailedWrite | Kind::FailedSync)
            });
            if failed && self.nodes[node].process.is_some() {
                // A node whose disk has failed says so, and somebody restarts it.
                self.end_process(node, None, "its disk was exchanged");
            }
            self.queue.push(self.now, Event::Start { node });
        }
        self.clients.script_writes(self.nodes.len());
        self.phase = Phase::Writes(self.now);
        Ok(())
    }

    /// Goes to the next phase when this one has come to its end.
    pub(crate) fn go_on(&mut self) -> Checked {
        let (Phase::Writes(since) | Phase::Quiet(since) | Phase::Reads(since) | Phase::Settle(since)) =
            self.phase
        else {
            return Ok(());
        };
        if self.now > since + HEAL_MAX {
            return Err(self.not_well());
        }
        let scripted = self.clients.script.is_empty() && self.clients.are_idle();
        match self.phase {
            Phase::Writes(_) if scripted => self.phase = Phase::Quiet(self.now),
            Phase::Quiet(since) if self.now > since + QUIET => {
                self.clients.script_reads(self.nodes.len());
                self.finals = self.clients.stamp(self.now);
                self.phase = Phase::Reads(self.now);
            }
            Phase::Reads(_) if scripted => {
                self.next_look = self.now;
                self.phase = Phase::Settle(self.now);
            }
            Phase::Settle(_) if self.now >= self.next_look => {
                self.next_look = self.now + LOOK;
                if self.unsettled().is_none() {
                    self.phase = Phase::Done;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What still keeps the replicas apart.
    fn unsettled(&mut self) -> Option<String> {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let Some(process) = &mut node.process else { return Some(format!("node {} is down", index + 1)) };
            let machine = &mut process.machine;
            for (bucket, slot) in self.invariants.heights() {
                let (applied, fresh) = (machine.applied(bucket), machine.fresh(bucket));
                if applied != slot || !fresh.voting {
                    return Some(format!(
                        "node {}, bucket {}: applied {} of {}, {}, {fresh:?}, {:?}",
                        index + 1,
                        bucket.0,
                        applied.0,
                        slot.0,
                        machine.describe_catching_up(bucket),
                        machine.status(bucket)
                    ));
                }
            }
        }
        None
    }

    fn not_well(&mut self) -> String {
        let why = self.unsettled().unwrap_or_else(|| "all replicas are equal".into());
        format!("not well after {} s without faults, in {:?}: {why}", HEAL_MAX / 1_000_000, self.phase)
    }

    /// The run is over: looks at the history as a whole.
    pub(crate) fn end(&mut self) -> Checked {
        for node in &self.nodes {
            let Some(process) = &node.process else { continue };
            for (name, number) in process.machine.counters() {
                self.tally.count(name, number);
            }
        }
        self.tally.time = self.now;
        self.tally.events = self.trace.events;
        self.tally.slots = self.invariants.slots;
        for operation in &self.clients.history {
            use crate::history::{Action, Outcome};
            match operation.outcome {
                Outcome::Unknown if matches!(operation.action, Action::Write { .. }) => {
                    self.tally.unknown += 1
                }
                Outcome::Unknown => {}
                Outcome::NotApplied | Outcome::Conflict(_) => self.tally.operations += 1,
                _ => {
                    self.tally.operations += 1;
                    self.tally.succeeded += 1;
                }
            }
        }
        self.look_for_bites();
        if let Some(index) = self.bitten.iter().position(|bitten| !bitten) {
            return Err(format!("{:?} was scheduled and never bit", self.plan.faults[index]));
        }
        judge(&self.clients.history, self.finals, self.nodes.len())
    }

    /// A scheduled fault had an effect.
    pub(crate) fn bit(&mut self, index: usize) {
        self.bitten[index] = true;
        self.tally.bite(self.plan.faults[index].fault.kind.name());
    }

    /// Of the faults of that kind at that node that have begun and had no effect yet, the one that was drawn first has had one now.
    pub(crate) fn note_bit(&mut self, kind: Kind, node: usize) {
        let mut faults = self.plan.faults.iter().zip(&self.bitten);
        let found = faults.position(|(scheduled, bitten)| {
            let fault = &scheduled.fault;
            !bitten && fault.kind == kind && fault.node == node && scheduled.at <= self.now
        });
        if let Some(index) = found {
            self.bit(index);
        }
    }

    /// Something was stopped between two nodes.
    pub(crate) fn note_partition_bit(&mut self, link: crate::queue::Link) {
        for index in 0..self.bitten.len() {
            let scheduled = &self.plan.faults[index];
            let cuts = &scheduled.fault.cuts;
            let between = cuts.contains(&(link.from, link.to)) || cuts.contains(&(link.to, link.from));
            let begun = scheduled.at <= self.now && scheduled.fault.kind != Kind::Reset;
            if between && begun && !self.bitten[index] {
                self.bit(index);
            }
        }
    }

    /// Faults of disks show in what the disks have refused.
    pub(crate) fn look_for_bites(&mut self) {
        use thermocline_tiers::disk::Call;
        for index in 0..self.bitten.len() {
            let scheduled = &self.plan.faults[index];
            let node = scheduled.fault.node;
            let disk = &self.nodes[node].disk;
            let (misread, noted) = (disk.calls().misread, self.nodes[node].misreads_noted);
            let bit = match scheduled.fault.kind {
                Kind::FailedSync => disk.failures_due(Call::Sync) == 0,
                Kind::FailedWrite => disk.failures_due(Call::Write) == 0,
                Kind::FailedRead => disk.failures_due(Call::Read) == 0,
                Kind::FullDisk => disk.calls().without_room > 0,
                Kind::MisdirectedRead => misread > noted,
                _ => false,
            };
            if bit && !self.bitten[index] && scheduled.at < self.now {
                self.nodes[node].misreads_noted = misread;
                self.bit(index);
            }
        }
    }
}
