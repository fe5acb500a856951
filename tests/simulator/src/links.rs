//! How the world's links come up, carry frames, and break.

use bytes::Bytes;
use thermocline::machine::passes_calls_on;
use thermocline_paxos::NodeId;

use crate::network::{CAME_AGAIN, STOPPED};
use crate::queue::{Event, Input, Link, Time};
use crate::world::World;

/// How soon a process dials, and dials again.
const DIAL: (Time, Time) = (500, 100_000);

/// How soon a sender notices that nothing of what it sends arrives.
const NOTICE: (Time, Time) = (20_000, 3_000_000);

impl World {
    /// A frame leaves.
    pub(crate) fn send(&mut self, link: Link, body: Bytes) {
        let mut fate = self.network.send(link, self.now);
        if fate.again.is_some() && passes_calls_on(&body) {
            fate.again = None;
            fate.bites.retain(|bite| *bite != CAME_AGAIN);
        }
        for bite in &fate.bites {
            self.tally.bite(bite);
            self.trace.note(self.now, format_args!("{} -> {}: {bite}", link.from + 1, link.to + 1));
        }
        if fate.bites.contains(&STOPPED) {
            self.note_partition_bit(link);
        }
        if let Some(at) = fate.again {
            self.queue.push(at, Event::Frame { link, session: 0, body: body.clone() });
        }
        if let Some((at, session)) = fate.arrives {
            self.queue.push(at, Event::Frame { link, session, body });
        }
    }

    /// A worker dials, again and again until somebody answers.
    pub(crate) fn dial(&mut self, link: Link) {
        if self.network.session(link).is_some() {
            return;
        }
        let is_cut = self.network.is_cut(link.from, link.to) || self.network.is_cut(link.to, link.from);
        if is_cut {
            self.note_partition_bit(link);
        }
        let to = &self.nodes[link.to];
        if is_cut || to.process.is_none() || to.paused_until > self.now {
            self.dial_later(link);
            return;
        }
        let session = self.network.connect(link);
        self.trace.event(
            self.now,
            &[8, link.from as u64, link.to as u64, session],
            format_args!("{} has a link to {} (worker {})", link.from + 1, link.to + 1, link.worker),
        );
        self.with(link.from, |machine, local| {
            machine.link_up(local, link.worker, NodeId(link.to as u16 + 1));
        });
        self.end_turn_soon(link.from, link.worker);
    }

    pub(crate) fn dial_later(&mut self, link: Link) {
        let delay = self.random.spread(DIAL.0, DIAL.1);
        self.later(link.from, delay, Input::Dial { link });
    }

    /// A connection breaks; its sender notices at once, or when nothing has arrived for a while. Says whether it was whole.
    pub(crate) fn break_link(&mut self, link: Link, silently: bool) -> bool {
        let Some(session) = self.network.tear(link) else { return false };
        if self.nodes[link.from].process.is_some() {
            let delay =
                if silently { self.random.spread(NOTICE.0, NOTICE.1) } else { self.random.below(2_000) };
            self.later(link.from, delay, Input::LinkDown { link, session });
        }
        true
    }

    /// A node's process has ended, and with it all its connections. Those to it break without a sign if its power went.
    pub(crate) fn break_links_of(&mut self, node: usize, silently: bool) {
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            for worker in 0..self.plan.machine.workers as usize {
                self.network.hang_up(Link { from: node, to: other, worker });
                self.break_link(Link { from: other, to: node, worker }, silently);
            }
        }
    }
}
