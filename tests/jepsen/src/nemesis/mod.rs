//! What breaks, when, and whether it did.
//!
//! Two nemeses work at the same time, so that faults overlap: one breaks the network, one breaks nodes. Both follow the seed.

mod network;
mod nodes;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::cluster::{Cluster, can_trace, faketime};
use crate::ground::{Disk, Network};
use crate::random::Random;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Nodes cannot reach each other: in two parts, one alone, one way only, around a bridge.
    Partition,
    /// A partition that comes and goes several times a second.
    Flapping,
    /// Packets are lost.
    Loss,
    /// Everything takes longer.
    Delay,
    /// Connections break.
    Reset,
    /// `kill -9` of one, a minority, a majority or all.
    Kill,
    /// Stopped, and going on later as if nothing had been.
    Pause,
    /// A clock that is off by up to an hour, or runs ten times as fast.
    Clock,
    /// The power of disks is cut: what was not synced is gone.
    Power,
    /// A disk is full.
    Full,
    /// Syncs take long.
    SlowSync,
    /// Writes and syncs fail.
    FailingSync,
    /// Bits of a journal change.
    Flip,
    /// A part of a journal is missing.
    Truncate,
    /// A node loses everything.
    Wipe,
    /// A node's directory is put back to an earlier copy of itself. Not survived, and not promised to be.
    RollBack,
}

impl Fault {
    /// What is promised to be survived.
    pub(crate) const PROMISED: [Self; 15] = [
        Self::Partition,
        Self::Flapping,
        Self::Loss,
        Self::Delay,
        Self::Reset,
        Self::Kill,
        Self::Pause,
        Self::Clock,
        Self::Power,
        Self::Full,
        Self::SlowSync,
        Self::FailingSync,
        Self::Flip,
        Self::Truncate,
        Self::Wipe,
    ];
    /// What is not, and comes only when it is named.
    pub(crate) const UNPROMISED: [Self; 1] = [Self::RollBack];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::Flapping => "flapping",
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::Reset => "reset",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Clock => "clock",
            Self::Power => "power",
            Self::Full => "full",
            Self::SlowSync => "slow-sync",
            Self::FailingSync => "failing-sync",
            Self::Flip => "flip",
            Self::Truncate => "truncate",
            Self::Wipe => "wipe",
            Self::RollBack => "roll-back",
        }
    }

    fn is_of_network(self) -> bool {
        matches!(self, Self::Partition | Self::Flapping | Self::Loss | Self::Delay | Self::Reset)
    }

    /// Why it cannot be done here; `None` if it can.
    pub(crate) fn obstacle(self, cluster: &Cluster) -> Option<&'static str> {
        let proxies = matches!(cluster.ground.network, Network::Proxies(_));
        let own_disks = cluster.ground.disks.iter().all(Disk::has_power_switch);
        let ours = cluster.target.knows_versions();
        match self {
            Self::Delay | Self::Reset if !proxies => Some("needs the proxies of loopback"),
            Self::Power | Self::Full if !own_disks => Some("needs root and file systems of the nodes' own"),
            Self::Clock if faketime().is_none() => Some("needs libfaketime"),
            Self::SlowSync | Self::FailingSync if !can_trace() => Some("needs strace, and leave to trace"),
            Self::Flip | Self::Truncate | Self::Wipe | Self::RollBack | Self::FailingSync if !ours => {
                Some("is not for this target")
            }
            Self::Power | Self::Full if !ours => Some("is not for this target"),
            _ => None,
        }
    }
}

/// How often a kind of fault was tried, and how often it did something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) tried: u64,
    pub(crate) bitten: u64,
}

/// What was done in a run.
#[derive(Debug, Default)]
pub(crate) struct Deeds {
    pub(crate) tallies: BTreeMap<Fault, Tally>,
    /// What was broken from when to when, until all of it was mended.
    pub(crate) log: Vec<(Fault, Instant, Instant)>,
}

impl Deeds {
    fn add(&mut self, fault: Fault, began: Instant, bitten: bool) {
        let tally = self.tallies.entry(fault).or_default();
        tally.tried += 1;
        tally.bitten += u64::from(bitten);
        self.log.push((fault, began, Instant::now()));
    }

    /// The kinds that were tried and never did anything.
    pub(crate) fn without_a_bite(&self) -> Vec<Fault> {
        self.tallies.iter().filter(|(_, tally)| tally.bitten == 0).map(|(fault, _)| *fault).collect()
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.tallies.extend(other.tallies);
        self.log.extend(other.log);
        self
    }

    /// When the last fault was over.
    pub(crate) fn last_ended(&self) -> Option<Instant> {
        self.log.iter().map(|(_, _, ended)| *ended).max()
    }

