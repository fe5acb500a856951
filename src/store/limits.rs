//! What a call's arguments may be: each bound once, by name.

use std::time::Duration;

use crate::config::Config;
use crate::error::Error;
use crate::key::{ENTITY_BYTES_MAX, Position};

/// The shortest deadline of a call.
pub const DEADLINE_MIN: Duration = Duration::from_millis(1);
/// The longest deadline of a call: 10 minutes.
pub const DEADLINE_MAX: Duration = Duration::from_secs(600);
/// The most changes in one batch.
pub const BATCH_MUTATIONS_MAX: usize = 1_000;
/// The most keys of one [`Store::batch_get`](crate::Store::batch_get).
pub const BATCH_GET_KEYS_MAX: usize = 1_000;
/// How many records a page of a scan has at most, unless told otherwise.
pub const SCAN_RECORDS_DEFAULT: u32 = 100;
/// How many records a page of a scan can have.
pub const SCAN_RECORDS_MAX: u32 = 10_000;
/// How many bytes a page of a scan has at most, unless told otherwise: 1 MiB.
pub const SCAN_BYTES_DEFAULT: u32 = 1 << 20;
/// How many bytes a page of a scan can have: 16 MiB.
pub const SCAN_BYTES_MAX: u32 = 16 << 20;

/// The bounds that depend on the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    value_bytes_max: u32,
    batch_bytes_max: u32,
    deadline_default_ms: u32,
}

impl Limits {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            value_bytes_max: config.value_bytes_max,
            batch_bytes_max: config.batch_bytes_max.max(config.value_bytes_max),
            deadline_default_ms: config.deadline_default_ms,
        }
    }

    pub(super) fn value(&self, value: &[u8]) -> Result<(), Error> {
        if value.len() > self.value_bytes_max as usize {
            let bound = format!("at most {} bytes (value_bytes_max)", self.value_bytes_max);
            return Err(Error::invalid("value", format!("{} bytes", value.len()), bound));
        }
        Ok(())
    }

    pub(super) fn batch_bytes(&self, bytes: usize) -> Result<(), Error> {
        if bytes > self.batch_bytes_max as usize {
            let bound = format!("at most {} bytes of values (batch_bytes_max)", self.batch_bytes_max);
            return Err(Error::invalid("batch", format!("{bytes} bytes"), bound));
        }
        Ok(())
    }

    /// The deadline in whole milliseconds.
    pub(super) fn deadline_ms(&self, deadline: Option<Duration>) -> Result<u32, Error> {
        match deadline {
            None => Ok(self.deadline_default_ms),
            Some(deadline) if (DEADLINE_MIN..=DEADLINE_MAX).contains(&deadline) => {
                Ok(deadline.as_millis() as u32)
            }
            Some(deadline) => Err(Error::invalid("deadline", format!("{deadline:?}"), "1 ms to 10 minutes")),
        }
    }
}

pub(super) fn entity(entity: &[u8]) -> Result<(), Error> {
    if entity.is_empty() || entity.len() > ENTITY_BYTES_MAX {
        let bound = format!("1 to {ENTITY_BYTES_MAX} bytes");
        return Err(Error::invalid("entity", format!("{} bytes", entity.len()), bound));
    }
    Ok(())
}

pub(super) fn batch_mutations(count: usize) -> Result<(), Error> {
    if count == 0 || count > BATCH_MUTATIONS_MAX {
        let bound = format!("1 to {BATCH_MUTATIONS_MAX} changes");
        return Err(Error::invalid("batch", format!("{count} changes"), bound));
    }
    Ok(())
}

/// Refuses a position that occurs twice.
pub(super) fn distinct(mut positions: Vec<Position>) -> Result<(), Error> {
    positions.sort_unstable();
    match positions.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::invalid(
            "batch",
            format!("two changes at {}", pair[0]),
            "at most one change a position",
        )),
        None => Ok(()),
    }
}

pub(super) fn batch_get_keys(count: usize) -> Result<(), Error> {
    if count > BATCH_GET_KEYS_MAX {
        let value = format!("more than {BATCH_GET_KEYS_MAX} keys");
        return Err(Error::invalid("batch_get", value, format!("at most {BATCH_GET_KEYS_MAX} keys")));
    }
    Ok(())
}

pub(super) fn scan_limits(records: u32, bytes: u32) -> Result<(), Error> {
    let check = |field: &str, value: u32, max: u32, unit: &str| match value {
        0 => Err(Error::invalid(field, format!("0 {unit}"), format!("1 to {max} {unit}"))),
        value if value > max => {
            Err(Error::invalid(field, format!("{value} {unit}"), format!("1 to {max} {unit}")))
        }
        _ => Ok(()),
    };
    check("limit", records, SCAN_RECORDS_MAX, "records")?;
    check("limit_bytes", bytes, SCAN_BYTES_MAX, "bytes")
}
