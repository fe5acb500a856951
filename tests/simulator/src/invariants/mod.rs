//! What must hold over all nodes after every event, and which no node can see by itself.
//!
//! Consensus is looked at by the very checks that the core's own tests use, once for each bucket; the other files add what
//! only whole nodes have.

#[path = "../../../../paxos/tests/check/mod.rs"]
#[allow(dead_code, reason = "the core's tests use all of it")]
mod core;

mod digests;
mod index;
mod restarts;
mod state;

use std::collections::{BTreeMap, VecDeque};

use thermocline::machine::{Machine, Synced};
use thermocline_paxos::{Boot, Bucket, Event, NodeId, Originator, Output, Persist, Record, Slot};

pub(crate) use self::core::Checked;
use self::core::History;
use self::digests::Digests;

/// What all nodes together have written, synced, said and chosen.
#[derive(Default)]
pub(crate) struct Invariants {
    nodes: usize,
    histories: BTreeMap<Bucket, History>,
    /// For each worker of each node, the records that are not synced yet.
    written: BTreeMap<(usize, usize), VecDeque<Persist>>,
    /// The last slot whose command each node has synced.
    commands: BTreeMap<(usize, Bucket), Slot>,
    /// In which start of each node its group was founded.
    founded_in: BTreeMap<usize, Boot>,
    digests: Digests,
    /// How many slots were decided.
    pub(crate) slots: u64,
}

impl Invariants {
    /// For so many nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        Self { nodes, ..Self::default() }
    }

    /// A node's group was founded in this start of it.
    pub(crate) fn note_founded(&mut self, node: usize, boot: Boot) {
        self.founded_in.entry(node).or_insert(boot);
    }

    /// What a worker's core asked for in a turn.
    pub(crate) fn witness(
        &mut self,
        node: usize,
        worker: usize,
        outputs: &[Output],
        machine: &Machine,
    ) -> Checked {
        for output in outputs {
            for event in &output.events {
                self.event(node, event, machine)?;
            }
            for persist in &output.persist {
                let founder = self.founder(machine, persist.bucket);
                let history = self.history(persist.bucket);
                let of_bucket = |error| format!("bucket {}: {error}", persist.bucket.0);
                history.check_ballot_written(&persist.record).map_err(of_bucket)?;
                history.check_fast(&persist.record, founder).map_err(of_bucket)?;
                history.check_amnesia(node, &persist.record).map_err(of_bucket)?;
                self.written.entry((node, worker)).or_default().push_back(persist.clone());
            }
            for send in &output.send {
                let bucket = send.message.bucket;
                let history = self.history(bucket);
                let of_bucket = |error| format!("bucket {}: {error}", bucket.0);
                history.check_told(node, &send.message).map_err(of_bucket)?;
                history.check_ballot_told(&send.message).map_err(of_bucket)?;
            }
        }
        Ok(())
    }

    fn event(&mut self, node: usize, event: &Event, machine: &Machine) -> Checked {
        match event {
            Event::Chosen { bucket, slot, command } => {
                let history = self.history(*bucket);
                let first = !history.chosen.contains_key(slot);
                let of_bucket = |error| format!("bucket {}: {error}", bucket.0);
                history.check_one_value(node, *slot, command).map_err(of_bucket)?;
                if first {
                    history.check_majority(*slot).map_err(of_bucket)?;
                    self.slots += 1;
                }
                self.digests.check(node, *bucket, machine)
            }
            Event::ProposalEnded { bucket, id, outcome } => {
                self.history(*bucket).check_outcome(*id, *outcome)
            }
            _ => Ok(()),
        }
    }

    /// A commit is on the disk.
    pub(crate) fn durable(&mut self, node: usize, synced: &Synced) {
        for (worker, through) in synced.through() {
            let Some(written) = self.written.get_mut(&(node, worker)) else { continue };
            while written.front().is_some_and(|persist| persist.ticket <= through) {
                let Some(persist) = written.pop_front() else { break };
                let history = history_of(&mut self.histories, self.nodes, persist.bucket);
                history.note_synced(node, &persist.record);
                if matches!(persist.record, Record::Accept { .. } | Record::Chosen { .. }) {
                    let last = self.commands.entry((node, persist.bucket)).or_default();
                    *last = (*last).max(persist.record.slot());
                }
            }
        }
    }

    /// What was chosen in a slot, if anybody knows.
    pub(crate) fn chosen(&self, bucket: Bucket, slot: Slot) -> Option<&thermocline_paxos::Command> {
        self.histories.get(&bucket)?.chosen.get(&slot)
    }

    /// The buckets in which anything was done, with the highest slot that anybody knows to be chosen.
    pub(crate) fn heights(&self) -> impl Iterator<Item = (Bucket, Slot)> + '_ {
        self.histories.iter().map(|(bucket, history)| (*bucket, history.highest()))
    }

    fn history(&mut self, bucket: Bucket) -> &mut History {
        history_of(&mut self.histories, self.nodes, bucket)
    }

    /// Who owned slot 1: the bucket's first replica, in the start in which it was founded.
    fn founder(&self, machine: &Machine, bucket: Bucket) -> Originator {
        let first = machine.replicas(bucket).first().copied().unwrap_or(NodeId(0));
        let nobody = Boot { disk: 0, count: 0 };
        let boot = self.founded_in.get(&usize::from(first.0).wrapping_sub(1)).copied().unwrap_or(nobody);
        Originator { node: first, boot }
    }
}

fn history_of(histories: &mut BTreeMap<Bucket, History>, nodes: usize, bucket: Bucket) -> &mut History {
    let history = histories.entry(bucket).or_default();
    history.count = nodes;
    history
}
