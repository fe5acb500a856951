//! The lives of a node: each start from a directory is one, and peers remember how far they have heard of each other's.
//!
//! A directory that was put back to an earlier copy of itself cannot know that it has forgotten something, but its peers can
//! (I6). Each frame says which life it is from. A peer writes a life down, durably, before it takes anything of it; and it does
//! not take one that is older than what it remembers. Then it says so, and the node learns that it has amnesia.
//!
//! And a node does not take votes of a peer that does not hear it: one that has forgotten what it voted for, and does not know that
//! yet, would else count its own new vote with the peer's, and believe a decision that nobody else ever counts.
//!
//! What tells lives apart: the directory's random number; the *era*, how often the directory has admitted such an amnesia; the count of
//! its starts; a random number for each start. A copy that was made while the node was running has a count that nobody has seen
//! yet, so a life also says how far its journal was when it began, and peers remember how far they have heard it to be synced.

use serde::{Deserialize, Serialize};

use crate::plant::{self, Plant};

/// How far a node's journal reaches: nothing behind it was ever lost by a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Reach {
    pub(crate) generation: u64,
    pub(crate) offset: u32,
}

/// What a node says of itself in each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// The directory's random number.
    pub(crate) disk: u64,
    pub(crate) era: u32,
    /// How often the directory was opened.
    pub(crate) count: u32,
    /// Random for each start.
    pub(crate) start: u64,
    /// How far the journal was when this life began.
    pub(crate) recovered: Reach,
    /// How far it is synced now.
    pub(crate) synced: Reach,
    /// Which start of the receiver the sender hears, if any. To a start that it does not hear, what it says of votes is not said.
    pub(crate) hears: u64,
}

/// What is remembered of another node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Witnessed {
    pub(crate) disk: u64,
    pub(crate) era: u32,
    pub(crate) count: u32,
    pub(crate) start: u64,
    pub(crate) synced: Reach,
    /// Disks that were in this one's place before; they are not heard any more.
    #[serde(deserialize_with = "crate::encoding::list")]
    pub(crate) retired: Vec<u64>,
    /// Where the node said that it can be reached, and in which epoch.
    pub(crate) address: Option<(u64, String)>,
}

/// A life, next to what is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// The one that is remembered.
    Current,
    /// A later one: to be written down before it is heard.
    New,
    /// One that is over, or that began from a copy of what was.
    Old,
}

/// So many disks that were replaced are remembered of a node.
const RETIRED_MAX: usize = 32;

/// Places a life of a node by what is remembered of the node.
pub(crate) fn judge(known: Option<&Witnessed>, life: &Life) -> Judgement {
    let Some(known) = known else { return Judgement::New };
    if known.retired.contains(&life.disk) {
        return Judgement::Old;
    }
    if known.disk != life.disk || life.era > known.era {
        return Judgement::New;
    }
    if life.era < known.era {
        return Judgement::Old;
    }
    if life.start == known.start {
        return Judgement::Current;
    }
    if life.count <= known.count || life.recovered < known.synced { Judgement::Old } else { Judgement::New }
}

/// Whether what a third node remembers of a node is news next to what is remembered here. Who was heard last is not displaced by a disk that
/// another has heard of, unless the other knows which of them came first: it may not have heard the newer one yet.
pub(crate) fn is_news(known: Option<&Witnessed>, told: &Witnessed) -> bool {
    let displaces = |known: &Witnessed| {
        known.disk == told.disk || told.retired.contains(&known.disk) || plant::on(Plant::HearsayDisplaces)
    };
    known.is_none_or(displaces) && judge(known, &told.as_life()) == Judgement::New
}

impl Witnessed {
    /// What is remembered of a life that is heard for the first time, after what was remembered before. `founder` is the disk that
    /// the node had when the group was founded.
    pub(crate) fn after(known: Option<&Self>, life: &Life, founder: Option<u64>) -> Self {
        let mut retired = known.map_or_else(Vec::new, |known| known.retired.clone());
        for earlier in known.map(|known| known.disk).into_iter().chain(founder) {
            if earlier != life.disk && !retired.contains(&earlier) {
                retired.push(earlier);
            }
        }
        retired.drain(..retired.len().saturating_sub(RETIRED_MAX));
        let address = known.and_then(|known| known.address.clone());
        let Life { disk, era, count, start, synced, .. } = *life;
        Self { disk, era, count, start, synced, retired, address }
    }

    /// Where the node said that it can be reached, if that is as of a later epoch than a topology's: it has taken a dead one's place
    /// since, and the topology does not know it yet.
    pub(crate) fn address_beyond(&self, epoch: u64) -> Option<&str> {
        self.address.as_ref().filter(|(told, _)| *told > epoch).map(|(_, address)| address.as_str())
    }

    /// And these disks were replaced, too.
    pub(crate) fn retiring(mut self, disks: &[u64]) -> Self {
        for disk in disks {
            if *disk != self.disk && !self.retired.contains(disk) {
                self.retired.push(*disk);
            }
        }
        self.retired.drain(..self.retired.len().saturating_sub(RETIRED_MAX));
        self
    }

    /// Whether another's memory knows of a replaced disk that this one does not.
    pub(crate) fn lacks(&self, told: &Self) -> bool {
        told.retired.iter().any(|disk| *disk != self.disk && !self.retired.contains(disk))
    }

