//! Linearizable reads without a log entry (rules R1 to R5 of PROTOCOL.md): the verdict over a majority's answers.

use crate::plant::{self, Plant};
use crate::replica::{MEMBERS_MAX, Members, majority};
use crate::{NodeId, Slot};

/// What a replica knows of a bucket at one moment: its answer to a read probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Freshness {
    /// The highest slot that it knows to be chosen.
    pub chosen: Slot,
    /// Whether it has accepted something, durably, in the slot after.
    pub accepted_next: bool,
    /// Whether it votes in the slot after. A replica that does not counts in no quorum (R5), but what it knows still counts.
    pub voting: bool,
}

/// The answers to one probe of one bucket. Answers to other probes must not be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadQuorum {
    members: Members,
    answers: [Option<Freshness>; MEMBERS_MAX],
}

/// What the answers allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// No majority has answered (R4).
    Wait,
    /// The state at this slot, or any later one, may be served (R1, R2).
    Serve {
        /// The slot.
        at: Slot,
    },
    /// This slot may be decided already: see that it is, then serve at it (R3).
    Finish {
        /// The slot.
        slot: Slot,
    },
}

impl ReadQuorum {
    /// With the reader's own answer. It must be taken when the probe leaves, or later.
    ///
    /// # Panics
    /// When there are more than five members.
    #[must_use]
    pub fn new(members: &[NodeId], me: NodeId, own: Freshness) -> Self {
        let mut quorum = Self { members: Members::new(members), answers: [None; MEMBERS_MAX] };
        quorum.answer(me, own);
        quorum
    }

    /// Takes an answer in. Strangers, and second answers of a member, are ignored.
    pub fn answer(&mut self, from: NodeId, freshness: Freshness) {
        if let Some(index) = self.members.index(from) {
            let answer = &mut self.answers[index];
            if answer.is_none() {
                *answer = Some(freshness);
            }
        }
    }

    /// What the answers so far allow.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let answers = || self.answers.iter().flatten();
        let votes = |answer: &Freshness| answer.voting || plant::on(Plant::LearnerCountsInRead);
        let blind = plant::on(Plant::ReadIgnoresAccepted);
        let majority = if plant::on(Plant::ReadAlone) { 1 } else { majority(self.members.len()) };
        if answers().filter(|answer| votes(answer)).count() < majority {
            return Verdict::Wait;
        }
        let Some(highest) = answers().map(|answer| answer.chosen).max() else { return Verdict::Wait };
        // A replica that knows less than `highest` to be chosen votes in an earlier slot, and has accepted nothing after `highest`.
        let clear = |answer: &&Freshness| {
            votes(answer) && (blind || !(answer.chosen == highest && answer.accepted_next))
        };
        if answers().filter(clear).count() >= majority {
            Verdict::Serve { at: highest }
        } else if plant::on(Plant::UndecidedServed) {
            Verdict::Serve { at: highest.next() }
        } else {
            Verdict::Finish { slot: highest.next() }
        }
    }
}
