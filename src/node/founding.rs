//! How a brand-new group begins to vote, and how a node with a new disk learns that it must not.
//!
//! A node with an empty directory cannot tell by itself whether it is new or has lost everything. It asks all other nodes
//! of its groups. If each one is empty too, or has been founded *together with this very disk*, it is new. If one was
//! founded with another disk in this node's place, this disk has forgotten what the other promised (I6).

use std::collections::BTreeMap;

use super::wire::Founding;

/// What a node knows of its group's founding.
#[derive(Clone, Debug)]
pub(crate) struct Foundation {
    me: u16,
    disk: u64,
    /// The other nodes that must be heard.
    others: Vec<u16>,
    /// The founding record, once there is one.
    members: Option<Vec<(u16, u64)>>,
    heard: BTreeMap<u16, Founding>,
}

/// What follows from what was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not everybody was heard.
    Wait,
    /// The group is new: these nodes and disks found it.
    New(Vec<(u16, u64)>),
    /// The group was founded without this disk: it begins as a learner.
    Late(Vec<(u16, u64)>),
}

impl Foundation {
    pub(crate) fn new(me: u16, disk: u64, others: Vec<u16>, members: Option<Vec<(u16, u64)>>) -> Self {
        Self { me, disk, others, members, heard: BTreeMap::new() }
    }

    /// What to tell the other nodes.
    pub(crate) fn tell(&self) -> Founding {
        Founding { disk: self.disk, members: self.members.clone() }
    }

    pub(crate) fn is_founded(&self) -> bool {
        self.members.is_some()
    }

    /// A node has told its state. To be asked again with [`verdict`](Self::verdict).
    pub(crate) fn hear(&mut self, from: u16, founding: Founding) {
        if self.others.contains(&from) {
            self.heard.insert(from, founding);
        }
    }

    /// What follows, as long as this node is not founded.
    pub(crate) fn verdict(&self) -> Verdict {
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
        let mut members: Vec<(u16, u64)> =
            self.heard.iter().map(|(node, founding)| (*node, founding.disk)).collect();
        members.push(mine);
        members.sort_unstable();
        Verdict::New(members)
    }

    /// The founding is durable.
    pub(crate) fn founded(&mut self, members: Vec<(u16, u64)>) {
        self.members = Some(members);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(disk: u64) -> Founding {
        Founding { disk, members: None }
    }

    #[test]
    fn all_empty_is_new() {
        let mut foundation = Foundation::new(1, 10, vec![2, 3], None);
        foundation.hear(2, empty(20));
        assert_eq!(foundation.verdict(), Verdict::Wait);
        foundation.hear(3, empty(30));
        assert_eq!(foundation.verdict(), Verdict::New(vec![(1, 10), (2, 20), (3, 30)]));
    }

    #[test]
    fn founded_with_this_disk_is_new() {
        let mut foundation = Foundation::new(1, 10, vec![2, 3], None);
        let members = vec![(1, 10), (2, 20), (3, 30)];
        foundation.hear(2, Founding { disk: 20, members: Some(members.clone()) });
        assert_eq!(foundation.verdict(), Verdict::New(members));
    }

    #[test]
    fn founded_with_another_disk_is_late() {
        let mut foundation = Foundation::new(1, 11, vec![2, 3], None);
        let members = vec![(1, 10), (2, 20), (3, 30)];
        foundation.hear(2, empty(20));
        foundation.hear(3, Founding { disk: 30, members: Some(members.clone()) });
        assert_eq!(foundation.verdict(), Verdict::Late(members));
    }

    #[test]
    fn strangers_are_not_heard() {
        let mut foundation = Foundation::new(1, 10, vec![2], None);
        foundation.hear(9, empty(90));
        assert_eq!(foundation.verdict(), Verdict::Wait);
    }
}
