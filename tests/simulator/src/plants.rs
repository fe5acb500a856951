//! The checks are checked: each bug that can be put into the product must turn some seed red.

use std::fmt::Debug;
use std::time::Instant;

use thermocline::plant::Plant as NodePlant;
use thermocline_paxos::plant::Plant as CorePlant;
use thermocline_tiers::plant::Plant as TiersPlant;

use crate::explore::{Exploration, explore};
use crate::{Bias, Run};

/// A bug, and how it is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// In the consensus core; for the whole process.
    Core(CorePlant),
    /// In the journal or the state; for one thread.
    Tiers(TiersPlant),
    /// In the node; for one thread.
    Node(NodePlant),
}

/// The bugs of the tiers that show without damaged disks. The others are noticed by the tiers' own crash states.
const TIERS: [TiersPlant; 13] = [
    TiersPlant::GenerationIgnored,
    TiersPlant::AnythingIsATornTail,
    TiersPlant::TornTailDelivered,
    TiersPlant::PoisonForgotten,
    TiersPlant::CommitNotSynced,
    TiersPlant::SegmentNameNotSynced,
    TiersPlant::OneCatalog,
    TiersPlant::ReleaseBeforeCatalog,
    TiersPlant::ManifestBeforeSync,
    TiersPlant::ManifestNotSynced,
    TiersPlant::RunNamesNotSynced,
    TiersPlant::ManifestNameNotSynced,
    TiersPlant::TombstoneTooEarly,
];

/// Bugs that show only where disks are lost: they are hunted among such runs.
const OF_LOSSES: [Bug; 20] = [
    Bug::Core(CorePlant::FloorTooLow),
    Bug::Core(CorePlant::FloorFewPeers),
    Bug::Core(CorePlant::LearnerVotes),
    Bug::Core(CorePlant::LearnerCountsInRead),
    Bug::Core(CorePlant::LostProves),
    Bug::Core(CorePlant::HoleForgiven),
    Bug::Tiers(TiersPlant::AnythingIsATornTail),
    Bug::Tiers(TiersPlant::OneCatalog),
    Bug::Node(NodePlant::AnyLifeHeard),
    Bug::Node(NodePlant::DeafCounted),
    Bug::Node(NodePlant::HearsayDisplaces),
    Bug::Node(NodePlant::HearsayIgnored),
    Bug::Node(NodePlant::AnyStartContinues),
    Bug::Node(NodePlant::AnyReachAccounts),
    Bug::Node(NodePlant::LostEndAccounted),
    Bug::Node(NodePlant::AnyDiskDisplaces),
    Bug::Node(NodePlant::QuestionOfTheUnheardIgnored),
    Bug::Node(NodePlant::AdmissionIsNoAmnesia),
    Bug::Node(NodePlant::LearnerAnswersFloor),
    Bug::Node(NodePlant::InstallingLooksWhole),
];

impl Bug {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let core = CorePlant::ALL.into_iter().map(Self::Core);
        let tiers = TIERS.into_iter().map(Self::Tiers);
        // The simulator's nodes have no addresses; the worker's own tests notice that one.
        let node = NodePlant::ALL.iter().copied().filter(|bug| *bug != NodePlant::AddressOfAnyEpoch);
        let node = node.map(Self::Node);
        core.chain(tiers).chain(node).collect()
    }

    /// Where it is, and what it is called.
    #[must_use]
    pub fn name(self) -> (&'static str, String) {
        let called = |bug: &dyn Debug| format!("{bug:?}");
        match self {
            Self::Core(bug) => ("consensus", called(&bug)),
            Self::Tiers(bug) => ("tiers", called(&bug)),
            Self::Node(bug) => ("node", called(&bug)),
        }
    }

    /// Runs something with the bug in, on this thread.
    pub fn with<T>(self, run: impl FnOnce() -> T) -> T {
        match self {
            Self::Core(_) => run(),
            Self::Tiers(bug) => thermocline_tiers::plant::with(bug, run),
            Self::Node(bug) => thermocline::plant::with(bug, run),
        }
    }
}

/// What became of a bug.
#[derive(Clone, Debug)]
pub struct Hunted {
    /// The bug.
    pub bug: Bug,
    /// The first run that was red.
    pub caught: Option<Run>,
    /// How many seeds were run until then.
    pub seeds: u64,
    /// How long that took, in seconds.
    pub seconds: f64,
}

/// Looks for the first seed that a bug turns red.
#[must_use]
pub fn hunt(bug: Bug, seeds_max: u64, threads: usize) -> Hunted {
    let began = Instant::now();
    if let Bug::Core(bug) = bug {
        thermocline_paxos::plant::set(Some(bug));
    }
    let bias = if OF_LOSSES.contains(&bug) { Bias::Losses } else { Bias::None };
    let exploration =
        Exploration { bias, failures_max: 1, bug: Some(bug), ..Exploration::new(1, seeds_max, threads) };
    let explored = explore(&exploration);
    thermocline_paxos::plant::set(None);
    let (seeds, seconds) = (explored.tally.seeds, began.elapsed().as_secs_f64());
    Hunted { bug, caught: explored.failures.into_iter().next(), seeds, seconds }
}

/// Hunts all bugs, or the one of that name, and prints a table. Returns how many were not caught.
#[must_use]
pub fn hunt_all(only: Option<&str>, seeds_max: u64, threads: usize) -> usize {
    println!("| in | bug | caught by | seeds to red | seconds |\n|---|---|---|---|---|");
    // What a bug breaks may be an assertion; those are noticed, and need not be shown.
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = 0;
    for bug in Bug::all().into_iter().filter(|bug| only.is_none_or(|only| bug.name().1 == only)) {
        let hunted = hunt(bug, seeds_max, threads);
        let (place, name) = bug.name();
        missed += usize::from(hunted.caught.is_none());
        let layer =
            hunted.caught.as_ref().and_then(|run| run.failure.as_deref()).map_or("**nothing**".into(), layer);
        println!("| {place} | {name} | {layer} | {} | {:.1} |", hunted.seeds, hunted.seconds);
    }
    drop(std::panic::take_hook());
    missed
}

/// Which check a failure comes from: its first words.
fn layer(failure: &str) -> String {
    let line = failure.lines().next().unwrap_or_default();
    let line =
        line.strip_prefix("bucket ").and_then(|rest| rest.split_once(": ")).map_or(line, |(_, rest)| rest);
    let end = line.char_indices().nth(70).map_or(line.len(), |(at, _)| at);
    line[..end].replace('|', "/")
}
