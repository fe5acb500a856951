//! The learner: finds out what is chosen, by counting or by being told.

use crate::output::{Event, Output, ProposalOutcome};
use crate::plant::{self, Plant};
use crate::proposer::Phase;
use crate::replica::{MEMBERS_MAX, Numbers, Promised, Replica};
use crate::{Ballot, Command, Known, Record};

impl Replica {
    /// Draws what follows from the votes that are known: a decision, or the right to ask for votes.
    pub(crate) fn conclude(&mut self, numbers: &mut Numbers, out: &mut Output) {
        self.notice_preemption(out);
        let majority = self.majority();
        let accepted = self.accepted_ballot();
        if self.accepted.is_some() && self.votes_at(accepted) >= majority {
            return self.learn(accepted, None, true, numbers, out);
        }
        if let Some((ballot, command)) = self.best.take() {
            if self.votes_at(ballot) >= majority {
                return self.learn(ballot, Some(command), true, numbers, out);
            }
            self.best = Some((ballot, command));
        }
        let promised = self.proposal.as_ref().is_some_and(|proposal| {
            proposal.phase == Phase::Preparing && self.promises_of(proposal.ballot) >= self.majority()
        });
        if promised {
            self.promised_by_majority(numbers, out);
            // A group of one may be done already; nobody else can be.
        }
    }

    /// How many have voted at a ballot, durably. A ballot has one value, so votes at a ballot are votes for a value.
    fn votes_at(&self, ballot: Ballot) -> usize {
        let early = plant::on(Plant::CountBeforeDurable);
        let counted = if early { self.accepted_ballot() } else { self.durable.accepted };
        let own = usize::from(self.votes() && counted == ballot);
        own + self.others().filter(|index| self.views[*index].accepted == ballot).count()
    }

    fn promises_of(&self, ballot: Ballot) -> usize {
        let early = plant::on(Plant::PromiseBeforeDurable);
        let counted = if early { self.promised } else { self.durable.promised };
        let own = usize::from(self.votes() && counted == ballot);
        own + self.others().filter(|index| self.views[*index].promised == ballot).count()
    }

    /// The open slot is decided, with what this replica voted for last if `command` is `None`. `announce` when this replica
    /// found out by itself: the others may not know.
    pub(crate) fn learn(
        &mut self,
        ballot: Ballot,
        command: Option<Command>,
        announce: bool,
        numbers: &mut Numbers,
        out: &mut Output,
    ) {
        let slot = self.open_slot();
        let voted_for = self.accepted.take().map(|(_, command)| command);
        let voted_for_it = voted_for
            .as_ref()
            .is_some_and(|voted| command.as_ref().is_none_or(|command| command.id == voted.id));
        let command = match (command, voted_for) {
            (Some(command), _) | (None, Some(command)) => command,
            (None, None) => unreachable!("what was voted for was decided"),
        };
        if !voted_for_it && !plant::on(Plant::ChosenUnrecorded) {
            // Replay takes the last command recorded for a slot for the chosen one; this makes it so.
            let record = Record::Chosen { slot, command: command.clone() };
            self.persist(record, Promised::Nothing, numbers, out);
        }
        let views = self.views;
        let sent_value = if voted_for_it { self.sent_value } else { 0 };
        self.chosen = slot;
        self.last = Some((ballot, command.id));
        self.owner = command.next_owner();
        if plant::on(Plant::FormerOwner) && command.originator() == Some(numbers.me) {
            self.owner = command.originator();
        }
        if plant::on(Plant::OwnershipByBallot) {
            self.owner = Some(ballot.proposer());
        }
        self.forget_open_slot();
        if announce {
            let goes_on = self.owner == Some(numbers.me);
            for index in self.others() {
                if views[index].accepted != ballot {
                    self.late |= 1 << index;
                }
                let held = views[index].accepted == ballot || sent_value & (1 << index) != 0;
                let value = if held { None } else { Some(&command) };
                self.tell_chosen(index, slot, (ballot, command.id), value, goes_on, out);
            }
        }
        let id = command.id;
        out.events.push(Event::Chosen { bucket: self.bucket, slot, command });
        self.end_or_go_on(slot, id, numbers, out);
    }

    /// All slots through this one, which is beyond what is known, are decided; what was decided is in the driver's state.
    pub(crate) fn install(&mut self, slot: crate::Slot, numbers: &mut Numbers, out: &mut Output) {
        self.persist(Record::Installed { slot }, Promised::Nothing, numbers, out);
        self.chosen = slot;
        self.last = None;
        self.owner = None;
        self.forget_open_slot();
        self.give_up_proposal(out);
    }

    /// The record of the open slot starts afresh.
    fn forget_open_slot(&mut self) {
        self.promised = Ballot::ZERO;
        self.accepted = None;
        self.durable = Known::default();
        self.views = [Known::default(); MEMBERS_MAX];
        self.best = None;
        (self.owed, self.sent_value, self.wants_value, self.late) = (0, 0, 0, 0);
    }

    /// What became of the own proposal is not known here any more.
    pub(crate) fn give_up_proposal(&mut self, out: &mut Output) {
        if let Some(id) = self.proposal.take().and_then(|proposal| proposal.command.id) {
            let outcome = ProposalOutcome::Unknown;
            out.events.push(Event::ProposalEnded { bucket: self.bucket, id, outcome });
        }
    }

    fn end_or_go_on(
        &mut self,
        slot: crate::Slot,
        chosen: Option<crate::CommandId>,
        numbers: &mut Numbers,
        out: &mut Output,
    ) {
        match self.proposal.as_ref().map(|proposal| proposal.command.id) {
            None => {}
            // A no-op was after any decision.
            Some(None) => self.proposal = None,
            Some(id) if id == chosen && !plant::on(Plant::ProposedTwice) => {
                self.proposal = None;
                if let Some(id) = id {
                    let outcome = ProposalOutcome::ChosenAt(slot);
                    out.events.push(Event::ProposalEnded { bucket: self.bucket, id, outcome });
                }
            }
            Some(_) => self.go_on(numbers, out),
        }
    }
}
