//! What is remembered of another node, and which of its lives is heard.
//!
//! Of a node's directory a peer remembers the lives that nothing it heard since accounts for: mostly one, the life that it hears. What
//! others remember is added. A life is heard once it accounts for every one of them, by its frame or by an answer to the question; so
//! also a late frame of a disk that was replaced, or of a life that is over, displaces nobody: nobody is there to answer for it.
//!
//! And a node does not take votes of a peer that does not hear it: one that has forgotten what it voted for, and does not know that
//! yet, would else count its own new vote with the peer's, and believe a decision that nobody else ever counts.

use serde::{Deserialize, Serialize};

use super::lives::{Life, Lived};
use crate::plant::{self, Plant};

/// What is remembered of another node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Witnessed {
    /// The directory's random number.
    pub(crate) disk: u64,
    /// Lives of it that have to be accounted for.
    #[serde(deserialize_with = "crate::encoding::list")]
    pub(crate) heads: Vec<Lived>,
    /// Lives of it that were accounted for, and how far, the latest last.
    #[serde(deserialize_with = "crate::encoding::list")]
    pub(crate) over: Vec<Lived>,
    /// Disks that were in this one's place before; they are not heard any more.
    #[serde(deserialize_with = "crate::encoding::list")]
    pub(crate) retired: Vec<u64>,
    /// Which life of the node that remembers this the other said that it hears.
    pub(crate) hears: u64,
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
    /// It does not account for what is remembered: it is over, or has forgotten something, or is to be asked.
    Unaccounted,
}

/// So many disks that were replaced are remembered of a node.
const RETIRED_MAX: usize = 32;

/// So many lives that were accounted for are remembered, so that what others tell of them is no news.
const OVER_MAX: usize = 16;

/// So many lives at most are waited for to be accounted for. Who does not account for these is not heard in any case.
const HEADS_MAX: usize = 8;

/// Places a life of a node by what is remembered of the node, and by what the node has answered for (`accounts`).
pub(crate) fn judge(known: Option<&Witnessed>, life: &Life, accounts: &[Lived]) -> Judgement {
    let Some(known) = known else { return Judgement::New };
    let is_same = known.disk == life.disk;
    if known.retired.contains(&life.disk) || is_same && known.is_over(life.id) {
        return Judgement::Unaccounted;
    }
    if is_same && known.heard() == Some(life.id) {
        return Judgement::Current;
    }
    let is_accounted = |head: &Lived| {
        is_same && (life.accounts_for(head) || plant::on(Plant::AnyStartContinues))
            || !is_same && plant::on(Plant::AnyDiskDisplaces)
            || accounts.iter().any(|account| account.accounts_for(head))
    };
    if known.heads.iter().all(is_accounted) { Judgement::New } else { Judgement::Unaccounted }
}

/// Adds to the end of a list without doubles, of which the earliest go.
fn push_bounded<T>(list: &mut Vec<T>, new: T, most: usize, is_same: impl Fn(&T, &T) -> bool) {
    list.retain(|listed| !is_same(listed, &new));
    list.push(new);
    list.drain(..list.len().saturating_sub(most));
}

impl Witnessed {
    /// What is remembered of a life that is heard for the first time, after what was remembered before. `founder` is the disk that
    /// the node had when the group was founded.
    pub(crate) fn after(known: Option<&Self>, life: &Life, founder: Option<u64>) -> Self {
        let same = known.filter(|known| known.disk == life.disk);
        let told = same.and_then(|known| known.heads.iter().find(|head| head.id == life.id));
        let synced = told.map_or(life.synced, |head| head.synced.max(life.synced));
        let head = Lived { id: life.id, synced };
        let fresh = Self { disk: life.disk, heads: vec![head], hears: life.hears, ..Self::default() };
        let mut after = fresh.in_place_of(known, founder);
        if let Some(known) = same {
            // Whoever is not heard remembers all the same.
            if life.hears == 0 && !plant::on(Plant::DeafForgets) {
                after.hears = known.hears;
            }
            known.over.iter().chain(&known.heads).for_each(|lived| after.end(*lived));
        }
        after.end(life.before());
        after
    }

    /// And these lives are over, too, as far as that, though they may not have been written down.
    pub(crate) fn accounted(mut self, lives: &[Lived]) -> Self {
        lives.iter().for_each(|lived| self.end(*lived));
        self
    }

