//! What a majority has voted for stays: no higher ballot of the slot carries another value, neither before nor after the majority
//! is complete (Lamport, "Paxos Made Simple", P2b; invariant 3 of the test plan). It sees two decisions coming while nobody
//! has drawn the second one yet.

use std::ops::Bound::{Excluded, Unbounded};

use thermocline_paxos::{Ballot, Slot};

use super::{Checked, History, Votes};

impl History {
    /// A ballot has got its value, or a vote.
    pub(super) fn check_chosen_stays(&self, slot: Slot, ballot: Ballot, votes: &Votes<'_>) -> Checked {
        let Some(id) = self.values.get(&(slot, ballot)) else { return Ok(()) };
        let lower = self.values.range((slot, Ballot::ZERO)..(slot, ballot));
        if let Some(((_, at), chosen)) =
            lower.into_iter().find(|((_, at), chosen)| *chosen != id && votes.are_enough(slot, *at))
        {
            return Err(format!(
                "I1: a majority voted for {chosen:?} at slot {} {at:?}, and {ballot:?} has {id:?}",
                slot.0
            ));
        }
        let higher =
            self.values.range((Excluded((slot, ballot)), Unbounded)).take_while(|((at, _), _)| *at == slot);
        let other = higher.into_iter().find(|(_, other)| *other != id);
        match other.filter(|_| votes.are_enough(slot, ballot)) {
            None => Ok(()),
            Some(((_, above), other)) => Err(format!(
                "I1: a majority voted for {id:?} at slot {} {ballot:?}, and {above:?} has {other:?}",
                slot.0
            )),
        }
    }
}
