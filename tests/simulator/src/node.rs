//! A node: its disk, its clock, and its process while there is one.

use std::sync::Arc;

use thermocline::machine::{Accounts, Machine, MachineConfig};
use thermocline_tiers::disk::MemoryDisk;

use crate::plan::Clock;
use crate::queue::Time;

/// A node of the cluster.
pub(crate) struct Node {
    /// Its settings.
    pub(crate) config: MachineConfig,
    /// Its disk, which outlives its processes.
    pub(crate) disk: Arc<MemoryDisk>,
    /// Its process, while it is up.
    pub(crate) process: Option<Process>,
    /// Raised whenever its process ends: what was meant for an earlier one does not reach a later.
    pub(crate) life: u64,
    /// Until when its process stands still.
    pub(crate) paused_until: Time,
    /// Until when its disk does nothing.
    pub(crate) stuck_until: Time,
    /// How many times as long as usual its disk takes.
    pub(crate) slowness: u64,
    /// Its clock.
    pub(crate) clock: Clock,
    /// Whether the power is to go in the middle of its next recovery, and after how many changes.
    pub(crate) recovery_cut: Option<u64>,
    /// Whether its disk has failed or lost something: else a restart forgets nothing.
    pub(crate) has_failed: bool,
    /// Whether its disk has no room.
    pub(crate) is_full: bool,
    /// How many of its disk's reads had gone astray when that was looked at last.
    pub(crate) misreads_noted: u64,
    /// How many calls its disk had failed when its process was started last.
    pub(crate) refusals_before_start: u64,
    /// An earlier copy of its disk that is to take its place.
    pub(crate) earlier: Option<Earlier>,
}

/// A disk as it was.
pub(crate) struct Earlier {
    pub(crate) disk: MemoryDisk,
    /// What it accounts for.
    pub(crate) accounts: Accounts,
}

/// A running process.
pub(crate) struct Process {
    /// The node's code.
    pub(crate) machine: Machine,
    /// When it started: its clock counts from here.
    pub(crate) since: Time,
    /// For each worker, whether the end of its turn is on its way.
    pub(crate) turns: Vec<bool>,
    /// For each worker, when its timer is set for.
    pub(crate) ticks: Vec<Time>,
    /// Whether a commit is under way.
    pub(crate) committing: bool,
    /// When the workers are told of the last commit.
    pub(crate) told_at: Time,
    /// Whether anything was committed since the last witness.
    pub(crate) unwitnessed: bool,
    /// Whether the journal failed.
    pub(crate) failed: bool,
    /// Whether its group was founded when it started.
    pub(crate) founded_at_start: bool,
}

impl Node {
    /// A node with an empty disk.
    pub(crate) fn new(config: MachineConfig, disk_seed: u64, clock: Clock) -> Self {
        Self {
            config,
            disk: Arc::new(MemoryDisk::new(disk_seed)),
            process: None,
            life: 0,
            paused_until: 0,
            stuck_until: 0,
            slowness: 1,
            clock,
            recovery_cut: None,
            has_failed: false,
            is_full: false,
            misreads_noted: 0,
            refusals_before_start: 0,
            earlier: None,
        }
    }

    /// Milliseconds on the process's own clock.
    pub(crate) fn local(&self, now: Time) -> u64 {
        let since = self.process.as_ref().map_or(0, |process| process.since);
        1 + (now - since) * self.clock.rate / 1_000_000_000
    }

    /// When the process's clock will show so many milliseconds.
    pub(crate) fn global(&self, local: u64) -> Time {
        let since = self.process.as_ref().map_or(0, |process| process.since);
        since + (local.saturating_sub(1) * 1_000_000_000).div_ceil(self.clock.rate)
    }

    /// Its wall clock, in milliseconds.
    pub(crate) fn wall(&self, now: Time) -> u64 {
        let epoch = 1_700_000_000_000 + (now / 1_000 * self.clock.rate / 1_000_000) as i64;
        (epoch + self.clock.skew_ms) as u64
    }
}
