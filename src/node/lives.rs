//! The lives of a node: each start from a directory is one, and a directory accounts for all of them that a peer remembers.
//!
//! A directory that was put back to an earlier copy of itself cannot know that it has forgotten something, but its peers can
//! (I6). Each frame says which life it is from, by a random number. A peer writes a life down, durably, before it takes anything of it
//! ([`witnessed`](super::witnessed)); from then on it hears another life only if that *accounts for* the one it remembers. For that a
//! directory lists its lives, with how far the journal of each reached when the next one began. A life that is not in the list, or
//! whose journal was heard to reach further, is not in this directory: it was put back, or has lost its end.
//!
//! What a directory lacks it can only admit. It forgets in all its buckets what it promised, and writes that down; with that it accounts
//! for what the peer remembers, under a new life.

use serde::{Deserialize, Serialize};
use thermocline_tiers::hot::journal::Position;

use crate::plant::{self, Plant};

/// How far a node's journal reaches: nothing behind it was ever lost by a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Reach {
    pub(crate) generation: u64,
    pub(crate) offset: u32,
}

impl Reach {
    /// Behind everything: what was forgotten is accounted for however far it reached.
    pub(crate) const ALL: Self = Self { generation: u64::MAX, offset: u32::MAX };

    /// As far as that record.
    pub(crate) const fn to(record: Position) -> Self {
        Self { generation: record.generation.0, offset: record.offset }
    }
}

/// What a node says of itself in each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// The directory's random number.
    pub(crate) disk: u64,
    /// The life's: never 0.
    pub(crate) id: u64,
    /// The life before it, which most peers remember; 0 for the first.
    pub(crate) parent: u64,
    /// How far the parent's journal is there.
    pub(crate) recovered: Reach,
    /// How far the journal is synced now.
    pub(crate) synced: Reach,
    /// Which life of the receiver the sender hears, if any. To one that it does not hear, what it says of votes is not said.
    pub(crate) hears: u64,
}

/// A life, and how far its journal was heard to be synced, or is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lived {
    pub(crate) id: u64,
    pub(crate) synced: Reach,
}

impl Lived {
    /// Whether this, said by a directory, accounts for what a peer remembers.
    pub(crate) fn accounts_for(&self, remembered: &Self) -> bool {
        self.id == remembered.id && (self.synced >= remembered.synced || plant::on(Plant::AnyReachAccounts))
    }
}

impl Life {
    /// The life before it, as far as that is there.
    pub(crate) const fn before(&self) -> Lived {
        Lived { id: self.parent, synced: self.recovered }
    }

    /// Whether the frame alone accounts for what is remembered: it is this life, or the one before it.
    pub(crate) fn accounts_for(&self, remembered: &Lived) -> bool {
        self.id == remembered.id || self.before().accounts_for(remembered)
    }
}

/// The lives that a directory accounts for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lives {
    /// The one that it leads, or led last; 0 before the first.
    now: u64,
    /// Those before, the latest last, each with how far its journal is here.
    #[serde(deserialize_with = "crate::encoding::list")]
    earlier: Vec<Lived>,
}

/// So many earlier lives are listed, and those that a peer is known to remember. A peer that was away for more starts than these takes the
/// directory for an old copy: then it forgets without need, which harms nobody.
const LISTED_MAX: usize = 512;

impl Lives {
    /// The life that is led now.
    pub(crate) const fn now(&self) -> u64 {
        self.now
    }

    /// How many are listed.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.earlier.len()
    }

    /// The directory begins another life, with its journal as it was found. What peers are known to `remember` stays listed.
    pub(crate) fn begin(&mut self, life: u64, recovered: Reach, remember: &[u64]) {
        // A journal that is shorter than it was has lost its end, in whichever life that was written.
        for earlier in self.earlier.iter_mut().filter(|earlier| earlier.synced != Reach::ALL) {
            if !plant::on(Plant::LostEndAccounted) {
                earlier.synced = earlier.synced.min(recovered);
            }
        }
        self.end_now(recovered);
        self.now = life;
        self.trim(remember);
    }

    /// All that was done in the life until now, and in those `admitted`, is forgotten: with that it is accounted for, and another life
    /// begins. What peers are known to `remember` stays listed.
    pub(crate) fn admit(&mut self, admitted: &[u64], remember: &[u64]) {
        for id in admitted.iter().copied().filter(|id| *id != self.now).collect::<Vec<_>>() {
            self.earlier.retain(|earlier| earlier.id != id);
            self.earlier.push(Lived { id, synced: Reach::ALL });
        }
        self.end_now(Reach::ALL);
        self.now = following(self.now);
        self.trim(remember);
    }

    fn end_now(&mut self, synced: Reach) {
        if self.now != 0 {
            self.earlier.retain(|earlier| earlier.id != self.now);
            self.earlier.push(Lived { id: self.now, synced });
        }
    }

    fn trim(&mut self, remember: &[u64]) {
        let keep = |lived: &Lived| remember.contains(&lived.id) && !plant::on(Plant::RememberedLifeDropped);
        while self.earlier.len() > LISTED_MAX {
            let oldest = self.earlier.iter().position(|lived| !keep(lived)).unwrap_or(0);
            self.earlier.remove(oldest);
        }
    }

    /// Whether what a peer remembers of this directory is in it, or was admitted to be forgotten.
    pub(crate) fn account_for(&self, remembered: &Lived) -> bool {
        let any = plant::on(Plant::AnyStartContinues);
        any || remembered.id == self.now || self.earlier.iter().any(|lived| lived.accounts_for(remembered))
    }

    /// What to say of lives that a peer remembers.
    pub(crate) fn of(&self, remembered: &[Lived]) -> Vec<Lived> {
        let asked = |lived: &&Lived| remembered.iter().any(|remembered| remembered.id == lived.id);
        self.earlier.iter().filter(asked).copied().collect()
    }

    /// What each frame says of the life that is led now.
    pub(crate) fn life(&self, disk: u64, synced: Reach) -> Life {
        let before = self.earlier.last().copied().unwrap_or_default();
        Life { disk, id: self.now, parent: before.id, recovered: before.synced, synced, hears: 0 }
    }
}

