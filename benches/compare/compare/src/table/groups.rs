//! The groups of the table: one for each phase, a line for each target.

use loadgen::{Latency, Operation, Report};

use super::Row;
use super::show::{count, ms, or_dash, range, spread, times};
use crate::phase::Phase;
use crate::result::{Cell, Results, median};

fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(str::to_owned).to_vec()
}

/// Rates, latencies and cost of each phase but the failover.
pub(super) fn loads(results: &Results, phases: &[Phase]) -> Vec<Row> {
    let over_baseline = format!("/ {}", results.baseline);
    let mut rows = vec![row([
        "",
        "ops/s",
        "range",
        "p50 ms",
        "p99 ms",
        "CPU s/1M",
        &over_baseline,
        "range",
        "p50 / floor",
        "busy elsewhere",
    ])];
    for &phase in phases {
        rows.push(vec![phase.title()]);
        for target in results.names() {
            load_lines(results, phase, target, &mut rows);
        }
    }
    rows
}

fn load_lines(results: &Results, phase: Phase, target: &str, rows: &mut Vec<Row>) {
    let cells: Vec<&Cell> = results.of(target, phase).collect();
    if cells.is_empty() {
        return;
    }
    let reports = || cells.iter().map(|cell| &cell.report);
    let rates: Vec<f64> = reports().map(|report| report.operations_per_second).collect();
    let cost = median(reports().filter_map(|report| report.server_cpu_seconds_per_million));
    let ratios = ratios(results, &cells, target, phase);
    let (p50, p99) = latencies(&cells, |report| report.gets.as_ref().or(report.puts.as_ref()));
    rows.push(vec![
        format!("  {target}"),
        or_dash(median(rates.iter().copied()), count),
        range(&rates, count),
        p50,
        p99,
        or_dash(cost, |seconds| format!("{seconds:.0}")),
        or_dash(median(ratios.iter().copied()), times),
        range(&ratios, times),
        over_floor(results, phase, &cells),
        elsewhere(&cells),
    ]);
    if matches!(phase, Phase::Load { operation: Operation::Mixed, .. }) {
        let (p50, p99) = latencies(&cells, |report| report.puts.as_ref());
        rows.push(row(["    its puts", "", "", &p50, &p99]));
    }
}

fn latencies(cells: &[&Cell], pick: fn(&Report) -> Option<&Latency>) -> (String, String) {
    let over = |quantile: fn(&Latency) -> f64| {
        or_dash(median(cells.iter().filter_map(|cell| pick(&cell.report)).map(quantile)), ms)
    };
    (over(|latency| latency.p50_us), over(|latency| latency.p99_us))
}

/// Only a lone put can be held against the floor.
fn over_floor(results: &Results, phase: Phase, cells: &[&Cell]) -> String {
    if phase != (Phase::Load { operation: Operation::Put, clients: 1 }) {
        return String::new();
    }
    let ratios = cells.iter().filter_map(|cell| {
        let floor = results.floors.iter().find(|floor| floor.round == cell.round)?;
        Some(cell.report.puts.as_ref()?.p50_us / floor.lone_put_us())
    });
    or_dash(median(ratios), times)
}

/// A target's rates over the baseline's, round by round.
fn ratios(results: &Results, cells: &[&Cell], target: &str, phase: Phase) -> Vec<f64> {
    if target == results.baseline {
        return Vec::new();
    }
    cells
        .iter()
        .filter_map(|cell| {
            let base = results.of(&results.baseline, phase).find(|base| base.round == cell.round)?;
            let base = base.report.operations_per_second;
            (base > 0.0).then(|| cell.report.operations_per_second / base)
        })
        .collect()
}

/// What the death of a node does.
pub(super) fn failovers(results: &Results) -> Vec<Row> {
    let mut rows = vec![
        row(["", "kills", "gap ms", "range", "first ok ms", "failed tries", "never back", "busy elsewhere"]),
        vec![Phase::Failover.title()],
    ];
    for target in results.names() {
        let cells: Vec<&Cell> = results.of(target, Phase::Failover).collect();
        let failovers: Vec<_> = cells.iter().filter_map(|cell| cell.report.failover.as_ref()).collect();
        if failovers.is_empty() {
            continue;
        }
        let gaps: Vec<f64> = failovers.iter().map(|failover| failover.longest_gap_ms).collect();
        let whole = |ms: f64| format!("{ms:.0}");
        let failed = median(cells.iter().map(|cell| cell.report.failures() as f64));
        rows.push(vec![
            format!("  {target}"),
            failovers.len().to_string(),
            or_dash(median(gaps.iter().copied()), whole),
            range(&gaps, whole),
            or_dash(median(failovers.iter().filter_map(|failover| failover.first_success_ms)), whole),
            or_dash(failed, whole),
            failovers.iter().filter(|failover| failover.first_success_ms.is_none()).count().to_string(),
            elsewhere(&cells),
        ]);
    }
    rows
}

/// Processors that did other work, or that a hypervisor kept.
fn elsewhere(cells: &[&Cell]) -> String {
    let busy: Vec<f64> =
        cells.iter().map(|cell| cell.report.foreign_cores + cell.report.stolen_cores).collect();
    spread(&busy, |cores| format!("{cores:.1}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
