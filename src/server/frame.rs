//! Requests out of bytes: arrays of bulk strings, and lines typed by hand (inline commands).
//!
//! The bytes are decoded by `redis-protocol`, which knows no limits: it nests as deep as the bytes say, begins again with
//! every byte that comes late, and does not look at what ends a bulk string. So a [`Framer`] walks over the headers first.
//! It remembers where it was, lets only flat arrays of bounded size pass, and hands them on when they are whole.
//! What is buffered is therefore bounded, and nothing is ever allocated because a header claims it.

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;

/// The most arguments of a request, the command's name included.
pub(crate) const ARGUMENTS_MAX: usize = 4096;
/// What a request may have beyond its longest argument: many keys, many fields.
pub(crate) const REST_BYTES_MAX: usize = 1 << 20;
/// The longest line typed by hand, in bytes.
const INLINE_BYTES_MAX: usize = 64 << 10;
/// A kind, a sign, the digits of an `i64` and a line end.
const HEADER_BYTES_MAX: usize = 23;

/// One request: its bytes, and where its arguments are.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    bytes: Bytes,
    arguments: Vec<RangeFrame>,
}

impl Request {
    /// How many arguments it has, the command's name included; at least 1.
    pub(crate) fn len(&self) -> usize {
        self.arguments.len()
    }

    /// An argument; number 0 is the command's name. Panics if there is none: counts are checked before.
    pub(crate) fn argument(&self, number: usize) -> &[u8] {
        let (start, end) = self.range(number);
        &self.bytes[start..end]
    }

    /// An argument, shared with the request's bytes.
    pub(crate) fn share(&self, number: usize) -> Bytes {
        let (start, end) = self.range(number);
        self.bytes.slice(start..end)
    }

    fn range(&self, number: usize) -> (usize, usize) {
        match self.arguments[number] {
            RangeFrame::BulkString(range) => range,
            ref other => unreachable!("the framer lets only bulk strings pass, not {other:?}"),
        }
    }
}

/// Bytes that are no request. The connection cannot go on: where the next request begins is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Protocol error: {0}")]
pub(crate) struct ProtocolError(pub(crate) String);

/// Cuts requests out of what has arrived.
#[derive(Debug)]
pub(crate) struct Framer {
    argument_bytes_max: usize,
    /// Where in the buffer the next header begins.
    at: usize,
    /// How many arguments are still to come; `None` before the array's header.
    left: Option<usize>,
}

impl Framer {
    /// For arguments up to a length.
    pub(crate) fn new(argument_bytes_max: usize) -> Self {
        Self { argument_bytes_max, at: 0, left: None }
    }

    /// Takes the next whole request off the buffer; `None` when it is not all there yet.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Request>, ProtocolError> {
        while let Some(&first) = buffer.first() {
            if first != b'*' {
                match inline(buffer)? {
                    Inline::Request(request) => return Ok(Some(request)),
                    Inline::Blank => continue,
                    Inline::Unfinished => return Ok(None),
                }
            }
            if !self.walk(buffer)? {
                return Ok(None);
            }
            let bytes = buffer.split_to(self.at).freeze();
            (self.at, self.left) = (0, None);
            let (frame, _) = decode_range(&bytes)
                .map_err(|error| ProtocolError(error.details().to_string()))?
                .ok_or_else(|| ProtocolError("unfinished request".to_owned()))?;
            match frame {
                RangeFrame::Array(arguments) if !arguments.is_empty() => {
                    return Ok(Some(Request { bytes, arguments }));
                }
                // An array of nothing, or no array at all (`*-1`), is passed over.
                RangeFrame::Array(_) | RangeFrame::Null => {}
                other => unreachable!("walked over an array and decoded {other:?}"),
            }
        }
        Ok(None)
    }

    /// Walks on over headers and strings; `true` when the array is whole and ends at `at`.
    fn walk(&mut self, buffer: &[u8]) -> Result<bool, ProtocolError> {
        let mut left = match self.left {
            Some(left) => left,
            None => {
                let Some((count, end)) = header(buffer, 0, b'*')? else { return Ok(false) };
                if !(-1..=ARGUMENTS_MAX as i64).contains(&count) {
                    return Err(ProtocolError(format!("invalid multibulk length, at most {ARGUMENTS_MAX}")));
                }
                self.at = end;
                count.max(0) as usize
            }
        };
        while left > 0 {
            self.left = Some(left);
            let Some((length, start)) = header(buffer, self.at, b'$')? else { return Ok(false) };
            let length = usize::try_from(length).ok().filter(|length| *length <= self.argument_bytes_max);
            let Some(length) = length else {
                return Err(ProtocolError(format!(
                    "invalid bulk length, at most {}",
                    self.argument_bytes_max
                )));
            };
            let end = start + length;
            if end > self.argument_bytes_max + REST_BYTES_MAX {
                let most = self.argument_bytes_max + REST_BYTES_MAX;
                return Err(ProtocolError(format!("request too long, at most {most} bytes")));
            }
            match buffer.get(end..end + 2) {
                None => return Ok(false),
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError("a bulk string is longer than it says".to_owned())),
            }
            self.at = end + 2;
            left -= 1;
        }
        self.left = Some(0);
        Ok(true)
    }
}

