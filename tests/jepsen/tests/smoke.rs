//! The harness, for half a minute: faults that loopback allows bite a real cluster, and nothing wrong is found; a target that is
//! wrong on purpose is found out.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::path::Path;
use std::process::{Command, Output};

fn harness(arguments: &[&str]) -> Option<Output> {
    let harness = Path::new(env!("CARGO_BIN_EXE_thermocline-jepsen"));
    // The tests of the whole workspace build it beside this one.
    let program = harness.with_file_name("thermocline");
    if !program.exists() {
        println!("skipped: {} is not built", program.display());
        return None;
    }
    let output = Command::new(harness).args(arguments).arg("--binary").arg(program).output().unwrap();
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Some(output)
}

/// One after the other: two clusters at a time would disturb each other.
#[test]
fn a_short_run_under_faults_passes_and_a_wrong_target_does_not() {
    let faults =
        "partition,flapping,loss,delay,reset,kill,pause,clock,slow-sync,failing-sync,flip,truncate,wipe";
    let run = ["run", "--loopback", "--seconds", "20", "--clients", "10", "--faults", faults];
    let Some(run) = harness(&run) else { return };
    assert!(run.status.success(), "the run failed");
    let wrong =
        harness(&["wrong", "--loopback", "--seconds", "3", "--clients", "10", "--faults", "pause"]).unwrap();
    assert!(wrong.status.success(), "the wrong target was not found out");
}
