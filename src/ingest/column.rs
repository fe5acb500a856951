//! Columns: by the name in the header, or by number.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::key::ENTITY_BYTES_MAX;

/// Which column: a name, or a number from 1. A header's name goes before a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column(String);

impl Column {
    /// The name as it was given.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Its place among the named columns, from 0.
    pub(super) fn place<'a>(&self, mut names: impl Iterator<Item = &'a [u8]>) -> Option<usize> {
        names.position(|name| name == self.0.as_bytes()).or_else(|| self.number())
    }

    /// Its place if it is a number, from 0.
    pub(super) fn number(&self) -> Option<usize> {
        self.0.parse::<usize>().ok()?.checked_sub(1)
    }
}

impl FromStr for Column {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("a column is a name or a number from 1".to_owned()),
            "0" => Err("columns are counted from 1".to_owned()),
            name => Ok(Self(name.to_owned())),
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the length of an entity.
pub(super) fn entity(bytes: &[u8]) -> Result<Bytes, String> {
    match bytes.len() {
        0 => Err("the entity is empty; it must have 1 to 1024 bytes".to_owned()),
        1..=ENTITY_BYTES_MAX => Ok(Bytes::copy_from_slice(bytes)),
        long => Err(format!("the entity has {long} bytes; it must have 1 to {ENTITY_BYTES_MAX}")),
    }
}

/// Reads a sequence.
pub(super) fn sequence(bytes: &[u8]) -> Result<u64, String> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| format!("not a sequence; write an integer from 0 to {}", u64::MAX))
}

/// A row as CSV text without its line end: fields are quoted where they must be, and nowhere else.
pub(crate) fn row_text<'a>(fields: impl Iterator<Item = &'a [u8]>, delimiter: u8) -> Bytes {
    let mut text = Vec::with_capacity(128);
    for (place, field) in fields.enumerate() {
        if place > 0 {
            text.push(delimiter);
        }
        if field.iter().any(|&byte| byte == delimiter || matches!(byte, b'"' | b'\r' | b'\n')) {
            text.push(b'"');
            for &byte in field {
                if byte == b'"' {
                    text.push(b'"');
                }
                text.push(byte);
            }
            text.push(b'"');
        } else {
            text.extend_from_slice(field);
        }
    }
    Bytes::from(text)
}
