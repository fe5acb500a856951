//! Replicas of one bucket, and the network between them, for random histories.

pub(crate) mod node;

use std::collections::BTreeSet;

use thermocline_paxos::read::{ReadQuorum, Verdict};
use thermocline_paxos::{Boot, Command, Freshness, Message, Slot};

use crate::check::{Checked, History, Votes};
use node::{BUCKET, FOUNDER, Node, Step, Want, members};

#[derive(Clone, Debug)]
pub(crate) enum Packet {
    Paxos { from: usize, to: usize, message: Message },
    Fetch { from: usize, to: usize, above: Slot },
    Learn { to: usize, slot: Slot, command: Command },
    FloorAsk { from: usize, to: usize, boot: Boot },
    FloorAnswer { from: usize, to: usize, boot: Boot, touched: Slot },
    Probe { read: usize, to: usize },
    Fresh { read: usize, from: usize, fresh: Freshness },
}

#[derive(Clone, Debug)]
struct Read {
    at: usize,
    boot: Boot,
    bound: Slot,
    quorum: ReadQuorum,
    open: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Vec<Packet>,
    pub(crate) history: History,
    reads: Vec<Read>,
}

impl World {
    pub(crate) fn new(count: usize, thrifty: bool) -> Self {
        let nodes = (0..count).map(|index| Node::founder(index, count, thrifty)).collect();
        Self { nodes, net: vec![], history: History::founded_by(FOUNDER), reads: vec![] }
    }

