//! The deterministic node: consensus, state and routing put together, with no runtime below it.
//!
//! [`worker`] lists all that can happen to a worker and [`effects`] all that it can want; the other files each hold one side of
//! its work. [`recovery`] makes workers from a directory.
//!
//! **Nothing in here imports tokio, a socket, a file or a clock.** Disks are reached through `Disk`.

pub(crate) mod active;
pub(crate) mod apply;
pub(crate) mod calls;
mod catch_up;
pub(crate) mod command;
pub(crate) mod counters;
pub(crate) mod effects;
mod forward;
pub(crate) mod founding;
pub(crate) mod identity;
pub(crate) mod journal_index;
mod read;
pub(crate) mod record_codec;
pub(crate) mod recovery;
mod request_codec;
pub(crate) mod route;
#[cfg(test)]
mod tests;
mod timers;
pub(crate) mod wire;
pub(crate) mod worker;
mod write;

use thermocline_tiers::hot::journal::JournalError;
use thermocline_tiers::hot::state::StateError;

use crate::error::Error;

/// The hash that decides where an entity lives.
pub(crate) fn entity_hash(entity: &[u8]) -> u64 {
    thermocline_routing_table::entity_hash(entity)
}

/// An error of the state, as callers see it.
pub(crate) fn state_error(error: &StateError) -> Error {
    match error {
        StateError::Corrupt { .. } => Error::Corrupt { what: error.to_string() },
        _ => Error::Storage { what: error.to_string() },
    }
}

/// An error of the journal, as callers see it.
pub(crate) fn journal_error(error: &JournalError) -> Error {
    match error {
        JournalError::Corrupt { .. } => Error::Corrupt { what: error.to_string() },
        JournalError::Full { .. } => {
            Error::Overloaded { what: "the journal's disk", limit: error.to_string() }
        }
        _ => Error::Storage { what: error.to_string() },
    }
}
