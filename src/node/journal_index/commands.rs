//! Where the commands of one bucket lie.

use std::collections::VecDeque;

use thermocline_paxos::Slot;
use thermocline_tiers::hot::journal::Position;

use crate::node::effects::Placed;
use crate::plant::{self, Plant};

/// The commands of one bucket: of slots without a gap.
#[derive(Debug, Default)]
pub(super) struct Commands {
    first: Slot,
    places: VecDeque<Position>,
    /// Whether what was recorded before has nothing to do with these, or may not be the last word.
    anew: bool,
}

impl Commands {
    /// The first slot; 0 when there is none.
    pub(super) fn first(&self) -> Slot {
        self.first
    }

    /// The slot after the last.
    pub(super) fn end(&self) -> Slot {
        Slot(self.first.0.saturating_add(self.places.len() as u64))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn last(&self) -> Option<&Position> {
        self.places.back()
    }

    /// Where the commands from a slot on lie; nothing if that slot's is not here.
    pub(super) fn places(&self, from: Slot) -> impl Iterator<Item = Position> + '_ {
        let start = from.0.checked_sub(self.first.0).and_then(|start| usize::try_from(start).ok());
        let start = start.map_or(self.places.len(), |start| start.min(self.places.len()));
        self.places.range(start..).copied()
    }

    /// A record of the bucket lies there. Records come in the order of their slots.
    pub(super) fn take(&mut self, placed: &Placed, position: Position, first_segment: u64) {
        if placed.starts_anew {
            // What was voted for last may have lost, and nothing in the journal would tell.
            self.begin_anew();
        }
        if placed.has_command {
            self.insert(placed.slot, position, first_segment);
        }
    }

    fn insert(&mut self, slot: Slot, position: Position, first_segment: u64) {
        if slot.next() == self.end()
            && let Some(place) = self.places.back_mut()
        {
            // A later record of the same slot replaces the earlier: the last one is what was chosen, once the slot is decided.
            if !plant::on(Plant::FirstRecordServed) {
                *place = position;
            }
            return;
        }
        if self.first <= slot && slot < self.end() {
            // Learned again, in a start that could not read what lies here: that proves itself by what follows it, and stays.
            return;
        }
        if self.places.is_empty() {
            self.first = slot;
        } else if slot != self.end() {
            // A gap (slots taken from a transfer) ends what can be served from here.
            self.begin_anew();
            self.first = slot;
        } else if self.places.len() == self.places.capacity() {
            // Looked for only when memory is short, to touch one end of a bucket's places and not both.
            self.forget_below(first_segment);
        }
        self.places.push_back(position);
    }

    fn forget_below(&mut self, first_segment: u64) {
        while self.places.front().is_some_and(|place| place.generation.0 < first_segment) {
            self.places.pop_front();
            self.first = self.first.next();
        }
    }

    /// What is here serves nobody, nor does anything before it.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { anew: true, ..Self::default() };
    }

    /// Of the last slot, what is kept may have lost; and if nothing is kept, so may what was before.
    pub(super) fn lose_last(&mut self) {
        self.places.pop_back();
        self.anew |= !plant::on(Plant::PastJoinedOverLoss);
    }

    /// Whether the command of a slot may have been recorded before these.
    pub(super) fn may_begin_before(&self, slot: Slot) -> bool {
        !self.anew && (self.places.is_empty() || slot < self.first)
    }

    /// Puts in front what was recorded before, if it reaches to here without a gap. That is the same as if all had been taken in its order: of a
    /// slot that has records in both, the later one counts. `chosen`: the last slot that is decided. Says how many commands came before.
    pub(super) fn join(&mut self, mut before: Self, chosen: Slot, first_segment: u64) -> u64 {
        let end = if self.is_empty() { chosen.next() } else { self.first };
        let reaches = before.end() >= end && (before.end() == end || !self.is_empty());
        if !plant::on(Plant::AnyPastJoined) && (self.anew || !reaches) || before.first >= end {
            return 0;
        }
        before.places.truncate((end.0 - before.first.0) as usize);
        before.forget_below(first_segment);
        let brought = before.places.len() as u64;
        before.places.append(&mut self.places);
        before.forget_below(first_segment);
        *self = before;
        brought
    }
}

