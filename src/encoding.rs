//! Serialization of what is not on the hot path: handshakes, foundings, what nodes remember of each other, the small files.
//!
//! **Nothing else names the serializer.** `bincode` is finished but no longer maintained (RUSTSEC-2025-0141), so it sits
//! behind these two functions and can be replaced without touching a caller. The bytes are those of bincode 1:
//! little-endian integers of fixed width, `u64` lengths, `u32` enum tags, nothing in between.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Why a value could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncodingError {
    /// More bytes than allowed.
    #[error("{bytes} bytes encoded; at most {bytes_max} allowed")]
    TooLong {
        /// How many there are.
        bytes: usize,
        /// How many there may be.
        bytes_max: usize,
    },
    /// The value cannot be written.
    #[error("cannot be encoded: {0}")]
    Encode(String),
    /// The bytes are not a value of the type.
    #[error("cannot be decoded: {0}")]
    Decode(String),
    /// A value, and then more.
    #[error("{0} bytes left over after the value")]
    LeftOver(usize),
}

/// The bytes of a value, at most `BYTES_MAX` of them.
pub(crate) fn encode<const BYTES_MAX: usize, T: Serialize>(value: &T) -> Result<Vec<u8>, EncodingError> {
    let config = bincode::config::legacy();
    let bytes =
        bincode::serde::encode_to_vec(value, config).map_err(|e| EncodingError::Encode(e.to_string()))?;
    if bytes.len() > BYTES_MAX {
        return Err(EncodingError::TooLong { bytes: bytes.len(), bytes_max: BYTES_MAX });
    }
    Ok(bytes)
}

/// The value of exactly these bytes. A length inside the bytes can make it allocate about `BYTES_MAX` for text. For a list serde reserves up
/// to 1 MiB before it has seen an element; see [`list`].
pub(crate) fn decode<const BYTES_MAX: usize, T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EncodingError> {
    if bytes.len() > BYTES_MAX {
        return Err(EncodingError::TooLong { bytes: bytes.len(), bytes_max: BYTES_MAX });
    }
    let config = bincode::config::legacy().with_limit::<BYTES_MAX>();
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, config).map_err(|e| EncodingError::Decode(e.to_string()))?;
    match bytes.len() - used {
        0 => Ok(value),
        left => Err(EncodingError::LeftOver(left)),
    }
}

/// A list that takes memory for the elements that are there, not for those that are claimed.
#[derive(Debug)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = List<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = elements.next_element()? {
                    list.push(element);
                }
                Ok(List(list))
            }
        }
        deserializer.deserialize_seq(Elements(PhantomData))
    }
}

/// Reads a field as a [`List`].
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    List::deserialize(deserializer).map(|list| list.0)
}

/// Reads a field that may be missing as a [`List`].
pub(crate) fn optional_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    Option::<List<T>>::deserialize(deserializer).map(|list| list.map(|list| list.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_fixed_width_little_endian() {
        let bytes = encode::<64, _>(&(1_u16, 2_u64, "ab".to_owned(), Some(3_u8))).unwrap();
        let expected = [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', 1, 3];
        assert_eq!(bytes, expected);
        assert_eq!(decode::<64, (u16, u64, String, Option<u8>)>(&bytes), Ok((1, 2, "ab".into(), Some(3))));
    }

    #[test]
    fn limits_hold_both_ways() {
        let long = "x".repeat(100);
        assert_eq!(encode::<64, _>(&long), Err(EncodingError::TooLong { bytes: 108, bytes_max: 64 }));
        let bytes = encode::<108, _>(&long).unwrap();
        assert_eq!(decode::<64, String>(&bytes), Err(EncodingError::TooLong { bytes: 108, bytes_max: 64 }));
        assert_eq!(decode::<108, String>(&bytes), Ok(long));
    }

    #[test]
    fn a_claimed_length_is_refused_before_it_is_believed() {
        for claim in [u64::MAX, u64::MAX / 2, 1 << 40, 57] {
            let mut bytes = claim.to_le_bytes().to_vec();
            bytes.extend_from_slice(b"abc");
            assert!(matches!(decode::<64, Vec<u8>>(&bytes), Err(EncodingError::Decode(_))), "{claim}");
            assert!(matches!(decode::<64, String>(&bytes), Err(EncodingError::Decode(_))), "{claim}");
        }
    }

    #[test]
    fn left_over_bytes_are_an_error() {
        assert_eq!(decode::<64, u16>(&[1, 0, 9]), Err(EncodingError::LeftOver(1)));
    }
}
