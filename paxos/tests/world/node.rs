//! One replica and its disk. Each step drives the real core, judges it by what this replica did before, and returns what it means
//! for the others.

use std::hash::{Hash, Hasher};

use bytes::Bytes;
use thermocline_paxos::{
    Boot, Bucket, Command, Core, Event, Limits, Message, NodeId, Originator, Output, Record, Replay,
    Restored, Slot, Ticket, Vote,
};

use crate::check::{self, Fact, Memory};

pub(crate) const BUCKET: Bucket = Bucket(0);
/// The first member, as it founds the group.
pub(crate) const FOUNDER: Originator = Originator { node: NodeId(1), boot: Boot { disk: 1, count: 1 } };

/// What a replica's step gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    /// To whom, and what.
    pub(crate) sends: Vec<(usize, Message)>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) wants: Vec<Want>,
}

/// What the driver is to do, or may do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Want {
    /// Ask a peer for the decisions above the own ones.
    Fetch { peer: usize },
    /// Send a peer the decisions above those that it has.
    Push { peer: usize, above: Slot },
}

/// A value beside a state, which does not tell two states apart.
#[derive(Clone, Copy, Debug)]
struct Aside<T>(T);

impl<T> PartialEq for Aside<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Aside<T> {}

impl<T> Hash for Aside<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) core: Core,
    pub(crate) boot: Boot,
    pub(crate) memory: Memory,
    index: usize,
    count: usize,
    /// Whether it asks only as many for votes as make a majority.
    thrifty: bool,
    journal: Vec<Record>,
    /// For each record, what was durable in the state when it was written: it may rest on that.
    beneath: Vec<Slot>,
    synced: usize,
    /// The ticket of the journal's last record.
    written: Aside<Ticket>,
    /// So many records are from before the disk lost something: no floor among them counts.
    lost: Option<usize>,
    /// Before these records of the journal others cannot be read any more.
    holes: Vec<usize>,
    /// So many records there were when it found out last that it may have forgotten a vote.
    amnesia: Option<usize>,
    /// Through which slot the core has said what is chosen.
    told: Slot,
    /// How much of that is durable in the state, whatever the journal has.
    saved: Slot,
    /// What is written down again.
    renewal: Option<Renewal>,
}

/// Records that are written again, so that those before need not be kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Renewal {
    /// The first slot that was not decided then.
    open: Slot,
    /// So many records were synced before, and are there with them.
    before: usize,
    through: usize,
}

pub(crate) fn members(count: usize) -> Vec<NodeId> {
    (1..=count as u16).map(NodeId).collect()
}

pub(crate) fn index_of(node: NodeId) -> usize {
    usize::from(node.0) - 1
}

impl Node {
    /// A replica of a group that is founded now.
    pub(crate) fn founder(index: usize, count: usize, thrifty: bool) -> Self {
        let boot = Boot { disk: index as u64 + 1, count: 1 };
        let restored = Restored { founder: true, ..Restored::default() };
        Self {
            core: open(index, count, boot, restored, thrifty),
            boot,
            memory: Memory::default(),
            index,
            count,
            thrifty,
            journal: vec![],
            beneath: vec![],
            synced: 0,
            written: Aside(Ticket(0)),
            lost: None,
            holes: vec![],
            amnesia: None,
            told: Slot(0),
            saved: Slot(0),
            renewal: None,
        }
    }

    /// Who it is in this start.
    pub(crate) fn me(&self) -> Originator {
        self.core.me()
    }

    /// Through which slot it knows what is chosen.
    pub(crate) fn chosen(&self) -> Slot {
        self.told
    }

    /// Records that wait for their sync.
    pub(crate) fn unsynced(&self) -> usize {
        self.journal.len() - self.synced
    }

    pub(crate) fn votes(&self) -> bool {
        self.core.fresh(BUCKET).voting
    }

