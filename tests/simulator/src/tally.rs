//! What a run went through.

use std::collections::BTreeMap;

use crate::queue::Time;

/// What a run, or many, went through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs.
    pub seeds: u64,
    /// Of them, those of a group of five.
    pub of_five: u64,
    /// Virtual microseconds.
    pub time: Time,
    /// Things that happened.
    pub events: u64,
    /// Operations of clients that came to a definite end.
    pub operations: u64,
    /// Of them, those that were applied or answered.
    pub succeeded: u64,
    /// Writes whose outcome stayed unknown.
    pub unknown: u64,
    /// Slots that were decided.
    pub slots: u64,
    /// Faults that bit, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// What nodes counted, by name.
    pub counters: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// A fault bit.
    pub fn bite(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// A node counted.
    pub fn count(&mut self, name: &'static str, number: u64) {
        *self.counters.entry(name).or_default() += number;
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.of_five += other.of_five;
        self.time += other.time;
        self.events += other.events;
        self.operations += other.operations;
        self.succeeded += other.succeeded;
        self.unknown += other.unknown;
        self.slots += other.slots;
        for (kind, number) in &other.faults {
            *self.faults.entry(kind).or_default() += number;
        }
        for (name, number) in &other.counters {
            *self.counters.entry(name).or_default() += number;
        }
    }
}
