//! How a brand-new group begins to vote, and how a node with a new disk learns that it must not.
//!
//! A node with an empty directory cannot tell by itself whether it is new or has lost everything. It asks all other nodes
//! of its group. When it has heard that each one is empty, it writes down the disks it heard of: its *intent*, which it never
//! changes. When all others have told the same intent, the group is founded. So before anything is acknowledged, every
//! disk has named, durably, the disks that will ever count as new; a disk that comes later, in the place of a lost one, is in
//! nobody's intent. A node that hears of a founding *with this very disk* is new too; if the founding names another disk in
//! its place, this disk has forgotten what the other promised (I6).

use std::collections::BTreeMap;
use std::sync::Arc;

use thermocline_paxos::NodeId;

use super::identity::{Identity, IdentityFile};
use super::wire::{Founding, Item};
use super::worker::Worker;
use crate::error::Error;
use crate::plant::{self, Plant};

/// What a node knows of its group's founding.
#[derive(Clone, Debug)]
struct Foundation {
    me: u16,
    disk: u64,
    /// The other nodes that must be heard.
    others: Vec<u16>,
    /// Whom to found with, once it is durable.
    intent: Option<Vec<(u16, u64)>>,
    /// The founding record, once there is one.
    members: Option<Vec<(u16, u64)>>,
    heard: BTreeMap<u16, Founding>,
}

/// What follows from what was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Not everybody was heard, or not everybody intends the same.
    Wait,
    /// Everybody was heard, and is empty: these nodes and disks are to be written down as the intent, and told.
    Intend(Vec<(u16, u64)>),
    /// The group is new: these nodes and disks found it.
    New(Vec<(u16, u64)>),
    /// The group was founded without this disk: it begins as a learner.
    Late(Vec<(u16, u64)>),
}

impl Foundation {
    fn new(
        me: u16,
        disk: u64,
        others: Vec<u16>,
        intent: Option<Vec<(u16, u64)>>,
        members: Option<Vec<(u16, u64)>>,
    ) -> Self {
        Self { me, disk, others, intent, members, heard: BTreeMap::new() }
    }

    /// What to tell the other nodes.
    fn tell(&self) -> Founding {
        Founding { disk: self.disk, intent: self.intent.clone(), members: self.members.clone() }
    }

    fn is_founded(&self) -> bool {
        self.members.is_some()
    }

    /// A node has told its state. To be asked again with [`verdict`](Self::verdict).
    fn hear(&mut self, from: u16, founding: Founding) {
        if self.others.contains(&from) {
            self.heard.insert(from, founding);
        }
    }

    /// What follows, as long as this node is not founded.
    fn verdict(&self) -> Verdict {
        let mine = (self.me, self.disk);
        let founded = self.heard.values().find_map(|founding| founding.members.as_ref());
        if let Some(members) = founded {
            return if members.contains(&mine) {
                Verdict::New(members.clone())
            } else {
                Verdict::Late(members.clone())
            };
        }
        if self.others.iter().any(|node| !self.heard.contains_key(node)) {
            return Verdict::Wait;
        }
        let Some(intent) = &self.intent else {
            let mut members: Vec<(u16, u64)> =
                self.heard.iter().map(|(node, founding)| (*node, founding.disk)).collect();
            members.push(mine);
            members.sort_unstable();
            return Verdict::Intend(members);
        };
        if self.heard.values().all(|founding| founding.intent.as_ref() == Some(intent)) {
            return Verdict::New(intent.clone());
        }
        Verdict::Wait
    }

    /// The intent is durable.
    fn intend(&mut self, members: Vec<(u16, u64)>) {
        debug_assert!(self.intent.is_none(), "an intent never changes");
        self.intent = Some(members);
    }

    /// The founding is durable.
    fn founded(&mut self, members: Vec<(u16, u64)>) {
        self.members = Some(members);
    }
}

/// What the workers are told: what this node knows now, and whether the group was founded without this disk.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) founding: Founding,
    pub(crate) late: bool,
}

/// Makes durable what follows from what was heard, before anybody is told.
pub(crate) struct Founder {
    foundation: Foundation,
    identity: Arc<IdentityFile>,
}

impl Founder {
    /// For a group of this node and `others`.
    pub(crate) fn new(identity: Arc<IdentityFile>, others: Vec<u16>) -> Self {
        let now = identity.read();
        let foundation = Foundation::new(now.node, now.disk, others, now.intent, now.founding);
        Self { foundation, identity }
    }

    #[cfg(feature = "test-util")]
    pub(crate) fn is_founded(&self) -> bool {
        self.foundation.is_founded()
    }

    /// What the workers are told first. A group of one founds itself.
    ///
    /// # Errors
    /// When the founding cannot be written down.
    pub(crate) fn begin(&mut self) -> Result<Told, Error> {
        if self.foundation.others.is_empty() && !self.foundation.is_founded() {
            let members = vec![(self.foundation.me, self.foundation.disk)];
            return self.found(members, false);
        }
        Ok(self.told(false))
    }

