//! CSV (RFC 4180).

use std::io::{self, Read};

use bytes::Bytes;
use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::column::{self, Column};
use super::{Fault, Layout, ROW_BYTES_MAX, ReadError, Row, row_text, time};

/// Read behind the end of each file: the parser takes it for a row of its own, unless a quote is open. No text in UTF-8 has these bytes, and no
/// delimiter is among them.
const END: &[u8] = b"\n\xff\xfe\xfd\xfc\xff\xfe\xfd\xfc";

/// The rows of a CSV file.
#[derive(Debug)]
pub(crate) struct CsvRows<R: Read> {
    reader: Reader<Metered<R>>,
    layout: Layout,
    delimiter: u8,
    places: Places,
    record: ByteRecord,
    count: u64,
    failed: bool,
}

/// Where the columns are, from 0.
#[derive(Debug)]
struct Places {
    entity: usize,
    time: usize,
    sequence: Option<usize>,
    value: Option<usize>,
}

impl<R: Read> CsvRows<R> {
    pub(super) fn new(reader: R, layout: Layout, delimiter: u8, header: bool) -> Result<Self, ReadError> {
        let metered = Metered { inner: reader, left: ROW_BYTES_MAX, end: &[] };
        let mut reader = ReaderBuilder::new()
            .has_headers(header)
            .delimiter(delimiter)
            .buffer_capacity(1 << 16)
            .from_reader(metered);
        let file = |error: csv::Error| ReadError::File { line: 1, cause: cause_of(error) };
        // Without a header this reads the first row and keeps it: its length is what numbers are checked against.
        let mut names = reader.byte_headers().map_err(file)?.clone();
        if is_end(&names) {
            names.clear();
        }
        if is_cut_off(&names) {
            return Err(ReadError::File { line: 1, cause: open_quote() });
        }
        let names = if header { names } else { ByteRecord::from(vec![""; names.len()]) };
        let place = |column: &Column| {
            // An empty file has no columns, and no row to miss one.
            column.place(names.iter()).filter(|place| *place < names.len() || names.is_empty()).ok_or_else(
                || ReadError::NoColumn { column: column.to_string(), known: known(&names, header) },
            )
        };
        let places = Places {
            entity: place(&layout.entity)?,
            time: place(&layout.time)?,
            sequence: layout.sequence.as_ref().map(place).transpose()?,
            value: layout.value.as_ref().map(place).transpose()?,
        };
        Ok(Self { reader, layout, delimiter, places, record: ByteRecord::new(), count: 0, failed: false })
    }

    pub(super) fn next(&mut self) -> Option<Result<Row, ReadError>> {
        if self.failed {
            return None;
        }
        self.reader.get_mut().left = ROW_BYTES_MAX;
        let start = self.reader.position().line();
        let read = self.reader.read_byte_record(&mut self.record);
        if is_end(&self.record) {
            self.failed = true;
            return None;
        }
        if is_cut_off(&self.record) {
            self.failed = true;
            let line = self.record.position().map_or(start, csv::Position::line);
            return Some(Err(ReadError::File { line, cause: open_quote() }));
        }
        match read {
            Ok(false) => None,
            Ok(true) => {
                self.count += 1;
                let line = self.record.position().map_or(start, csv::Position::line);
                Some(self.row(line).map_err(ReadError::Row))
            }
            Err(error) => Some(Err(self.failure(error, start))),
        }
    }

    fn failure(&mut self, error: csv::Error, start: u64) -> ReadError {
        if let ErrorKind::UnequalLengths { pos, expected_len, len } = error.kind() {
            self.count += 1;
            let line = pos.as_ref().map_or(start, csv::Position::line);
            let text = row_text(self.record.iter(), self.delimiter);
            let reason = format!("the row has {len} fields; the first one has {expected_len}");
            return ReadError::Row(Fault::row(line, &text, reason));
        }
        self.failed = true;
        ReadError::File { line: start, cause: cause_of(error) }
    }

    fn row(&self, line: u64) -> Result<Row, Fault> {
        let field = |place: usize, name: &Column| {
            let missing = || Fault::column(line, name, b"", "the row does not have this column");
            self.record.get(place).ok_or_else(missing)
        };
        let (layout, places) = (&self.layout, &self.places);
        let entity = field(places.entity, &layout.entity)?;
        let time = field(places.time, &layout.time)?;
        let sequence = match (places.sequence, &layout.sequence) {
            (Some(place), Some(name)) => {
                let text = field(place, name)?;
                column::sequence(text).map_err(|reason| Fault::column(line, name, text, reason))?
            }
            _ => self.count,
        };
        let value = match (places.value, &layout.value) {
            (Some(place), Some(name)) => Bytes::copy_from_slice(field(place, name)?),
            _ => row_text(self.record.iter(), self.delimiter),
        };
        Ok(Row {
            line,
            timestamp: time::parse(time, layout.unit)
                .map_err(|reason| Fault::column(line, &layout.time, time, reason))?,
            entity: column::entity(entity)
                .map_err(|reason| Fault::column(line, &layout.entity, entity, reason))?,
            sequence,
            value,
        })
    }
}

/// Whether this is what stands behind the end.
fn is_end(record: &ByteRecord) -> bool {
    record.len() == 1 && record.get(0) == Some(&END[1..])
}

/// Whether what stands behind the end is in a field of this row.
fn is_cut_off(record: &ByteRecord) -> bool {
    record.iter().next_back().is_some_and(|field| field.ends_with(END))
}

fn open_quote() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a quote that is opened in this row is not closed before the end of the file",
    )
}

fn known(names: &ByteRecord, header: bool) -> String {
    if !header {
        return format!("{} columns without names, counted from 1", names.len());
    }
    let names: Vec<_> = names.iter().map(super::shown).collect();
    names.join(", ")
}

fn cause_of(error: csv::Error) -> io::Error {
    match error.into_kind() {
        ErrorKind::Io(cause) => cause,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Lets so many bytes through and then fails, so that a quote that is never closed does not pull the whole file into
/// memory. What the parser has buffered already was let through before, so the bound is inexact by one buffer.
#[derive(Debug)]
struct Metered<R> {
    inner: R,
    left: usize,
    /// What is yet to be read behind the end; set once there is something before it.
    end: &'static [u8],
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let reason = format!("the row is longer than {ROW_BYTES_MAX} bytes; is a quote left open?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let most = buffer.len().min(self.left);
        let length = self.inner.read(&mut buffer[..most])?;
        if length == 0 && most > 0 {
            return self.end.read(buffer);
        }
        self.end = END;
        self.left -= length;
        Ok(length)
    }
}
