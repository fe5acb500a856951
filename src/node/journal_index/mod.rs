//! Where the journal keeps the commands of each slot, and which of its segments are still needed.
//!
//! In memory only: rebuilt at every start, from what of the journal is replayed, and then, behind the start, from what is only kept for peers
//! (`history.rs`).

mod commands;
mod history;

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;

use thermocline_paxos::{Bucket, Slot, Status};
use thermocline_tiers::hot::journal::Position;
use thermocline_tiers::hot::state::Part;

use self::commands::Commands;
pub(crate) use self::history::{History, Past, Step};

use super::effects::Placed;
use super::route::Dealing;
use crate::plant::{self, Plant};

/// One worker's share of the index.
#[derive(Debug)]
pub(crate) struct JournalIndex {
    /// For each bucket, the last record of each slot that carries a command.
    commands: Vec<Commands>,
    /// For each segment, the bucket of every record that may still be needed, and the slot that ends that when it is durable.
    segments: BTreeMap<u64, Vec<(Bucket, Slot)>>,
    /// What was recorded again of that.
    renewed: Renewed,
    /// Segments below this one are gone.
    first_segment: u64,
    /// The newest segment that a record was seen in.
    newest: u64,
    /// The oldest one with a vote floor.
    oldest_floor: Option<u64>,
    /// Whether what lies before is still to come from the journal's history, and whether somebody waits for that.
    awaits_past: bool,
    is_past_wanted: bool,
}

impl JournalIndex {
    /// An index of buckets below `buckets`.
    pub(crate) fn new(buckets: u32) -> Self {
        Self {
            commands: (0..buckets).map(|_| Commands::default()).collect(),
            segments: BTreeMap::new(),
            renewed: Renewed::default(),
            first_segment: 0,
            newest: 0,
            oldest_floor: None,
            awaits_past: false,
            is_past_wanted: false,
        }
    }

    /// Takes a synced record in. Records of a bucket come in the order of their slots.
    pub(crate) fn insert(&mut self, placed: &Placed) {
        let Some(position) = placed.position else { return };
        let Placed { bucket, slot, .. } = *placed;
        self.newest = self.newest.max(position.generation.0);
        if placed.is_floor {
            self.oldest_floor.get_or_insert(position.generation.0);
        }
        // A floor says nothing any more where the log is past the slots below it.
        let needed_until = if placed.is_floor { Slot(slot.0.saturating_sub(1)) } else { slot };
        self.segments.entry(position.generation.0).or_default().push((bucket, needed_until));
        self.commands[bucket.0 as usize].take(placed, position, self.first_segment);
    }

    /// Brings what a record of this bucket will change into the processor's caches: to be called for several, before they come.
    pub(crate) fn warm(&self, bucket: Bucket) {
        let commands = self.commands.get(bucket.0 as usize);
        black_box(commands.and_then(|commands| Some(commands.last()?.offset)));
    }

    /// Whether a bucket's commands stay without a gap when this record is taken in. A gap among the records of one start would
    /// mean that a slot was decided here and never written down.
    pub(crate) fn follows(&self, placed: &Placed) -> bool {
        let commands = &self.commands[placed.bucket.0 as usize];
        let end = commands.end();
        !placed.has_command || commands.is_empty() || placed.slot == end || placed.slot.next() == end
    }

    /// Records of a bucket may be missing from here on: of the last slot that was seen, what is kept may have lost.
    pub(crate) fn lost(&mut self, bucket: Bucket) {
        self.commands[bucket.0 as usize].lose_last();
    }

    /// Recovery is over. A bucket whose records do not reach the slot that it goes on with has lost some of them, or is ahead
    /// of them through a transfer: what is left of them serves nobody. That slot's own command is not written again if it was
    /// accepted, so that it must be among them then.
    pub(crate) fn recovered(&mut self, status: impl Fn(Bucket) -> Status) {
        for (bucket, commands) in (0..).map(Bucket).zip(&mut self.commands) {
            let (Status { chosen, accepted, .. }, end) = (status(bucket), commands.end());
            let reaches = end == chosen.next() && !accepted.is_some() || end == chosen.next().next();
            if !reaches && !commands.is_empty() {
                commands.begin_anew();
            }
        }
    }

