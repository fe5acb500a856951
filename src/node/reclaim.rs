//! Which segments of the journal may go.

use crate::plant::{self, Plant};
use thermocline_tiers::hot::journal::{Generation, SegmentInfo};

/// What is to be done with the journal's segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// All segments below this one may go.
    pub(crate) first: Option<Generation>,
    /// What the node itself needs is more than is to be kept: the journal is to be shortened.
    pub(crate) shorten: bool,
}

/// How long the journal may become: it is shortened before it needs more than this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retained {
    /// Bytes of segments.
    pub(crate) bytes: u64,
    /// Bytes that the disk has room for besides, if that is known. What is more than half of what the journal and they are is given back, a segment at a
    /// time, as it may be for a moment only: the state grows into the rest, and a disk is not filled by what the node itself can do without.
    pub(crate) room: Option<u64>,
    /// Whether so much is kept also of what the node itself does not need any more, for peers that were away.
    pub(crate) for_peers: bool,
}

impl Retained {
    pub(crate) const NOTHING: Self = Self { bytes: 0, room: None, for_peers: false };

    /// On a disk with as much room as it takes.
    pub(crate) fn new(bytes: u64, for_peers: bool) -> Self {
        Self { bytes, room: None, for_peers }
    }

    /// On a disk that has this room besides the journal.
    pub(crate) fn beside(self, room: Option<u64>) -> Self {
        Self { room, ..self }
    }
}

/// Keeps what recovery needs, from segment `needed` on, and for peers the newest segments that fit what is to be retained. `needed` was said when
/// `active` was being written to, or later: what was not said then lies there or behind.
pub(crate) fn plan(segments: &[SegmentInfo], retain: Retained, needed: u64, active: Generation) -> Plan {
    // Segments that are only made ready hold nothing yet.
    let written = || segments.iter().filter(|segment| segment.generation <= active);
    let held: u64 = written().map(|segment| u64::from(segment.capacity)).sum();
    // The oldest of the newest segments that take no more than so many bytes: one at least.
    let fitting = |bytes_max: u64| {
        let mut bytes = 0;
        let fits = |segment: &&SegmentInfo| {
            bytes += u64::from(segment.capacity);
            bytes <= bytes_max || segment.generation == active
        };
        written().rev().take_while(fits).last().map(|segment| segment.generation)
    };
    let mut generations = written().map(|segment| segment.generation);
    let (Some(oldest), second) = (generations.next(), generations.next()) else { return Plan::default() };
    let within = fitting(retain.bytes).unwrap_or(oldest);
    let in_room = retain.room.and_then(|room| fitting(held.saturating_add(room) / 2)).unwrap_or(oldest);
    let retained = within.max(in_room.min(second.unwrap_or(oldest)));
    let kept = if retain.for_peers { retained } else { active };
    let first = Generation(if plant::on(Plant::ReclaimsTooMuch) { kept.0 } else { kept.0.min(needed) });
    Plan { first: (oldest < first).then_some(first), shorten: oldest < retained && needed < retained.0 }
}

/// From where the next start is to replay, if `needed` was said when `active` was being written to, or later: what was not said then lies there or
/// behind.
pub(crate) fn replay_from(needed: u64, active: Generation) -> Generation {
    if plant::on(Plant::ReplaysTooLittle) { active } else { Generation(needed).min(active) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(generations: std::ops::RangeInclusive<u64>) -> Vec<SegmentInfo> {
        let segment = |generation| SegmentInfo {
            generation: Generation(generation),
            bytes: 4096,
            records: 1,
            capacity: 100,
        };
        generations.map(segment).collect()
    }

    #[test]
    fn what_is_needed_or_fits_the_retained_bytes_stays() {
        let segments = segments(3..=6);
        let plan = |bytes, needed| plan(&segments, Retained::new(bytes, true), needed, Generation(5));
        let first = |retain, needed| plan(retain, needed).first.map(|first| first.0);
        assert_eq!(first(200, u64::MAX), Some(4));
        assert_eq!(first(100, u64::MAX), Some(5));
        assert_eq!(first(0, u64::MAX), Some(5), "the newest stays");
        assert_eq!(first(100, 4), Some(4));
        assert_eq!(first(1000, u64::MAX), None);
        assert_eq!(plan(100, 3), Plan { first: None, shorten: true });
        assert!(!plan(100, u64::MAX).shorten);
        assert_eq!(super::plan(&segments[3..], Retained::NOTHING, u64::MAX, Generation(5)), Plan::default());
    }

    #[test]
    fn without_peers_only_what_is_needed_stays() {
        let segments = segments(1..=8);
        let plan = |bytes, needed| plan(&segments, Retained::new(bytes, false), needed, Generation(8));
        assert_eq!(plan(800, 1), Plan { first: None, shorten: false });
        assert_eq!(plan(700, 1), Plan { first: None, shorten: true });
        assert_eq!(plan(800, 3), Plan { first: Some(Generation(3)), shorten: false });
        assert_eq!(plan(800, u64::MAX), Plan { first: Some(Generation(8)), shorten: false });
    }

    #[test]
    fn what_is_kept_for_peers_leaves_the_state_as_much_room() {
        let segments = segments(1..=8);
        let planned = |room, needed| {
            let retain = Retained::new(10_000, true).beside(room);
            plan(&segments, retain, needed, Generation(8))
        };
        let first = |room| planned(room, u64::MAX).first.map(|first| first.0);
        assert_eq!([first(None), first(Some(u64::MAX)), first(Some(800))], [None; 3]);
        assert_eq!([first(Some(799)), first(Some(0))], [Some(2); 2], "one at a time");
        assert_eq!(planned(Some(799), 1), Plan { first: None, shorten: true });
        let none = plan(&segments, Retained::NOTHING, u64::MAX, Generation(8));
        assert_eq!(none.first, Some(Generation(8)), "the newest stays");
    }
}
