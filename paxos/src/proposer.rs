//! The proposer: fast accept for the owner of a slot, two phases for everybody else, and a bound on how often it tries.

use alloc::vec::Vec;

use crate::output::{Event, Output, ProposalOutcome};
use crate::plant::{self, Plant};
use crate::replica::{MEMBERS_MAX, Numbers, Replica, majority};
use crate::{Ballot, Command, NodeId, Originator, Record};

/// A proposal is prepared at most so often before it is given up.
pub const PREPARES_MAX: u8 = 3;

/// An own proposal under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Proposal {
    /// What is to be chosen in some slot. A no-op only has to see the open slot decided.
    pub(crate) command: Command,
    pub(crate) phase: Phase,
    /// The ballot of the phase.
    pub(crate) ballot: Ballot,
    /// How often it was prepared.
    pub(crate) prepares: u8,
    /// Whether a vote for the command was asked for in the open slot.
    pub(crate) exposed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Waits for a majority's promises.
    Preparing,
    /// Waits for a majority's votes.
    Accepting,
    /// Met a higher ballot: waits for the driver's [`retry`](crate::Core::retry).
    BackedOff,
}

/// Whether a slot that is this owner's is this core's (F1).
pub(crate) fn owns(owner: Option<Originator>, numbers: &Numbers) -> bool {
    owner == Some(numbers.me) || plant::on(Plant::FastByNonOwner)
}

impl Replica {
    /// Sets out to have a command chosen. There is no proposal under way, and this replica votes.
    pub(crate) fn propose(&mut self, command: Command, numbers: &mut Numbers, out: &mut Output) {
        debug_assert!(self.proposal.is_none() && self.votes(), "the core has checked");
        let proposal =
            Proposal { command, phase: Phase::BackedOff, ballot: Ballot::ZERO, prepares: 0, exposed: false };
        self.proposal = Some(proposal);
        self.start(numbers, out);
    }

    /// Whether fast accept is open to this replica: it owns the open slot (F1), and nothing has happened there (F2).
    pub(crate) fn may_fast(&self, numbers: &Numbers) -> bool {
        let fresh = !self.promised.is_some() && self.accepted.is_none();
        self.votes() && owns(self.owner, numbers) && (fresh || plant::on(Plant::FastAfterPromise))
    }

    /// Starts the proposal in the open slot.
    pub(crate) fn start(&mut self, numbers: &mut Numbers, out: &mut Output) {
        let fast = self.may_fast(numbers);
        let Some(proposal) = &mut self.proposal else { return };
        proposal.exposed = false;
        // A no-op has no originator, so nobody owns the slot after it: it is never worth a fast ballot.
        if fast && proposal.command.id.is_some() {
            let command = proposal.command.clone();
            self.accept_own(Ballot::fast(numbers.me), command, numbers, out);
        } else {
            self.prepare(numbers, out);
        }
    }

    /// Begins phase one at a ballot above all that were seen.
    pub(crate) fn prepare(&mut self, numbers: &mut Numbers, out: &mut Output) {
        let seen = self.highest_told().map_or(Ballot::ZERO, |(ballot, _)| *ballot);
        let highest = self.views.iter().map(|view| view.promised).fold(self.promised.max(seen), Ballot::max);
        let Some(proposal) = &mut self.proposal else { return };
        if proposal.prepares >= PREPARES_MAX {
            return self.give_up(out);
        }
        let Some(ballot) = highest.next(numbers.me) else { return self.give_up(out) };
        proposal.prepares += 1;
        proposal.phase = Phase::Preparing;
        proposal.ballot = ballot;
        self.promised = ballot;
        let slot = self.open_slot();
        self.persist_vote(Record::Promise { slot, ballot }, numbers, out);
        self.tell_all(out);
        self.conclude(numbers, out);
    }

    /// A majority has promised: asks for votes for the value at the highest ballot told of, or, if there is none, the own command.
    pub(crate) fn promised_by_majority(&mut self, numbers: &mut Numbers, out: &mut Output) {
        let Some(proposal) = &self.proposal else { return };
        let ballot = proposal.ballot;
        let mut recovered = self.highest_told().map(|(_, command)| command.clone());
        if plant::on(Plant::OwnValue) {
            recovered = None;
        }
        if let (true, Some(command)) = (plant::on(Plant::LosesOriginator), &mut recovered) {
            command.id = None;
        }
        if let (true, Some(command)) = (plant::on(Plant::LosesHeir), &mut recovered) {
            command.heir = None;
        }
        let command = recovered.unwrap_or_else(|| proposal.command.clone());
        self.accept_own(ballot, command, numbers, out);
    }