    /// Where the commands of slots `from..=through` lie, without a gap, at most `count` of them.
    pub(crate) fn chosen(&self, bucket: Bucket, from: Slot, through: Slot, count: usize) -> Vec<Position> {
        let Some(commands) = self.commands.get(bucket.0 as usize) else { return Vec::new() };
        if through < from {
            return Vec::new();
        }
        let wanted =
            usize::try_from(through.0 - from.0).map_or(count, |slots| count.min(slots.saturating_add(1)));
        commands.places(from).take(wanted).collect()
    }

    /// Where the command of a slot lies, if its segment is still there.
    pub(crate) fn place(&self, bucket: Bucket, slot: Slot) -> Option<Position> {
        let place = self.commands.get(bucket.0 as usize)?.places(slot).next();
        place.filter(|place| place.generation.0 >= self.first_segment)
    }

    /// The first and the last slot that there are commands of, and how many there are.
    #[cfg(feature = "test-util")]
    pub(crate) fn span(&self, bucket: Bucket) -> Option<(Slot, Slot, u64)> {
        let commands = self.commands.get(bucket.0 as usize).filter(|commands| !commands.is_empty())?;
        let (first, end) = (commands.first(), commands.end());
        Some((first, Slot(end.0 - 1), end.0 - first.0))
    }

    /// The first slot whose command lies here, if there is one.
    pub(crate) fn first(&self, bucket: Bucket) -> Slot {
        self.commands[bucket.0 as usize].first()
    }

    /// What lies here of a bucket serves nobody any more.
    pub(crate) fn forget(&mut self, bucket: Bucket) {
        self.commands[bucket.0 as usize].begin_anew();
    }

    /// What lies before all that is indexed will come, piece by piece, from the journal's history.
    pub(crate) fn await_past(&mut self) {
        self.awaits_past = true;
    }

    /// Whether something of the journal is not indexed yet.
    pub(crate) fn awaits_past(&self) -> bool {
        self.awaits_past
    }

    /// Somebody waits for it.
    pub(crate) fn want_past(&mut self) {
        self.is_past_wanted = self.awaits_past;
    }

    /// Whether somebody waits for it.
    pub(crate) fn is_past_wanted(&self) -> bool {
        self.is_past_wanted
    }

    /// Whether the command of a slot may lie in what is not indexed yet.
    pub(crate) fn may_come(&self, bucket: Bucket, slot: Slot) -> bool {
        let commands = self.commands.get(bucket.0 as usize);
        self.awaits_past && commands.is_some_and(|commands| commands.may_begin_before(slot))
    }

    /// A piece of the history has been read; `chosen`: the last slot of a bucket that is decided. Says how many commands it has brought.
    pub(crate) fn join(&mut self, past: Past, chosen: impl Fn(Bucket) -> Slot) -> u64 {
        let mut brought = 0;
        for (bucket, before) in past.buckets {
            if let Some(commands) = self.commands.get_mut(bucket.0 as usize) {
                brought += commands.join(before, chosen(bucket), self.first_segment);
            }
        }
        if past.is_last {
            (self.awaits_past, self.is_past_wanted) = (false, false);
        }
        brought
    }

    /// Forgets segments of which every record is decided, applied and durable in the state, or recorded again.
    ///
    /// Of the oldest that is left, records are forgotten from the last one back to one that is still needed: however often it is asked, each record
    /// is looked at once, and that one again.
    pub(crate) fn settle(&mut self, parts: &[Part], dealing: Dealing) {
        while let Some(mut oldest) = self.segments.first_entry() {
            let segment = *oldest.key();
            let needed = |record: &(Bucket, Slot)| {
                is_needed(*record, parts, dealing) && !self.renewed.covers(segment, *record)
            };
            match oldest.get().iter().rposition(needed) {
                Some(last) => return oldest.get_mut().truncate(last + 1),
                None => drop(oldest.remove()),
            }
        }
    }

