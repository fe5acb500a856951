//! The checks are checked: each bug that can be put into the product must turn some seed red, or else a test.

use std::fmt::{self, Debug};
use std::time::Instant;

use thermocline::plant::Plant as NodePlant;
use thermocline_paxos::plant::Plant as CorePlant;
use thermocline_tiers::plant::Plant as TiersPlant;

use crate::explore::{self, Exploration, explore};
use crate::named;
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

/// Bugs that show only where disks are lost, or most often there: they are hunted among such runs first.
const OF_LOSSES: [Bug; 20] = [
    Bug::Core(CorePlant::FloorTooLow),
    Bug::Core(CorePlant::FloorFewPeers),
    Bug::Core(CorePlant::LearnerVotes),
    Bug::Core(CorePlant::LearnerCountsInRead),
    Bug::Core(CorePlant::LostProves),
    Bug::Core(CorePlant::HoleForgiven),
    Bug::Tiers(TiersPlant::AnythingIsATornTail),
    Bug::Tiers(TiersPlant::OneCatalog),
    Bug::Tiers(TiersPlant::ChecksumWithoutAddress),
    Bug::Node(NodePlant::AnyLifeHeard),
    Bug::Node(NodePlant::DeafCounted),
    Bug::Node(NodePlant::HearsayDisplaces),
    Bug::Node(NodePlant::AnyStartContinues),
    Bug::Node(NodePlant::AnyDiskDisplaces),
    Bug::Node(NodePlant::AdmittedNotForgotten),
    Bug::Node(NodePlant::AnyLifeAnswered),
    Bug::Node(NodePlant::QuestionOfTheUnheardIgnored),
    Bug::Node(NodePlant::AdmissionIsNoAmnesia),
    Bug::Node(NodePlant::LearnerAnswersFloor),
    Bug::Node(NodePlant::InstallingLooksWhole),
];

/// Bugs that runs cannot show: their nodes have no addresses, too few starts, too small buckets, and no operator who gives anything up; or so
/// seldom that it is not worth the time.
const NOT_HUNTED: [Bug; 26] = [
    Bug::Tiers(TiersPlant::PayloadChecksumIgnored),
    Bug::Tiers(TiersPlant::CommitChecksumIgnored),
    Bug::Tiers(TiersPlant::MergedRunsRemovedEarly),
    Bug::Tiers(TiersPlant::TwoManifests),
    Bug::Node(NodePlant::WipedBeforeRecorded),
    Bug::Node(NodePlant::AddressOfAnyEpoch),
    Bug::Node(NodePlant::RememberedLifeDropped),
    Bug::Node(NodePlant::HearsayIgnored),
    Bug::Node(NodePlant::AnyReachAccounts),
    Bug::Node(NodePlant::LostEndAccounted),
    Bug::Node(NodePlant::HeardBeforeWritten),
    Bug::Node(NodePlant::NewLifeNotSpread),
    Bug::Node(NodePlant::UnheardStillCounted),
    Bug::Node(NodePlant::AnswerOfEarlierLifeCounted),
    Bug::Node(NodePlant::AdmittedByOneWorker),
    Bug::Node(NodePlant::FloorUnderWayCounted),
    Bug::Node(NodePlant::GivenUpWhileAdmitting),
    Bug::Node(NodePlant::OtherWorkersUnheeded),
    Bug::Node(NodePlant::DeafForgets),
    Bug::Node(NodePlant::AnyDiskAccounts),
    Bug::Node(NodePlant::BirthsStay),
    Bug::Node(NodePlant::ExpiredIsThere),
    Bug::Node(NodePlant::AppliedOnce),
    Bug::Node(NodePlant::WantBeginsAnew),
    Bug::Node(NodePlant::HoleForgotten),
    Bug::Node(NodePlant::ServedBeforeGoingOn),
];

