//! What can go wrong on schedule.

use thermocline_tiers::disk::Unsynced;

use crate::queue::Time;
use crate::random::Random;

/// A fault, when it begins, and how long it lasts.
#[derive(Clone, Debug)]
pub(crate) struct Scheduled {
    /// What.
    pub(crate) fault: Fault,
    /// From when on.
    pub(crate) at: Time,
    /// For how long.
    pub(crate) lasts: Time,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal),+ $(,)?) => {
        /// A kind of fault that is scheduled.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// All of them.
            pub(crate) const ALL: [Self; [$($name),+].len()] = [$(Self::$kind),+];

            /// As it is printed.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }
        }
    };
}

kinds! {
    /// A process ends; what it wrote stays.
    Kill = "process killed",
    /// The power of a node goes.
    PowerCut = "power cut",
    /// The power of all nodes goes at once.
    PowerCutOfAll = "power cut of all nodes",
    /// The power goes in the middle of a chosen write, sync or rename.
    CrashInWrite = "power cut inside a write",
    /// The power goes in the middle of a recovery.
    CrashInRecovery = "power cut inside a recovery",
    /// A process stands still.
    Pause = "process paused",
    /// One node is cut off.
    CutOff = "partition: one node cut off",
    /// The nodes fall into two halves.
    Halves = "partition: two halves",
    /// Two halves that only one node sees both of.
    Bridge = "partition: bridge",
    /// Each node sees its two neighbours only.
    Ring = "partition: ring",
    /// Frames pass in one direction only.
    OneWay = "partition: one way",
    /// A link comes and goes.
    Flapping = "partition: flapping link",
    /// Connections break, and what was under way is gone.
    Reset = "connection reset",
    /// A wall clock jumps.
    ClockJump = "clock jump",
    /// A disk takes a hundred times as long.
    SlowDisk = "slow disk",
    /// A disk does nothing for a while.
    StuckDisk = "stuck disk",
    /// A sync fails, and the pages look clean afterwards.
    FailedSync = "failed sync",
    /// A write fails half way.
    FailedWrite = "failed write",
    /// A read fails.
    FailedRead = "failed read",
    /// A disk has no room.
    FullDisk = "full disk",
    /// Bits of an old segment of a journal flip; the node is restarted.
    Rot = "flipped bits in a journal",
    /// A sector of an old segment of a journal cannot be read any more; the node is restarted.
    BrokenSector = "unreadable sector in a journal",
    /// A disk is lost, and an empty one takes its place.
    Wipe = "wiped disk",
    /// A disk is copied; the node goes on, is restarted, and later finds the copy in the place of what it had.
    RollBack = "disk put back to an earlier copy",
    /// A bit of a file of the state flips; the node is restarted.
    StateRot = "flipped bit in a state",
    /// A write of an old segment of a journal, or of a file of the state, ends up in the place of another; the node is restarted.
    Misdirected = "misdirected write",
    /// A read of an old segment of a journal, or of a file of the state, finds what stands elsewhere, once; the node is restarted.
    MisdirectedRead = "misdirected read",
}

impl Kind {
    /// Kinds that were thought of later: what they do is drawn for itself, so that a seed keeps what it had without them.
    pub(crate) const LATER: [Self; 3] = [Self::RollBack, Self::StateRot, Self::Misdirected];

    /// And one that was thought of later still.
    pub(crate) const LAST: Self = Self::MisdirectedRead;

    /// Whether a disk fails, for a time or for good: a minority of them may.
    pub(crate) const fn is_of_disks(self) -> bool {
        self.loses() || matches!(self, Self::FailedRead | Self::MisdirectedRead | Self::FullDisk)
    }

    /// Whether a disk loses something for good.
    pub(crate) const fn loses(self) -> bool {
        matches!(
            self,
            Self::FailedSync
                | Self::FailedWrite
                | Self::Rot
                | Self::BrokenSector
                | Self::Wipe
                | Self::RollBack
                | Self::StateRot
                | Self::Misdirected
        )
    }
}

/// A fault, with what it strikes.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Of which kind.
    pub(crate) kind: Kind,
    /// The node that it strikes, or the first of them.
    pub(crate) node: usize,
    /// For network faults: who no longer reaches whom.
    pub(crate) cuts: Vec<(usize, usize)>,
    /// For power cuts: what becomes of what was not synced.
    pub(crate) unsynced: Unsynced,
    /// A number that the kind gives its meaning: how many changes a disk still makes, by how much a clock jumps, and the like.
    pub(crate) amount: u64,
}

impl Fault {
    /// Draws what a fault strikes.
    pub(crate) fn draw(kind: Kind, random: &mut Random, nodes: usize) -> Self {
        let node = random.below(nodes as u64) as usize;
        let unsynced = match random.below(4) {
            0 => Unsynced::Lost,
            1 => Unsynced::Kept,
            _ => Unsynced::Mixed(random.number()),
        };
        let amount = match kind {
            Kind::CrashInWrite => random.spread(1, 200) - 1,
            Kind::CrashInRecovery => random.spread(1, 30) - 1,
            Kind::ClockJump => random.spread(1, 7_200_000),
            Kind::SlowDisk => random.spread(2, 100),
            Kind::FailedSync => random.spread(1, 4),
            Kind::FailedWrite | Kind::FailedRead => random.spread(1, 40),
            _ => random.number(),
        };
        let cuts = cuts(kind, random, nodes, node);
        Self { kind, node, cuts, unsynced, amount }
    }
}

/// Who no longer reaches whom.
fn cuts(kind: Kind, random: &mut Random, nodes: usize, node: usize) -> Vec<(usize, usize)> {
    let all =
        (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))).filter(|(from, to)| from != to);
    // The nodes in an order of this draw.
    let turn = |of: usize| (of + nodes - node) % nodes;
    let half = random.between(1, nodes as u64 / 2) as usize;
    let other = (node + random.between(1, nodes as u64 - 1) as usize) % nodes;
    match kind {
        Kind::CutOff => all.filter(|(from, to)| *from == node || *to == node).collect(),
        Kind::Halves => all.filter(|(from, to)| (turn(*from) < half) != (turn(*to) < half)).collect(),
        Kind::Bridge => all
            .filter(|(from, to)| *from != node && *to != node)
            .filter(|(from, to)| (turn(*from) <= nodes / 2) != (turn(*to) <= nodes / 2))
            .collect(),
        Kind::Ring if nodes == 5 => {
            all.filter(|(from, to)| matches!((turn(*from) + nodes - turn(*to)) % nodes, 2 | 3)).collect()
        }
        Kind::OneWay | Kind::Ring => vec![(node, other)],
        Kind::Flapping | Kind::Reset => vec![(node, other), (other, node)],
        _ => Vec::new(),
    }
}
