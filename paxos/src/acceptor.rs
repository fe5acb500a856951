//! The acceptor: promises first, then accepts (the order that TPaxos proves; Yi and others, "TPaxos", JOS 2020).

use crate::output::{Event, Output};
use crate::plant;
use crate::replica::{Numbers, Replica};
use crate::{Ballot, Command, Known, Message, Record, Slot};

impl Replica {
    /// A message of another member.
    pub(crate) fn receive(
        &mut self,
        index: usize,
        message: &mut Message,
        numbers: &mut Numbers,
        out: &mut Output,
    ) {
        let peer = self.members.as_slice()[index];
        let open = self.open_slot();
        if message.slot < open {
            return self.answer_late(index, message, out);
        }
        if message.slot > open
            || (message.chosen_through >= open && !(message.chosen && message.slot == open))
        {
            // Nothing can be said about a slot before the one before it is known (I2).
            let through = message.chosen_through.max(Slot(message.slot.0 - 1));
            out.events.push(Event::Behind { bucket: self.bucket, peer, through });
            return;
        }
        let own =
            self.accepted.as_ref().zip(message.accepted.as_ref()).filter(|(own, told)| own.1.id == told.id);
        let held = own.is_some_and(|(own, told)| message.chosen || own.0 == told.ballot);
        let value = if held { Ok(None) } else { self.resolve(message) };
        let Ok(value) = value else {
            // The sender takes this replica to hold a value that it does not hold. Its own record, with nothing in it, tells.
            if message.chosen {
                out.events.push(Event::Behind { bucket: self.bucket, peer, through: message.slot });
            } else {
                self.ask_for_value(index, out);
            }
            return;
        };
        if message.chosen {
            if let Some(accepted) = &message.accepted {
                self.learn(accepted.ballot, value, false, numbers, out);
                self.behind_still(peer, message.chosen_through, out);
            }
            return;
        }
        if !self.votes() {
            return;
        }
        if !self.is_legal(message) {
            numbers.refused += 1;
            return;
        }
        let told_at = message.accepted.as_ref().map_or(Ballot::ZERO, |accepted| accepted.ballot);
        if message.durable {
            let told_before = self.views[index].promised;
            let view = plant::counted_as(index, told_before, message.promised, self.members.len());
            let view = &mut self.views[view];
            view.promised = view.promised.max(message.promised);
            view.accepted = view.accepted.max(told_at);
        }
        if message.missing {
            self.wants_value |= 1 << index;
        }
        self.vote_on(message.promised, value.map(|command| (told_at, command)), numbers, out);
        // Whoever knows less of this record than there is to know hears it, once it is synced (I3). But not who answers an own
        // ballot: he was asked for all that he can add to it, and will be told when it is decided.
        let current = self.current();
        let newer = current.promised > message.known.promised || current.accepted > message.known.accepted;
        if message.missing || newer && !(message.promised == current.promised && self.leads()) {
            self.owed |= 1 << index;
        }
        self.conclude(numbers, out);
        // If that decided the slot, nobody is owed anything any more: the decision says it all.
        if self.owed != 0 && self.is_durable() {
            self.pay(out);
        }
    }

    /// Promises, then accepts, and has it written down.
    fn vote_on(
        &mut self,
        promised: Ballot,
        value: Option<(Ballot, Command)>,
        numbers: &mut Numbers,
        out: &mut Output,
    ) {
        let slot = self.open_slot();
        let newly_promised = promised > self.promised;
        if newly_promised {
            self.promised = promised;
        }
        match value {
            Some((ballot, command))
                if (ballot >= self.promised && ballot > self.accepted_ballot())
                    || plant::accepts(ballot, self.current()) =>
            {
                self.accept(ballot, command, numbers, out);
            }
            told => {
                self.keep_told(told);
                if newly_promised {
                    self.persist_vote(Record::Promise { slot, ballot: promised }, numbers, out);
                }
            }
        }
    }