    /// Another node has told its state. Returns what the workers are to be told then, in this order.
    ///
    /// # Errors
    /// When what follows cannot be written down: this node takes no part in the founding any more.
    pub(crate) fn hear(&mut self, from: u16, founding: Founding) -> Result<Vec<Told>, Error> {
        let mut told = Vec::new();
        if self.foundation.is_founded() {
            return Ok(told);
        }
        self.foundation.hear(from, founding);
        // An intention may be all that was missing.
        if let Verdict::Intend(members) = self.foundation.verdict() {
            told.push(self.intend(members)?);
        }
        match self.foundation.verdict() {
            Verdict::Wait | Verdict::Intend(_) => {}
            Verdict::New(members) => told.push(self.found(members, false)?),
            Verdict::Late(members) => {
                tracing::warn!(
                    "this disk was not there when the group was founded: it learns, and votes when it has a floor"
                );
                told.push(self.found(members, true)?);
            }
        }
        Ok(told)
    }

    /// Writes down whom this disk will found the group with.
    fn intend(&mut self, members: Vec<(u16, u64)>) -> Result<Told, Error> {
        self.identity.update(|identity| identity.intent = Some(members.clone()))?;
        self.foundation.intend(members);
        Ok(self.told(false))
    }

    /// Writes the founding down: from then on the workers vote, or learn.
    fn found(&mut self, members: Vec<(u16, u64)>, late: bool) -> Result<Told, Error> {
        let late_disk = |identity: &mut Identity| {
            identity.founding = Some(members.clone());
            if late {
                identity.amnesia.add_all();
            }
        };
        if !plant::on(Plant::FoundingNotWritten) {
            self.identity.update(late_disk)?;
        }
        self.foundation.founded(members);
        Ok(self.told(late))
    }

    fn told(&self, late: bool) -> Told {
        Told { founding: self.foundation.tell(), late }
    }
}

impl Worker {
    /// Another node has told what it knows. One that is not founded may have missed that this one is.
    pub(super) fn founding_heard(&mut self, from: NodeId, founding: Founding) {
        let is_founded = self.founding.as_ref().is_some_and(|own| own.members.is_some());
        if founding.members.is_none() && is_founded {
            self.tell_founding_to(from);
        }
        self.effects.founding.push((from, founding));
    }

    /// Tells all others what this node knows of the founding.
    pub(super) fn tell_founding(&mut self) {
        let others: Vec<NodeId> = self.peers.iter().map(|peer| peer.node).collect();
        for node in others {
            self.tell_founding_to(node);
        }
    }

    /// Tells a node what this one knows of the founding; one worker does.
    pub(super) fn tell_founding_to(&mut self, node: NodeId) {
        if self.settings.index == 0
            && let Some(founding) = self.founding.clone()
        {
            self.say(node, &Item::Founding(founding));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(disk: u64) -> Founding {
        Founding { disk, intent: None, members: None }
    }

    fn all() -> Vec<(u16, u64)> {
        vec![(1, 10), (2, 20), (3, 30)]
    }

    fn intending(disk: u64, intent: Vec<(u16, u64)>) -> Founding {
        Founding { disk, intent: Some(intent), members: None }
    }

    #[test]
    fn all_empty_is_an_intent_and_one_intent_is_new() {
        let mut foundation = Foundation::new(1, 10, vec![2, 3], None, None);
        foundation.hear(2, empty(20));
        assert_eq!(foundation.verdict(), Verdict::Wait);
        foundation.hear(3, empty(30));
        assert_eq!(foundation.verdict(), Verdict::Intend(all()));
        foundation.intend(all());
        foundation.hear(2, intending(20, all()));
        assert_eq!(foundation.verdict(), Verdict::Wait);
        foundation.hear(3, intending(30, all()));
        assert_eq!(foundation.verdict(), Verdict::New(all()));
    }

    #[test]
    fn a_disk_that_nobody_intended_founds_nothing() {
        // Node 3 lost its disk after 1 and 2 had written down the old one.
        let mut foundation = Foundation::new(2, 20, vec![1, 3], Some(all()), None);
        foundation.hear(1, intending(10, all()));
        foundation.hear(3, intending(31, vec![(1, 10), (2, 20), (3, 31)]));
        assert_eq!(foundation.verdict(), Verdict::Wait);
    }

    #[test]
    fn founded_with_this_disk_is_new() {
        let mut foundation = Foundation::new(1, 10, vec![2, 3], Some(all()), None);
        foundation.hear(2, Founding { disk: 20, intent: Some(all()), members: Some(all()) });
        assert_eq!(foundation.verdict(), Verdict::New(all()));
    }

    #[test]
    fn founded_with_another_disk_is_late() {
        let mut foundation = Foundation::new(1, 11, vec![2, 3], None, None);
        foundation.hear(2, empty(20));
        foundation.hear(3, Founding { disk: 30, intent: Some(all()), members: Some(all()) });
        assert_eq!(foundation.verdict(), Verdict::Late(all()));
    }

    #[test]
    fn strangers_are_not_heard() {
        let mut foundation = Foundation::new(1, 10, vec![2], None, None);
        foundation.hear(9, empty(90));
        assert_eq!(foundation.verdict(), Verdict::Wait);
    }
}
