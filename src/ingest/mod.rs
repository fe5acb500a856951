//! Reading records from files: CSV and JSON Lines, plain or compressed with zstd, streamed and bounded in memory.
//!
//! A [`Rows`] yields a [`Row`] for each record of the file. A row that cannot be used is a [`Fault`] that names the line,
//! the column, the value and the reason; the rows behind it can still be read.

use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;

mod column;
mod csv;
mod jsonl;
mod source;
#[cfg(test)]
mod tests;
mod time;

pub(crate) use column::{Column, row_text};
pub(crate) use source::unpacked;
pub(crate) use time::{TimeUnit, minutes_after, show_time};

/// The longest row that is read, in bytes. Longer than any value may be, and short enough to be held in memory.
pub(crate) const ROW_BYTES_MAX: usize = 16 << 20;

/// How many characters of an offending value a fault repeats.
const SHOWN_CHARS_MAX: usize = 80;

/// What the file is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Comma-separated values (RFC 4180), or with another one-byte delimiter.
    Csv {
        /// Between the fields.
        delimiter: u8,
        /// Whether the first row names the columns.
        header: bool,
    },
    /// One JSON object a line.
    JsonLines,
}

/// Where in a row the parts of a record are.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Syntax of the file.
    pub format: Format,
    /// Who the record belongs to.
    pub entity: Column,
    /// When.
    pub time: Column,
    /// What integers in the time column count.
    pub unit: TimeUnit,
    /// Tells records of one millisecond apart; `None` takes the number of the row in the file, from 1.
    pub sequence: Option<Column>,
    /// The value; `None` takes the whole row.
    pub value: Option<Column>,
}

/// One record as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The line it begins at, from 1.
    pub line: u64,
    /// Who it belongs to.
    pub entity: Bytes,
    /// Milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// Order within the millisecond.
    pub sequence: u64,
    /// What is stored.
    pub value: Bytes,
}

/// Why a row cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The line it begins at, from 1.
    pub line: u64,
    /// The column, if one is to blame.
    pub column: Option<String>,
    /// What stands there, shortened.
    pub value: String,
    /// What is wrong with it, and what would be right.
    pub reason: String,
}

impl Fault {
    fn row(line: u64, value: &[u8], reason: impl Into<String>) -> Self {
        Self { line, column: None, value: shown(value), reason: reason.into() }
    }

    fn column(line: u64, column: &Column, value: &[u8], reason: impl Into<String>) -> Self {
        Self { line, column: Some(column.to_string()), value: shown(value), reason: reason.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": \"{}\": {}", self.value, self.reason)
    }
}

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// This row is no good; the next one may be.
    #[error("{0}")]
    Row(Fault),
    /// The file names no such column; nothing was read.
    #[error("the file has no column {column}; it has {known}")]
    NoColumn {
        /// What was asked for.
        column: String,
        /// What there is.
        known: String,
    },
    /// The file cannot be read on.
    #[error("line {line}: {cause}")]
    File {
        /// The line that was being read, from 1.
        line: u64,
        /// Why.
        cause: io::Error,
    },
}

/// The rows of a file, in its order.
#[derive(Debug)]
pub(crate) enum Rows<R: Read> {
    /// Of a CSV file.
    Csv(csv::CsvRows<R>),
    /// Of a JSON Lines file.
    JsonLines(jsonl::JsonRows<R>),
}

impl<R: Read> Rows<R> {
    /// Reads the header, if there is one, and finds the columns.
    pub(crate) fn new(reader: R, layout: Layout) -> Result<Self, ReadError> {
        Ok(match layout.format {
            Format::Csv { delimiter, header } => {
                Self::Csv(csv::CsvRows::new(reader, layout, delimiter, header)?)
            }
            Format::JsonLines => Self::JsonLines(jsonl::JsonRows::new(reader, layout)?),
        })
    }
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Row, ReadError>;

    /// The next row. After [`ReadError::File`] there is none.
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::JsonLines(rows) => rows.next(),
        }
    }
}

/// Untrusted bytes, fit to be printed.
fn shown(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(&value[..value.len().min(4 * SHOWN_CHARS_MAX)]);
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().count() > SHOWN_CHARS_MAX {
        shown.push_str("...");
    }
    shown
}