    /// These buckets' slots, from the one given on, were recorded again: what was recorded of them in segments before that one is not needed.
    pub(crate) fn renewed(&mut self, before: u64, undecided: HashMap<u32, Slot>) {
        self.renewed = Renewed { before, undecided };
    }

    /// The first segment that holds something still needed for recovery.
    pub(crate) fn oldest_needed(&self) -> Option<u64> {
        self.segments.keys().next().copied()
    }

    /// The first segment with a vote floor since the start, or among what it has replayed.
    pub(crate) fn oldest_floor(&self) -> Option<u64> {
        self.oldest_floor
    }

    /// The newest segment that holds a record of this worker's.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// Records that keep the oldest segment although a newer one, `active`, is written to; only the first few. Looks at all that is left of it.
    pub(crate) fn stragglers(
        &mut self,
        count: usize,
        parts: &[Part],
        dealing: Dealing,
        active: u64,
    ) -> Vec<(Bucket, Slot)> {
        let Some(mut oldest) = self.segments.first_entry().filter(|oldest| *oldest.key() < active) else {
            return Vec::new();
        };
        let segment = *oldest.key();
        oldest
            .get_mut()
            .retain(|record| is_needed(*record, parts, dealing) && !self.renewed.covers(segment, *record));
        oldest.get().iter().take(count).copied().collect()
    }

    /// Segments below `first` are gone.
    pub(crate) fn reclaimed(&mut self, first: u64) {
        self.first_segment = self.first_segment.max(first);
        self.segments = self.segments.split_off(&first);
    }
}

/// What was recorded again of undecided slots.
#[derive(Debug, Default)]
struct Renewed {
    /// That stands for what was recorded in segments before this one,
    before: u64,
    /// of these buckets, from these slots on.
    undecided: HashMap<u32, Slot>,
}

impl Renewed {
    /// Whether it stands for a record there.
    fn covers(&self, segment: u64, (bucket, slot): (Bucket, Slot)) -> bool {
        let is_undecided = |from: &Slot| *from <= slot || plant::on(Plant::RenewalCoversDecided);
        segment < self.before && self.undecided.get(&bucket.0).is_some_and(is_undecided)
    }
}