/// The life behind an admission. A start draws its own number; only one process ever leads a life, so only one ever leads what follows it.
fn following(life: u64) -> u64 {
    let mut mixed = life.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "plant")]
    use crate::node::tests::plants::each_is_noticed;

    fn reach(offset: u32) -> Reach {
        Reach { generation: 1, offset }
    }

    fn lived(id: u64, synced: u32) -> Lived {
        Lived { id, synced: reach(synced) }
    }

    /// A directory after these lives, each with how far the journal was at its end.
    fn after(ends: &[(u64, u32)]) -> Lives {
        let mut lives = Lives::default();
        let mut recovered = 0;
        for (life, end) in ends {
            lives.begin(*life, reach(recovered), &[]);
            recovered = *end;
        }
        lives.begin(1_000, reach(recovered), &[]);
        lives
    }

    #[test]
    fn every_earlier_life_is_accounted_for_as_far_as_its_journal_is_here() {
        let lives = after(&[(1, 100), (2, 250), (3, 250)]);
        for (id, end) in [(1, 100), (2, 250), (3, 250)] {
            assert!(lives.account_for(&lived(id, end)) && lives.account_for(&lived(id, 0)));
            assert!(!lives.account_for(&lived(id, end + 1)), "the end of life {id} is missing");
        }
        assert!(lives.account_for(&lived(1_000, 9_999)), "the one that is led");
        assert!(!lives.account_for(&lived(4, 0)), "a life that is not in this directory");
        let life = lives.life(7, reach(300));
        assert!(life.accounts_for(&lived(3, 250)) && !life.accounts_for(&lived(3, 251)));
        assert!(!life.accounts_for(&lived(2, 250)), "the list has to say it");
    }

    #[test]
    fn a_journal_that_lost_its_end_accounts_for_no_life_that_wrote_it() {
        let mut lives = after(&[(1, 100), (2, 250), (3, 250)]);
        lives.begin(2_000, reach(120), &[]);
        assert!(lives.account_for(&lived(1, 100)));
        assert!(!lives.account_for(&lived(2, 250)) && lives.account_for(&lived(2, 120)));
        assert!(!lives.account_for(&lived(1_000, 250)));
    }

    #[test]
    fn what_is_admitted_is_accounted_for_and_a_new_life_begins() {
        let mut lives = after(&[(1, 100)]);
        let before = lives.now();
        lives.admit(&[77, 1], &[]);
        assert_ne!(lives.now(), before);
        for id in [77, 1, before] {
            assert!(lives.account_for(&lived(id, u32::MAX)), "life {id}");
        }
        assert!(lives.life(7, reach(0)).accounts_for(&lived(before, 999)));
        lives.begin(2_000, reach(5), &[]);
        assert!(lives.account_for(&lived(77, u32::MAX)), "also after a journal that is shorter");
        assert!(!lives.account_for(&lived(78, 0)));
    }

    /// A node is started again and again while a peer is away.
    #[test]
    fn the_list_is_bounded_and_keeps_what_a_peer_is_known_to_remember() {
        let mut lives = Lives::default();
        for life in 1..=10_000 {
            lives.begin(life, reach(life as u32), &[5]);
        }
        assert_eq!(lives.len(), LISTED_MAX);
        assert!(lives.account_for(&lived(5, 6)), "who was away since then hears it");
        assert!(lives.account_for(&lived(9_999, 10_000)) && lives.account_for(&lived(9_500, 9_501)));
        assert!(!lives.account_for(&lived(6, 0)), "nobody is known to remember it");
        for admitted in 20_000..21_000 {
            lives.admit(&[admitted], &[5]);
        }
        assert_eq!(lives.len(), LISTED_MAX);
        assert!(lives.account_for(&lived(5, 6)) && lives.account_for(&lived(20_999, 0)));
    }

    #[test]
    #[cfg(feature = "plant")]
    fn an_account_that_says_too_much_or_too_little_is_noticed() {
        each_is_noticed(&[
            (Plant::AnyReachAccounts, every_earlier_life_is_accounted_for_as_far_as_its_journal_is_here),
            (Plant::LostEndAccounted, a_journal_that_lost_its_end_accounts_for_no_life_that_wrote_it),
            (Plant::RememberedLifeDropped, the_list_is_bounded_and_keeps_what_a_peer_is_known_to_remember),
        ]);
    }
}