#[cfg(test)]
mod tests {
    use thermocline_paxos::Bucket;
    use thermocline_tiers::hot::journal::Generation;

    use super::*;

    fn placed(slot: u64) -> Placed {
        Placed::of_command(Bucket(3), Slot(slot), None)
    }

    fn anew(slot: u64) -> Placed {
        Placed { has_command: false, starts_anew: true, ..placed(slot) }
    }

    /// Records in segments of two; a number names where one lies.
    fn position(number: u32) -> Position {
        Position { generation: Generation(u64::from(number) / 2 + 1), offset: number, length: 1 }
    }

    fn commands(records: &[Placed], first_number: u32) -> Commands {
        let mut commands = Commands::default();
        for (number, record) in (first_number..).zip(records) {
            commands.take(record, position(number), 0);
        }
        commands
    }

    fn places(commands: &Commands) -> (u64, Vec<u32>) {
        (commands.first().0, commands.places(commands.first()).map(|place| place.offset).collect())
    }

    #[test]
    fn what_is_joined_is_as_if_it_had_been_read_in_one_go() {
        let slots = |slots: &[u64]| slots.iter().copied().map(placed).collect::<Vec<_>>();
        for records in [
            slots(&[5, 6, 7, 8, 9]),
            slots(&[5, 6, 6, 7, 7, 8]),
            slots(&[5, 5, 6, 8, 9]),
            [slots(&[5, 6]), vec![anew(6)], slots(&[7, 8])].concat(),
            [slots(&[5, 6, 7]), vec![anew(9)], slots(&[10])].concat(),
        ] {
            let whole = commands(&records, 0);
            let chosen = Slot(whole.end().0 - 1);
            for cut in 0..=records.len() {
                let mut later = commands(&records[cut..], cut as u32);
                let before = commands(&records[..cut], 0);
                later.join(before, chosen, 0);
                assert_eq!(places(&later), places(&whole), "{records:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_does_not_reach_or_may_have_lost_is_not_joined() {
        let before = || commands(&[placed(5), placed(6)], 0);
        let joined = |mut later: Commands, chosen: u64| {
            later.join(before(), Slot(chosen), 0);
            places(&later)
        };
        assert_eq!(joined(commands(&[placed(7)], 2), 7), (5, vec![0, 1, 2]));
        assert_eq!(joined(commands(&[placed(8)], 2), 8), (8, vec![2]), "a gap");
        assert_eq!(joined(Commands::default(), 6), (5, vec![0, 1]));
        assert_eq!(joined(Commands::default(), 7), (0, vec![]), "slot 7 came without a record");
        assert_eq!(joined(Commands::default(), 5), (0, vec![]), "slot 6 is not decided");
        let mut later = Commands::default();
        later.lose_last();
        assert_eq!(joined(later, 6), (0, vec![]), "slot 6 may have been recorded again");
        let mut later = commands(&[placed(6), placed(7)], 2);
        later.lose_last();
        assert_eq!(joined(later, 6), (6, vec![2]));
        // A gap, before and after.
        assert_eq!(joined(commands(&[placed(7), placed(9)], 2), 9), (9, vec![3]));
        let mut later = commands(&[placed(7)], 2);
        later.join(commands(&[placed(3), placed(6)], 0), Slot(7), 0);
        assert_eq!(places(&later), (6, vec![1, 2]));
    }

    #[test]
    fn what_is_reclaimed_meanwhile_is_left_out() {
        let mut later = commands(&[placed(8)], 3);
        later.join(commands(&[placed(5), placed(6), placed(7)], 0), Slot(8), 2);
        assert_eq!(places(&later), (7, vec![2, 3]));
    }

    #[test]
    fn only_what_lies_before_may_still_come() {
        let later = commands(&[placed(7)], 2);
        assert!(later.may_begin_before(Slot(6)) && !later.may_begin_before(Slot(7)));
        assert!(Commands::default().may_begin_before(Slot(7)));
        assert!(!commands(&[anew(6), placed(7)], 2).may_begin_before(Slot(6)));
    }
}
