//! The running digest of a bucket.

use twox_hash::XxHash3_64;

use super::key::Place;
use super::record::Digest;
use crate::hot::Slot;

/// What an effect is, as the digest counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Put = 1,
    Delete = 2,
    Trim = 3,
    Outcome = 4,
    Attribute = 5,
}

/// What seeds the two halves.
const LOW: u64 = 0x7468_6572_6d6f_636c;
const HIGH: u64 = 0x696e_652d_7374_6174;

impl Digest {
    /// The digest after one more effect. The two halves are xxh3-64 under different seeds of the digest so far and everything about the effect,
    /// the entity and the value by their hashes.
    pub(super) fn fold(
        self,
        slot: Slot,
        effect: Effect,
        entity: &[u8],
        place: Place,
        expires_ms: Option<u64>,
        value: &[u8],
    ) -> Digest {
        let (tag, major, minor) = place.parts();
        let mut bytes = [0; 76];
        bytes[..16].copy_from_slice(&self.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&slot.0.to_le_bytes());
        bytes[24] = effect as u8;
        bytes[25] = tag;
        bytes[26] = u8::from(expires_ms.is_some());
        bytes[28..36].copy_from_slice(&major.to_le_bytes());
        bytes[36..44].copy_from_slice(&minor.to_le_bytes());
        bytes[44..52].copy_from_slice(&expires_ms.unwrap_or(0).to_le_bytes());
        bytes[52..60].copy_from_slice(&XxHash3_64::oneshot_with_seed(LOW, entity).to_le_bytes());
        bytes[60..68].copy_from_slice(&XxHash3_64::oneshot_with_seed(LOW, value).to_le_bytes());
        bytes[68..72].copy_from_slice(&(entity.len() as u32).to_le_bytes());
        bytes[72..].copy_from_slice(&(value.len() as u32).to_le_bytes());
        let low = XxHash3_64::oneshot_with_seed(LOW, &bytes);
        let high = XxHash3_64::oneshot_with_seed(HIGH, &bytes);
        Digest(u128::from(high) << 64 | u128::from(low))
    }
}
