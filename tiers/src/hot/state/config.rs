//! The settings of a part.

use super::error::StateError;

/// Whose part it is: a directory of another identity is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The store's random number, drawn when its directory was made.
    pub store: u128,
    /// Which part of the store.
    pub part: u32,
}

/// The settings of a part. Those marked *fixed* are set when the part is made; opening it with another value is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateConfig {
    /// *Fixed.* The span of a window in milliseconds; at least 1. Default: one day.
    pub window_span_ms: u64,
    /// *Fixed.* For how many of a bucket's slots a token's outcome is kept; 1 to 2^32. Default 128.
    pub outcome_slots: u64,
    /// Whether windows may ever sink. If so, tombstones of dated keys and trim marks stay until their window is dropped,
    /// because a block may lie below them that this part knows nothing of. Default true.
    pub sinks: bool,
    /// [`Part::wants_flush`](super::Part::wants_flush) from this many bytes in the memtable on; 4 KiB to 4 GiB. Default 64 MiB.
    pub memtable_bytes: usize,
    /// At most this many frozen memtables wait for a flush; 1 to 64. Default 4.
    pub frozen_max: usize,
    /// The longest value in bytes; 1 to 16 MiB. Default 1 MiB.
    pub value_bytes_max: usize,
    /// A block of a run is closed at this many bytes before compression; 512 to 1 MiB. Default 16 KiB.
    pub block_bytes: usize,
    /// At most this many bytes of block indexes and filters of runs stay in memory. Default 64 MiB.
    pub index_cache_bytes: usize,
    /// At most this many runs stay open while nothing reads them, each of them a file of the process; 1 to 2^20. Default 256.
    pub open_runs_max: usize,
    /// At most this many bytes of decoded blocks stay in memory; 0 for none. Default 32 MiB.
    pub block_cache_bytes: usize,
    /// So many neighbouring runs of similar size are merged into one; 2 to 64. Default 4.
    pub merge_fan: usize,
    /// A merge takes in at most this many bytes of runs. Default 1 GiB.
    pub merge_bytes_max: u64,
    /// At most this many runs; a flush that could pass it is refused. 16 to 2^20. Default 65,536.
    pub runs_max: usize,
}

impl Default for StateConfig {
    fn default() -> StateConfig {
        StateConfig {
            window_span_ms: 24 * 60 * 60 * 1000,
            outcome_slots: 128,
            sinks: true,
            memtable_bytes: 64 << 20,
            frozen_max: 4,
            value_bytes_max: 1 << 20,
            block_bytes: 16 << 10,
            index_cache_bytes: 64 << 20,
            open_runs_max: 256,
            block_cache_bytes: 32 << 20,
            merge_fan: 4,
            merge_bytes_max: 1 << 30,
            runs_max: 65_536,
        }
    }
}

impl StateConfig {
    /// [`StateError::Invalid`] for the first setting that is out of its bounds.
    pub fn check(&self) -> Result<(), StateError> {
        within("window_span_ms", self.window_span_ms, 1, u64::MAX)?;
        within("outcome_slots", self.outcome_slots, 1, 1 << 32)?;
        within("memtable_bytes", self.memtable_bytes as u64, 4 << 10, 4 << 30)?;
        within("frozen_max", self.frozen_max as u64, 1, 64)?;
        within("value_bytes_max", self.value_bytes_max as u64, 1, VALUE_BYTES_LIMIT as u64)?;
        within("block_bytes", self.block_bytes as u64, 512, 1 << 20)?;
        within("open_runs_max", self.open_runs_max as u64, 1, 1 << 20)?;
        within("merge_fan", self.merge_fan as u64, 2, 64)?;
        within("runs_max", self.runs_max as u64, 16, 1 << 20)
    }

    /// [`StateError::Invalid`] when a value is longer than [`StateConfig::value_bytes_max`].
    pub fn check_value(&self, value: &[u8]) -> Result<(), StateError> {
        within("value", value.len() as u64, 0, self.value_bytes_max as u64)
    }
}

/// What [`StateConfig::value_bytes_max`] may be at most.
pub(super) const VALUE_BYTES_LIMIT: usize = 16 << 20;

fn within(field: &'static str, value: u64, least: u64, most: u64) -> Result<(), StateError> {
    match value {
        value if value < least => Err(StateError::Invalid { field, value, bound: least }),
        value if value > most => Err(StateError::Invalid { field, value, bound: most }),
        _ => Ok(()),
    }
}
