//! Every state that a power cut can leave.

use std::collections::BTreeSet;

use super::random::Random;
use super::{Fate, MemoryDisk, Unsettled};

/// Walks through the states that a power cut can leave of a disk: which of the unsynced changes are kept, in which
/// combination, and where the last write is torn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerCuts {
    /// Up to so many unsynced changes, every combination of them is tried. Of more of them, those in which the first or the last
    /// ones are kept, or all but one, or one alone; and `drawn` others.
    pub exhaustive_max: u32,
    /// Combinations drawn where there are too many for all.
    pub drawn: u32,
    /// States in which a sector of the last write is torn.
    pub torn: u32,
}

/// What was walked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// States, each different from the others of its disk.
    pub states: u64,
    /// Disks of which all combinations were tried.
    pub exhausted: u64,
    /// Disks of which only some were.
    pub sampled: u64,
}

impl std::ops::AddAssign for Walked {
    fn add_assign(&mut self, other: Walked) {
        self.states += other.states;
        self.exhausted += other.exhausted;
        self.sampled += other.sampled;
    }
}

impl PowerCuts {
    /// Shows `look` each state, as a disk of its own with the power on again. Ends at the first error, which gets the number of
    /// the state before it.
    ///
    /// # Errors
    /// What `look` says is wrong.
    pub fn each(
        &self,
        disk: &MemoryDisk,
        seed: u64,
        mut look: impl FnMut(MemoryDisk) -> Result<(), String>,
    ) -> Result<Walked, String> {
        let changes = disk.unsettled();
        let mut walked = Walked::default();
        let mut show = |fates: &dyn Fn(usize) -> Fate| {
            let left = disk.fork();
            if !left.power_cut_choosing(fates) {
                return Ok(());
            }
            walked.states += 1;
            look(left).map_err(|wrong| {
                let fates: Vec<_> = changes.iter().enumerate().map(|(at, what)| (what, fates(at))).collect();
                format!("state {}, {fates:?}: {wrong}", walked.states)
            })
        };
        let mut random = Random(seed);
        let exhausted = changes.len() <= self.exhaustive_max as usize;
        if exhausted {
            for choice in 0..1_u64 << changes.len() {
                show(&|at| kept(choice >> at & 1 == 1))?;
            }
        } else {
            for choice in self.choose(changes.len(), &mut random) {
                show(&|at| kept(choice[at]))?;
            }
        }
        let last: Vec<usize> =
            (0..changes.len()).filter(|at| changes[*at] == Unsettled::LastSector).collect();
        for number in 0..self.torn as usize {
            let Some(sector) = last.get(random.below(last.len().max(1))) else { break };
            let bytes = 1 + random.below(511);
            // The write goes on from its beginning up to the tear in every other state; in the others as it likes.
            let coins = random.next();
            show(&|at| match at.cmp(sector) {
                std::cmp::Ordering::Equal => Fate::Torn(bytes),
                std::cmp::Ordering::Less if number % 2 == 0 => Fate::Kept,
                std::cmp::Ordering::Greater if number % 2 == 0 => Fate::Lost,
                _ => kept(coins >> (at % 64) & 1 == 1),
            })?;
        }
        walked.exhausted = u64::from(exhausted);
        walked.sampled = u64::from(!exhausted);
        Ok(walked)
    }

    fn choose(&self, changes: usize, random: &mut Random) -> BTreeSet<Vec<bool>> {
        let mut choices = BTreeSet::new();
        for edge in 0..=changes {
            choices.insert((0..changes).map(|at| at < edge).collect());
            choices.insert((0..changes).map(|at| at >= edge).collect());
            choices.insert((0..changes).map(|at| at == edge).collect());
            choices.insert((0..changes).map(|at| at != edge).collect());
        }
        for _ in 0..self.drawn {
            let density = 1 + random.below(15);
            choices.insert((0..changes).map(|_| random.below(16) < density).collect());
        }
        choices
    }
}

fn kept(kept: bool) -> Fate {
    if kept { Fate::Kept } else { Fate::Lost }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::{Disk, OpenMode};

    const ALL: PowerCuts = PowerCuts { exhaustive_max: 10, drawn: 0, torn: 0 };

    fn contents(disk: &MemoryDisk) -> Option<Vec<u8>> {
        let file = disk.open(Path::new("f"), OpenMode::Read).ok()?;
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        Some(bytes)
    }

    #[test]
    fn every_combination_comes_once() {
        let disk = MemoryDisk::new(1);
        let file = disk.open(Path::new("f"), OpenMode::CreateNew).unwrap();
        file.write_all_at(&[1; 1536], 0).unwrap();
        file.sync().unwrap();
        disk.sync_directory(Path::new("")).unwrap();
        // The middle sector stays what it was.
        file.write_all_at(&[[2; 512], [1; 512], [3; 512]].concat(), 0).unwrap();
        let mut seen = BTreeSet::new();
        let walked = ALL.each(&disk, 1, |left| {
            assert!(seen.insert(contents(&left).map(|bytes| (bytes[0], bytes[600], bytes[1200]))));
            Ok(())
        });
        assert_eq!(walked, Ok(Walked { states: 4, exhausted: 1, sampled: 0 }));
        assert_eq!(
            seen.into_iter().flatten().collect::<Vec<_>>(),
            [(1, 1, 1), (1, 1, 3), (2, 1, 1), (2, 1, 3)]
        );
    }

    #[test]
    fn what_nobody_finds_is_no_state_of_its_own() {
        let disk = MemoryDisk::new(1);
        let file = disk.open(Path::new("f"), OpenMode::CreateNew).unwrap();
        file.write_all_at(&[7; 600], 0).unwrap();
        let mut seen = Vec::new();
        ALL.each(&disk, 1, |left| {
            seen.push(contents(&left));
            Ok(())
        })
        .unwrap();
        let sevens = |bytes: std::ops::Range<usize>| {
            Some((0..600).map(|at| u8::from(bytes.contains(&at)) * 7).collect())
        };
        let expected =
            [None, Some(Vec::new()), sevens(0..0), sevens(0..512), sevens(512..600), sevens(0..600)];
        assert_eq!(seen.iter().collect::<BTreeSet<_>>(), expected.iter().collect());
        assert_eq!(seen.len(), expected.len());
    }

    #[test]
    fn a_torn_sector_ends_in_the_middle() {
        let disk = MemoryDisk::new(1);
        let file = disk.open(Path::new("f"), OpenMode::CreateNew).unwrap();
        file.set_len(512).unwrap();
        file.sync().unwrap();
        disk.sync_directory(Path::new("")).unwrap();
        file.write_all_at(&[9; 512], 0).unwrap();
        let mut torn = 0;
        PowerCuts { torn: 50, ..ALL }
            .each(&disk, 1, |left| {
                let bytes = contents(&left).unwrap();
                let end = bytes.iter().take_while(|byte| **byte == 9).count();
                assert!(bytes[end..].iter().all(|byte| *byte == 0));
                torn += u32::from(end % 512 != 0);
                Ok(())
            })
            .unwrap();
        assert_eq!(torn, 50);
    }
}