    pub(crate) fn propose(&mut self) -> Result<Step, String> {
        self.call(|core, out| {
            // Where it may not propose now, nothing happens.
            core.propose(BUCKET, Bytes::from_static(b"v"), out).ok();
        })
    }

    /// Proposes, and hands the bucket over.
    pub(crate) fn propose_for(&mut self, heir: Originator) -> Result<Step, String> {
        self.call(|core, out| {
            core.propose_and_hand_over(BUCKET, heir, Bytes::from_static(b"v"), out).ok();
        })
    }

    pub(crate) fn propose_no_op(&mut self) -> Result<Step, String> {
        self.call(|core, out| core.propose_no_op(BUCKET, out))
    }

    pub(crate) fn retry(&mut self) -> Result<Step, String> {
        self.call(|core, out| core.retry(BUCKET, out))
    }

    pub(crate) fn widen(&mut self) -> Result<Step, String> {
        self.call(|core, out| {
            core.widen(BUCKET, out);
        })
    }

    pub(crate) fn receive(&mut self, from: usize, message: Message) -> Result<Step, String> {
        let from = members(self.count)[from];
        self.call(|core, out| core.receive(from, message, out))
    }

    pub(crate) fn learn(&mut self, slot: Slot, command: Command) -> Result<Step, String> {
        self.call(|core, out| core.learn(BUCKET, slot, command, out))
    }

    pub(crate) fn floor_answer(&mut self, from: usize, touched: Slot) -> Result<Step, String> {
        let from = members(self.count)[from];
        self.call(|core, out| core.floor_answer(BUCKET, from, touched, out))
    }

    /// Writes down again what it has promised and accepted in the open slot.
    pub(crate) fn renew(&mut self) -> Result<Step, String> {
        if self.renewal.is_some() || self.core.undecided().next().is_none() {
            return Ok(Step::default());
        }
        let (open, before) = (self.told.next(), self.synced);
        let step = self.call(|core, out| core.renew(BUCKET, out))?;
        self.renewal = Some(Renewal { open, before, through: self.journal.len() });
        Ok(step)
    }

    /// What was written again is synced: what it stands for goes, and the rest of the journal moves up.
    fn let_go(&mut self) {
        let Some(Renewal { open, before, .. }) =
            self.renewal.take_if(|renewal| renewal.through <= self.synced)
        else {
            return;
        };
        let is_vote = |record: &Record| matches!(record, Record::Promise { .. } | Record::Accept { .. });
        let stays = |at: usize, record: &Record| at >= before || record.slot() < open || !is_vote(record);
        let kept: Vec<usize> = (0..self.journal.len()).filter(|at| stays(*at, &self.journal[*at])).collect();
        self.journal = kept.iter().map(|at| self.journal[*at].clone()).collect();
        self.beneath = kept.iter().map(|at| self.beneath[*at]).collect();
        let moved = |at: &mut usize| *at = kept.partition_point(|kept| kept < at);
        moved(&mut self.synced);
        self.holes.iter_mut().chain(&mut self.lost).chain(&mut self.amnesia).for_each(moved);
    }

    /// Syncs up to `many` records.
    pub(crate) fn sync(&mut self, many: usize) -> Result<Step, String> {
        let end = self.journal.len().min(self.synced.saturating_add(many));
        if end == self.synced {
            return Ok(Step::default());
        }
        let facts: Vec<Fact> = self.journal[self.synced..end]
            .iter()
            .filter_map(|record| self.memory.note_synced(record))
            .collect();
        self.synced = end;
        let through = Ticket(self.written.0.0 - (self.journal.len() - end) as u64);
        let mut step = self.call(|core, out| core.persisted(through, out))?;
        step.facts.splice(0..0, facts);
        self.let_go();
        Ok(step)
    }

