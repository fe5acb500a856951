//! The commands of a part, as they are in a frame: one behind the other, each as bucket u32 · slot u64 · command.
//!
//! A journal has commands in the same bytes (`record_codec.rs`): the source copies them and reads none. Who catches up makes values of them a
//! few at a time, as it takes them in, so that a part takes no more memory than its frame; they stay where they are in it, as nobody keeps one.

use bytes::{Buf, BufMut, Bytes};
use thermocline_paxos::{Bucket, Command, Slot};

use crate::node::wire::{Malformed, get_command_within, need};

/// A command that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Streamed {
    pub(crate) bucket: Bucket,
    pub(crate) slot: Slot,
    pub(crate) command: Command,
}

/// Commands that were chosen; in each bucket the slots are in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commands(Bytes);

impl Commands {
    /// Bytes that [`put`](Self::put) has written, or that somebody says it has.
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends one of which the bytes are known.
    pub(super) fn put(out: &mut Vec<u8>, bucket: Bucket, slot: Slot, command: &[u8]) {
        out.put_u32_le(bucket.0);
        out.put_u64_le(slot.0);
        out.put_slice(command);
    }

    /// Moves the next ones, as many as there are.
    ///
    /// # Errors
    /// [`Malformed`] when what comes next is none: nothing behind it can be read.
    pub(crate) fn take(&mut self, count: usize, into: &mut Vec<Streamed>) -> Result<(), Malformed> {
        for _ in 0..count {
            if self.0.is_empty() {
                break;
            }
            need(&self.0, 12)?;
            let (bucket, slot) = (Bucket(self.0.get_u32_le()), Slot(self.0.get_u64_le()));
            into.push(Streamed { bucket, slot, command: get_command_within(&mut self.0)? });
        }
        Ok(())
    }
}

#[cfg(any(test, feature = "test-util"))]
impl FromIterator<Streamed> for Commands {
    fn from_iter<I: IntoIterator<Item = Streamed>>(all: I) -> Self {
        let (mut bytes, mut one) = (Vec::new(), Vec::new());
        for Streamed { bucket, slot, command } in all {
            one.clear();
            crate::node::wire::put_command(&mut one, &command);
            Self::put(&mut bytes, bucket, slot, &one);
        }
        Self(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_is_malformed_and_what_is_before_it_is_not() {
        let command = |slot: u64| Streamed {
            bucket: Bucket(7),
            slot: Slot(slot),
            command: Command { id: None, heir: None, payload: Bytes::from(vec![1; 20]) },
        };
        let all: Commands = [command(1), command(2)].into_iter().collect();
        let length = all.as_bytes().len();
        for end in 0..=length {
            let (mut commands, mut taken) = (Commands(all.0.slice(..end)), Vec::new());
            let result = commands.take(3, &mut taken);
            assert_eq!(result.is_ok(), end % (length / 2) == 0, "{end} of {length} bytes");
            assert_eq!(taken.len(), end / (length / 2), "{end} of {length} bytes");
        }
    }
}
