//! Replies, and how they are written: by hand, into one buffer for all replies of a pipeline.

use bytes::{BufMut, Bytes, BytesMut};

use super::pairs;
use crate::error::Error;
use crate::key::{Position, Record};

/// Which form of the protocol a client speaks. It begins with RESP2 and asks for RESP3 with `HELLO 3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// What a client is answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// A word, such as `OK`.
    Word(&'static str),
    /// A number.
    Number(u64),
    /// A number below zero, without its sign.
    Negative(u64),
    /// Bytes.
    Bulk(Bytes),
    /// Nothing there.
    Nil,
    /// Nothing there, where an array would be.
    NilArray,
    /// Several replies.
    Array(Vec<Reply>),
    /// Names and what they stand for; an array in RESP2.
    Map(Vec<(Reply, Reply)>),
    /// Records of a stream: ids with fields.
    Entries(Vec<Record>),
    /// A text to be read by people, with its name for a client that shows it as it is.
    Text(String),
    /// It went wrong; the first word says what kind of wrong.
    Error(String),
}

impl Reply {
    /// `ERR` and a reason.
    pub(super) fn err(reason: impl std::fmt::Display) -> Self {
        Self::Error(format!("ERR {reason}"))
    }

    /// A text as bytes.
    pub(super) fn bulk(text: impl Into<String>) -> Self {
        Self::Bulk(Bytes::from(text.into()))
    }

    /// The reply to a call of the store that failed; the table of prefixes is the module's.
    pub(super) fn failure(error: &Error) -> Self {
        Self::Error(match error {
            Error::Unknown(token) => format!("UNKNOWN {token}"),
            Error::Conflict { current } => format!("CONFLICT {}", current.map_or(0, |version| version.0)),
            Error::Contended | Error::Overloaded { .. } | Error::Unavailable { .. } | Error::Closed => {
                format!("UNAVAILABLE {error}")
            }
            _ => format!("ERR {error}"),
        })
    }

    /// Writes it behind what is there.
    pub(super) fn write(&self, protocol: Protocol, out: &mut BytesMut) {
        match self {
            Self::Word(word) => {
                out.put_u8(b'+');
                out.put_slice(word.as_bytes());
                out.put_slice(b"\r\n");
            }
            Self::Number(number) => line(out, b':', *number),
            Self::Negative(number) => {
                out.put_slice(b":-");
                out.put_slice(Decimal::default().of(*number));
                out.put_slice(b"\r\n");
            }
            Self::Bulk(bytes) => bulk(out, bytes),
            Self::Nil => out.put_slice(if protocol == Protocol::Resp3 { b"_\r\n" } else { b"$-1\r\n" }),
            Self::NilArray => out.put_slice(if protocol == Protocol::Resp3 { b"_\r\n" } else { b"*-1\r\n" }),
            Self::Array(replies) => {
                line(out, b'*', replies.len() as u64);
                replies.iter().for_each(|reply| reply.write(protocol, out));
            }
            Self::Map(pairs) => {
                match protocol {
                    Protocol::Resp2 => line(out, b'*', 2 * pairs.len() as u64),
                    Protocol::Resp3 => line(out, b'%', pairs.len() as u64),
                }
                for (name, value) in pairs {
                    name.write(protocol, out);
                    value.write(protocol, out);
                }
            }
            Self::Entries(records) => {
                line(out, b'*', records.len() as u64);
                records.iter().for_each(|record| entry(out, record));
            }
            Self::Text(text) => match protocol {
                Protocol::Resp2 => bulk(out, text.as_bytes()),
                Protocol::Resp3 => {
                    line(out, b'=', text.len() as u64 + 4);
                    out.put_slice(b"txt:");
                    out.put_slice(text.as_bytes());
                    out.put_slice(b"\r\n");
                }
            },
            Self::Error(text) => error(out, text),
        }
    }
}

/// An error is one line, whatever its text is made of.
fn error(out: &mut BytesMut, text: &str) {
    out.put_u8(b'-');
    out.extend(text.bytes().map(|byte| if byte < b' ' { b' ' } else { byte }));
    out.put_slice(b"\r\n");
}

/// An id and the fields.
fn entry(out: &mut BytesMut, record: &Record) {
    out.put_slice(b"*2\r\n");
    let (timestamp, sequence) = match record.key.position {
        Position::Dated { timestamp, sequence } => (timestamp, sequence),
        Position::Undated => unreachable!("a scan returned the undated record of {:?}", record.key.entity),
    };
    let (mut ms, mut seq) = (Decimal::default(), Decimal::default());
    let (ms, seq) = (ms.of(timestamp), seq.of(sequence));
    line(out, b'$', (ms.len() + 1 + seq.len()) as u64);
    out.put_slice(ms);
    out.put_u8(b'-');
    out.put_slice(seq);
    out.put_slice(b"\r\n");
    match pairs::decode(&record.value) {
        Some(pairs) => {
            line(out, b'*', 2 * pairs.clone().count() as u64);
            for (field, value) in pairs {
                bulk(out, field);
                bulk(out, value);
            }
        }
        None => {
            line(out, b'*', 2);
            bulk(out, pairs::PLAIN_FIELD);
            bulk(out, &record.value);
        }
    }
}

fn bulk(out: &mut BytesMut, bytes: &[u8]) {
    line(out, b'$', bytes.len() as u64);
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

fn line(out: &mut BytesMut, kind: u8, number: u64) {
    out.put_u8(kind);
    out.put_slice(Decimal::default().of(number));
    out.put_slice(b"\r\n");
}

/// Room for the digits of a `u64`.
#[derive(Default)]
struct Decimal([u8; 20]);

impl Decimal {
    fn of(&mut self, mut number: u64) -> &[u8] {
        let mut start = self.0.len();
        loop {
            start -= 1;
            self.0[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return &self.0[start..];
            }
        }
    }
}
