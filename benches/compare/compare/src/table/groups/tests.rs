use loadgen::{Failover, Latency, Operation, Report};

use super::*;
use crate::floor::Floor;
use crate::machine::Machine;
use crate::result::Described;

fn latency(p50_us: f64) -> Latency {
    Latency { count: 1, p50_us, p99_us: 2.0 * p50_us, p999_us: 3.0 * p50_us, max_us: 4.0 * p50_us }
}

fn report(operation: Operation, rate: f64) -> Report {
    Report {
        operation,
        clients: 1,
        seconds: 1.0,
        operations_per_second: rate,
        puts: (operation != Operation::Get).then(|| latency(400.0)),
        gets: (operation != Operation::Put).then(|| latency(100.0)),
        misses: 0,
        not_leader: 0,
        unavailable: 0,
        unknown: 1,
        broken: 2,
        errors: 0,
        first_failure: None,
        server_cpu_seconds_per_million: Some(25.0),
        client_cpu_seconds_per_million: 8.0,
        foreign_cores: 0.5,
        stolen_cores: 0.25,
        load_average: 1.0,
        failover: None,
    }
}

fn results(cells: Vec<Cell>) -> Results {
    let described = |name: &str| Described { name: name.to_owned(), what: String::new() };
    Results {
        machine: Machine {
            processor: String::new(),
            cores: 2,
            memory_gib: 1.0,
            kernel: String::new(),
            file_system: String::new(),
            in_memory: false,
            rustc: String::new(),
            versions: Vec::new(),
        },
        conditions: Vec::new(),
        targets: vec![described("ours"), described("theirs")],
        baseline: "theirs".to_owned(),
        floors: (0..2)
            .map(|round| Floor {
                round,
                synced_write: Some(latency(160.0)),
                synced_majority: Some(latency(200.0)),
                append_and_sync: latency(300.0),
                round_trip: latency(20.0),
                round_trip_apart: latency(60.0),
            })
            .collect(),
        cells,
    }
}

fn cell(round: u32, target: &str, phase: Phase, report: Report) -> Cell {
    Cell { round, target: target.to_owned(), phase, report }
}

#[test]
fn ratios_are_made_within_a_round() {
    let phase = Phase::Load { operation: Operation::Put, clients: 1 };
    let put = |rate| report(Operation::Put, rate);
    // The second round ran on a machine twice as fast: the ratio of the medians would be another.
    let results = results(vec![
        cell(0, "theirs", phase, put(1000.0)),
        cell(0, "ours", phase, put(2000.0)),
        cell(1, "ours", phase, put(3000.0)),
        cell(1, "theirs", phase, put(2000.0)),
    ]);
    let rows = loads(&results, &[phase]);
    assert_eq!(rows[1], ["put, 1 client"]);
    assert_eq!(
        rows[2],
        [
            "  ours",
            "2,500",
            "2,000-3,000",
            "0.40",
            "0.80",
            "25",
            "1.75x",
            "1.50x-2.00x",
            "2.00x",
            "0.8 (0.8-0.8)"
        ]
    );
    assert_eq!(rows[3][6..8], ["-", ""]);
}

#[test]
fn a_mix_shows_its_gets_and_below_them_its_puts() {
    let phase = Phase::Load { operation: Operation::Mixed, clients: 64 };
    let results = results(vec![cell(0, "ours", phase, report(Operation::Mixed, 5.0))]);
    let rows = loads(&results, &[phase]);
    assert_eq!(rows[2][3..5], ["0.10", "0.20"]);
    assert_eq!(rows[2][8], "");
    assert_eq!(rows[3], ["    its puts", "", "", "0.40", "0.80"]);
}

#[test]
fn a_store_that_never_comes_back_is_counted() {
    let killed = |round, gap: f64, first_success_ms| {
        let failover = Failover {
            longest_gap_ms: gap,
            first_success_ms,
            successes_per_10_ms: Vec::new(),
            killed_at_ms: 1.0,
        };
        let report = Report { failover: Some(failover), ..report(Operation::Put, 9.0) };
        cell(round, "ours", Phase::Failover, report)
    };
    let results = results(vec![killed(0, 200.0, Some(190.0)), killed(1, 3000.0, None)]);
    assert_eq!(failovers(&results)[2], ["  ours", "2", "1600", "200-3000", "190", "3", "1", "0.8 (0.8-0.8)"]);
}