/// Reads `kind`, a number and a line end; gives the number and where the line ends. `None` when it is not all there yet.
fn header(buffer: &[u8], at: usize, kind: u8) -> Result<Option<(i64, usize)>, ProtocolError> {
    let line = &buffer[at..buffer.len().min(at + HEADER_BYTES_MAX)];
    let Some(&first) = line.first() else { return Ok(None) };
    if first != kind {
        let (expected, got) = (char::from(kind), first.escape_ascii());
        return Err(ProtocolError(format!("expected '{expected}', got '{got}'")));
    }
    let (negative, digits) = if line.get(1) == Some(&b'-') { (true, 2) } else { (false, 1) };
    let mut value: i64 = 0;
    for (place, &byte) in line.iter().enumerate().skip(digits) {
        match byte {
            b'0'..=b'9' => {
                let more = value.checked_mul(10).and_then(|value| value.checked_add((byte - b'0').into()));
                value = more.ok_or_else(|| ProtocolError("invalid length".to_owned()))?;
            }
            b'\r' if place > digits => {
                return match line.get(place + 1) {
                    Some(b'\n') => Ok(Some((if negative { -value } else { value }, at + place + 2))),
                    Some(_) => Err(ProtocolError("invalid length".to_owned())),
                    None if line.len() < HEADER_BYTES_MAX => Ok(None),
                    None => Err(ProtocolError("invalid length".to_owned())),
                };
            }
            _ => return Err(ProtocolError("invalid length".to_owned())),
        }
    }
    if line.len() < HEADER_BYTES_MAX { Ok(None) } else { Err(ProtocolError("invalid length".to_owned())) }
}

enum Inline {
    Request(Request),
    Blank,
    Unfinished,
}

/// A line typed by hand: words between spaces, without quotes.
fn inline(buffer: &mut BytesMut) -> Result<Inline, ProtocolError> {
    let seen = &buffer[..buffer.len().min(INLINE_BYTES_MAX)];
    let Some(end) = seen.iter().position(|&byte| byte == b'\n') else {
        return match seen.len() {
            INLINE_BYTES_MAX => {
                Err(ProtocolError(format!("too big inline request, at most {INLINE_BYTES_MAX} bytes")))
            }
            _ => Ok(Inline::Unfinished),
        };
    };
    let bytes = buffer.split_to(end + 1).freeze();
    let mut arguments = Vec::new();
    let mut at = 0;
    for word in bytes.split(|byte| byte.is_ascii_whitespace()) {
        if !word.is_empty() {
            arguments.push(RangeFrame::BulkString((at, at + word.len())));
        }
        at += word.len() + 1;
    }
    if arguments.len() > ARGUMENTS_MAX {
        return Err(ProtocolError(format!("too many words, at most {ARGUMENTS_MAX}")));
    }
    Ok(if arguments.is_empty() { Inline::Blank } else { Inline::Request(Request { bytes, arguments }) })
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
