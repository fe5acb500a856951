//! Many seeds, on several threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::tally::Tally;
use crate::{Bias, Run};

/// What an exploration came to.
#[derive(Debug, Default)]
pub struct Explored {
    /// What all runs together went through.
    pub tally: Tally,
    /// Runs that failed, by seed.
    pub failures: Vec<Run>,
    /// How long it took.
    pub took: Duration,
}

/// What is to be explored.
#[derive(Clone, Copy, Debug)]
pub struct Exploration {
    /// The first seed.
    pub first: u64,
    /// How many seeds.
    pub count: u64,
    /// On how many threads.
    pub threads: usize,
    /// What is drawn for each.
    pub bias: Bias,
    /// After so many failures no further seed is begun.
    pub failures_max: usize,
    /// A bug that is in.
    #[cfg(feature = "plant")]
    pub bug: Option<crate::plants::Bug>,
}

impl Exploration {
    /// So many seeds from `first` on, with no bug put in.
    #[must_use]
    pub fn new(first: u64, count: u64, threads: usize) -> Self {
        Self {
            first,
            count,
            threads,
            bias: Bias::None,
            failures_max: 20,
            #[cfg(feature = "plant")]
            bug: None,
        }
    }

    fn run(&self, seed: u64) -> Run {
        #[cfg(feature = "plant")]
        if let Some(bug) = self.bug {
            return bug.with(|| run(seed, self.bias));
        }
        run(seed, self.bias)
    }
}

/// Runs many seeds.
#[must_use]
pub fn explore(exploration: &Exploration) -> Explored {
    let Exploration { first, count, .. } = *exploration;
    let next = AtomicU64::new(first);
    let explored = Mutex::new(Explored::default());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..exploration.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let run = exploration.run(seed);
                    let mut explored = explored.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    explored.tally.add(&run.tally);
                    if run.failure.is_some() {
                        explored.failures.push(run);
                        if explored.failures.len() >= exploration.failures_max {
                            next.store(u64::MAX / 2, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let mut explored = explored.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    explored.failures.sort_by_key(|run| run.seed);
    explored.took = began.elapsed();
    explored
}

/// Runs a seed; a panic of the product is a failure of the run.
#[must_use]
pub fn run(seed: u64, bias: Bias) -> Run {
    catch_unwind(AssertUnwindSafe(|| crate::run(seed, bias, false))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let failure = format!("an assertion: {}", text.unwrap_or_default());
        Run { seed, tally: Tally { seeds: 1, ..Tally::default() }, hash: 0, failure: Some(failure) }
    })
}

/// Prints what an exploration came to.
pub fn print(explored: &Explored, bias: Bias) {
    let tally = &explored.tally;
    let seconds = explored.took.as_secs_f64();
    println!(
        "seeds             {:>12}  in {seconds:.1} s, {:.0} a second",
        tally.seeds,
        tally.seeds as f64 / seconds
    );
    println!("of five replicas  {:>12}  the others of three", tally.of_five);
    println!("simulated hours   {:>12.2}", tally.time as f64 / 3.6e9);
    println!("events            {:>12}", tally.events);
    println!(
        "operations        {:>12}  {} succeeded, {} more stayed unknown",
        tally.operations, tally.succeeded, tally.unknown
    );
    println!("slots decided     {:>12}", tally.slots);
    println!("faults            {:>12}", tally.faults.values().sum::<u64>());
    for (kind, number) in &tally.faults {
        println!("  {kind:34} {number:>10}");
    }
    println!("in the nodes");
    for (name, number) in &tally.counters {
        println!("  {name:34} {number:>10}");
    }
    for run in &explored.failures {
        println!("\nFAILED: {}", run.failure.as_deref().unwrap_or_default());
        let losses = if bias == Bias::Losses { " --losses" } else { "" };
        println!("  cargo sim {}{losses}", run.seed);
    }
}
