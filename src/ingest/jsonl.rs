//! JSON Lines: an object a line. Columns are the names of its top-level members.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use bytes::Bytes;
use serde_json::value::RawValue;

use super::column::{self, Column};
use super::{Fault, Layout, ROW_BYTES_MAX, ReadError, Row, time};

/// The rows of a JSON Lines file.
#[derive(Debug)]
pub(crate) struct JsonRows<R: Read> {
    reader: BufReader<R>,
    layout: Layout,
    text: Vec<u8>,
    /// The line that was read last, from 1.
    line: u64,
    count: u64,
    failed: bool,
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

impl<R: Read> JsonRows<R> {
    pub(super) fn new(reader: R, layout: Layout) -> Result<Self, ReadError> {
        let reader = BufReader::with_capacity(1 << 17, reader);
        Ok(Self { reader, layout, text: Vec::new(), line: 0, count: 0, failed: false })
    }

    /// Empty lines are passed over.
    pub(super) fn next(&mut self) -> Option<Result<Row, ReadError>> {
        while !self.failed {
            match self.read_line() {
                Ok(Line::End) => return None,
                Ok(Line::Whole) if self.text.trim_ascii().is_empty() => {}
                Ok(Line::Whole) => {
                    self.count += 1;
                    return Some(self.row().map_err(ReadError::Row));
                }
                Ok(Line::TooLong) => {
                    self.count += 1;
                    let reason = format!("the line is longer than {ROW_BYTES_MAX} bytes");
                    return Some(Err(ReadError::Row(Fault::row(self.line, &self.text, reason))));
                }
                Err(cause) => {
                    self.failed = true;
                    return Some(Err(ReadError::File { line: self.line, cause }));
                }
            }
        }
        None
    }

    /// Reads one line into `text`, without its end. Of a line that is too long only the beginning is kept.
    fn read_line(&mut self) -> io::Result<Line> {
        self.text.clear();
        self.line += 1;
        let mut too_long = false;
        let mut any = false;
        loop {
            let buffer = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if buffer.is_empty() {
                break;
            }
            any = true;
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            too_long |= self.text.len() + part.len() > ROW_BYTES_MAX;
            if !too_long {
                self.text.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        Ok(match (any, too_long) {
            (false, _) => Line::End,
            (true, true) => Line::TooLong,
            (true, false) => Line::Whole,
        })
    }

    fn row(&self) -> Result<Row, Fault> {
        let (line, text, layout) = (self.line, self.text.trim_ascii(), &self.layout);
        let members: Members<'_> = serde_json::from_slice(text)
            .map_err(|error| Fault::row(line, text, format!("not a JSON object: {error}")))?;
        let entity = scalar(&members, &layout.entity, line)?;
        let time = scalar(&members, &layout.time, line)?;
        let sequence = match &layout.sequence {
            None => self.count,
            Some(name) => {
                let text = scalar(&members, name, line)?;
                column::sequence(text.as_bytes())
                    .map_err(|why| Fault::column(line, name, text.as_bytes(), why))?
            }
        };
        let value = match &layout.value {
            None => Bytes::copy_from_slice(text),
            Some(name) => text_of(member(&members, name, line)?),
        };
        let (entity, time) = (entity.as_bytes(), time.as_bytes());
        Ok(Row {
            line,
            entity: column::entity(entity).map_err(|why| Fault::column(line, &layout.entity, entity, why))?,
            timestamp: time::parse(time, layout.unit)
                .map_err(|why| Fault::column(line, &layout.time, time, why))?,
            sequence,
            value,
        })
    }
}

enum Line {
    Whole,
    TooLong,
    End,
}

fn member<'a>(members: &Members<'a>, name: &Column, line: u64) -> Result<&'a RawValue, Fault> {
    members.get(name.name()).copied().ok_or_else(|| {
        let known: Vec<_> = members.keys().take(20).map(String::as_str).collect();
        Fault::column(line, name, b"", format!("the object has no such member; it has {}", known.join(", ")))
    })
}

/// A string's text or a number's digits.
fn scalar<'a>(members: &Members<'a>, name: &Column, line: u64) -> Result<Cow<'a, str>, Fault> {
    let raw = member(members, name, line)?.get();
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw).map(Cow::Owned).map_err(|error| {
            Fault::column(line, name, raw.as_bytes(), format!("not a JSON string: {error}"))
        }),
        Some(b'-' | b'0'..=b'9') => Ok(Cow::Borrowed(raw)),
        _ => Err(Fault::column(line, name, raw.as_bytes(), "neither a string nor a number")),
    }
}

/// A string's text, or any other value's JSON.
fn text_of(raw: &RawValue) -> Bytes {
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => Bytes::from(text),
        Err(_) => Bytes::copy_from_slice(raw.get().as_bytes()),
    }
}
