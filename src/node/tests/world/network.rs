//! Frames that are lost, doubled, late and out of order.

use bytes::Bytes;
use thermocline_paxos::NodeId;

use super::World;

/// To whom, from whom, and what.
pub(super) type Frame = (usize, usize, Bytes);

impl World {
    pub(super) fn send(&mut self, frame: Frame) {
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
        let now = self.now;
        for node in 0..self.nodes.len() {
            for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
                self.worker(node).peer_down(now, NodeId(peer as u16 + 1));
                self.worker(node).peer_up(now, NodeId(peer as u16 + 1));
            }
        }
    }
}
