//! The links between nodes, and what becomes of a frame.

use std::collections::BTreeMap;

use crate::plan::Network as Temper;
use crate::queue::{Link, Time};
use crate::random::Random;

/// A frame came again.
pub(crate) const CAME_AGAIN: &str = "frame came again";

/// A frame was stopped by a partition.
pub(crate) const STOPPED: &str = "frame stopped by a partition";

/// The links of a cluster.
pub(crate) struct Network {
    temper: Temper,
    random: Random,
    wires: BTreeMap<Link, Wire>,
    /// For each pair of nodes, how many faults cut it.
    cuts: BTreeMap<(usize, usize), u32>,
    next_session: u64,
    /// Frames in a million that are lost on top of the temper; nothing is lost once the network is healed.
    healed: bool,
}

/// One link.
#[derive(Debug, Default)]
struct Wire {
    /// The connection that the sender believes in.
    session: Option<u64>,
    /// Whether that connection is whole: what is sent on a broken one is gone.
    whole: bool,
    /// When the last frame arrives: what is sent later arrives later, if the network keeps the order.
    last: Time,
}

/// What becomes of a frame.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// When it arrives, over which connection.
    pub(crate) arrives: Option<(Time, u64)>,
    /// When it arrives once more, whatever has become of the connection.
    pub(crate) again: Option<Time>,
    /// What happened to it, for the tally.
    pub(crate) bites: Vec<&'static str>,
}

impl Network {
    /// Without a link.
    pub(crate) fn new(temper: Temper, seed: u64) -> Self {
        Self {
            temper,
            random: Random::new(seed, 2),
            wires: BTreeMap::new(),
            cuts: BTreeMap::new(),
            next_session: 1,
            healed: false,
        }
    }

    /// From now on the network is good.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        self.cuts.clear();
    }

    /// Cuts one direction between two nodes.
    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        *self.cuts.entry((from, to)).or_default() += 1;
    }

    /// Takes one cut back.
    pub(crate) fn mend(&mut self, from: usize, to: usize) {
        if let Some(count) = self.cuts.get_mut(&(from, to)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether nothing passes in this direction.
    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.get(&(from, to)).is_some_and(|count| *count > 0)
    }

    /// A connection is made. Returns its number.
    pub(crate) fn connect(&mut self, link: Link) -> u64 {
        let session = self.next_session;
        self.next_session += 1;
        let wire = self.wires.entry(link).or_default();
        (wire.session, wire.whole) = (Some(session), true);
        session
    }

    /// The connection that the sender believes in.
    pub(crate) fn session(&self, link: Link) -> Option<u64> {
        self.wires.get(&link).and_then(|wire| wire.session)
    }

    /// The sender knows that its connection is gone.
    pub(crate) fn hang_up(&mut self, link: Link) {
        if let Some(wire) = self.wires.get_mut(&link) {
            (wire.session, wire.whole) = (None, false);
        }
    }

    /// A connection breaks, and its sender does not know yet. Returns its number if it was whole.
    pub(crate) fn tear(&mut self, link: Link) -> Option<u64> {
        let wire = self.wires.get_mut(&link)?;
        if !std::mem::replace(&mut wire.whole, false) {
            return None;
        }
        wire.session
    }

    /// Whether a frame that left over a connection is still under way: nothing broke it since.
    pub(crate) fn delivers(&self, link: Link, session: u64) -> bool {
        session == 0 || self.wires.get(&link).is_some_and(|wire| wire.whole && wire.session == Some(session))
    }

    /// Decides what becomes of a frame that is sent now.
    pub(crate) fn send(&mut self, link: Link, now: Time) -> Fate {
        let mut fate = Fate::default();
        let is_cut = self.is_cut(link.from, link.to);
        if is_cut {
            fate.bites.push(STOPPED);
            return fate;
        }
        let Some(wire) = self.wires.get_mut(&link) else { return fate };
        let (Some(session), true) = (wire.session, wire.whole) else { return fate };
        let (least, most) = self.temper.delay;
        let mut arrives = now + self.random.between(least, most);
        if self.healed {
            wire.last = wire.last.max(arrives).min(now + 1_000_000);
            fate.arrives = Some((arrives, session));
            return fate;
        }
        if self.random.chance(self.temper.loss) {
            fate.bites.push("frame lost");
            return fate;
        }
        if self.random.chance(self.temper.tail.0) {
            arrives += self.random.spread(1, self.temper.tail.1);
            fate.bites.push("frame late");
        }
        if self.temper.reorder {
            if arrives < wire.last {
                fate.bites.push("frame overtook another");
            }
        } else {
            arrives = arrives.max(wire.last);
        }
        wire.last = wire.last.max(arrives);
        fate.arrives = Some((arrives, session));
        if self.random.chance(self.temper.doubling.0) {
            fate.again = Some(arrives + self.random.spread(1, self.temper.doubling.1));
            fate.bites.push(CAME_AGAIN);
        }
        fate
    }
}
