//! How long to wait before dialling again.

use std::time::Duration;

use crate::transport::Limits;

/// Doubles from a shortest to a longest pause. Each pause is drawn between half of that and all of it, so
/// that nodes that lost one another at the same moment do not dial in step.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    ms_min: u64,
    ms_max: u64,
    ms: u64,
    random: u64,
}

impl Backoff {
    pub(super) fn new(limits: &Limits, seed: u64) -> Self {
        let ms_min = limits.backoff_ms_min.max(1);
        Self { ms_min, ms_max: limits.backoff_ms_max.max(ms_min), ms: ms_min, random: seed }
    }

    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        let micros = self.ms * 1_000;
        self.ms = (self.ms * 2).min(self.ms_max);
        Duration::from_micros(micros / 2 + self.draw() % (micros / 2 + 1))
    }

    /// Starts again from the shortest.
    pub(super) fn reset(&mut self) {
        self.ms = self.ms_min;
    }

    /// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_the_longest_and_start_again() {
        let mut backoff = Backoff::new(&Limits::default(), 7);
        for ms in [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000] {
            let pause = backoff.next();
            assert!(
                pause >= Duration::from_micros(ms * 500) && pause <= Duration::from_millis(ms),
                "{pause:?} {ms}"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(5));
    }

    #[test]
    fn seeds_differ() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(&Limits::default(), seed);
            (0..8).map(|_| backoff.next()).collect::<Vec<_>>()
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }
}
