//! Replicas of one bucket, their disks and the network between them: what both the random and the exhaustive harness drive.

use std::collections::BTreeSet;

use bytes::Bytes;
use thermocline_paxos::read::{ReadQuorum, Verdict};
use thermocline_paxos::{
    Boot, Bucket, Command, Core, Event, Freshness, Limits, Message, NodeId, Originator, Output, Record,
    Replay, Restored, Slot, Ticket, Vote,
};

use crate::check::{Checked, History};

pub(crate) const BUCKET: Bucket = Bucket(0);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) core: Core,
    boot: Boot,
    /// Whether the disk is a new one, which forgot.
    wiped: bool,
    journal: Vec<(Ticket, Record)>,
    synced: usize,
    pub(crate) log: Vec<Command>,
    /// How much of `log` is durable in the state, whatever the journal has.
    saved: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Packet {
    Paxos { from: usize, to: usize, message: Message },
    Fetch { from: usize, to: usize, above: Slot },
    Learn { to: usize, slot: Slot, command: Command },
    FloorAsk { from: usize, to: usize, boot: Boot },
    FloorAnswer { from: usize, to: usize, boot: Boot, touched: Slot },
    Probe { read: usize, to: usize },
    Fresh { read: usize, from: usize, fresh: Freshness },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Read {
    at: usize,
    boot: Boot,
    bound: Slot,
    quorum: ReadQuorum,
    open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Vec<Packet>,
    pub(crate) history: History,
    members: Vec<NodeId>,
    reads: Vec<Read>,
    /// Network as a set: a packet that is there already is not added again.
    as_set: bool,
}

impl World {
    pub(crate) fn new(count: usize, as_set: bool) -> Self {
        let members: Vec<NodeId> = (1..=count as u16).map(NodeId).collect();
        let nodes = (0..count)
            .map(|index| {
                let boot = Boot { disk: index as u64 + 1, count: 1 };
                let me = Originator { node: members[index], boot };
                let mut core = Core::new(me, 0, Limits::default());
                core.open(BUCKET, &members, Restored { founder: true, ..Restored::default() }).unwrap();
                Node { core, boot, wiped: false, journal: vec![], synced: 0, log: vec![], saved: 0 }
            })
            .collect();
        let mut history = History::default();
        history.count = count;
        Self { nodes, net: vec![], history, members, reads: vec![], as_set }
    }

    fn put(&mut self, packet: Packet) {
        if !self.as_set || !self.net.contains(&packet) {
            self.net.push(packet);
        }
    }

    fn index(&self, node: NodeId) -> usize {
        usize::from(node.0) - 1
    }

    fn originator(&self, node: usize) -> Originator {
        Originator { node: self.members[node], boot: self.nodes[node].boot }
    }

    pub(crate) fn others(&self, node: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.nodes.len()).filter(move |other| *other != node)
    }

    /// Runs one call of a core, and carries out what it asks for, checking all of it.
    fn call<T>(&mut self, node: usize, call: impl FnOnce(&mut Core, &mut Output) -> T) -> Result<T, String> {
        let mut out = Output::default();
        let result = call(&mut self.nodes[node].core, &mut out);
        let founder = Originator { node: NodeId(1), boot: Boot { disk: 1, count: 1 } };
        for event in &out.events {
            if let Event::Chosen { slot, command, .. } = event {
                let first = !self.history.chosen.contains_key(slot);
                self.history.check_one_value(node, *slot, command)?;
                if first {
                    self.history.check_majority(*slot)?;
                }
                if self.nodes[node].log.len() as u64 + 1 != slot.0 {
                    return Err(format!("replica {node} is told slot {} out of order", slot.0));
                }
                self.nodes[node].log.push(command.clone());
            }
        }
        for persist in out.persist {
            self.history.check_ballot_written(&persist.record)?;
            self.history.check_fast(&persist.record, founder)?;
            self.history.check_amnesia(node, &persist.record)?;
            self.nodes[node].journal.push((persist.ticket, persist.record));
        }
        for send in out.send {
            self.history.check_told(node, &send.message)?;
            self.history.check_ballot_told(&send.message)?;
            let to = self.index(send.to);
            self.put(Packet::Paxos { from: node, to, message: send.message });
        }
        for event in out.events {
            match event {
                Event::ProposalEnded { id, outcome, .. } => self.history.check_outcome(id, outcome)?,
                Event::Behind { peer, .. } => {
                    let above = Slot(self.nodes[node].log.len() as u64);
                    let to = self.index(peer);
                    self.put(Packet::Fetch { from: node, to, above });
                }
                Event::PeerBehind { peer, chosen, .. } => {
                    let to = self.index(peer);
                    self.push_log(node, to, chosen);
                }
                _ => {}
            }
        }
        Ok(result)
    }

    fn push_log(&mut self, from: usize, to: usize, above: Slot) {
        let log = &self.nodes[from].log;
        let missing: Vec<_> = log.iter().cloned().enumerate().skip(above.0 as usize).take(8).collect();
        for (index, command) in missing {
            self.put(Packet::Learn { to, slot: Slot(index as u64 + 1), command });
        }
    }

    pub(crate) fn propose(&mut self, node: usize, payload: &'static [u8]) -> Checked {
        self.call(node, |core, out| core.propose(BUCKET, Bytes::from_static(payload), out).map(drop))?.ok();
        Ok(())
    }

    /// Proposes, and hands the bucket over to a node as it is now.
    pub(crate) fn propose_for(&mut self, node: usize, heir: usize, payload: &'static [u8]) -> Checked {
        let heir = self.originator(heir);
        let payload = Bytes::from_static(payload);
        self.call(node, |core, out| core.propose_and_hand_over(BUCKET, heir, payload, out).map(drop))?.ok();
        Ok(())
    }

    pub(crate) fn propose_no_op(&mut self, node: usize) -> Checked {
        self.call(node, |core, out| core.propose_no_op(BUCKET, out))
    }

    pub(crate) fn retry(&mut self, node: usize) -> Checked {
        self.call(node, |core, out| core.retry(BUCKET, out))?;
        if self.nodes[node].core.needs_floor(BUCKET) {
            let boot = self.nodes[node].boot;
            for to in self.others(node) {
                self.put(Packet::FloorAsk { from: node, to, boot });
            }
        }
        Ok(())
    }

    /// The driver's slow round: a replica asks a peer for what it may lack.
    pub(crate) fn fetch(&mut self, node: usize) {
        let above = Slot(self.nodes[node].log.len() as u64);
        for to in self.others(node) {
            self.put(Packet::Fetch { from: node, to, above });
        }
    }

    /// Whether records wait for their sync.
    pub(crate) fn is_dirty(&self, node: usize) -> bool {
        self.nodes[node].synced < self.nodes[node].journal.len()
    }

    /// Syncs up to `many` records.
    pub(crate) fn sync(&mut self, node: usize, many: usize) -> Checked {
        let state = &mut self.nodes[node];
        let end = state.journal.len().min(state.synced.saturating_add(many));
        if end == state.synced {
            return Ok(());
        }
        for (_, record) in &state.journal[state.synced..end] {
            self.history.note_synced(node, record);
        }
        state.synced = end;
        let through = state.journal[end - 1].0;
        self.call(node, |core, out| core.persisted(through, out))
    }

    /// Crashes and starts again: of the records not synced, the first `survive` are there all the same, and of the state, what
    /// was saved before or `saved` slots more.
    pub(crate) fn crash(&mut self, node: usize, survive: usize, saved: usize) -> Checked {
        let state = &mut self.nodes[node];
        let end = state.journal.len().min(state.synced + survive);
        for (_, record) in &state.journal[state.synced..end] {
            self.history.note_synced(node, record);
        }
        state.journal.truncate(end);
        state.synced = end;
        state.saved = state.log.len().min(state.saved + saved);
        state.boot.count += 1;
        self.start(node)
    }

    /// The disk is lost, and replaced by an empty one.
    pub(crate) fn wipe(&mut self, node: usize) -> Checked {
        self.history.note_wiped(node);
        let state = &mut self.nodes[node];
        state.journal.clear();
        state.synced = 0;
        state.log.clear();
        state.saved = 0;
        state.wiped = true;
        state.boot = Boot { disk: state.boot.disk + 100, count: 1 };
        self.start(node)
    }

    /// Whether a replica may lose its disk: all others vote, by what they have synced.
    pub(crate) fn may_wipe(&self, node: usize) -> bool {
        self.nodes.len() > 1
            && self
                .others(node)
                .all(|other| self.nodes[other].core.fresh(BUCKET).voting && !self.is_dirty(other))
    }

    fn start(&mut self, node: usize) -> Checked {
        let state = &mut self.nodes[node];
        let me = Originator { node: self.members[node], boot: state.boot };
        let mut replay = Replay::new(Slot(state.saved as u64));
        let mut certain = vec![];
        for (_, record) in &state.journal {
            replay.record(record.clone(), &mut certain);
        }
        state.log.truncate(state.saved);
        for (slot, command) in certain {
            if slot.0 != state.log.len() as u64 + 1 || self.history.chosen.get(&slot) != Some(&command) {
                return Err(format!("replay of replica {node} yields {command:?} at slot {}", slot.0));
            }
            state.log.push(command);
        }
        let mut restored = replay.finish();
        match restored.vote {
            Vote::Voting if state.wiped => restored.vote = Vote::LearnerOnly,
            Vote::LearnerOnly => return Err(format!("replica {node} finds a gap in its own journal")),
            _ => {}
        }
        if restored.chosen.0 != state.log.len() as u64 {
            return Err(format!(
                "replica {node} restarts at {:?} with {} commands",
                restored.chosen,
                state.log.len()
            ));
        }
        self.history.check_restored(node, &restored)?;
        state.core = Core::new(me, 0, Limits::default());
        state.core.open(BUCKET, &self.members, restored).unwrap();
        Ok(())
    }

    pub(crate) fn read(&mut self, node: usize) -> Checked {
        let own = self.nodes[node].core.fresh(BUCKET);
        let quorum = ReadQuorum::new(&self.members, self.members[node], own);
        let (boot, bound) = (self.nodes[node].boot, self.history.highest());
        let read = self.reads.len();
        self.reads.push(Read { at: node, boot, bound, quorum, open: true });
        for to in self.others(node) {
            self.put(Packet::Probe { read, to });
        }
        self.judge(read)
    }

    fn judge(&mut self, index: usize) -> Checked {
        let read = &mut self.reads[index];
        if !read.open || self.nodes[read.at].boot != read.boot {
            return Ok(());
        }
        let (node, bound) = (read.at, read.bound);
        match read.quorum.verdict() {
            Verdict::Wait => Ok(()),
            Verdict::Serve { at } => {
                read.open = false;
                self.history.check_read(bound, at)
            }
            Verdict::Finish { slot } => {
                read.open = false;
                self.history.check_read(bound, slot)?;
                self.propose_no_op(node)
            }
        }
    }

    /// Delivers a packet, which stays in the network if it is doubled.
    pub(crate) fn deliver(&mut self, index: usize, doubled: bool) -> Checked {
        let packet = if doubled { self.net[index].clone() } else { self.net.swap_remove(index) };
        match packet {
            Packet::Paxos { from, to, message } => {
                let from = self.members[from];
                self.call(to, |core, out| core.receive(from, message, out))
            }
            Packet::Fetch { from, to, above } => {
                self.push_log(to, from, above);
                Ok(())
            }
            Packet::Learn { to, slot, command } => {
                self.call(to, |core, out| core.learn(BUCKET, slot, command, out))
            }
            Packet::FloorAsk { from, to, boot } => {
                if let Some(touched) = self.nodes[to].core.touched(BUCKET) {
                    self.put(Packet::FloorAnswer { from: to, to: from, boot, touched });
                }
                Ok(())
            }
            Packet::FloorAnswer { from, to, boot, touched } => {
                if self.nodes[to].boot != boot {
                    return Ok(());
                }
                let from = self.members[from];
                self.call(to, |core, out| core.floor_answer(BUCKET, from, touched, out))
            }
            Packet::Probe { read, to } => {
                let fresh = self.nodes[to].core.fresh(BUCKET);
                self.put(Packet::Fresh { read, from: to, fresh });
                Ok(())
            }
            Packet::Fresh { read, from, fresh } => {
                let from = self.members[from];
                self.reads[read].quorum.answer(from, fresh);
                self.judge(read)
            }
        }
    }

    /// Who is to get a packet.
    pub(crate) fn receiver(&self, index: usize) -> usize {
        match &self.net[index] {
            Packet::Paxos { to, .. }
            | Packet::Fetch { to, .. }
            | Packet::Learn { to, .. }
            | Packet::FloorAsk { to, .. }
            | Packet::FloorAnswer { to, .. }
            | Packet::Probe { to, .. } => *to,
            Packet::Fresh { read, .. } => self.reads[*read].at,
        }
    }

    /// Drops the packets that can change nothing within the first `slots` slots.
    pub(crate) fn prune(&mut self, slots: usize) {
        let mut index = 0;
        while index < self.net.len() {
            let beyond =
                matches!(&self.net[index], Packet::Paxos { message, .. } if message.slot.0 > slots as u64);
            if beyond || self.done(self.receiver(index), slots) {
                self.net.swap_remove(index);
            } else {
                index += 1;
            }
        }
    }

    /// Whether a replica knows so many slots.
    pub(crate) fn done(&self, node: usize, slots: usize) -> bool {
        self.nodes[node].log.len() >= slots
    }

    /// How many different slots the replicas are at.
    pub(crate) fn agree(&self) -> bool {
        let lengths: BTreeSet<usize> = self.nodes.iter().map(|node| node.log.len()).collect();
        lengths.len() == 1
    }
}
