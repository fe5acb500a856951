//! The consensus core's one message.

use bytes::{Buf, BufMut, Bytes};
use thermocline_paxos::{Accepted, Ballot, Bucket, Command, Known, Message, Slot};

use super::fields::{
    get_ballot, get_id, get_originator, get_payload, need, put_ballot, put_bytes, put_id, put_originator,
};
use super::{Item, Malformed, kind};

/// Bits of a Paxos item's flags: which of its fields are there.
mod flag {
    pub(super) const PROMISED: u16 = 1;
    pub(super) const ACCEPTED: u16 = 2;
    pub(super) const ID: u16 = 4;
    pub(super) const COMMAND: u16 = 8;
    pub(super) const DURABLE: u16 = 16;
    pub(super) const CHOSEN: u16 = 32;
    pub(super) const KNOWN_PROMISED: u16 = 64;
    pub(super) const KNOWN_ACCEPTED: u16 = 128;
    pub(super) const MISSING: u16 = 256;
    pub(super) const HEIR: u16 = 512;
}

/// Appends the core's message.
pub(crate) fn put_paxos(out: &mut Vec<u8>, message: &Message) {
    let mut flags = 0;
    let mut set = |bit, on: bool| {
        if on {
            flags |= bit;
        }
    };
    set(flag::PROMISED, message.promised != Ballot::ZERO);
    set(flag::DURABLE, message.durable);
    set(flag::CHOSEN, message.chosen);
    set(flag::MISSING, message.missing);
    set(flag::KNOWN_PROMISED, message.known.promised != Ballot::ZERO);
    set(flag::KNOWN_ACCEPTED, message.known.accepted != Ballot::ZERO);
    if let Some(accepted) = &message.accepted {
        set(flag::ACCEPTED, true);
        set(flag::ID, accepted.id.is_some());
        set(flag::COMMAND, accepted.command.is_some());
        set(flag::HEIR, accepted.command.as_ref().is_some_and(|command| command.heir.is_some()));
    }
    out.reserve(128);
    out.put_u8(kind::PAXOS);
    out.put_u16_le(flags);
    out.put_u32_le(message.bucket.0);
    out.put_u64_le(message.slot.0);
    out.put_u64_le(message.chosen_through.0);
    for (bit, ballot) in [
        (flag::PROMISED, &message.promised),
        (flag::KNOWN_PROMISED, &message.known.promised),
        (flag::KNOWN_ACCEPTED, &message.known.accepted),
    ] {
        if flags & bit != 0 {
            put_ballot(out, ballot);
        }
    }
    if let Some(accepted) = &message.accepted {
        put_ballot(out, &accepted.ballot);
        if let Some(id) = &accepted.id {
            put_id(out, id);
        }
        if let Some(command) = &accepted.command {
            if let Some(heir) = &command.heir {
                put_originator(out, heir);
            }
            put_bytes(out, &command.payload);
        }
    }
}

/// Takes the core's message.
pub(super) fn take_paxos(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 2 + 4 + 8 + 8)?;
    let flags = body.get_u16_le();
    let bucket = Bucket(body.get_u32_le());
    let slot = Slot(body.get_u64_le());
    let chosen_through = Slot(body.get_u64_le());
    let ballot = |body: &mut Bytes, bit| if flags & bit == 0 { Ok(Ballot::ZERO) } else { get_ballot(body) };
    let promised = ballot(body, flag::PROMISED)?;
    let known = Known {
        promised: ballot(body, flag::KNOWN_PROMISED)?,
        accepted: ballot(body, flag::KNOWN_ACCEPTED)?,
    };
    let accepted = if flags & flag::ACCEPTED == 0 {
        None
    } else {
        let ballot = get_ballot(body)?;
        let id = if flags & flag::ID == 0 { None } else { Some(get_id(body)?) };
        // A command outlives the frame that brought it: it gets memory of its own, so that no frame is pinned.
        let command = if flags & flag::COMMAND == 0 {
            None
        } else {
            let heir = if flags & flag::HEIR == 0 { None } else { Some(get_originator(body)?) };
            Some(Command { id, heir, payload: get_payload(body)? })
        };
        Some(Accepted { ballot, id, command })
    };
    Ok(Item::Paxos(Message {
        bucket,
        slot,
        promised,
        accepted,
        durable: flags & flag::DURABLE != 0,
        chosen: flags & flag::CHOSEN != 0,
        missing: flags & flag::MISSING != 0,
        known,
        chosen_through,
    }))
}
