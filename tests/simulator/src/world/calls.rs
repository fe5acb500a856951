//! Clients ask, wait, and hear.

use bytes::Bytes;
use thermocline::Error;
use thermocline::machine::Reply;
use thermocline_paxos::Slot;

use super::{Checked, DEADLINE_MS, World};
use crate::clients::{Next, Send};
use crate::heal::Phase;
use crate::history::{Action, changes};
use crate::queue::{Event, Input, Time};

/// How long a client waits for a node beyond the deadline of its call.
const PATIENCE: Time = 300_000;

impl World {
    pub(super) fn client(&mut self, client: usize) {
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

    fn think(&mut self) -> Time {
        if !matches!(self.phase, Phase::Faults) {
            return self.random.below(1_000);
        }
        let mean = self.plan.duration * self.plan.clients as u64 / self.plan.operations.max(1);
        self.random.below(2 * mean)
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
            // Nobody has heard it, so nothing will come of it.
            let delay = 1_000 + self.random.below(20_000);
            self.queue.push(self.now + delay, Event::Refused { number });
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

    /// An acknowledged write stands in the log where its version says.
    pub(super) fn check_answer(&self, node: usize, number: u64, answer: &Result<Reply, Error>) -> Checked {
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
}
