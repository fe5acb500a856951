//! Frames that are lost, doubled, late and out of order.

use bytes::Bytes;
use thermocline_paxos::NodeId;

use super::World;

/// To whom, from whom, and what.
pub(super) type Frame = (usize, usize, Bytes);

impl World {
    pub(super) fn send(&mut self, frame: Frame) {
        if self.cuts.contains(&(frame.1, frame.0)) {
            return;
        }
        if let Some(ms) = self.held_up.get(&(frame.1, frame.0)) {
            self.late.push((self.now + ms, frame));
            return;
        }
        if self.draw(100) < self.shape.trouble {
            match self.draw(4) {
                0 => return,
                1 => self.frames.push(frame.clone()),
                2 => {
                    let due = self.now + self.draw(300);
                    self.late.push((due, frame));
                    return;
                }
                _ => {
                    let at = self.draw(self.frames.len() as u64 + 1) as usize;
                    self.frames.insert(at, frame);
                    return;
                }
            }
        }
        self.frames.push(frame);
    }

    pub(super) fn deliver(&mut self) {
        let mut frames = std::mem::take(&mut self.frames);
        let now = self.now;
        frames.extend(self.late.extract_if(.., |(due, _)| *due <= now).map(|(_, frame)| frame));
        for (to, from, body) in frames {
            if let Some(running) = &mut self.nodes[to].running {
                running.worker.frame(now, NodeId(from as u16 + 1), body);
            }
        }
    }

    /// All links break and come back: each node tells the others how far it is.
    pub(in crate::node::tests) fn relink(&mut self) {
        for one in 0..self.nodes.len() {
            for other in one + 1..self.nodes.len() {
                self.relink_pair(one, other);
            }
        }
    }

    /// A link breaks and comes back.
    pub(in crate::node::tests) fn relink_pair(&mut self, one: usize, other: usize) {
        let now = self.now;
        for (node, peer) in [(one, other), (other, one)] {
            self.worker(node).peer_down(now, NodeId(peer as u16 + 1));
            self.worker(node).peer_up(now, NodeId(peer as u16 + 1));
        }
    }

    /// Two nodes do not reach each other, or do again.
    pub(in crate::node::tests) fn cut(&mut self, one: usize, other: usize, is_cut: bool) {
        for pair in [(one, other), (other, one)] {
            if is_cut {
                self.cuts.insert(pair);
            } else {
                self.cuts.remove(&pair);
            }
        }
    }

    /// A node is parted from all others, or not any more.
    pub(in crate::node::tests) fn part(&mut self, index: usize, is_cut: bool) {
        for other in (0..self.nodes.len()).filter(|other| *other != index) {
            self.cut(index, other, is_cut);
        }
    }

    /// All frames of a node to another are held up for so long, until [`release`](Self::release).
    pub(in crate::node::tests) fn hold_up(&mut self, from: usize, to: usize, ms: u64) {
        self.held_up.insert((from, to), ms);
    }

    /// Frames take their usual time again; those that are under way do not.
    pub(in crate::node::tests) fn release(&mut self) {
        self.held_up.clear();
    }
}
