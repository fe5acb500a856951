//! The bytes of the core's durable records inside the journal.
//!
//! The journal keeps bucket, slot, kind, length and checksums; this is the payload. All integers are little-endian.
//!
//! ```text
//! promise  (kind 1)   ballot: round u32 · node u16 · disk u64 · boot count u32
//! accept   (kind 2)   ballot · command: bits u8 · [id: originator · sequence u64] · [heir: originator] · length u32 · payload
//! chosen   (kind 3)   command
//! floor    (kind 4)   nothing: the record's slot is the floor
//! installed (kind 5)  nothing: the record's slot is the last one of what came whole from another replica
//! ```
//!
//! An originator is node u16 · disk u64 · boot count u32. A command's bits: 1, it has an id; 2, it has an heir too.

use bytes::Bytes;
use thermocline_paxos::{Command, Record, Slot};

use super::wire::{BALLOT_BYTES, Malformed, get_ballot, get_command, put_ballot, put_command};

const PROMISE: u8 = 1;
const ACCEPT: u8 = 2;
const CHOSEN: u8 = 3;
const FLOOR: u8 = 4;
const INSTALLED: u8 = 5;

/// The journal's kind byte and slot of a record.
pub(crate) fn head(record: &Record) -> (u8, Slot) {
    match record {
        Record::Promise { slot, .. } => (PROMISE, *slot),
        Record::Accept { slot, .. } => (ACCEPT, *slot),
        Record::Chosen { slot, .. } => (CHOSEN, *slot),
        Record::Floor { slot } => (FLOOR, *slot),
        Record::Installed { slot } => (INSTALLED, *slot),
    }
}

/// Whether a record of this kind is a vote for a command, which may still lose.
pub(crate) fn is_accept(kind: u8) -> bool {
    kind == ACCEPT
}

/// Whether a record of this kind is a vote floor.
pub(crate) fn is_floor(kind: u8) -> bool {
    kind == FLOOR
}

/// Whether a record of this kind makes those of the bucket before it count for nothing.
pub(crate) fn starts_anew(kind: u8) -> bool {
    kind == INSTALLED
}

/// Whether a record of this kind is of what was promised, accepted or chosen in its slot.
pub(crate) fn is_of_slot(kind: u8) -> bool {
    kind == PROMISE || has_command(kind)
}

/// Whether a record of this kind carries the slot's command.
pub(crate) fn has_command(kind: u8) -> bool {
    matches!(kind, ACCEPT | CHOSEN)
}

/// Appends a record's payload.
pub(crate) fn encode(out: &mut Vec<u8>, record: &Record) {
    match record {
        Record::Promise { ballot, .. } => put_ballot(out, ballot),
        Record::Accept { ballot, command, .. } => {
            put_ballot(out, ballot);
            put_command(out, command);
        }
        Record::Chosen { command, .. } => put_command(out, command),
        Record::Floor { .. } | Record::Installed { .. } => {}
    }
}

/// The bytes of the slot's command, as [`put_command`] writes them; `None` where there is none. Nothing says that they are a command.
pub(crate) fn command_bytes(kind: u8, payload: &[u8]) -> Option<&[u8]> {
    match kind {
        ACCEPT => payload.get(BALLOT_BYTES..),
        CHOSEN => Some(payload),
        _ => None,
    }
}

/// Reads the slot's command back; `None` where there is none.
pub(crate) fn command(kind: u8, slot: Slot, payload: Bytes) -> Option<Command> {
    match decode(kind, slot, payload) {
        Ok(Record::Accept { command, .. } | Record::Chosen { command, .. }) => Some(command),
        _ => None,
    }
}

/// Reads a record back.
pub(crate) fn decode(kind: u8, slot: Slot, mut payload: Bytes) -> Result<Record, Malformed> {
    let payload = &mut payload;
    let record = match kind {
        PROMISE => Record::Promise { slot, ballot: get_ballot(payload)? },
        ACCEPT => Record::Accept { slot, ballot: get_ballot(payload)?, command: get_command(payload)? },
        CHOSEN => Record::Chosen { slot, command: get_command(payload)? },
        FLOOR => Record::Floor { slot },
        INSTALLED => Record::Installed { slot },
        _ => return Err(Malformed { what: "record kind" }),
    };
    if payload.is_empty() { Ok(record) } else { Err(Malformed { what: "record is longer than its fields" }) }
}

#[cfg(test)]
mod tests {
    use thermocline_paxos::{Ballot, Boot, CommandId, NodeId, Originator};

    use super::*;

    #[test]
    fn a_commands_bytes_are_those_of_a_frame() {
        let boot = Boot { disk: 3, count: 4 };
        let originator = Originator { node: NodeId(2), boot };
        let id = Some(CommandId { originator, sequence: 9 });
        let command =
            Command { id, heir: Some(originator), payload: Bytes::from_static(b"what was written") };
        let (slot, ballot) = (Slot(5), Ballot { round: 1, node: NodeId(2), boot });
        let mut framed = Vec::new();
        put_command(&mut framed, &command);
        let with_command =
            [Record::Accept { slot, ballot, command: command.clone() }, Record::Chosen { slot, command }];
        for record in with_command {
            let mut payload = Vec::new();
            encode(&mut payload, &record);
            assert_eq!(command_bytes(head(&record).0, &payload), Some(&framed[..]));
        }
        for record in [Record::Promise { slot, ballot }, Record::Floor { slot }, Record::Installed { slot }] {
            let mut payload = Vec::new();
            encode(&mut payload, &record);
            assert_eq!(command_bytes(head(&record).0, &payload), None);
        }
        assert_eq!(command_bytes(ACCEPT, &[0; BALLOT_BYTES - 1]), None);
    }
}
