//! A core's seats: one for each bucket. A replica with nothing under way sits there in a few words.
//!
//! A node has tens of thousands of replicas, of which few are in the middle of a slot at any moment. Those few are whole, in
//! boxes that are used again and stay in the processor's caches; all others cost what [`Resting`] holds.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::hint::black_box;

use crate::proposer::{Proposal, owns};
use crate::replica::{Members, Numbers, Replica, votes};
use crate::{Ballot, Bucket, CommandId, Known, Originator, Slot, Vote};

/// A bucket's place in a core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Seat {
    /// There is no replica of the bucket here.
    Vacant,
    /// The open slot is untouched, and nothing is under way. A replica for which that is true never stays awake.
    Resting(Resting),
    Awake(Box<Replica>),
}

/// What is left of a replica between two slots: two lines of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(align(64))]
pub(crate) struct Resting {
    chosen: Slot,
    votes: Votes,
    /// Of [`Votes::From`]; 0 else.
    floor: Slot,
    last: Option<(Ballot, Option<CommandId>)>,
    owner: Option<Originator>,
    members: Members,
    me: u8,
    late: u8,
}

const _: () = assert!(size_of::<Seat>() == 128, "a node has tens of thousands of them");

/// [`Vote`] without its slot: together they would take eight bytes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Votes {
    Always,
    Never,
    From,
}

/// Boxes of replicas that were put to rest; no part of what a core is. All are as at rest, but for what [`Resting`] holds.
#[derive(Debug, Default)]
pub(crate) struct Spare(#[expect(clippy::vec_box, reason = "the boxes are what is kept")] Vec<Box<Replica>>);

/// More boxes than this are not kept: a burst's memory is given back.
const SPARE_MAX: usize = 1024;

impl Seat {
    /// Seats a replica.
    pub(crate) fn of(replica: Replica) -> Self {
        let mut seat = Self::Awake(Box::new(replica));
        seat.settle(&mut Spare::default());
        seat
    }

    /// The replica, whole. To be [settled](Self::settle) after it was used.
    pub(crate) fn wake(&mut self, bucket: Bucket, spare: &mut Spare) -> Option<&mut Replica> {
        if let Self::Resting(resting) = self {
            let mut replica =
                spare.0.pop().unwrap_or_else(|| Box::new(Replica::at_rest(bucket, resting.members)));
            resting.move_into(bucket, &mut replica);
            *self = Self::Awake(replica);
        }
        match self {
            Self::Awake(replica) => Some(replica),
            _ => None,
        }
    }

    /// Puts the replica to rest if nothing is under way in it any more.
    pub(crate) fn settle(&mut self, spare: &mut Spare) {
        let Self::Awake(replica) = self else { return };
        if !replica.is_at_rest() {
            return;
        }
        let resting = Resting::of(replica);
        if let Self::Awake(replica) = core::mem::replace(self, Self::Resting(resting))
            && spare.0.len() < SPARE_MAX
        {
            spare.0.push(replica);
        }
    }

    /// Reads something of each line of a cache that it takes, or most of them.
    pub(crate) fn look(&self) {
        match self {
            Self::Vacant => {}
            Self::Resting(Resting { chosen, floor, late, last, owner, members, .. }) => {
                black_box((*chosen, *floor, *late, last.is_some(), owner.is_some(), members.len()));
            }
            Self::Awake(replica) => {
                let Replica { chosen, last, owner, promised, accepted, best, owed, proposal, .. } =
                    &**replica;
                black_box((*chosen, last.is_some(), owner.is_some(), *promised));
                black_box((accepted.is_some(), best.is_some(), *owed, proposal.is_some()));
            }
        }
    }

    /// The replica as it is, if there is one.
    pub(crate) fn view(&self) -> Option<View<'_>> {
        match self {
            Self::Vacant => None,
            Self::Resting(resting) => {
                let Resting { chosen, owner, members, .. } = resting;
                Some(View { chosen: *chosen, vote: resting.vote(), owner: *owner, members, awake: None })
            }
            Self::Awake(replica) => {
                let Replica { chosen, vote, owner, members, .. } = &**replica;
                Some(View { chosen: *chosen, vote: *vote, owner: *owner, members, awake: Some(replica) })
            }
        }
    }
}

/// A replica at rest or awake. At rest nothing is promised or accepted, and nothing is under way.
pub(crate) struct View<'a> {
    pub(crate) chosen: Slot,
    pub(crate) vote: Vote,
    pub(crate) owner: Option<Originator>,
    pub(crate) members: &'a Members,
    pub(crate) awake: Option<&'a Replica>,
}