    /// Crashes and starts again: of the records not synced, the first `survive` are there all the same, and of the state, what
    /// was saved before or `saved` slots more.
    pub(crate) fn crash(&mut self, survive: usize, saved: u64) -> Result<Step, String> {
        let end = self.journal.len().min(self.synced + survive);
        let facts: Vec<Fact> = self.journal[self.synced..end]
            .iter()
            .filter_map(|record| self.memory.note_synced(record))
            .collect();
        self.journal.truncate(end);
        self.beneath.truncate(end);
        self.saved = self.told.min(Slot(self.saved.0 + saved));
        self.boot.count += 1;
        let mut step = self.start()?;
        step.facts.splice(0..0, facts);
        Ok(step)
    }

    /// The disk is lost, and replaced by an empty one.
    pub(crate) fn wipe(&mut self) -> Result<Step, String> {
        self.roll_back(0)
    }

    /// The disk is put back, state and all, to what it was when it had `records` records, which its peers notice: it is taken for a
    /// new one. Without a record it is one.
    pub(crate) fn roll_back(&mut self, records: usize) -> Result<Step, String> {
        self.memory.note_lost();
        self.journal.truncate(records.min(self.synced));
        self.beneath.truncate(self.journal.len());
        self.lost = Some(self.journal.len());
        self.amnesia = self.lost;
        self.holes.retain(|hole| *hole < self.journal.len());
        self.saved = self.beneath.last().copied().unwrap_or_default();
        self.boot = Boot { disk: self.boot.disk + 100, count: 1 };
        self.start()
    }

    /// From now on some of its synced records cannot be read any more, which it notices at each start; its state is whole.
    pub(crate) fn damage(&mut self, from: usize, many: usize) -> Result<Step, String> {
        let end = self.synced.min(from + many);
        if from >= end {
            return Ok(Step::default());
        }
        self.journal.truncate(self.synced);
        self.beneath.truncate(self.synced);
        self.journal.drain(from..end);
        self.beneath.drain(from..end);
        for hole in &mut self.holes {
            *hole = if *hole > from { from.max(hole.saturating_sub(end - from)) } else { *hole };
        }
        for moved in [&mut self.lost, &mut self.amnesia].into_iter().flatten() {
            *moved = if *moved > from { from.max(moved.saturating_sub(end - from)) } else { *moved };
        }
        self.holes.push(from);
        // A floor that was written behind all that is gone makes up for it.
        if !self.journal[from..].iter().any(|record| matches!(record, Record::Floor { .. })) {
            self.memory.note_lost();
        }
        self.amnesia = Some(self.journal.len());
        self.lost = self.lost.max(Some(from));
        self.boot.count += 1;
        self.start()
    }

    /// How many records are in its journal.
    pub(crate) fn records(&self) -> usize {
        self.journal.len()
    }

    /// It will not start again: what is synced need not be kept.
    pub(crate) fn forget_journal(&mut self) {
        self.journal.drain(..self.synced);
        self.beneath.drain(..self.synced);
        self.synced = 0;
        self.saved = Slot(0);
        (self.lost, self.amnesia) = (None, None);
        self.holes.clear();
        self.memory.forget_below(self.told.next());
    }

    /// Nothing will happen to it any more: all that counts is that it knows so many slots, and what it has voted for.
    pub(crate) fn retire(&mut self, through: Slot) {
        let vote = self.core.status(BUCKET).vote;
        let restored = Restored { chosen: through, vote, ..Restored::default() };
        self.core = open(self.index, self.count, self.boot, restored, self.thrifty);
        self.told = through;
        self.journal.clear();
        self.beneath.clear();
        self.synced = 0;
        self.forget_journal();
        self.memory.keep_votes();
    }

