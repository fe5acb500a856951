//! What must hold over all nodes after every event, and which no node can see by itself.
//!
//! Consensus is looked at by the very checks that the core's own tests use, once for each bucket; the other files add what
//! only whole nodes have.

#[path = "../../../../paxos/tests/check/mod.rs"]
#[allow(dead_code, reason = "the core's tests use all of it")]
mod core;

mod digests;
mod index;
mod replica;
mod restarts;
mod state;

use std::collections::{BTreeMap, VecDeque};

use thermocline::machine::{Machine, Synced};
use thermocline_paxos::{Boot, Bucket, Command, Event, NodeId, Originator, Output, Persist, Record, Slot};

pub(crate) use self::core::Checked;
use self::core::{Fact, History, Votes};
use self::digests::Digests;
use self::replica::Replica;

/// What all nodes together have written, synced, said and chosen.
#[derive(Default)]
pub(crate) struct Invariants {
    nodes: usize,
    groups: BTreeMap<Bucket, Group>,
    /// For each worker of each node, the records that are not synced yet.
    written: BTreeMap<(usize, usize), VecDeque<Persist>>,
    /// The last slot whose command each node has synced.
    commands: BTreeMap<(usize, Bucket), Slot>,
    /// In which start of each node its group was founded.
    founded_in: BTreeMap<usize, Boot>,
    digests: Digests,
    /// Nodes that were put back to an earlier copy, and do not know it in every bucket yet; a bit for each.
    unaware: u32,
    /// How many slots were decided.
    pub(crate) slots: u64,
}

/// A bucket's history, and what each node did there.
struct Group {
    history: History,
    replicas: Vec<Replica>,
    /// Nodes that have forgotten what they did here, and do not know it: what they write is nothing to anybody, as nobody hears them.
    unaware: u32,
}

impl Group {
    fn new(nodes: usize, unaware: u32) -> Self {
        Self { history: History::default(), replicas: vec![Replica::default(); nodes], unaware }
    }

    fn is_aware(&self, node: usize) -> bool {
        self.unaware & 1 << node == 0
    }

    /// Judges what a node's step means for all of them. `true` for the first news of a decision, or of a value.
    fn note(&mut self, node: usize, fact: &Fact) -> Result<bool, String> {
        let news = self.history.note(node, fact)?;
        if news {
            let memories = self.replicas.iter().map(|replica| &replica.memory);
            self.history.check_votes(fact, &Votes(memories.collect()))?;
        }
        Ok(news)
    }

    fn written(&mut self, node: usize, record: &Record) -> Checked {
        if self.is_aware(node) {
            self.replicas[node].check_vote(node, record)?;
        }
        let mut facts = vec![];
        core::written(record, &mut facts);
        facts.iter().try_for_each(|fact| self.note(node, fact).map(drop))
    }

    fn told(&mut self, node: usize, message: &thermocline_paxos::Message) -> Checked {
        if self.is_aware(node) {
            self.replicas[node].check_told(node, message)?;
        }
        core::told(message).map_or(Ok(()), |fact| self.note(node, &fact).map(drop))
    }

    fn synced(&mut self, node: usize, record: &Record) -> Checked {
        if !self.is_aware(node) {
            return Ok(());
        }
        let fact = self.replicas[node].synced(record);
        fact.map_or(Ok(()), |fact| self.note(node, &fact).map(drop))
    }
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
                let group = self.group(persist.bucket);
                group.history.founder = founder;
                group.written(node, &persist.record).map_err(of_bucket(persist.bucket))?;
                self.written.entry((node, worker)).or_default().push_back(persist.clone());
            }
            for send in &output.send {
                let bucket = send.message.bucket;
                self.group(bucket).told(node, &send.message).map_err(of_bucket(bucket))?;
            }
        }
        self.look_for_awareness(node, machine);
        Ok(())
    }

    fn event(&mut self, node: usize, event: &Event, machine: &Machine) -> Checked {
        match event {
            Event::Chosen { bucket, slot, command } => {
                let fact = Fact::Chosen { slot: *slot, command: command.clone() };
                if self.group(*bucket).note(node, &fact).map_err(of_bucket(*bucket))? {
                    self.slots += 1;
                }
                self.digests.check(node, *bucket, machine)
            }
            Event::ProposalEnded { bucket, id, outcome } => {
                let fact = Fact::Ended { id: *id, outcome: *outcome };
                self.group(*bucket).note(node, &fact).map(drop).map_err(of_bucket(*bucket))
            }
            _ => Ok(()),
        }
    }

    /// A commit is on the disk.
    pub(crate) fn durable(&mut self, node: usize, synced: &Synced) -> Checked {
        for (worker, through) in synced.through() {
            let Some(written) = self.written.get_mut(&(node, worker)) else { continue };
            while written.front().is_some_and(|persist| persist.ticket <= through) {
                let Some(persist) = written.pop_front() else { break };
                let (nodes, unaware) = (self.nodes, self.unaware);
                let group = self.groups.entry(persist.bucket).or_insert_with(|| Group::new(nodes, unaware));
                group.synced(node, &persist.record).map_err(of_bucket(persist.bucket))?;
                // A bucket that was copied whole has no commands in the journal, but the word that it was.
                let reaches = matches!(
                    persist.record,
                    Record::Accept { .. } | Record::Chosen { .. } | Record::Installed { .. }
                );
                if reaches {
                    let last = self.commands.entry((node, persist.bucket)).or_default();
                    *last = (*last).max(persist.record.slot());
                }
            }
        }
        Ok(())
    }

    /// What was chosen in a slot, if anybody knows.
    pub(crate) fn chosen(&self, bucket: Bucket, slot: Slot) -> Option<&Command> {
        self.groups.get(&bucket)?.history.chosen.get(&slot)
    }

    /// The buckets in which anything was done, with the highest slot that anybody knows to be chosen.
    pub(crate) fn heights(&self) -> impl Iterator<Item = (Bucket, Slot)> + '_ {
        self.groups.iter().map(|(bucket, group)| (*bucket, group.history.highest()))
    }

    fn group(&mut self, bucket: Bucket) -> &mut Group {
        self.groups.entry(bucket).or_insert_with(|| Group::new(self.nodes, self.unaware))
    }

    /// Who owned slot 1: the bucket's first replica, in the start in which it was founded.
    fn founder(&self, machine: &Machine, bucket: Bucket) -> Originator {
        let first = machine.replicas(bucket).first().copied().unwrap_or(NodeId(0));
        let nobody = Boot { disk: 0, count: 0 };
        let boot = self.founded_in.get(&usize::from(first.0).wrapping_sub(1)).copied().unwrap_or(nobody);
        Originator { node: first, boot }
    }
}

fn of_bucket(bucket: Bucket) -> impl Fn(String) -> String {
    move |error| format!("bucket {}: {error}", bucket.0)
}