    /// Votes for a value at a ballot that is not below the promise, and so not below any that was told of.
    pub(crate) fn accept(
        &mut self,
        ballot: Ballot,
        command: Command,
        numbers: &mut Numbers,
        out: &mut Output,
    ) {
        let slot = self.open_slot();
        self.promised = ballot;
        self.accepted = Some((ballot, command.clone()));
        self.best = None;
        self.sent_value = 0;
        self.persist_vote(Record::Accept { slot, ballot, command }, numbers, out);
    }

    /// Remembers a value that this replica did not vote for, if it is at a higher ballot than all it knows of.
    fn keep_told(&mut self, told: Option<(Ballot, Command)>) {
        let Some((ballot, command)) = told else { return };
        let known = self.highest_told().map(|(known, _)| *known);
        if known.is_none_or(|known| plant::goes_before(known, ballot)) {
            self.best = Some((ballot, command));
        }
    }

    /// The message's value, taken out of it, with what was left out put in; `Err` when this replica does not hold it.
    fn resolve(&self, message: &mut Message) -> Result<Option<Command>, ()> {
        let Some(accepted) = &mut message.accepted else { return Ok(None) };
        if let Some(command) = accepted.command.take() {
            // All no-ops are equal, so one with a payload or an heir is a faulty peer's.
            let empty = command.id.is_some() || command.payload.is_empty() && command.heir.is_none();
            return if command.id == accepted.id && empty { Ok(Some(command)) } else { Err(()) };
        }
        if accepted.id.is_none() {
            return Ok(Some(Command::no_op()));
        }
        let told = self.accepted.iter().chain(&self.best).map(|(_, command)| command);
        let own = self.proposal.iter().map(|proposal| &proposal.command);
        told.chain(own).find(|command| command.id == accepted.id).cloned().map(Some).ok_or(())
    }

    /// Rules that a correct peer keeps: one value per ballot, and one fast proposer per slot (I5).
    fn is_legal(&self, message: &Message) -> bool {
        let Some(accepted) = &message.accepted else { return true };
        if accepted.ballot > message.promised || !accepted.ballot.is_some() {
            return false;
        }
        let same_ballot =
            |(ballot, command): &(Ballot, Command)| *ballot != accepted.ballot || command.id == accepted.id;
        if !self.accepted.iter().chain(&self.best).all(same_ballot) {
            return false;
        }
        if accepted.ballot.round > 0 {
            return true;
        }
        match self.owner {
            Some(owner) => accepted.ballot.proposer() == owner,
            None if self.last.is_some() => false,
            // The boot in which the first member founded the bucket is known to that member alone.
            None => self.chosen > Slot(0) || accepted.ballot.node == self.members.as_slice()[0],
        }
    }

    /// A message about a slot that is decided here.
    fn answer_late(&mut self, index: usize, message: &Message, out: &mut Output) {
        if message.chosen || message.chosen_through >= message.slot {
            return;
        }
        match (&self.last, &message.accepted) {
            (Some((_, id)), Some(accepted))
                if message.slot == self.chosen && accepted.id == *id && self.late & (1 << index) != 0 =>
            {
                // The vote that was not waited for. Its voter was told already when the slot was decided.
                self.late &= !(1 << index);
            }
            (Some((ballot, id)), Some(accepted)) if message.slot == self.chosen && accepted.id == *id => {
                self.tell_chosen(index, message.slot, (*ballot, *id), None, false, out);
            }
            _ => {
                let peer = self.members.as_slice()[index];
                let chosen = message.chosen_through;
                out.events.push(Event::PeerBehind { bucket: self.bucket, peer, chosen });
            }
        }
    }

    /// Shows a member that this replica lacks the value it left out.
    fn ask_for_value(&mut self, index: usize, out: &mut Output) {
        out.send.push(crate::output::Send {
            to: self.members.as_slice()[index],
            message: Message {
                bucket: self.bucket,
                slot: self.open_slot(),
                promised: Ballot::ZERO,
                accepted: None,
                durable: false,
                chosen: false,
                missing: true,
                known: Known::default(),
                chosen_through: self.chosen,
            },
            can_wait: false,
        });
    }

    fn behind_still(&self, peer: crate::NodeId, through: Slot, out: &mut Output) {
        if through > self.chosen {
            out.events.push(Event::Behind { bucket: self.bucket, peer, through });
        }
    }
}