    /// As if it were heard from the node itself: for what a third node remembers.
    pub(crate) fn as_life(&self) -> Life {
        let Self { disk, era, count, start, synced, .. } = *self;
        let recovered = Reach { generation: u64::MAX, offset: u32::MAX };
        Life { disk, era, count, start, recovered, synced, hears: 0 }
    }

    /// Whether this, remembered by a peer of the node that leads this life, means that the node has forgotten something.
    pub(crate) fn shows_amnesia_of(&self, life: &Life) -> bool {
        self.disk == life.disk && judge(Some(self), life) == Judgement::Old
    }

    /// Whether the disk of this life was replaced by another one.
    pub(crate) fn retires(&self, life: &Life) -> bool {
        self.retired.contains(&life.disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(offset: u32) -> Reach {
        Reach { generation: 1, offset }
    }

    fn life(count: u32, start: u64, recovered: u32, synced: u32) -> Life {
        let (recovered, synced) = (reach(recovered), reach(synced));
        Life { disk: 7, era: 0, count, start, recovered, synced, hears: 0 }
    }

    fn remembered(life: &Life) -> Witnessed {
        Witnessed::after(None, life, None)
    }

    #[test]
    #[cfg(feature = "plant")]
    fn hearsay_that_displaces_is_noticed() {
        let test = who_was_heard_is_not_displaced_by_what_another_remembers;
        let noticed = std::panic::catch_unwind(|| plant::with(Plant::HearsayDisplaces, test));
        assert!(noticed.is_err());
    }

    #[test]
    fn who_was_heard_is_not_displaced_by_what_another_remembers() {
        let old = Witnessed { disk: 7, count: 9, ..Witnessed::default() };
        let new = Witnessed { disk: 8, count: 1, ..Witnessed::default() };
        assert!(is_news(None, &old), "the first that is heard of the node");
        assert!(!is_news(Some(&new), &old), "the other has not heard the new one yet");
        let knowing = Witnessed { retired: vec![7], ..new.clone() };
        assert!(is_news(Some(&old), &knowing));
        assert!(!is_news(Some(&knowing), &old));
        assert!(is_news(Some(&old), &Witnessed { count: 10, start: 5, ..old.clone() }), "a later start");
    }

    #[test]
    fn a_clean_restart_is_new_and_never_amnesia() {
        let first = life(1, 100, 0, 500);
        let known = remembered(&first);
        assert_eq!(judge(Some(&known), &first), Judgement::Current);
        for second in [life(2, 200, 500, 500), life(2, 200, 900, 900), life(9, 200, 500, 700)] {
            assert_eq!(judge(Some(&known), &second), Judgement::New);
            assert!(!known.shows_amnesia_of(&second));
        }
    }

    #[test]
    fn an_old_copy_is_told_by_its_count_its_start_or_its_journal() {
        let known = remembered(&life(5, 100, 0, 500));
        let copies = [
            life(4, 200, 500, 500), // as it was two starts ago
            life(5, 200, 500, 500), // as it was before its last start
            life(6, 200, 499, 500), // as it was in the middle of its last start
        ];
        for copy in copies {
            assert_eq!(judge(Some(&known), &copy), Judgement::Old);
            assert!(known.shows_amnesia_of(&copy));
        }
    }

    #[test]
    fn what_is_admitted_begins_anew_and_an_earlier_era_is_over() {
        let known = remembered(&life(5, 100, 0, 500));
        let admitted = Life { era: 1, ..life(6, 200, 400, 400) };
        assert_eq!(judge(Some(&known), &admitted), Judgement::New);
        assert!(!known.shows_amnesia_of(&admitted));
        let after = Witnessed::after(Some(&known), &admitted, None);
        assert_eq!(after.synced, reach(400));
        // Another worker of the same start that has not heard of it yet.
        assert_eq!(judge(Some(&after), &life(6, 200, 400, 400)), Judgement::Old);
        assert!(after.shows_amnesia_of(&life(6, 200, 400, 400)));
        // A restart of the admitted one.
        assert_eq!(judge(Some(&after), &Life { era: 1, ..life(7, 300, 400, 400) }), Judgement::New);
    }

    #[test]
    fn a_new_disk_takes_the_place_and_the_old_one_is_not_heard_again() {
        let known = remembered(&life(5, 100, 0, 500));
        let new = Life { disk: 8, ..life(1, 300, 0, 0) };
        assert_eq!(judge(Some(&known), &new), Judgement::New);
        let after = Witnessed::after(Some(&known), &new, Some(7));
        assert_eq!(after.retired, [7]);
        assert_eq!(judge(Some(&after), &life(6, 400, 900, 900)), Judgement::Old);
        assert!(after.retires(&life(6, 400, 900, 900)) && !after.shows_amnesia_of(&life(6, 400, 900, 900)));
    }

    #[test]
    fn the_topology_says_where_a_node_is_once_it_is_as_new_as_what_the_node_said() {
        let mut known = remembered(&life(1, 100, 0, 0));
        assert_eq!(known.address_beyond(0), None);
        known.address = Some((6, "new:1".into()));
        assert_eq!(known.address_beyond(5), Some("new:1"));
        assert_eq!((known.address_beyond(6), known.address_beyond(7)), (None, None));
    }

    #[test]
    fn the_disk_of_the_founding_is_retired_even_by_who_never_heard_it() {
        let new = Life { disk: 8, ..life(1, 300, 0, 0) };
        assert_eq!(Witnessed::after(None, &new, Some(7)).retired, [7]);
        assert_eq!(Witnessed::after(None, &new, Some(8)).retired, [0; 0]);
    }
}
