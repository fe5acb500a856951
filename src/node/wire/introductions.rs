//! Who a node is, where it can be reached, who founded its group, and what it remembers of others.

use bytes::{Buf, BufMut, Bytes};
use thermocline_paxos::NodeId;

use super::fields::{get_bytes, need, put_bytes};
use super::{Item, Malformed, kind, malformed};
use crate::encoding;
use crate::node::lives::{Life, Lived, Reach};
use crate::node::witnessed::Witnessed;

/// The longest founding record, in bytes.
const FOUNDING_BYTES_MAX: usize = 4096;

/// The longest address: a name and a port.
const ADDRESS_BYTES_MAX: usize = 262;

/// The longest list of what is remembered, in bytes: 64 nodes fit with 32 retired disks, 8 lives, 16 that are over, and an address, each.
const WITNESSED_BYTES_MAX: usize = 80 << 10;

/// A node's founding record: whether it votes, and the disks that were there when it first did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Founding {
    /// The sender's disk.
    pub(crate) disk: u64,
    /// The nodes and disks that the sender will found the group with; durable, and never another for this disk.
    #[serde(deserialize_with = "crate::encoding::optional_list")]
    pub(crate) intent: Option<Vec<(u16, u64)>>,
    /// The nodes and disks of the group's founding; `None` when the sender has not been founded.
    #[serde(deserialize_with = "crate::encoding::optional_list")]
    pub(crate) members: Option<Vec<(u16, u64)>>,
}

const REACH_BYTES: usize = 8 + 4;
const LIFE_BYTES: usize = 3 * 8 + 2 * REACH_BYTES + 8;
const LIVED_BYTES: usize = 8 + REACH_BYTES;

/// Appends what stands at the head of every body.
pub(crate) fn put_life(out: &mut Vec<u8>, life: &Life) {
    out.put_u8(kind::LIFE);
    out.put_u64_le(life.disk);
    out.put_u64_le(life.id);
    out.put_u64_le(life.parent);
    put_reach(out, life.recovered);
    put_reach(out, life.synced);
    out.put_u64_le(life.hears);
}

fn put_reach(out: &mut Vec<u8>, reach: Reach) {
    out.put_u64_le(reach.generation);
    out.put_u32_le(reach.offset);
}

fn get_reach(body: &mut Bytes) -> Reach {
    Reach { generation: body.get_u64_le(), offset: body.get_u32_le() }
}

pub(super) fn take_life(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, LIFE_BYTES)?;
    let (disk, id, parent) = (body.get_u64_le(), body.get_u64_le(), body.get_u64_le());
    let (recovered, synced) = (get_reach(body), get_reach(body));
    Ok(Item::Life(Life { disk, id, parent, recovered, synced, hears: body.get_u64_le() }))
}

pub(super) fn put_accounts(out: &mut Vec<u8>, lives: &[Lived]) {
    out.put_u8(kind::ACCOUNTS);
    out.put_u32_le(lives.len() as u32);
    for lived in lives {
        out.put_u64_le(lived.id);
        put_reach(out, lived.synced);
    }
}

pub(super) fn take_accounts(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 4)?;
    let mut lives = Vec::new();
    for _ in 0..body.get_u32_le() {
        need(body, LIVED_BYTES)?;
        lives.push(Lived { id: body.get_u64_le(), synced: get_reach(body) });
    }
    Ok(Item::Accounts(lives))
}

pub(super) fn put_witnessed(out: &mut Vec<u8>, nodes: &[(NodeId, Witnessed)]) {
    out.put_u8(kind::WITNESSED);
    let nodes: Vec<(u16, &Witnessed)> = nodes.iter().map(|(node, known)| (node.0, known)).collect();
    // Too long a list is told as none: the peers of the others tell it too.
    let bytes = encoding::encode::<WITNESSED_BYTES_MAX, _>(&nodes).unwrap_or_default();
    put_bytes(out, &bytes);
}

pub(super) fn put_founding(out: &mut Vec<u8>, founding: &Founding) {
    out.put_u8(kind::FOUNDING);
    // A group has at most 64 machines: far below the limit.
    let bytes = encoding::encode::<FOUNDING_BYTES_MAX, _>(founding).unwrap_or_default();
    put_bytes(out, &bytes);
}

pub(super) fn put_address(out: &mut Vec<u8>, epoch: u64, address: &str) {
    out.put_u8(kind::ADDRESS);
    out.put_u64_le(epoch);
    put_bytes(out, address.as_bytes());
}

pub(super) fn take_witnessed(body: &mut Bytes) -> Result<Item, Malformed> {
    let bytes = get_bytes(body)?;
    let nodes: Vec<(u16, Witnessed)> = if bytes.is_empty() {
        Vec::new()
    } else {
        let list = encoding::decode::<WITNESSED_BYTES_MAX, encoding::List<_>>(&bytes);
        list.map_err(|_| malformed("what is remembered"))?.0
    };
    Ok(Item::Witnessed(nodes.into_iter().map(|(node, known)| (NodeId(node), known)).collect()))
}

pub(super) fn take_founding(body: &mut Bytes) -> Result<Item, Malformed> {
    let bytes = get_bytes(body)?;
    let founding = encoding::decode::<FOUNDING_BYTES_MAX, _>(&bytes);
    Ok(Item::Founding(founding.map_err(|_| malformed("founding record"))?))
}

pub(super) fn take_address(body: &mut Bytes) -> Result<Item, Malformed> {
    need(body, 8)?;
    let (epoch, address) = (body.get_u64_le(), get_bytes(body)?);
    let address = std::str::from_utf8(&address).ok().filter(|address| address.len() <= ADDRESS_BYTES_MAX);
    Ok(Item::Address { epoch, address: address.ok_or(malformed("address"))?.to_owned() })
}