impl View<'_> {
    pub(crate) fn votes(&self) -> bool {
        votes(self.vote, self.chosen.next())
    }

    pub(crate) fn promised(&self) -> Ballot {
        self.awake.map_or(Ballot::ZERO, |replica| replica.promised)
    }

    pub(crate) fn accepted_ballot(&self) -> Ballot {
        self.awake.map_or(Ballot::ZERO, Replica::accepted_ballot)
    }

    pub(crate) fn durable(&self) -> Known {
        self.awake.map_or(Known::default(), |replica| replica.durable)
    }

    pub(crate) fn proposal(&self) -> Option<&Proposal> {
        self.awake?.proposal.as_ref()
    }

    /// The highest slot that this replica has touched; `None` when it does not vote itself.
    pub(crate) fn touched(&self) -> Option<Slot> {
        if !self.votes() {
            return None;
        }
        Some(if self.promised().is_some() { self.chosen.next() } else { self.chosen })
    }

    /// How many bytes the payload has that it has accepted in the open slot, if it has promised or accepted anything there with a vote that counts.
    pub(crate) fn undecided(&self) -> Option<usize> {
        let payload = self.awake.and_then(|replica| Some(replica.accepted.as_ref()?.1.payload.len()));
        (self.votes() && self.promised().is_some()).then(|| payload.unwrap_or_default())
    }

    pub(crate) fn needs_floor(&self) -> bool {
        self.awake.map_or(self.vote == Vote::LearnerOnly, Replica::needs_floor)
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.awake.map_or(!self.votes(), Replica::is_silent)
    }

    pub(crate) fn may_fast(&self, numbers: &Numbers) -> bool {
        match self.awake {
            Some(replica) => replica.may_fast(numbers),
            None => self.votes() && owns(self.owner, numbers),
        }
    }
}

impl Resting {
    /// What there is to keep of a replica that is at rest.
    fn of(replica: &Replica) -> Self {
        let (votes, floor) = match replica.vote {
            Vote::Voting => (Votes::Always, Slot(0)),
            Vote::LearnerOnly => (Votes::Never, Slot(0)),
            Vote::From(floor) => (Votes::From, floor),
        };
        let Replica { chosen, last, owner, members, me, late, .. } = *replica;
        Self { chosen, votes, floor, last, owner, members, me, late }
    }

    fn vote(&self) -> Vote {
        match self.votes {
            Votes::Always => Vote::Voting,
            Votes::Never => Vote::LearnerOnly,
            Votes::From => Vote::From(self.floor),
        }
    }

    /// Fills a replica that is at rest.
    fn move_into(&self, bucket: Bucket, replica: &mut Replica) {
        let Self { chosen, votes: _, floor: _, last, owner, members, me, late } = *self;
        (replica.bucket, replica.vote) = (bucket, self.vote());
        (replica.chosen, replica.last, replica.owner) = (chosen, last, owner);
        (replica.members, replica.me, replica.late) = (members, me, late);
        debug_assert!(replica.is_at_rest(), "a spare replica is as one at rest");
    }
}

impl Clone for Spare {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Spare {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Spare {}

impl Hash for Spare {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;

    /// A replica of which everything is told that a rest keeps.
    fn replica() -> Replica {
        let members = Members::new(&[NodeId(4), NodeId(5), NodeId(6)]);
        Replica {
            me: 1,
            chosen: Slot(7),
            vote: Vote::From(Slot(9)),
            late: 0b100,
            ..Replica::at_rest(Bucket(3), members)
        }
    }

    #[test]
    fn a_replica_rests_while_nothing_is_under_way_and_wakes_as_it_was() {
        let mut spare = Spare::default();
        let mut seat = Seat::of(replica());
        assert!(matches!(seat, Seat::Resting(_)));
        for _ in 0..3 {
            let awake = seat.wake(Bucket(3), &mut spare);
            assert_eq!(awake.as_deref(), Some(&replica()));
            seat.settle(&mut spare);
            assert!(matches!(seat, Seat::Resting(_)));
            assert_eq!(spare.0.len(), 1, "its box is kept, and used again");
        }
        if let Some(awake) = seat.wake(Bucket(3), &mut spare) {
            awake.owed = 1;
        }
        seat.settle(&mut spare);
        assert!(matches!(seat, Seat::Awake(_)), "something is under way");
        assert!(spare.0.is_empty());
    }

    #[test]
    fn no_more_boxes_are_kept_than_a_burst_leaves() {
        let mut spare = Spare::default();
        let mut seats: Vec<Seat> = (0..SPARE_MAX + 10).map(|_| Seat::of(replica())).collect();
        for seat in &mut seats {
            seat.wake(Bucket(3), &mut spare);
        }
        for seat in &mut seats {
            seat.settle(&mut spare);
        }
        assert_eq!(spare.0.len(), SPARE_MAX);
    }
}
