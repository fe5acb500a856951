//! The order of things: rounds, in which every target has its turn.

use std::process::{Command, Stdio};

use loadgen::Report;

use crate::Failure;
use crate::arguments::Arguments;
use crate::build::Binaries;
use crate::cluster::Cluster;
use crate::floor::Floor;
use crate::phase::Phase;
use crate::result::{Cell, Results};
use crate::slice::Slice;
use crate::target::{Program, Target};

/// Writes before the kill, seconds after the warm-up, and writes after it.
const KILL_AFTER: f64 = 1.0;
const AFTER_KILL: f64 = 3.0;

/// How it is measured, for the table's head.
pub(crate) fn conditions(arguments: &Arguments, slice: &Slice) -> Vec<String> {
    let mut conditions = vec![
        "three nodes, the clients and all they share are on this machine; every write acknowledged is synced"
            .to_owned(),
        format!(
            "closed loop, one connection a client unless it is embedded, {} keys of 16 bytes, random values of {} bytes",
            arguments.keys, arguments.value_bytes
        ),
        format!(
            "{} s a cell after {} s of warm-up, {} round{}, fresh clusters in turn, {}",
            arguments.seconds,
            arguments.warm_up,
            arguments.rounds,
            if arguments.rounds == 1 { "" } else { "s" },
            slice.describe(),
        ),
    ];
    if arguments.quick {
        conditions.push("a quick run: these figures are not to be quoted".to_owned());
    }
    conditions
}

/// Fills `results`, telling of each cell as it comes.
pub(crate) fn run(
    arguments: &Arguments,
    binaries: &Binaries,
    targets: &[Target],
    slice: &Slice,
    results: &mut Results,
) -> Result<(), Failure> {
    let stage = Stage { arguments, binaries, slice };
    let loads: Vec<Phase> =
        arguments.phases.iter().copied().filter(|phase| *phase != Phase::Failover).collect();
    if !loads.is_empty() {
        for round in 0..arguments.rounds {
            results.floors.push(Floor::measure(round, &arguments.data)?);
            // Another target begins each round: nobody always has the machine as the floor has left it.
            for turn in 0..targets.len() {
                let target = &targets[(round as usize + turn) % targets.len()];
                stage.loads(round, target, &loads, results)?;
            }
        }
    }
    if arguments.phases.contains(&Phase::Failover) {
        for kill in 0..arguments.kills {
            // Clients that die with their node see nothing of what follows.
            let able = |target: &&Target| target.program != Program::Redis && !target.embedded;
            for target in targets.iter().filter(able) {
                let report = stage.failover(target)?;
                stage.keep(kill, target, Phase::Failover, report, results);
            }
        }
    }
    Ok(())
}

struct Stage<'a> {
    arguments: &'a Arguments,
    binaries: &'a Binaries,
    slice: &'a Slice,
}

impl Stage<'_> {
    fn cluster(&self, target: &Target) -> Result<Cluster, Failure> {
        Cluster::start(target, self.binaries, &self.arguments.data, self.arguments.port_base, self.slice)
    }

    /// All phases on one cluster.
    fn loads(
        &self,
        round: u32,
        target: &Target,
        phases: &[Phase],
        results: &mut Results,
    ) -> Result<(), Failure> {
        let cluster = self.cluster(target)?;
        let mut filled = false;
        for &phase in phases {
            let Phase::Load { operation, clients } = phase else { continue };
            if phase.reads() && !filled {
                self.loadgen(target, &cluster, &["--operation", "fill"])?;
                filled = true;
            }
            let operation = match operation {
                loadgen::Operation::Get => "get",
                loadgen::Operation::Mixed => "mixed",
                loadgen::Operation::Put | loadgen::Operation::Fill => "put",
            };
            let report = self.loadgen(
                target,
                &cluster,
                &[
                    "--operation",
                    operation,
                    "--clients",
                    &clients.to_string(),
                    "--seconds",
                    &self.arguments.seconds.to_string(),
                    "--warm-up",
                    &self.arguments.warm_up.to_string(),
                ],
            )?;
            self.keep(round, target, phase, report, results);
        }
        Ok(())
    }

    fn failover(&self, target: &Target) -> Result<Report, Failure> {
        let cluster = self.cluster(target)?;
        self.loadgen(
            target,
            &cluster,
            &[
                "--clients",
                &self.arguments.failover_clients.to_string(),
                "--timeout-ms",
                &self.arguments.failover_timeout_ms.to_string(),
                "--warm-up",
                &self.arguments.warm_up.to_string(),
                "--seconds",
                &(KILL_AFTER + AFTER_KILL).to_string(),
                "--kill-after",
                &KILL_AFTER.to_string(),
                "--kill-pid",
                &cluster.first_pid().to_string(),
            ],
        )
    }

    fn loadgen(&self, target: &Target, cluster: &Cluster, options: &[&str]) -> Result<Report, Failure> {
        let (endpoints, pids) = (cluster.endpoints(), cluster.pids());
        let (keys, value_bytes) = (self.arguments.keys.to_string(), self.arguments.value_bytes.to_string());
        let mut arguments = vec!["--endpoints", &endpoints, "--pids", &pids];
        arguments.extend(["--keys", &keys, "--value-bytes", &value_bytes]);
        arguments.extend(options);
        if target.spread {
            arguments.push("--spread");
        }
        if target.program == Program::Redis {
            arguments.extend(["--wait-replicas", "1"]);
        }
        if target.embedded {
            let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
            return Ok(serde_json::from_slice(&cluster.drive(&arguments)?)?);
        }
        let mut command = Command::new(&self.binaries.loadgen);
        command.args(arguments).stdin(Stdio::null());
        self.slice.give(&mut command);
        let output = command.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "load generator at {}: {}{}",
                target.name,
                said.trim(),
                cluster.last_words()
            )
            .into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn keep(&self, round: u32, target: &Target, phase: Phase, report: Report, results: &mut Results) {
        let what = match &report.failover {
            Some(failover) => format!("longest gap {:.0} ms", failover.longest_gap_ms),
            None => format!("{:.0} operations/s", report.operations_per_second),
        };
        let times = if phase == Phase::Failover { self.arguments.kills } else { self.arguments.rounds };
        let trouble =
            report.first_failure.as_deref().filter(|_| phase != Phase::Failover).unwrap_or_default();
        eprintln!("{}/{times} {:20} {:9} {what} {trouble}", round + 1, target.name, phase.to_string());
        results.cells.push(Cell { round, target: target.name.to_owned(), phase, report });
    }
}