    pub(crate) fn others(&self, node: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.nodes.len()).filter(move |other| *other != node)
    }

    /// Lets one replica make a step, judges it, and carries out what it asks for.
    fn step(&mut self, node: usize, step: impl FnOnce(&mut Node) -> Result<Step, String>) -> Checked {
        let step = step(&mut self.nodes[node])?;
        let mut news = vec![];
        for fact in &step.facts {
            if self.history.note(node, fact)? {
                news.push(fact);
            }
        }
        let votes = Votes(self.nodes.iter().map(|node| &node.memory).collect());
        news.into_iter().try_for_each(|fact| self.history.check_votes(fact, &votes))?;
        for (to, message) in step.sends {
            self.net.push(Packet::Paxos { from: node, to, message });
        }
        for want in step.wants {
            match want {
                Want::Fetch { peer } => {
                    let above = self.nodes[node].chosen();
                    self.net.push(Packet::Fetch { from: node, to: peer, above });
                }
                Want::Push { peer, above } => self.push_log(node, peer, above),
            }
        }
        Ok(())
    }

    fn push_log(&mut self, from: usize, to: usize, above: Slot) {
        let through = self.nodes[from].chosen().0.min(above.0.saturating_add(8));
        for slot in (above.0 + 1..=through).map(Slot) {
            let command = self.history.chosen[&slot].clone();
            self.net.push(Packet::Learn { to, slot, command });
        }
    }

    pub(crate) fn propose(&mut self, node: usize) -> Checked {
        self.step(node, Node::propose)
    }

    /// Proposes, and hands the bucket over to a replica as it is now.
    pub(crate) fn propose_for(&mut self, node: usize, heir: usize) -> Checked {
        let heir = self.nodes[heir].me();
        self.step(node, |node| node.propose_for(heir))
    }

    pub(crate) fn retry(&mut self, node: usize) -> Checked {
        self.step(node, Node::retry)?;
        if self.nodes[node].core.needs_floor(BUCKET) {
            let boot = self.nodes[node].boot;
            for to in self.others(node) {
                self.net.push(Packet::FloorAsk { from: node, to, boot });
            }
        }
        Ok(())
    }

    /// Puts its proposal to those who were not asked yet.
    pub(crate) fn widen(&mut self, node: usize) -> Checked {
        self.step(node, Node::widen)
    }

    /// The driver's slow round: a replica asks its peers for what it may lack.
    pub(crate) fn fetch(&mut self, node: usize) {
        let above = self.nodes[node].chosen();
        for to in self.others(node) {
            self.net.push(Packet::Fetch { from: node, to, above });
        }
    }

    pub(crate) fn sync(&mut self, node: usize, many: usize) -> Checked {
        self.step(node, |node| node.sync(many))
    }

    pub(crate) fn renew(&mut self, node: usize) -> Checked {
        self.step(node, Node::renew)
    }

    pub(crate) fn crash(&mut self, node: usize, survive: usize, saved: u64) -> Checked {
        self.step(node, |node| node.crash(survive, saved))
    }

    /// The disk is lost, or put back to its first `records` records.
    pub(crate) fn lose(&mut self, node: usize, records: usize) -> Checked {
        self.step(node, |node| node.roll_back(records))
    }

    /// Some records cannot be read any more.
    pub(crate) fn damage(&mut self, node: usize, from: usize, many: usize) -> Checked {
        self.step(node, |node| node.damage(from, many))
    }

    /// Whether a replica's disk may be lost: a majority of the group, all of them others, votes by what it has synced.
    pub(crate) fn may_lose(&self, node: usize) -> bool {
        let intact = |other: &usize| self.nodes[*other].votes() && self.nodes[*other].unsynced() == 0;
        self.others(node).filter(intact).count() > self.nodes.len() / 2
    }

    pub(crate) fn read(&mut self, node: usize) -> Checked {
        let own = self.nodes[node].core.fresh(BUCKET);
        let members = members(self.nodes.len());
        let quorum = ReadQuorum::new(&members, members[node], own);
        let (boot, bound) = (self.nodes[node].boot, self.history.highest());
        let read = self.reads.len();
        self.reads.push(Read { at: node, boot, bound, quorum, open: true });
        for to in self.others(node) {
            self.net.push(Packet::Probe { read, to });
        }
        self.judge(read)
    }

    fn judge(&mut self, index: usize) -> Checked {
        let read = &mut self.reads[index];
        if !read.open || self.nodes[read.at].boot != read.boot {
            return Ok(());
        }
        let (node, verdict) = (read.at, read.quorum.verdict());
        read.open = verdict == Verdict::Wait;
        self.history.check_read(read.bound, verdict)?;
        if matches!(verdict, Verdict::Finish { .. }) { self.step(node, Node::propose_no_op) } else { Ok(()) }
    }

    /// Delivers a packet, which stays in the network if it is doubled.
    pub(crate) fn deliver(&mut self, index: usize, doubled: bool) -> Checked {
        let packet = if doubled { self.net[index].clone() } else { self.net.swap_remove(index) };
        match packet {
            Packet::Paxos { from, to, message } => self.step(to, |node| node.receive(from, message)),
            Packet::Fetch { from, to, above } => {
                self.push_log(to, from, above);
                Ok(())
            }
            Packet::Learn { to, slot, command } => self.step(to, |node| node.learn(slot, command)),
            Packet::FloorAsk { from, to, boot } => {
                if let Some(touched) = self.nodes[to].core.touched(BUCKET) {
                    self.net.push(Packet::FloorAnswer { from: to, to: from, boot, touched });
                }
                Ok(())
            }
            Packet::FloorAnswer { from, to, boot, touched } if self.nodes[to].boot == boot => {
                self.step(to, |node| node.floor_answer(from, touched))
            }
            Packet::FloorAnswer { .. } => Ok(()),
            Packet::Probe { read, to } => {
                let fresh = self.nodes[to].core.fresh(BUCKET);
                self.net.push(Packet::Fresh { read, from: to, fresh });
                Ok(())
            }
            Packet::Fresh { read, from, fresh } => {
                self.reads[read].quorum.answer(members(self.nodes.len())[from], fresh);
                self.judge(read)
            }
        }
    }

    /// Whether all replicas know the same slots.
    pub(crate) fn agree(&self) -> bool {
        let ends: BTreeSet<Slot> = self.nodes.iter().map(Node::chosen).collect();
        ends.len() == 1
    }
}
