//! What was sent and can still arrive.

use super::steps::Packet;

/// The packets, link by link; of a link in the order in which they were last sent, or, where none is ever lost, of their numbers.
#[derive(Clone, Default)]
pub(super) struct Net(pub(super) Vec<u16>);

impl Net {
    /// A packet leaves. Of its link, the newest `kept` can still arrive.
    pub(super) fn send(&mut self, packet: u16, kept: usize, packets: &[Packet]) {
        let link = |packet: &u16| packets[usize::from(*packet)].link;
        let of = link(&packet);
        if let Some(place) = self.0.iter().position(|other| *other == packet) {
            if kept == usize::MAX {
                return;
            }
            self.0.remove(place);
        }
        let begin = self.0.partition_point(|other| link(other) < of);
        let end = begin + self.0[begin..].iter().take_while(|other| link(other) == of).count();
        if kept == usize::MAX {
            let place = begin + self.0[begin..end].partition_point(|other| *other < packet);
            self.0.insert(place, packet);
        } else if end - begin < kept {
            self.0.insert(end, packet);
        } else {
            self.0[begin..end].rotate_left(1);
            self.0[end - 1] = packet;
        }
    }
}
