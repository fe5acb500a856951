//! The table.

mod groups;
mod show;

use loadgen::Latency;

use crate::phase::Phase;
use crate::result::{Results, median};
use show::spread;

/// A line of cells. The first cell of a target's line is indented; a line of one cell is a group's title.
type Row = Vec<String>;

/// All of it: what was measured on, the table, and what to be careful about.
pub(crate) fn render(results: &Results) -> String {
    let mut out = String::from("\nThermocline and its peers\n\n");
    head(results, &mut out);
    let (failovers, loads): (Vec<Phase>, Vec<Phase>) =
        phases(results).into_iter().partition(|phase| *phase == Phase::Failover);
    if !loads.is_empty() {
        lay_out(&groups::loads(results, &loads), &mut out);
    }
    if !failovers.is_empty() {
        out.push('\n');
        lay_out(&groups::failovers(results), &mut out);
    }
    warnings(results, &mut out);
    out
}

fn head(results: &Results, out: &mut String) {
    let machine = &results.machine;
    let mut line = |name: &str, text: &str| out.push_str(&format!("  {name:<11} {text}\n"));
    line(
        "machine",
        &format!(
            "{} x {}, {:.0} GiB, {}",
            machine.cores, machine.processor, machine.memory_gib, machine.kernel
        ),
    );
    line("files", &machine.file_system);
    line("versions", &format!("{}; {}", machine.versions.join(", "), machine.rustc));
    for (at, condition) in results.conditions.iter().enumerate() {
        line(if at == 0 { "conditions" } else { "" }, condition);
    }
    for (at, described) in results.targets.iter().enumerate() {
        let name = &described.name;
        line(if at == 0 { "targets" } else { "" }, &format!("{name}: {}", described.what));
    }
    let p50s = |pick: fn(&crate::floor::Floor) -> Option<&Latency>| {
        let found: Vec<f64> = results.floors.iter().filter_map(pick).map(|latency| latency.p50_us).collect();
        spread(&found, |us| format!("{us:.0}")).unwrap_or_else(|| "-".to_owned())
    };
    if let Some(floor) = median(results.floors.iter().map(|floor| floor.lone_put_us())) {
        let write = p50s(|floor| floor.synced_write.as_ref());
        let append = p50s(|floor| Some(&floor.append_and_sync));
        let majority = p50s(|floor| floor.synced_majority.as_ref());
        let trip = p50s(|floor| Some(&floor.round_trip));
        let apart = p50s(|floor| Some(&floor.round_trip_apart));
        line(
            "floor, us",
            &format!("synced 4 KiB write (O_DIRECT|O_DSYNC) {write}; p50 of each round, as all of these"),
        );
        line(
            "",
            &format!(
                "three of them at once, as three nodes on this one disk do: the second is done after {majority}"
            ),
        );
        line("", &format!("loopback round trip {trip} on one core, {apart} between two"));
        line(
            "",
            &format!("a lone put's floor, one such write and two of the shorter round trips: {floor:.0}"),
        );
        line("", &format!("for scale, 4 KiB appended to a growing file and fdatasync: {append}"));
    }
    out.push('\n');
}

/// In the order they first came.
fn phases(results: &Results) -> Vec<Phase> {
    let mut phases = Vec::new();
    for cell in &results.cells {
        if !phases.contains(&cell.phase) {
            phases.push(cell.phase);
        }
    }
    phases
}

/// Columns as wide as they need to be; an empty line before each group.
fn lay_out(rows: &[Row], out: &mut String) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                line.push_str(&format!("{cell:<width$}"));
            } else {
                line.push_str(&format!("   {cell:>width$}"));
            }
        }
        if row.len() == 1 {
            out.push('\n');
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// What makes a figure doubtful is said beside the figures.
fn warnings(results: &Results, out: &mut String) {
    out.push('\n');
    if results.machine.in_memory {
        out.push_str(
            "DOUBTFUL: the files were in memory, where a sync costs nothing. Use --data on a disk.\n",
        );
    }
    for cell in results.cells.iter().filter(|cell| cell.phase != Phase::Failover) {
        let report = &cell.report;
        let failures = report.failures();
        if failures + report.misses == 0 {
            continue;
        }
        let said = report.first_failure.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
        out.push_str(&format!(
            "DOUBTFUL: {} {} in round {}: {} of its operations failed, {} found nothing{said}\n",
            cell.target,
            cell.phase,
            cell.round + 1,
            failures,
            report.misses,
        ));
    }
    let loads: Vec<f64> = results.cells.iter().map(|cell| cell.report.load_average).collect();
    if let Some(load) = spread(&loads, |load| format!("{load:.1}")) {
        out.push_str(&format!("load average {load}; ratios are medians over pairs of the same round\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut out = String::new();
        let row = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect();
        lay_out(&[row(&["", "ops/s"]), row(&["group"]), row(&["  longer", "12"])], &mut out);
        assert_eq!(out, "           ops/s\n\ngroup\n  longer      12\n");
    }
}