    /// This life is over, and was accounted for so far.
    fn end(&mut self, lived: Lived) {
        if lived.id != 0 && self.heads.iter().all(|head| head.id != lived.id) {
            push_bounded(&mut self.over, lived, OVER_MAX, |one, other| one.id == other.id);
        }
    }

    fn is_over(&self, life: u64) -> bool {
        self.over.iter().any(|over| over.id == life)
    }

    fn retire(&mut self, disk: u64) {
        push_bounded(&mut self.retired, disk, RETIRED_MAX, PartialEq::eq);
    }

    /// The lives that were over, and behind them those that have to be accounted for.
    pub(crate) fn lives(&self) -> impl Iterator<Item = u64> {
        let over = &self.over[self.over.len().saturating_sub(OVER_MAX)..];
        over.iter().chain(&self.heads).map(|lived| lived.id)
    }

    /// With the disks that this one replaces, and the address.
    fn in_place_of(mut self, known: Option<&Self>, founder: Option<u64>) -> Self {
        let mut retired = known.map_or_else(Vec::new, |known| known.retired.clone());
        retired.append(&mut self.retired);
        retired.extend(known.map(|known| known.disk).into_iter().chain(founder));
        retired.retain(|disk| *disk != self.disk);
        for disk in retired {
            self.retire(disk);
        }
        self.address = known.and_then(|known| known.address.clone());
        self
    }

    /// With what a third node remembers of the same node. Who was heard is not displaced by a disk that another has heard of, unless the
    /// other knows which of them came first: it may not have heard the newer one yet.
    pub(crate) fn hearing(known: Option<&Self>, told: &Self, founder: Option<u64>) -> Self {
        let displaces =
            |known: &Self| told.retired.contains(&known.disk) || plant::on(Plant::HearsayDisplaces);
        match known {
            Some(known) if known.disk == told.disk && !plant::on(Plant::HearsayDisplaces) => {
                let mut known = known.clone();
                for head in &told.heads {
                    known.add_head(head);
                }
                known.retiring(&told.retired)
            }
            Some(known) if !displaces(known) => known.clone().retiring(&told.retired),
            _ => Self { hears: 0, ..told.clone() }.in_place_of(known, founder),
        }
    }

    fn add_head(&mut self, told: &Lived) {
        if let Some(head) = self.heads.iter_mut().find(|head| head.id == told.id) {
            head.synced = head.synced.max(told.synced);
        } else if !self.over.iter().any(|over| over.accounts_for(told))
            && self.heads.len() < HEADS_MAX
            && !plant::on(Plant::HearsayIgnored)
        {
            self.heads.push(*told);
        }
    }

    /// And these disks were replaced, too.
    fn retiring(mut self, disks: &[u64]) -> Self {
        for disk in disks {
            if *disk != self.disk && !self.retired.contains(disk) {
                self.retire(*disk);
            }
        }
        self
    }

    /// The life that is heard, if none but it has to be accounted for.
    pub(crate) fn heard(&self) -> Option<u64> {
        match &self.heads[..] {
            [head] => Some(head.id),
            _ => None,
        }
    }

    /// How far the journal of the life that is heard was heard to be synced.
    pub(crate) fn reach_mut(&mut self, life: &Life) -> Option<&mut Lived> {
        self.heads.iter_mut().find(|head| head.id == life.id)
    }

    /// Whether another memory asks for something else than this one.
    pub(crate) fn asks_otherwise(&self, other: &Self) -> bool {
        let ids = |known: &Self| known.heads.iter().map(|head| head.id).collect::<Vec<_>>();
        self.disk != other.disk || self.retired != other.retired || ids(self) != ids(other)
    }

