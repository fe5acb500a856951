//! Votes that are written down again, so that a journal can let go of its oldest records.
//!
//! A record of a decided slot is needed until the driver's state has that slot durably, and the driver can hurry. A record of a slot that nobody
//! decides is needed as long as that lasts, and a journal is given back from its oldest end only: one promise without a majority would keep all
//! that is written after it. So what a replica has promised and accepted in its open slot is written again, at the journal's end.
//!
//! That says nothing new, so replay may read the old records, the new ones, or both: the highest promise and the highest vote of a slot count,
//! wherever they stand. Below its vote floor a replica has no votes. What it has written there, and that floor, may be needed to know that it
//! has forgotten some: it stays.

use crate::Record;
use crate::output::Output;
use crate::plant::{self, Plant};
use crate::replica::{Numbers, Replica};

impl Replica {
    /// Writes down again what it has promised and accepted in the open slot.
    pub(crate) fn renew(&mut self, numbers: &mut Numbers, out: &mut Output) {
        if !self.votes() {
            return;
        }
        let slot = self.open_slot();
        if self.promised > self.accepted_ballot() && !plant::on(Plant::PromiseNotRenewed) {
            self.persist_vote(Record::Promise { slot, ballot: self.promised }, numbers, out);
        }
        if let Some((ballot, command)) = self.accepted.clone() {
            self.persist_vote(Record::Accept { slot, ballot, command }, numbers, out);
        }
    }
}