    /// Votes for a value at an own ballot, and asks the others to. The own vote counts when it is synced; the question can
    /// leave before, because after a crash this is another originator, which never uses the ballot again.
    fn accept_own(&mut self, ballot: Ballot, command: Command, numbers: &mut Numbers, out: &mut Output) {
        debug_assert!(ballot >= self.promised, "an own ballot is promised before it is used");
        if let Some(proposal) = &mut self.proposal {
            proposal.phase = Phase::Accepting;
            proposal.ballot = ballot;
            proposal.exposed |= command.id == proposal.command.id;
        }
        self.accept(ballot, command, numbers, out);
        if ballot.round == 0 {
            self.tell_enough(numbers, out);
        } else {
            self.tell_all(out);
        }
    }

    /// Asks as many as make a majority with this replica, if it is said who is to be asked first (the "thrifty" form of an accept: Moraru and
    /// others, "There Is More Consensus in Egalitarian Parliaments", SOSP 2013, section 6). The others are told of the decision, with its value.
    fn tell_enough(&mut self, numbers: &Numbers, out: &mut Output) {
        let wanted = self.majority() - 1;
        let mut first = [0; MEMBERS_MAX];
        let mut found = 0;
        // Who had the slot before decided knows it. After a hand-over, another may not have heard, and could not vote.
        let before = self.last.map(|(ballot, _)| ballot.node);
        let before = before.filter(|node| numbers.asked_first.contains(node));
        for node in before.iter().chain(&numbers.asked_first) {
            let Some(index) = self.members.index(*node) else { continue };
            if found < wanted && index != usize::from(self.me) && !first[..found].contains(&index) {
                first[found] = index;
                found += 1;
            }
        }
        if found < wanted || wanted == 0 {
            return self.tell_all(out);
        }
        for index in &first[..found] {
            self.tell(*index, out);
        }
    }

    /// Asks whoever was not asked yet; says who was, and has not voted.
    pub(crate) fn widen(&mut self, out: &mut Output) -> Vec<NodeId> {
        let mut silent = Vec::new();
        let waits = self.proposal.as_ref().is_some_and(|proposal| proposal.phase == Phase::Accepting);
        if !(waits && self.leads()) {
            return silent;
        }
        for index in self.others() {
            if self.views[index].accepted == self.accepted_ballot() {
                continue;
            }
            if self.sent_value & (1 << index) == 0 {
                self.tell(index, out);
            } else {
                silent.push(self.members.as_slice()[index]);
            }
        }
        silent
    }

    /// Whether this replica waits for answers to a ballot of its own.
    pub(crate) fn leads(&self) -> bool {
        self.proposal
            .as_ref()
            .is_some_and(|proposal| proposal.phase != Phase::BackedOff && proposal.ballot == self.promised)
    }

    /// Somebody has promised a higher ballot: the proposal steps back.
    pub(crate) fn notice_preemption(&mut self, out: &mut Output) {
        let Some(proposal) = &mut self.proposal else { return };
        let ballot = proposal.ballot;
        if proposal.phase != Phase::BackedOff
            && (self.promised > ballot || self.views.iter().any(|view| view.promised > ballot))
        {
            proposal.phase = Phase::BackedOff;
            out.events.push(Event::Backoff { bucket: self.bucket, attempt: proposal.prepares });
        }
    }

    /// The driver's timer: goes on after a backoff, or tells again whoever is not known to have heard.
    pub(crate) fn retry(&mut self, numbers: &mut Numbers, out: &mut Output) {
        match self.proposal.as_ref().map(|proposal| proposal.phase) {
            Some(Phase::BackedOff) => self.prepare(numbers, out),
            _ => {
                // What was left out may have been lost with the message that carried it.
                self.sent_value = 0;
                if self.promised.is_some() && self.votes() {
                    self.tell_all(out);
                }
                self.conclude(numbers, out);
            }
        }
    }

    /// The open slot was decided with another command: the own one goes on in the next.
    pub(crate) fn go_on(&mut self, numbers: &mut Numbers, out: &mut Output) {
        let Some(proposal) = &mut self.proposal else { return };
        proposal.exposed = false;
        if !self.votes() || self.proposal.as_ref().is_some_and(|proposal| proposal.prepares >= PREPARES_MAX) {
            self.give_up(out);
        } else {
            self.start(numbers, out);
        }
    }

    fn give_up(&mut self, out: &mut Output) {
        let Some(proposal) = self.proposal.take() else { return };
        if let Some(id) = proposal.command.id {
            let may_be_chosen = proposal.exposed && !plant::on(Plant::ContendedForUnknown);
            let outcome = if may_be_chosen { ProposalOutcome::Unknown } else { ProposalOutcome::Contended };
            out.events.push(Event::ProposalEnded { bucket: self.bucket, id, outcome });
        }
    }

    fn tell_all(&mut self, out: &mut Output) {
        for index in self.others() {
            let view = self.views[index];
            if view != self.current() {
                self.tell(index, out);
            }
        }
    }

    /// How many replicas are needed.
    pub(crate) fn majority(&self) -> usize {
        majority(self.members.len())
    }
}
