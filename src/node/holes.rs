//! Where the journal has holes: which of its records an earlier start could not use, so that no later one does.
//!
//! A record that is out of place ([`Replay`](thermocline_paxos::Replay)) says nothing of a slot that is known. The replica goes on without it: it
//! learns the slots from the others, or, where a majority has lost them and an operator has given them up, decides them anew. Then the
//! state comes further, and the start after that would find the same record in order. Or what one start could not read the next one can. So each
//! start writes down, before the node takes part in anything, what it could not use, in a small file that is there only where there is any.
//!
//! With no other replica nobody goes on before an operator gives up what is lost. Until then it may still be read one day, and all of it counts;
//! so there a start writes down nothing.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thermocline_paxos::{Bucket, Slot};
use thermocline_tiers::disk::Disk;
use thermocline_tiers::hot::journal::Position;

use super::lives::Reach;
use super::small_file::SmallFile;
use crate::encoding;
use crate::error::Error;
use crate::plant::{self, Plant};

/// Two holes in each of the most buckets that there can be.
const BYTES_MAX: usize = 64 << 20;
const FILE: SmallFile<BYTES_MAX> = SmallFile { name: "holes", magic: b"TCHOLES1" };

/// Of a bucket's records up to a place, those of slots above `above` count for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Hole {
    bucket: u32,
    above: u64,
    until: Reach,
}

/// The holes of all buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holes {
    of: HashMap<u32, Vec<Hole>>,
}

impl Holes {
    /// Reads them.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Storage`], naming the file.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Self, Error> {
        let listed = FILE.read::<encoding::List<Hole>>(disk)?;
        let mut holes = Self::default();
        for hole in listed.into_iter().flat_map(|list| list.0) {
            holes.of.entry(hole.bucket).or_default().push(hole);
        }
        holes.of.values_mut().for_each(|of| of.sort_unstable());
        Ok(holes)
    }

    /// Replaces the file, durably.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn write(&self, disk: &dyn Disk) -> Result<(), Error> {
        let mut listed: Vec<&Hole> = self.of.values().flatten().collect();
        listed.sort_unstable();
        FILE.write(disk, &listed)
    }

    /// Whether a record counts for nothing: an earlier start has found it out of place, or found one out of place behind it.
    pub(crate) fn cover(&self, bucket: Bucket, slot: Slot, position: Position) -> bool {
        if self.of.is_empty() || plant::on(Plant::HoleForgotten) {
            return false;
        }
        let covers = |hole: &Hole| slot.0 > hole.above && Reach::to(position) <= hole.until;
        self.of.get(&bucket.0).is_some_and(|of| of.iter().any(covers))
    }

    /// Of what was recorded until there, slots above `above` count for nothing.
    pub(crate) fn note(&mut self, bucket: Bucket, above: Slot, until: Reach) {
        let above = above.0;
        let of = self.of.entry(bucket.0).or_default();
        match of.iter_mut().find(|hole| hole.above == above) {
            Some(hole) => hole.until = hole.until.max(until),
            None => of.push(Hole { bucket: bucket.0, above, until }),
        }
    }

    /// The journal reaches from segment `oldest` to `reach`: behind that, what comes is new, and what lies before is gone.
    pub(crate) fn trim(&mut self, oldest: u64, reach: Reach) {
        self.of.retain(|_, of| {
            of.iter_mut().for_each(|hole| hole.until = hole.until.min(reach));
            of.retain(|hole| hole.until.generation >= oldest);
            !of.is_empty()
        });
    }
}

/// The file of a running node, for all that change it.
pub(crate) struct HolesFile {
    disk: Arc<dyn Disk>,
    holes: Mutex<Holes>,
}

impl HolesFile {
    pub(crate) fn new(disk: Arc<dyn Disk>, holes: Holes) -> Arc<Self> {
        Arc::new(Self { disk, holes: Mutex::new(holes) })
    }

    /// What is lost of these buckets is given up, durably: of all that the journal has of them, read or not, as far as it reaches now, the slots
    /// above the one given with each count for nothing from here on. The lock is held while the disk works, and taken by nobody in a hurry.
    ///
    /// # Errors
    /// [`Error::Storage`]; then nothing is given up.
    pub(crate) fn give_up(
        &self,
        buckets: impl Iterator<Item = (Bucket, Slot)>,
        reach: Reach,
    ) -> Result<(), Error> {
        let mut holes = self.holes.lock();
        let mut changed = holes.clone();
        buckets.for_each(|(bucket, above)| changed.note(bucket, above, reach));
        changed.write(&*self.disk)?;
        *holes = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use thermocline_tiers::disk::MemoryDisk;
    use thermocline_tiers::hot::journal::Generation;

    use super::*;

    fn at(generation: u64, offset: u32) -> Position {
        Position { generation: Generation(generation), offset, length: 1 }
    }

    fn reach(generation: u64, offset: u32) -> Reach {
        Reach { generation, offset }
    }

    #[test]
    fn what_was_out_of_place_is_covered_and_what_came_later_is_not() {
        let mut holes = Holes::default();
        holes.note(Bucket(7), Slot(3), reach(2, 100));
        holes.note(Bucket(7), Slot(3), reach(2, 300));
        holes.note(Bucket(7), Slot(9), reach(4, 50));
        for (slot, generation, offset, covered) in [
            (3, 2, 100, false),
            (4, 1, 900, true),
            (10, 2, 300, true),
            (4, 2, 301, false),
            (9, 4, 50, false),
            (10, 4, 50, true),
            (10, 4, 51, false),
        ] {
            let found = holes.cover(Bucket(7), Slot(slot), at(generation, offset));
            assert_eq!(found, covered, "slot {slot} at {generation}, {offset}");
            assert!(!holes.cover(Bucket(8), Slot(slot), at(generation, offset)));
        }
    }

    #[test]
    fn they_come_back_as_they_were_written() {
        let disk = MemoryDisk::new(1);
        assert_eq!(Holes::read(&disk).unwrap(), Holes::default());
        let mut holes = Holes::default();
        for bucket in [9, 2, 5] {
            holes.note(Bucket(bucket), Slot(3), reach(2, 100));
        }
        holes.write(&disk).unwrap();
        assert_eq!(Holes::read(&disk).unwrap(), holes);
        FILE.write(&disk, "something else").unwrap();
        let error = Holes::read(&disk).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { what } if what.starts_with("holes: ")), "{error}");
    }

    /// A journal may be gone as a whole, and begin anew with its first segment.
    #[test]
    fn what_is_written_behind_the_end_that_was_found_is_never_covered() {
        let mut holes = Holes::default();
        holes.note(Bucket(1), Slot(3), reach(2, 300));
        holes.note(Bucket(2), Slot(3), reach(5, 300));
        let mut cut = holes.clone();
        cut.trim(2, reach(4, 700));
        assert!(cut.cover(Bucket(2), Slot(4), at(4, 700)) && !cut.cover(Bucket(2), Slot(4), at(4, 701)));
        assert!(cut.cover(Bucket(1), Slot(4), at(2, 300)));
        cut.trim(3, reach(6, 0));
        assert_eq!(cut.of.len(), 1);
        holes.trim(1, reach(0, 0));
        assert_eq!(holes, Holes::default());
    }
}
