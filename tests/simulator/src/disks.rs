//! What the world's disks do for a node, and what follows when they do not.

use thermocline::machine::{Founding, Job};
use thermocline_tiers::disk::Unsynced;

use crate::fault::Kind;
use crate::queue::{Input, Time};
use crate::world::{Checked, World};

/// How long the journal of a full disk waits before it tries again.
const FULL_PAUSE: Time = 50_000;

impl World {
    /// How long a disk takes for something.
    pub(crate) fn disk_takes(&mut self, node: usize, usual: (Time, Time)) -> Time {
        let this = &self.nodes[node];
        let (slowness, stuck) = (this.slowness, this.stuck_until.saturating_sub(self.now));
        if slowness > 1 {
            self.note_bit(Kind::SlowDisk, node);
        }
        if stuck > 0 {
            self.note_bit(Kind::StuckDisk, node);
        }
        self.random.between(usual.0, usual.1) * slowness + stuck
    }

    /// Begins a commit if records wait and none is under way.
    pub(crate) fn commit(&mut self, node: usize) {
        let process = self.process(node);
        if process.committing || process.failed || !process.machine.begin_commit() {
            return;
        }
        process.committing = true;
        let takes = self.disk_takes(node, self.plan.disks.commit);
        self.later(node, takes, Input::CommitEnds);
    }

    pub(crate) fn commit_ends(&mut self, node: usize) -> Checked {
        let ended = self.process(node).machine.end_commit();
        let frozen = self.nodes[node].disk.is_frozen();
        match ended {
            Ok(synced) if synced.is_empty() => {
                self.tally.bite("commit on a full disk");
                for worker in 0..self.process(node).machine.workers() {
                    self.end_turn_soon(node, worker);
                }
                self.later(node, FULL_PAUSE, Input::CommitEnds);
            }
            Ok(synced) => {
                self.invariants.durable(node, &synced)?;
                self.trace.event(self.now, &[9, node as u64], format_args!("{} has synced", node + 1));
                let told = self.now + self.random.below(100);
                let process = self.process(node);
                (process.committing, process.unwitnessed) = (false, true);
                // One thread tells of all commits, in their order.
                process.told_at = process.told_at.max(told);
                let told = process.told_at;
                self.push_input(told, node, Input::Synced(synced));
                self.commit(node);
            }
            Err(_) if frozen => return self.cut_in_write(node),
            Err(error) => return self.journal_failed(node, &error),
        }
        self.cut_if_frozen(node)
    }

    /// The journal is poisoned: the node takes no part any more, until somebody restarts it.
    fn journal_failed(&mut self, node: usize, error: &thermocline::Error) -> Checked {
        self.trace.event(
            self.now,
            &[10, node as u64],
            format_args!("{}: the journal failed: {error}", node + 1),
        );
        let process = self.process(node);
        if std::mem::replace(&mut process.failed, true) {
            return Ok(());
        }
        let workers = process.machine.workers();
        self.with(node, |machine, _| machine.journal_failed(error));
        for worker in 0..workers {
            self.end_turn_soon(node, worker);
        }
        let delay = self.random.spread(10_000, 2_000_000);
        self.later(node, delay, Input::Restart);
        Ok(())
    }

    pub(crate) fn run_job(&mut self, node: usize, job: Job) -> Checked {
        let done = self.process(node).machine.run(job);
        let delay = self.random.below(100);
        self.later(node, delay, Input::Done(done));
        self.cut_if_frozen(node)
    }

    pub(crate) fn founding(&mut self, node: usize, founding: Founding) -> Checked {
        let mut heard = Ok(());
        self.with(node, |machine, local| heard = machine.founding(local, founding));
        if self.nodes[node].disk.is_frozen() {
            return self.cut_in_write(node);
        }
        if let Err(error) = heard {
            return self.crash(node, None, &format!("the founding was not written down: {error}"));
        }
        for worker in 0..self.process(node).machine.workers() {
            self.end_turn_soon(node, worker);
        }
        Ok(())
    }

    pub(crate) fn upkeep(&mut self, node: usize) -> Checked {
        let process = self.process(node);
        let released = process.machine.upkeep();
        if released > 0 {
            self.tally.count("segments_released", released);
        }
        let process = self.process(node);
        if !process.committing && !process.failed && process.unwitnessed {
            process.unwitnessed = false;
            if let Err(error) = process.machine.witness()
                && !self.nodes[node].disk.is_frozen()
            {
                self.journal_failed(node, &error)?;
            }
        }
        for worker in 0..self.process(node).machine.workers() {
            self.end_turn_soon(node, worker);
        }
        let again = self.plan.disks.upkeep;
        self.later(node, again, Input::Upkeep);
        self.cut_if_frozen(node)
    }

    fn cut_if_frozen(&mut self, node: usize) -> Checked {
        if self.nodes[node].disk.is_frozen() { self.cut_in_write(node) } else { Ok(()) }
    }

    /// The power went while the disk did something.
    pub(crate) fn cut_in_write(&mut self, node: usize) -> Checked {
        self.note_bit(Kind::CrashInWrite, node);
        let unsynced = Unsynced::Mixed(self.random.number());
        self.crash(node, Some(unsynced), "its power went during a write")
    }

    /// A disk fails while a node starts: somebody tries again.
    pub(crate) fn cannot_start(&mut self, node: usize, error: &thermocline::Error) -> Checked {
        let disk = &self.nodes[node].disk;
        let blamed = disk.calls().failed > self.nodes[node].refusals_before_start;
        disk.kill();
        if !blamed && !self.nodes[node].is_full {
            return Err(format!("node {} cannot start on a good disk: {error}", node + 1));
        }
        let delay = self.random.spread(10_000, 500_000);
        self.queue.push(self.now + delay, crate::queue::Event::Start { node });
        Ok(())
    }
}