    /// What was broken at some time between these.
    pub(crate) fn during(&self, from: Instant, to: Instant) -> Vec<Fault> {
        self.log
            .iter()
            .filter(|(_, began, ended)| *began < to && *ended > from)
            .map(|(fault, _, _)| *fault)
            .collect()
    }
}

/// How often a kind of fault that did nothing is tried once more at the end, and how long each time.
const AGAIN_MAX: u64 = 4;
const AGAIN: Duration = Duration::from_secs(20);

/// Nodes that were taken away from the others, and from when to when.
pub(crate) type Taken = Mutex<Vec<(Vec<usize>, Instant, Instant)>>;

/// The faults of one run.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) faults: &'a [Fault],
    pub(crate) until: Instant,
    pub(crate) seed: u64,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) taken: &'a Taken,
}

impl Plan<'_> {
    /// Breaks the network until the time is over, and heals it.
    pub(crate) fn break_network(&self, cluster: &Cluster) -> Deeds {
        let mut random = Random::new(self.seed, 1);
        let network = &cluster.ground.network;
        let deeds = self.repeat(&mut random, true, cluster, network::inflict);
        network.heal();
        deeds
    }

    /// Breaks nodes until the time is over, and has all of them running at the end.
    pub(crate) fn break_nodes(&self, cluster: &Cluster) -> Deeds {
        let mut random = Random::new(self.seed, 2);
        self.repeat(&mut random, false, cluster, nodes::inflict)
    }

    fn repeat(
        &self,
        random: &mut Random,
        of_network: bool,
        cluster: &Cluster,
        inflict: impl Fn(&Plan, &Cluster, Fault, &mut Random) -> Option<bool>,
    ) -> Deeds {
        let possible =
            |fault: &Fault| fault.is_of_network() == of_network && fault.obstacle(cluster).is_none();
        let faults: Vec<Fault> = self.faults.iter().copied().filter(possible).collect();
        let mut deeds = Deeds::default();
        // Each kind comes once before any comes again.
        let mut round = Vec::new();
        loop {
            self.sleep(Duration::from_millis(random.between(300, 2500)));
            if !of_network {
                cluster.tend();
            }
            if self.is_over() || faults.is_empty() {
                break;
            }
            if round.is_empty() {
                round = random.some(faults.len(), faults.len());
            }
            let began = Instant::now();
            if let Some(fault) = round.pop().map(|at| faults[at])
                && let Some(bitten) = inflict(self, cluster, fault, random)
            {
                deeds.add(fault, began, bitten);
            }
        }
        // What was cut short by the end, or found nothing to bite (a failing sync at a node that was cut off), shows nothing. It is
        // tried again while clients go on working.
        for _ in 0..AGAIN_MAX {
            for fault in deeds.without_a_bite() {
                if !of_network {
                    cluster.wait_until_whole(AGAIN);
                }
                let began = Instant::now();
                let again = Plan { until: began + AGAIN, ..*self };
                if let Some(bitten) = inflict(&again, cluster, fault, random) {
                    deeds.add(fault, began, bitten);
                }
            }
        }
        deeds
    }

    /// Takes note that nodes were down, stopped or cut off.
    fn note_taken(&self, nodes: &[usize], began: Instant) {
        self.taken.lock().push((nodes.to_vec(), began, Instant::now()));
    }

    /// When no majority was left, whichever nodes were taken one beside the other; from the earliest on.
    pub(crate) fn without_majority(&self, nodes: usize) -> Vec<(Instant, Instant)> {
        let taken = self.taken.lock();
        let mut edges: Vec<Instant> = taken.iter().flat_map(|(_, began, ended)| [*began, *ended]).collect();
        edges.sort_unstable();
        let lost = |from: Instant| {
            let gone = |node: &usize| {
                taken
                    .iter()
                    .any(|(nodes, began, ended)| nodes.contains(node) && *began <= from && from < *ended)
            };
            (0..nodes).filter(gone).count() * 2 >= nodes
        };
        edges.windows(2).map(|pair| (pair[0], pair[1])).filter(|(from, _)| lost(*from)).collect()
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.stop.load(Ordering::SeqCst)
    }

    /// Sleeps, but not beyond the end.
    fn sleep(&self, duration: Duration) {
        self.sleep_until(duration, || false);
    }

    /// Sleeps until this is so, but neither for longer nor beyond the end.
    fn sleep_until(&self, duration: Duration, so: impl Fn() -> bool) {
        let until = (Instant::now() + duration).min(self.until);
        while Instant::now() < until && !so() && !self.stop.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20).min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// How long a fault lasts.
    fn hold(&self, random: &mut Random, most_ms: u64) {
        self.sleep(Duration::from_millis(random.between(500, most_ms)));
    }
}
