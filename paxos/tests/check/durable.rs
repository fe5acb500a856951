//! I3, durable before counted: what is chosen has a majority of synced votes at one ballot, a vote that is told is synced, and a
//! restart remembers all that is synced (DESIGN 2, I3; the invariants 1, 3, 6 and 12 of the test plan).

use thermocline_paxos::{Ballot, Message, Record, Restored, Slot, Vote};

use super::{Checked, History};

impl History {
    /// A record of a replica is synced.
    pub(crate) fn note_synced(&mut self, node: usize, record: &Record) {
        let (ballot, accepted) = match record {
            Record::Promise { ballot, .. } => (*ballot, Ballot::ZERO),
            Record::Accept { ballot, slot, .. } => {
                *self.voted.entry((*slot, *ballot)).or_default() |= 1 << node;
                (*ballot, *ballot)
            }
            _ => return,
        };
        let synced = self.synced.entry((node, record.slot())).or_default();
        *synced = (synced.0.max(ballot), synced.1.max(accepted));
    }

    /// Somebody is the first to say that a slot is chosen: the votes must be there.
    pub(crate) fn check_majority(&self, slot: Slot) -> Checked {
        let Some(command) = self.chosen.get(&slot) else { return Ok(()) };
        let enough = self.voted.range((slot, Ballot::ZERO)..).take_while(|((at, _), _)| *at == slot).any(
            |(key, voters)| {
                voters.count_ones() as usize > self.count / 2 && self.values.get(key) == Some(&command.id)
            },
        );
        if enough { Ok(()) } else { Err(format!("I3: slot {} is chosen without a synced majority", slot.0)) }
    }

    /// A replica tells its record.
    pub(crate) fn check_told(&self, node: usize, message: &Message) -> Checked {
        if !message.durable || message.chosen {
            return Ok(());
        }
        let accepted = message.accepted.as_ref().map_or(Ballot::ZERO, |accepted| accepted.ballot);
        let synced = self.synced.get(&(node, message.slot)).copied().unwrap_or_default();
        if message.promised > synced.0 || accepted > synced.1 {
            return Err(format!("I3: replica {node} tells of {message:?}, but has synced only {synced:?}"));
        }
        Ok(())
    }

    /// A replica starts from its disk.
    pub(crate) fn check_restored(&self, node: usize, restored: &Restored) -> Checked {
        let slot = restored.chosen.next();
        let votes = match restored.vote {
            Vote::Voting => true,
            Vote::LearnerOnly => false,
            Vote::From(floor) => slot >= floor,
        };
        if !votes {
            return Ok(());
        }
        let accepted = restored.accepted.as_ref().map_or(Ballot::ZERO, |(ballot, _)| *ballot);
        let synced = self.synced.range((node, slot)..).take_while(|((of, _), _)| *of == node);
        for ((_, at), (promised, voted)) in synced {
            if *at > slot || restored.promised < *promised || accepted < *voted {
                return Err(format!("I3: replica {node} restarts at {slot:?} and forgets a vote at {at:?}"));
            }
        }
        Ok(())
    }
}