impl Bug {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let core = CorePlant::ALL.into_iter().map(Self::Core);
        let tiers = TiersPlant::ALL.iter().copied().map(Self::Tiers);
        let node = NodePlant::ALL.iter().copied().map(Self::Node);
        core.chain(tiers).chain(node).collect()
    }

    /// Whether runs can show it.
    #[must_use]
    pub fn is_hunted(self) -> bool {
        !NOT_HUNTED.contains(&self)
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

/// The first run that a bug has turned red.
#[derive(Clone, Debug)]
pub struct Caught {
    /// The run; its seed says how many were run, as they begin at 1.
    pub run: Run,
    /// Among which runs it was.
    pub bias: Bias,
}

/// What became of a bug.
#[derive(Clone, Debug)]
pub struct Hunted {
    /// The bug.
    pub bug: Bug,
    /// What it has turned red, if anything.
    pub caught: Option<Caught>,
    /// How long that took, in seconds.
    pub seconds: f64,
}

/// Looks for the first seed that a bug turns red: among the first `seeds_max` of the kind of runs that should show it, then among half as
/// many of the other kind.
#[must_use]
pub fn hunt(bug: Bug, seeds_max: u64, threads: usize) -> Hunted {
    let began = Instant::now();
    let kinds = [(Bias::None, Bias::Losses), (Bias::Losses, Bias::None)];
    let (first, second) = kinds[usize::from(OF_LOSSES.contains(&bug))];
    let caught = hunt_in(first, bug, seeds_max, threads)
        .or_else(|| hunt_in(second, bug, seeds_max.div_ceil(2), threads));
    Hunted { bug, caught, seconds: began.elapsed().as_secs_f64() }
}

fn hunt_in(bias: Bias, bug: Bug, seeds_max: u64, threads: usize) -> Option<Caught> {
    let mut first = 1;
    loop {
        if let Bug::Core(bug) = bug {
            thermocline_paxos::plant::set(Some(bug));
        }
        let count = (seeds_max + 1).saturating_sub(first);
        let exploration =
            Exploration { bias, failures_max: 1, bug: Some(bug), ..Exploration::new(first, count, threads) };
        let explored = explore(&exploration);
        thermocline_paxos::plant::set(None);
        let run = explored.failures.into_iter().next()?;
        // What is red without the bug, too, says nothing of the bug.
        if explore::run(run.seed, bias).failure.is_none() {
            return Some(Caught { run, bias });
        }
        first = run.seed + 1;
    }
}

/// Hunts all bugs, or the one of that name, and prints a table. Returns how many nothing notices.
#[must_use]
pub fn hunt_all(only: Option<&str>, seeds_max: u64, threads: usize) -> usize {
    println!("| in | bug | first caught by | runs | seeds to red | seconds | also caught by the test |");
    println!("|---|---|---|---|---|---|---|");
    // What a bug breaks may be an assertion; those are noticed, and need not be shown.
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = 0;
    for bug in Bug::all().into_iter().filter(|bug| only.is_none_or(|only| bug.name().1 == only)) {
        let hunted = bug.is_hunted().then(|| hunt(bug, seeds_max, threads));
        let test = named::test_of(bug).map(|test| test.name);
        println!("{}", Line { bug, hunted: hunted.as_ref(), test });
        missed += usize::from(test.is_none() && hunted.is_none_or(|hunted| hunted.caught.is_none()));
    }
    drop(std::panic::take_hook());
    missed
}

/// A line of the table.
struct Line<'a> {
    bug: Bug,
    hunted: Option<&'a Hunted>,
    test: Option<&'static str>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, name) = self.bug.name();
        write!(f, "| {place} | {name} | ")?;
        let nothing = if self.test.is_some() { "the test" } else { "**nothing**" };
        match self.hunted {
            None => write!(f, "{nothing} | not hunted | | | ")?,
            Some(Hunted { caught: None, seconds, .. }) => {
                write!(f, "{nothing} | both | - | {seconds:.1} | ")?
            }
            Some(Hunted { caught: Some(Caught { run, bias }), seconds, .. }) => {
                let check = run.failure.as_deref().map(check).unwrap_or_default();
                let runs = if *bias == Bias::Losses { "`--losses`" } else { "any" };
                write!(f, "{check} | {runs} | {} | {seconds:.1} | ", run.seed)?;
            }
        }
        write!(f, "{} |", self.test.map(|test| format!("`{test}`")).unwrap_or_default())
    }
}

/// Which check a failure comes from: its first words.
fn check(failure: &str) -> String {
    let line = failure.lines().next().unwrap_or_default();
    let line =
        line.strip_prefix("bucket ").and_then(|rest| rest.split_once(": ")).map_or(line, |(_, rest)| rest);
    let end = line.char_indices().nth(70).map_or(line.len(), |(at, _)| at);
    line[..end].replace('|', "/")
}
