//! What can be compared.

use crate::Failure;
use crate::arguments::Arguments;
use crate::build::Binaries;

/// Which program a target runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Thermocline,
    Raftrs,
    Openraft,
    Redis,
}

/// One way of running one program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// As on the command line and in the table.
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    /// Clients begin at all three nodes instead of one.
    pub(crate) spread: bool,
    /// The clients are in the first node's process, and call the store without connections.
    pub(crate) embedded: bool,
    /// Zeros a peer writes into its log ahead.
    pub(crate) zero_filled_mib: u64,
    /// What it is, in a line.
    pub(crate) what: &'static str,
    /// Whether it runs when no targets are named.
    by_default: bool,
}

/// More than a log grows to in the default phases.
const ZERO_FILLED_MIB: u64 = 256;

const TARGETS: [Target; 10] = [
    Target {
        name: "thermocline",
        program: Program::Thermocline,
        spread: false,
        embedded: false,
        zero_filled_mib: 0,
        what: "all clients at one node; state engine, recovery and checksums behind it",
        by_default: true,
    },
    Target {
        name: "thermocline-spread",
        program: Program::Thermocline,
        spread: true,
        embedded: false,
        zero_filled_mib: 0,
        what: "the same, clients spread over the three nodes",
        by_default: true,
    },
    Target {
        name: "raftrs",
        program: Program::Raftrs,
        spread: false,
        embedded: false,
        zero_filled_mib: 0,
        what: "clients at the leader; appended log, map in memory, no restart; gets: ReadIndex",
        by_default: true,
    },
    Target {
        name: "raftrs-zeroed",
        program: Program::Raftrs,
        spread: false,
        embedded: false,
        zero_filled_mib: ZERO_FILLED_MIB,
        what: "as raftrs, its log filled with zeros ahead",
        by_default: true,
    },
    Target {
        name: "openraft",
        program: Program::Openraft,
        spread: false,
        embedded: false,
        zero_filled_mib: 0,
        what: "clients at the leader; appended log, map in memory, no restart; gets: ReadIndex",
        by_default: true,
    },
    Target {
        name: "redis",
        program: Program::Redis,
        spread: false,
        embedded: false,
        zero_filled_mib: 0,
        what: "appendfsync always, WAIT 1: a replica has received it; gets: the master's own word; no failover",
        by_default: true,
    },
    Target {
        name: "openraft-zeroed",
        program: Program::Openraft,
        spread: false,
        embedded: false,
        zero_filled_mib: ZERO_FILLED_MIB,
        what: "as openraft, its log filled with zeros ahead",
        by_default: false,
    },
    Target {
        name: "thermocline-embedded",
        program: Program::Thermocline,
        spread: false,
        embedded: true,
        zero_filled_mib: 0,
        what: "as thermocline, linked as a library; the clients are in the process of one node",
        by_default: false,
    },
    Target {
        name: "raftrs-embedded",
        program: Program::Raftrs,
        spread: false,
        embedded: true,
        zero_filled_mib: 0,
        what: "as raftrs, the clients in the leader's process",
        by_default: false,
    },
    Target {
        name: "openraft-embedded",
        program: Program::Openraft,
        spread: false,
        embedded: true,
        zero_filled_mib: 0,
        what: "as openraft, the clients in the leader's process",
        by_default: false,
    },
];

impl Target {
    fn is_there(&self, binaries: &Binaries) -> bool {
        match self.program {
            Program::Thermocline if self.embedded => binaries.embedded.is_some(),
            Program::Thermocline => binaries.thermocline.is_some(),
            Program::Redis => binaries.redis.is_some(),
            Program::Raftrs | Program::Openraft => true,
        }
    }
}

/// The targets asked for, or those that are there.
pub(crate) fn chosen(arguments: &Arguments, binaries: &Binaries) -> Result<Vec<Target>, Failure> {
    if arguments.targets.is_empty() {
        let (there, missing): (Vec<Target>, Vec<Target>) = TARGETS
            .into_iter()
            .filter(|target| target.by_default)
            .partition(|target| target.is_there(binaries));
        for target in missing {
            eprintln!("{}: not found, left out", target.name);
        }
        return Ok(there);
    }
    let mut chosen = Vec::new();
    for name in &arguments.targets {
        let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
            let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            return Err(format!("--targets {name}: known are {}", known.join(", ")).into());
        };
        if !target.is_there(binaries) {
            return Err(format!("--targets {name}: its program is not there").into());
        }
        chosen.push(*target);
    }
    Ok(chosen)
}
