//! What a call's arguments may be: each bound once, by name.

use std::time::Duration;

use thermocline_routing_table::BucketCount;

use crate::config::Config;
use crate::error::Error;
use crate::key::Position;
use crate::request::Mutation;
use crate::token::Token;

/// The shortest deadline of a call: 1 ms.
pub const DEADLINE_MIN: Duration = Duration::from_millis(1);
/// The longest deadline of a call: 10 minutes.
pub const DEADLINE_MAX: Duration = Duration::from_secs(600);
/// The most changes in one [`Batch`](crate::Batch).
pub const BATCH_MUTATIONS_MAX: usize = 1_000;
/// The most keys of one [`Store::batch_get`](crate::Store::batch_get).
pub const BATCH_GET_KEYS_MAX: usize = 1_000;
/// How many records a page of a scan has at most, unless told otherwise.
pub const SCAN_RECORDS_DEFAULT: u32 = 100;
/// How many records a page of a scan can be told to have at most.
pub const SCAN_RECORDS_MAX: u32 = 10_000;
/// How many bytes of values a page of a scan has at most, unless told otherwise: 1 MiB.
pub const SCAN_BYTES_DEFAULT: u32 = 1 << 20;
/// How many bytes of values a page of a scan can be told to have at most: 16 MiB.
pub const SCAN_BYTES_MAX: u32 = 16 << 20;

/// The bounds that depend on the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    buckets: BucketCount,
    value_bytes_max: u32,
    batch_bytes_max: u32,
    deadline_default_ms: u32,
}

impl Limits {
    /// The bounds of a checked configuration.
    pub(super) fn of(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            buckets: config.bucket_count()?,
            value_bytes_max: config.value_bytes_max,
            batch_bytes_max: config.batch_bytes_max.max(config.value_bytes_max),
            deadline_default_ms: config.deadline_default_ms,
        })
    }

    #[cfg(feature = "server")]
    pub(super) fn value_bytes_max(&self) -> usize {
        self.value_bytes_max as usize
    }

    pub(super) fn value(&self, value: &[u8]) -> Result<(), Error> {
        if value.len() > self.value_bytes_max as usize {
            let bound = format!("at most {} bytes (value_bytes_max)", self.value_bytes_max);
            return Err(Error::invalid("value", format!("{} bytes", value.len()), bound));
        }
        Ok(())
    }

    /// The number of changes, each value, all values together, and that each position is changed once only.
    pub(super) fn batch(&self, mutations: &[Mutation]) -> Result<(), Error> {
        if mutations.is_empty() || mutations.len() > BATCH_MUTATIONS_MAX {
            let bound = format!("1 to {BATCH_MUTATIONS_MAX} changes");
            return Err(Error::invalid("batch", format!("{} changes", mutations.len()), bound));
        }
        let (mut positions, mut trimmed, mut bytes) = (Vec::with_capacity(mutations.len()), None, 0);
        for mutation in mutations {
            match mutation {
                Mutation::Put { position, value, expires_at, .. } => {
                    self.value(value)?;
                    expiry(*expires_at)?;
                    bytes += value.len();
                    positions.push(*position);
                }
                Mutation::Delete { position, .. } => positions.push(*position),
                Mutation::Trim { through } => {
                    if let Some(other) = trimmed.replace(*through) {
                        let value = format!("trims through {other} and through {through}");
                        return Err(Error::invalid("batch", value, "at most one trim"));
                    }
                }
            }
        }
        if bytes > self.batch_bytes_max as usize {
            let bound = format!("at most {} bytes of values (batch_bytes_max)", self.batch_bytes_max);
            return Err(Error::invalid("batch", format!("{bytes} bytes of values"), bound));
        }
        changed_once(positions, trimmed)
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

    /// Refuses a token that no node of this cluster can have made.
    pub(super) fn token(&self, token: &Token) -> Result<(), Error> {
        let buckets = self.buckets.get();
        if token.bucket >= buckets {
            let bound = format!("a token of this cluster, which has {buckets} buckets");
            return Err(Error::invalid("token", token.to_string(), bound));
        }
        Ok(())
    }

    /// Refuses a token that was not made for this entity, as far as that shows.
    pub(super) fn token_of(&self, token: &Token, entity: &[u8]) -> Result<(), Error> {
        let bucket = self.buckets.bucket_of(entity).index();
        if token.bucket != bucket {
            let bound = format!("a token made for this entity, whose bucket is {bucket:x}");
            return Err(Error::invalid("token", token.to_string(), bound));
        }
        Ok(())
    }
}

/// Refuses a position that occurs twice, or that is trimmed as well.
fn changed_once(mut positions: Vec<Position>, trimmed: Option<u64>) -> Result<(), Error> {
    positions.sort_unstable();
    let twice = positions.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    let covered = |position: &&Position| match (position, trimmed) {
        (Position::Dated { timestamp, .. }, Some(through)) => *timestamp <= through,
        _ => false,
    };
    match twice.or_else(|| positions.iter().find(covered).copied()) {
        Some(position) => Err(Error::invalid(
            "batch",
            format!("two changes at {position}"),
            "at most one change a position",
        )),
        None => Ok(()),
    }
}

/// Refuses 0, which stands for no expiry where records are stored.
pub(super) fn expiry(expires_at: Option<u64>) -> Result<(), Error> {
    if expires_at == Some(0) {
        return Err(Error::invalid("expires_at", "0 ms", "1 ms after the Unix epoch, or later"));
    }
    Ok(())
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
        value if value == 0 || value > max => {
            Err(Error::invalid(field, format!("{value} {unit}"), format!("1 to {max} {unit}")))
        }
        _ => Ok(()),
    };
    check("limit", records, SCAN_RECORDS_MAX, "records")?;
    check("limit_bytes", bytes, SCAN_BYTES_MAX, "bytes")
}

#[cfg(test)]
mod tests;
