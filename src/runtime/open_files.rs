//! How many files a node keeps open while nothing reads them.

use rustix::process::{Resource, getrlimit};
use thermocline_tiers::hot::state::StateConfig;

/// How few a part works with.
const LEAST: u64 = 8;

/// How many runs each part of a node keeps open.
///
/// All of them together take at most half of what the process may open, however small that is by default (1,024 on many
/// systems): the other half is for the journal, for links and callers, and for whatever else the process is.
pub(super) fn runs_of_a_part(parts: u32) -> usize {
    runs(getrlimit(Resource::Nofile).current, parts)
}

fn runs(limit: Option<u64>, parts: u32) -> usize {
    let most = StateConfig::default().open_runs_max;
    let share = limit.map_or(u64::MAX, |limit| limit / 2 / u64::from(parts.max(1)));
    usize::try_from(share.max(LEAST)).map_or(most, |share| share.min(most))
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn all_runs_of_a_node_take_half_of_what_the_process_may_open() {
        for (limit, parts, each) in [
            (Some(1_024), 16, 32),
            (Some(1_024), 1, 256),
            (Some(20_000), 16, 256),
            (Some(1_048_576), 256, 256),
            (Some(64), 16, 8),
            (Some(0), 0, 8),
            (None, 16, 256),
        ] {
            assert_eq!(runs(limit, parts), each, "limit {limit:?}, {parts} parts");
        }
    }
}
