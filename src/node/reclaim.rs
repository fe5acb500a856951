//! Which segments of the journal may go.

use crate::plant::{self, Plant};
use thermocline_tiers::hot::journal::{Generation, SegmentInfo};

/// What is to be done with the journal's segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// All segments below this one may go.
    pub(crate) first: Option<Generation>,
    /// The state is behind and keeps more than is to be kept: it is to be written.
    pub(crate) flush: bool,
}

/// Keeps what recovery needs, from segment `needed` on, and the newest segments that fit `retain_bytes`, for peers that
/// were away. `needed` was said when `active` was being written to, or later: what was not said then lies there or behind.
pub(crate) fn plan(segments: &[SegmentInfo], retain_bytes: u64, needed: u64, active: Generation) -> Plan {
    // Segments that are only made ready hold nothing yet.
    let written = || segments.iter().filter(|segment| segment.generation <= active);
    let mut bytes = 0;
    let mut oldest = None;
    for segment in written().rev() {
        bytes += u64::from(segment.capacity);
        if bytes > retain_bytes && oldest.is_some() {
            break;
        }
        oldest = Some(segment.generation);
    }
    let Some(retained) = oldest else { return Plan::default() };
    let first =
        Generation(if plant::on(Plant::ReclaimsTooMuch) { retained.0 } else { retained.0.min(needed) });
    let held: u64 = written().map(|segment| u64::from(segment.capacity)).sum();
    Plan {
        first: written().next().is_some_and(|segment| segment.generation < first).then_some(first),
        flush: held > retain_bytes && needed < retained.0,
    }
}

/// From where the next start is to replay, if `needed` was said when `active` was being written to, or later: what was not said then lies there or
/// behind.
pub(crate) fn replay_from(needed: u64, active: Generation) -> Generation {
    if plant::on(Plant::ReplaysTooLittle) { active } else { Generation(needed).min(active) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_or_fits_the_retained_bytes_stays() {
        let segment = |generation| SegmentInfo {
            generation: Generation(generation),
            bytes: 4096,
            records: 1,
            capacity: 100,
        };
        let segments = [segment(3), segment(4), segment(5), segment(6)];
        let plan = |retain, needed| plan(&segments, retain, needed, Generation(5));
        let first = |retain, needed| plan(retain, needed).first.map(|first| first.0);
        assert_eq!(first(200, u64::MAX), Some(4));
        assert_eq!(first(100, u64::MAX), Some(5));
        assert_eq!(first(0, u64::MAX), Some(5), "the newest stays");
        assert_eq!(first(100, 4), Some(4));
        assert_eq!(first(1000, u64::MAX), None);
        assert_eq!(plan(100, 3), Plan { first: None, flush: true });
        assert!(!plan(100, u64::MAX).flush);
        assert_eq!(super::plan(&[segment(6)], 0, u64::MAX, Generation(5)), Plan::default());
    }
}