/// Whether a record is needed for recovery: its slot is not durable in the state.
fn is_needed((bucket, slot): (Bucket, Slot), parts: &[Part], dealing: Dealing) -> bool {
    let part = &parts[dealing.place(bucket)];
    let bucket = thermocline_tiers::hot::Bucket(bucket.0);
    let kept = if plant::on(Plant::AppliedIsDurable) { part.applied(bucket) } else { part.durable(bucket) };
    kept.0 < slot.0
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use thermocline_paxos::Ballot;
    use thermocline_tiers::disk::MemoryDisk;
    use thermocline_tiers::hot::journal::Generation;
    use thermocline_tiers::hot::state::{Identity as StateIdentity, StateConfig};

    use super::*;

    fn placed(slot: u64) -> Placed {
        let position = Some(Position { generation: Generation(1), offset: slot as u32, length: 1 });
        Placed::of_command(Bucket(3), Slot(slot), position)
    }

    fn slots(index: &JournalIndex) -> Vec<u32> {
        index.chosen(Bucket(3), Slot(5), Slot(9), 9).iter().map(|place| place.offset).collect()
    }

    #[test]
    fn a_gap_is_noticed_and_ends_what_is_served() {
        let mut index = JournalIndex::new(64);
        for slot in [5, 6, 6] {
            assert!(index.follows(&placed(slot)));
            index.insert(&placed(slot));
        }
        assert!(!index.follows(&placed(8)) && !index.follows(&placed(5)));
        assert!(index.follows(&Placed { has_command: false, ..placed(8) }), "a floor, or a promise");
        assert_eq!(slots(&index), [5, 6]);
        index.insert(&placed(8));
        assert_eq!(slots(&index), [0_u32; 0]);
    }

    /// However often it is settled, and wherever in the segment that record stands.
    #[test]
    fn a_segment_is_needed_as_long_as_one_of_its_records_is() {
        let identity = StateIdentity { store: 1, part: 0 };
        let (disk, config) = (Arc::new(MemoryDisk::new(1)), StateConfig::default());
        let mut parts = [Part::open(disk, Path::new("part"), config, identity).unwrap()];
        let dealing = Dealing::new(1, 1);
        let mut index = JournalIndex::new(8);
        for (bucket, slot, generation) in [(3, 1, 1), (5, 1, 1), (3, 2, 1), (3, 3, 2)] {
            let position = Some(Position { generation: Generation(generation), offset: 0, length: 1 });
            index.insert(&Placed { bucket: Bucket(bucket), position, ..placed(slot) });
        }
        let durable = |parts: &mut [Part; 1], bucket: u32, slot: u64| {
            let (bucket, slot) = (thermocline_tiers::hot::Bucket(bucket), thermocline_tiers::hot::Slot(slot));
            parts[0].apply(bucket, slot).finish();
            let flushed = parts[0].freeze().unwrap().run();
            parts[0].install(flushed).unwrap();
        };
        for (bucket, slot, needed, stragglers) in [
            (7, 1, Some(1), vec![(3, 1), (5, 1), (3, 2)]),
            (3, 1, Some(1), vec![(5, 1), (3, 2)]),
            (3, 2, Some(1), vec![(5, 1)]),
            (5, 1, Some(2), vec![]),
            (3, 3, None, vec![]),
        ] {
            durable(&mut parts, bucket, slot);
            (0..4).for_each(|_| index.settle(&parts, dealing));
            assert_eq!(index.oldest_needed(), needed, "bucket {bucket} slot {slot}");
            let found = index.stragglers(9, &parts, dealing, 2);
            assert_eq!(found.iter().map(|(bucket, slot)| (bucket.0, slot.0)).collect::<Vec<_>>(), stragglers);
        }
    }

    #[test]
    fn what_was_recorded_before_a_bucket_was_installed_serves_nobody() {
        let mut index = JournalIndex::new(8);
        index.insert(&placed(5));
        index.insert(&placed(6));
        // Slot 6 may have been decided otherwise: what was installed is at slot 6 too.
        index.insert(&Placed { has_command: false, starts_anew: true, ..placed(6) });
        assert_eq!(slots(&index), [0_u32; 0]);
        assert!(index.follows(&placed(7)));
    }

    #[test]
    fn records_that_do_not_reach_the_chosen_slot_are_forgotten_after_recovery() {
        let vote = Ballot { round: 1, ..Ballot::ZERO };
        for (chosen, accepted, kept) in [
            (4, vote, false),
            (5, Ballot::ZERO, true),
            (5, vote, true),
            (6, Ballot::ZERO, true),
            (6, vote, false),
            (7, Ballot::ZERO, false),
        ] {
            let mut index = JournalIndex::new(64);
            index.insert(&placed(5));
            index.insert(&placed(6));
            index.recovered(|_| Status { chosen: Slot(chosen), accepted, ..Status::default() });
            assert_eq!(!slots(&index).is_empty(), kept, "chosen {chosen}, accepted {accepted:?}");
        }
    }

    /// A start could not read slots 6 to 8, and learned 6 and 7 again; the next one reads all of it.
    #[test]
    fn what_was_learned_again_does_not_hide_what_was_there_before() {
        let mut index = JournalIndex::new(64);
        let again = |slot: u64| {
            let position = Some(Position { generation: Generation(2), offset: 0, length: 1 });
            Placed { position, ..placed(slot) }
        };
        (5..=8).for_each(|slot| index.insert(&placed(slot)));
        [6, 7].map(again).iter().for_each(|placed| index.insert(placed));
        let accepted = Ballot { round: 1, ..Ballot::ZERO };
        index.recovered(|_| Status { chosen: Slot(7), accepted, ..Status::default() });
        assert_eq!(slots(&index), [5, 6, 7, 8]);
        assert!(index.follows(&placed(9)));
    }
}
