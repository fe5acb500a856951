//! What a node's process is given, and what comes of its workers' turns.

use thermocline::machine::Turn;
use thermocline_paxos::NodeId;

use super::{Checked, DEADLINE_MS, World};
use crate::queue::{Input, Link};

impl World {
    pub(super) fn input(&mut self, node: usize, input: Input) -> Checked {
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
                self.crash(node, None, "somebody starts it again")?;
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
}
