//! Who is who, and which proposal is higher.

/// A running node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

/// One start of a node: a random number drawn at the start, and how often the directory was started, which is raised and
/// synced before anything else. Never repeats, even if the directory is put back to an earlier copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boot {
    /// The random number of the start.
    pub disk: u64,
    /// How often the directory was started.
    pub count: u32,
}

/// Who first proposed a command; travels with the command for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Originator {
    /// The node.
    pub node: NodeId,
    /// In which of its starts.
    pub boot: Boot,
}

/// A proposal's number, ordered by round, then node, then boot. Each is used by one start of one node only (I4).
///
/// Round 0 is reserved for fast accept: it is lower than every ballot that is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// 0 for fast accept, from 1 when prepared.
    pub round: u32,
    /// The proposer.
    pub node: NodeId,
    /// In which of its starts.
    pub boot: Boot,
}

impl Ballot {
    /// No ballot: below all others. Node 0 does not exist.
    pub const ZERO: Self = Self { round: 0, node: NodeId(0), boot: Boot { disk: 0, count: 0 } };

    /// The ballot that `me` may use at a slot without preparing it, if it owns the slot.
    #[must_use]
    pub const fn fast(me: Originator) -> Self {
        Self { round: 0, node: me.node, boot: me.boot }
    }

    /// The lowest prepared ballot of `me` above this one; `None` when the rounds are used up.
    #[must_use]
    pub fn next(self, me: Originator) -> Option<Self> {
        let forgets = crate::plant::on(crate::plant::Plant::BallotWithoutBoot);
        let boot = if forgets { Boot::default() } else { me.boot };
        Some(Self { round: self.round.checked_add(1)?, node: me.node, boot })
    }

    /// Whose ballot it is.
    #[must_use]
    pub const fn proposer(self) -> Originator {
        Originator { node: self.node, boot: self.boot }
    }

    /// Whether it is a ballot at all.
    #[must_use]
    pub fn is_some(self) -> bool {
        self != Self::ZERO
    }
}

impl Default for Ballot {
    fn default() -> Self {
        Self::ZERO
    }
}