    /// Where the node said that it can be reached, if that is as of a later epoch than a topology's: it has taken a dead one's place
    /// since, and the topology does not know it yet.
    pub(crate) fn address_beyond(&self, epoch: u64) -> Option<&str> {
        self.address.as_ref().filter(|(told, _)| *told > epoch).map(|(_, address)| address.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::lives::{Lives, Reach};
    #[cfg(feature = "plant")]
    use crate::node::tests::plants::each_is_noticed;

    fn reach(offset: u32) -> Reach {
        Reach { generation: 1, offset }
    }

    /// A life of directory 7, begun with a journal of this length after that life.
    fn life(id: u64, parent: u64, recovered: u32) -> Life {
        let (recovered, synced) = (reach(recovered), reach(500));
        Life { disk: 7, id, parent, recovered, synced, hears: 0 }
    }

    fn remembered(life: &Life) -> Witnessed {
        Witnessed::after(None, life, None)
    }

    #[test]
    fn a_clean_restart_is_heard_at_once() {
        let known = remembered(&life(1, 0, 0));
        assert_eq!(judge(Some(&known), &life(1, 0, 0), &[]), Judgement::Current);
        let second = life(2, 1, 500);
        assert_eq!(judge(Some(&known), &second, &[]), Judgement::New);
        let after = Witnessed::after(Some(&known), &second, None);
        assert_eq!((after.heard(), &after.over[..]), (Some(2), &[Lived { id: 1, synced: reach(500) }][..]));
        assert_eq!(judge(Some(&after), &life(1, 0, 0), &[]), Judgement::Unaccounted, "a late frame");
        let third = life(4, 3, 500);
        assert_eq!(judge(Some(&after), &third, &[]), Judgement::Unaccounted, "a life was missed");
        let account = Lived { id: 2, synced: reach(500) };
        assert_eq!(judge(Some(&after), &third, &[account]), Judgement::New);
    }

    #[test]
    fn an_old_copy_is_not_heard_however_often_it_was_started() {
        let mut copy = Lives::default();
        copy.begin(1, reach(0), &[]);
        let known = remembered(&life(2, 1, 400));
        // Two starts, of which nobody has heard the first; its journal has grown as far as that of the lost one.
        for (start, recovered) in [(3, 300), (4, 500), (5, 900)] {
            copy.begin(start, reach(recovered), &[]);
            let life = copy.life(7, reach(recovered));
            assert_eq!(judge(Some(&known), &life, &copy.of(&known.heads)), Judgement::Unaccounted);
        }
        assert!(!copy.account_for(&known.heads[0]));
        copy.admit(&[2], &[]);
        let life = copy.life(7, reach(900));
        assert_eq!(judge(Some(&known), &life, &copy.of(&known.heads)), Judgement::New);
    }

    #[test]
    fn a_copy_made_in_a_life_is_told_by_how_far_its_journal_is() {
        let known = remembered(&life(1, 0, 0));
        assert_eq!(judge(Some(&known), &life(2, 1, 499), &[]), Judgement::Unaccounted);
        assert_eq!(judge(Some(&known), &life(2, 1, 500), &[]), Judgement::New);
    }

    #[test]
    fn what_another_remembers_has_to_be_accounted_for_too() {
        let known = remembered(&life(1, 0, 0));
        let lost = remembered(&life(9, 0, 0));
        let both = Witnessed::hearing(Some(&known), &lost, None);
        assert!(both.asks_otherwise(&known) && both.heard().is_none());
        assert_eq!(judge(Some(&both), &life(1, 0, 0), &[]), Judgement::Unaccounted);
        let account = Lived { id: 9, synced: reach(500) };
        assert_eq!(judge(Some(&both), &life(1, 0, 0), &[account]), Judgement::New);
        let after = Witnessed::after(Some(&both), &life(1, 0, 0), None);
        assert_eq!((after.heard(), after.over[0].id), (Some(1), 9));
        assert!(!Witnessed::hearing(Some(&after), &lost, None).asks_otherwise(&after), "no news any more");
    }

    /// A copy of node 7 was put back: this node has heard its last life up to 400 of its journal, and the copy has
    /// 500; another node has heard more.
    #[test]
    fn what_another_heard_further_than_was_accounted_for_has_to_be_accounted_for_again() {
        let known = Witnessed::after(None, &Life { synced: reach(400), ..life(1, 0, 0) }, None);
        let next = life(2, 1, 500);
        assert_eq!(judge(Some(&known), &next, &[]), Judgement::New);
        let known = Witnessed::after(Some(&known), &next, None);
        let heard = |synced| Witnessed::after(None, &Life { synced: reach(synced), ..life(1, 0, 0) }, None);
        assert_eq!(Witnessed::hearing(Some(&known), &heard(500), None), known, "no news");
        let further = Witnessed::hearing(Some(&known), &heard(501), None);
        assert_eq!((further.heard(), judge(Some(&further), &next, &[])), (None, Judgement::Unaccounted));
        let admitted = Lived { id: 1, synced: Reach::ALL };
        assert_eq!(judge(Some(&further), &life(3, 2, 500), &[admitted]), Judgement::New);
        let known = Witnessed::after(Some(&further), &life(3, 2, 500), None).accounted(&[admitted]);
        assert_eq!(Witnessed::hearing(Some(&known), &heard(9_999), None), known, "all of it was admitted");
    }

    /// A peer that has started again, and does not hear this node yet, remembers it all the same.
    #[test]
    fn who_does_not_hear_yet_remembers_what_it_heard_before() {
        let known = remembered(&Life { hears: 30, ..life(1, 0, 0) });
        let next = Witnessed::after(Some(&known), &life(2, 1, 500), None);
        assert_eq!(next.hears, 30);
        let later = Witnessed::after(Some(&next), &Life { hears: 40, ..life(3, 2, 500) }, None);
        assert_eq!(later.hears, 40);
        let other_disk = Witnessed::after(Some(&later), &Life { disk: 8, ..life(4, 0, 0) }, None);
        assert_eq!(other_disk.hears, 0, "a new disk remembers nothing");
    }

    #[test]
    fn who_was_heard_is_not_displaced_by_what_another_remembers() {
        let old = remembered(&life(1, 0, 0));
        let new = remembered(&Life { disk: 8, ..life(2, 0, 0) });
        assert_eq!(Witnessed::hearing(None, &old, None), old, "the first that is heard of the node");
        assert_eq!(
            Witnessed::hearing(Some(&new), &old, None),
            new,
            "the other has not heard the new one yet"
        );
        let knowing = Witnessed { retired: vec![7], ..new.clone() };
        assert_eq!(Witnessed::hearing(Some(&old), &knowing, None), knowing);
        assert_eq!(Witnessed::hearing(Some(&knowing), &old, None), knowing);
        assert_eq!(Witnessed::hearing(Some(&new), &knowing, None), knowing, "and learns what it replaced");
    }

    /// A disk was lost twice in a short time, and a frame of the second comes when the third is heard.
    #[test]
    fn a_late_frame_of_a_disk_that_nobody_knew_displaces_nobody() {
        let first = remembered(&life(1, 0, 0));
        let (second, third) = (Life { disk: 8, ..life(2, 0, 0) }, Life { disk: 9, ..life(3, 0, 0) });
        let answer = |known: &Witnessed| {
            let all = known.heads.iter().map(|head| Lived { synced: Reach::ALL, ..*head });
            all.collect::<Vec<_>>()
        };
        assert_eq!(judge(Some(&first), &third, &[]), Judgement::Unaccounted, "it is asked first");
        assert_eq!(judge(Some(&first), &third, &answer(&first)), Judgement::New);
        let known = Witnessed::after(Some(&first), &third, Some(7));
        assert_eq!(known.retired, [7]);
        for accounts in [vec![], answer(&first)] {
            assert_eq!(judge(Some(&known), &second, &accounts), Judgement::Unaccounted);
        }
        assert_eq!(judge(Some(&known), &third, &[]), Judgement::Current);
        assert_eq!(judge(Some(&known), &life(5, 1, 900), &answer(&known)), Judgement::Unaccounted, "retired");
    }

    #[test]
    #[cfg(feature = "plant")]
    fn a_peer_that_hears_too_much_is_noticed() {
        each_is_noticed(&[
            (Plant::AnyStartContinues, an_old_copy_is_not_heard_however_often_it_was_started),
            (Plant::HearsayIgnored, what_another_remembers_has_to_be_accounted_for_too),
            (
                Plant::AnyReachAccounts,
                what_another_heard_further_than_was_accounted_for_has_to_be_accounted_for_again,
            ),
            (Plant::DeafForgets, who_does_not_hear_yet_remembers_what_it_heard_before),
            (Plant::HearsayDisplaces, who_was_heard_is_not_displaced_by_what_another_remembers),
            (Plant::AnyDiskDisplaces, a_late_frame_of_a_disk_that_nobody_knew_displaces_nobody),
        ]);
    }

    #[test]
    fn the_topology_says_where_a_node_is_once_it_is_as_new_as_what_the_node_said() {
        let mut known = remembered(&life(1, 0, 0));
        assert_eq!(known.address_beyond(0), None);
        known.address = Some((6, "new:1".into()));
        assert_eq!(known.address_beyond(5), Some("new:1"));
        assert_eq!((known.address_beyond(6), known.address_beyond(7)), (None, None));
    }

    #[test]
    fn the_disk_of_the_founding_is_retired_even_by_who_never_heard_it() {
        let new = Life { disk: 8, ..life(1, 0, 0) };
        assert_eq!(Witnessed::after(None, &new, Some(7)).retired, [7]);
        assert_eq!(Witnessed::after(None, &new, Some(8)).retired, [0; 0]);
    }
}
