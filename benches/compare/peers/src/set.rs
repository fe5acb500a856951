//! The one operation these stores replicate.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Put `value` under `key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set {
    /// The key, as the client sent it.
    pub key: Bytes,
    /// The value, as the client sent it.
    pub value: Bytes,
}

impl Set {
    /// Key length (u32, little-endian), key, value: the value takes the rest.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = BytesMut::with_capacity(4 + self.key.len() + self.value.len());
        out.put_u32_le(self.key.len() as u32);
        out.put_slice(&self.key);
        out.put_slice(&self.value);
        out.into()
    }

    /// The reverse of [`Set::encode`]; `None` when the key is said to be longer than what there is.
    pub fn decode(mut bytes: Bytes) -> Option<Set> {
        if bytes.len() < 4 {
            return None;
        }
        let key_bytes = bytes.get_u32_le() as usize;
        if key_bytes > bytes.len() {
            return None;
        }
        let key = bytes.split_to(key_bytes);
        Some(Set { key, value: bytes })
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "set of {} bytes", self.value.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_comes_back_and_a_lying_length_does_not() {
        let set = Set { key: Bytes::from_static(b"key"), value: Bytes::from_static(b"value") };
        assert_eq!(Set::decode(Bytes::from(set.encode())), Some(set.clone()));
        assert_eq!(Set::decode(Bytes::from_static(&[9, 0, 0, 0, b'k'])), None);
        assert_eq!(Set::decode(Bytes::from_static(&[1, 0])), None);
    }
}
