//! Coming back from amnesia: the vote floor (I6).
//!
//! Let T be the highest slot that any of a majority of the *other* members, all of them voting, has touched. If the lost
//! self voted at k, then k-1 was chosen before (I2), by votes of which at least a majority less one were the others'; that
//! many and a majority of the others overlap in a group of n, so T >= k-1, and k < T+2.

use crate::output::{Event, Output};
use crate::plant::{self, Plant};
use crate::replica::{MEMBERS_MAX, Numbers, Promised, Replica};
use crate::{Known, Record, Slot, Vote};

impl Replica {
    pub(crate) fn needs_floor(&self) -> bool {
        self.vote == Vote::LearnerOnly && !self.floor_asked
    }

    pub(crate) fn is_silent(&self) -> bool {
        !self.votes() && !self.floor_asked
    }

    /// A voting member says what it has touched.
    pub(crate) fn floor_answer(
        &mut self,
        index: usize,
        touched: Slot,
        numbers: &mut Numbers,
        out: &mut Output,
    ) {
        if !self.needs_floor() || index == usize::from(self.me) {
            return;
        }
        self.floor_answers[index] = Some(touched);
        if self.floor_answers.iter().flatten().count() < plant::floor_answers(self.majority()) {
            return;
        }
        let highest = self.floor_answers.iter().flatten().copied().max().unwrap_or_default().max(self.chosen);
        let floor = Slot(highest.0.saturating_add(if plant::on(Plant::FloorTooLow) { 1 } else { 2 }));
        self.floor_asked = true;
        self.floor_answers = [None; MEMBERS_MAX];
        self.persist(Record::Floor { slot: floor }, Promised::Floor { slot: floor }, numbers, out);
    }

    /// This replica may have lost what it promised.
    pub(crate) fn forget(&mut self, out: &mut Output) {
        self.vote = Vote::LearnerOnly;
        self.floor_asked = false;
        self.floor_answers = [None; MEMBERS_MAX];
        self.give_up_proposal(out);
    }

    /// A member turned out to have forgotten something, perhaps.
    pub(crate) fn disregard(&mut self, index: usize) {
        self.views[index] = Known::default();
        self.floor_answers[index] = None;
    }

    /// The floor is the slot after the highest that is known to be chosen, by nobody's leave but the operator's. Another that it has, and that the
    /// others cannot bring it to any more, counts no longer.
    pub(crate) fn vote_in_spite_of_loss(
        &mut self,
        chosen: Slot,
        numbers: &mut Numbers,
        out: &mut Output,
    ) -> Option<Slot> {
        if !self.is_silent() {
            return None;
        }
        self.vote = Vote::LearnerOnly;
        let floor = chosen.max(self.chosen).next();
        self.floor_asked = true;
        self.persist(Record::Floor { slot: floor }, Promised::Floor { slot: floor }, numbers, out);
        Some(floor)
    }

    pub(crate) fn floor_synced(&mut self, floor: Slot, out: &mut Output) {
        if self.vote == Vote::LearnerOnly {
            self.vote = Vote::From(floor);
            self.floor_asked = false;
            out.events.push(Event::VotingFrom { bucket: self.bucket, slot: floor });
        }
    }
}
