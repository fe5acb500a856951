//! Records that are written again, so that a journal can let go of its oldest.
//!
//! A record of a decided slot is needed until the driver's state has that slot durably, and the driver can hurry. A record of a slot that nobody
//! decides is needed as long as that lasts, and a journal is given back from its oldest end only: one promise without a majority would keep all
//! that is written after it. So what still counts of it is written again, at the journal's end.
//!
//! Said again is what the replica holds true at that moment, so replay may read either, or both: the highest promise and the highest vote of a
//! slot count, wherever they stand. A floor says that nothing was voted from there on *before it was written*. Of one that the log has
//! reached that is not true any more: it is not written again, and needs not be, as the state will have the slot before it. Below its floor a
//! replica has no votes: what its lost self has left counts for nothing, and is dropped.

use crate::output::Output;
use crate::plant::{self, Plant};
use crate::replica::{Numbers, Promised, Replica};
use crate::{Ballot, Known, Record, Vote};

impl Replica {
    /// Writes down again what counts of slots that are not decided here.
    pub(crate) fn renew(&mut self, numbers: &mut Numbers, out: &mut Output) {
        let slot = self.open_slot();
        if let Vote::From(floor) = self.vote
            && (slot < floor || plant::on(Plant::ReachedFloorRenewed))
        {
            self.persist(Record::Floor { slot: floor }, Promised::Nothing, numbers, out);
        }
        if !self.votes() {
            return self.drop_votes_of_lost_self();
        }
        if self.promised > self.accepted_ballot() && !plant::on(Plant::PromiseNotRenewed) {
            self.persist_vote(Record::Promise { slot, ballot: self.promised }, numbers, out);
        }
        if let Some((ballot, command)) = self.accepted.clone() {
            self.persist_vote(Record::Accept { slot, ballot, command }, numbers, out);
        }
    }

    /// What it accepted is a value that it was told of, like any other: should that be decided, it is written down as decided.
    fn drop_votes_of_lost_self(&mut self) {
        self.promised = Ballot::ZERO;
        self.durable = Known::default();
        let accepted = self.accepted.take();
        self.keep_told(accepted);
    }
}