    fn start(&mut self) -> Result<Step, String> {
        let mut step = Step::default();
        self.renewal = None;
        let node = self.index;
        let mut replay = Replay::new(self.saved);
        let mut certain = vec![];
        for (at, record) in self.journal.iter().enumerate() {
            if self.holes.contains(&at) {
                replay.lost();
            }
            let stale = self.lost.is_some_and(|lost| at < lost) && matches!(record, Record::Floor { .. });
            if !stale {
                replay.record(record.clone(), &mut certain);
            }
        }
        if self.holes.contains(&self.journal.len()) {
            replay.lost();
        }
        self.told = self.saved;
        for (slot, command) in certain {
            if slot != self.told.next() {
                return Err(format!(
                    "I2: replay of replica {node} yields slot {} after {}",
                    slot.0, self.told.0
                ));
            }
            self.told = slot;
            step.facts.push(Fact::Replayed { slot, command });
        }
        let mut restored = replay.finish();
        match restored.vote {
            Vote::Voting if self.lost.is_some() => restored.vote = Vote::LearnerOnly,
            Vote::LearnerOnly => self.finds_a_hole()?,
            _ => {}
        }
        if restored.chosen != self.told {
            return Err(format!("replica {node} restarts at {:?}, told of {:?}", restored.chosen, self.told));
        }
        self.memory.check_restored(node, &restored)?;
        if let Some(owner) = restored.owner {
            step.facts.push(Fact::Restored { slot: restored.chosen, owner });
        }
        self.synced = self.journal.len();
        self.written = Aside(Ticket(0));
        self.core = open(node, self.count, self.boot, restored, self.thrifty);
        Ok(step)
    }

    /// Its journal has a hole: that must be one that was made, and not one that it has made up for since.
    fn finds_a_hole(&mut self) -> Result<(), String> {
        let node = self.index;
        if self.holes.is_empty() {
            return Err(format!("replica {node} finds a gap in its own journal"));
        }
        let since = self.amnesia.map(|amnesia| &self.journal[amnesia..]);
        if since.is_some_and(|since| since.iter().any(|record| matches!(record, Record::Floor { .. }))) {
            return Err(format!("replica {node} is whole, and becomes a learner again"));
        }
        self.memory.note_lost();
        self.amnesia = Some(self.journal.len());
        Ok(())
    }

    /// Runs one call of the core, and judges what it asks for.
    fn call(&mut self, call: impl FnOnce(&mut Core, &mut Output)) -> Result<Step, String> {
        let mut out = Output::default();
        call(&mut self.core, &mut out);
        let mut step = Step::default();
        for event in &out.events {
            if let Event::Chosen { slot, command, .. } = event {
                if *slot != self.told.next() {
                    return Err(format!("I2: replica {} is told slot {} out of order", self.index, slot.0));
                }
                self.told = *slot;
                step.facts.push(Fact::Chosen { slot: *slot, command: command.clone() });
            }
        }
        for persist in out.persist {
            self.memory.check_vote(self.index, &persist.record)?;
            check::written(&persist.record, &mut step.facts);
            self.journal.push(persist.record);
            self.beneath.push(self.saved);
            self.written = Aside(persist.ticket);
        }
        for send in out.send {
            self.memory.check_told(self.index, &send.message)?;
            step.facts.extend(check::told(&send.message));
            step.sends.push((index_of(send.to), send.message));
        }
        for event in out.events {
            match event {
                Event::ProposalEnded { id, outcome, .. } => step.facts.push(Fact::Ended { id, outcome }),
                Event::Behind { peer, .. } => step.wants.push(Want::Fetch { peer: index_of(peer) }),
                Event::PeerBehind { peer, chosen, .. } => {
                    step.wants.push(Want::Push { peer: index_of(peer), above: chosen });
                }
                _ => {}
            }
        }
        Ok(step)
    }
}

fn open(index: usize, count: usize, boot: Boot, restored: Restored, thrifty: bool) -> Core {
    let members = members(count);
    let mut core = Core::new(Originator { node: members[index], boot }, 0, Limits::default());
    core.open(BUCKET, &members, restored).unwrap();
    if thrifty {
        // Each asks those after it.
        core.ask_first((1..count).map(|step| members[(index + step) % count]));
    }
    core
}
