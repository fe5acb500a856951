//! The table.

use loadgen::{Latency, Report};

use crate::phase::Phase;
use crate::result::{Cell, Results, median};

/// A line of cells; a group's head carries the column names.
type Row = Vec<String>;

/// All of it: what was measured on, the table, and what to be careful about.
pub(crate) fn render(results: &Results) -> String {
    let mut out = String::from("\nThermocline and its peers\n\n");
    head(results, &mut out);
    let mut rows: Vec<Row> = Vec::new();
    for phase in phases(results) {
        rows.extend(if phase == Phase::Failover {
            failover_rows(results)
        } else {
            load_rows(results, phase)
        });
    }
    lay_out(&rows, &mut out);
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
        let trip = p50s(|floor| Some(&floor.round_trip));
        line(
            "floor, us",
            &format!(
                "synced 4 KiB O_DIRECT|O_DSYNC write {write}; loopback round trip {trip} (p50 of each round)"
            ),
        );
        line("", &format!("a lone put's floor, one such write and two round trips: {floor:.0}"));
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

fn load_rows(results: &Results, phase: Phase) -> Vec<Row> {
    let lone_put = phase.to_string() == "put1";
    let mut rows = vec![
        [
            phase.title().as_str(),
            "ops/s",
            "(range)",
            "p50 ms",
            "p99 ms",
            "CPU s/1M",
            &format!("/ {}", results.baseline),
            "(range)",
            if lone_put { "p50 / floor" } else { "" },
            "busy cores elsewhere",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for target in results.names() {
        let cells: Vec<&Cell> = results.of(target, phase).collect();
        if cells.is_empty() {
            continue;
        }
        let reports = || cells.iter().map(|cell| &cell.report);
        let rates: Vec<f64> = reports().map(|report| report.operations_per_second).collect();
        // In a mix, the gets: there are a hundred times as many.
        let latency = |report: &Report| report.gets.clone().or_else(|| report.puts.clone());
        let over =
            |pick: fn(&Latency) -> f64| median(reports().filter_map(latency).map(|latency| pick(&latency)));
        let ratios = ratios(results, &cells, target, phase);
        let floors: Vec<f64> = cells
            .iter()
            .filter_map(|cell| {
                let floor = results.floors.iter().find(|floor| floor.round == cell.round)?;
                Some(cell.report.puts.as_ref()?.p50_us / floor.lone_put_us())
            })
            .collect();
        rows.push(vec![
            format!("  {target}"),
            or_dash(median(rates.iter().copied()), count),
            range(&rates, count),
            or_dash(over(|latency| latency.p50_us), ms),
            or_dash(over(|latency| latency.p99_us), ms),
            or_dash(median(reports().filter_map(|report| report.server_cpu_seconds_per_million)), |s| {
                format!("{s:.0}")
            }),
            or_dash(median(ratios.iter().copied()), times),
            range(&ratios, times),
            if lone_put { or_dash(median(floors), times) } else { String::new() },
            elsewhere(&cells),
        ]);
    }
    rows
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

fn failover_rows(results: &Results) -> Vec<Row> {
    let mut rows = vec![
        [
            Phase::Failover.title().as_str(),
            "kills",
            "",
            "gap ms",
            "worst ms",
            "first ok",
            "",
            "",
            "never back",
            "busy cores elsewhere",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for target in results.names() {
        let cells: Vec<&Cell> = results.of(target, Phase::Failover).collect();
        let failovers: Vec<_> = cells.iter().filter_map(|cell| cell.report.failover.as_ref()).collect();
        if failovers.is_empty() {
            continue;
        }
        let gaps: Vec<f64> = failovers.iter().map(|failover| failover.longest_gap_ms).collect();
        let whole = |ms: f64| format!("{ms:.0}");
        rows.push(vec![
            format!("  {target}"),
            failovers.len().to_string(),
            String::new(),
            or_dash(median(gaps.iter().copied()), whole),
            or_dash(gaps.iter().copied().max_by(f64::total_cmp), whole),
            or_dash(median(failovers.iter().filter_map(|failover| failover.first_success_ms)), whole),
            String::new(),
            String::new(),
            failovers.iter().filter(|failover| failover.first_success_ms.is_none()).count().to_string(),
            elsewhere(&cells),
        ]);
    }
    rows
}

/// Columns as wide as they need to be; a head is set off by an empty line.
fn lay_out(rows: &[Row], out: &mut String) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    for row in rows {
        let mut line = String::new();
        if row.first().is_some_and(|name| !name.starts_with(' ')) {
            out.push('\n');
        }
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                line.push_str(&format!("{cell:<width$}"));
            } else {
                line.push_str(&format!("  {cell:>width$}"));
            }
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
        let failures = report.unavailable + report.unknown + report.broken + report.errors;
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

/// Processors that did other work, or that a hypervisor kept: median and most.
fn elsewhere(cells: &[&Cell]) -> String {
    let busy: Vec<f64> =
        cells.iter().map(|cell| cell.report.foreign_cores + cell.report.stolen_cores).collect();
    let most = busy.iter().copied().fold(0.0, f64::max);
    format!("{:.1} (most {most:.1})", median(busy).unwrap_or_default())
}

fn spread(values: &[f64], show: impl Fn(f64) -> String) -> Option<String> {
    let middle = median(values.iter().copied())?;
    Some(format!("{} {}", show(middle), range(values, show)).trim_end().to_owned())
}

fn range(values: &[f64], show: impl Fn(f64) -> String) -> String {
    if values.len() < 2 {
        return String::new();
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("({}-{})", show(least), show(most))
}

fn or_dash(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2}x")
}

fn ms(us: f64) -> String {
    if us < 10_000.0 { format!("{:.2}", us / 1e3) } else { format!("{:.1}", us / 1e3) }
}

/// A whole number with its thousands set apart.
fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_they_are_read() {
        assert_eq!(count(0.4), "0");
        assert_eq!(count(999.0), "999");
        assert_eq!(count(1_234_567.0), "1,234,567");
        assert_eq!(ms(350.0), "0.35");
        assert_eq!(ms(23_456.0), "23.5");
        assert_eq!(range(&[2.0, 1.0], times), "(1.00x-2.00x)");
        assert_eq!(range(&[2.0], times), "");
    }

    #[test]
    fn columns_line_up() {
        let mut out = String::new();
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        lay_out(&[row(["head", "ops/s"]), row(["  longer", "12"])], &mut out);
        assert_eq!(out, "\nhead      ops/s\n  longer     12\n");
    }
}
