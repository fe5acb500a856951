//! `thermocline load`: a file of one's own.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use super::exit::{Failure, read_topology};
use super::members::Members;
use super::table::{Table, grouped};
use super::tally::Tally;
use super::writers::{CHUNK_RECORDS, Inlet, Job, Writers};
use crate::config::Config;
use crate::error::Error;
use crate::ingest::{Column, Format, Layout, ReadError, Row, Rows, TimeUnit, unpacked};
use crate::key::Key;
use crate::store::Store;

/// How many of the rows that were left out are listed.
const LISTED_MAX: usize = 10;

/// The options of `load`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each row becomes one record: its entity, its time and its sequence name it, and loading the same file again stores the same
records again. The file is streamed: it can be larger than memory.

Example: thermocline load flights.csv.zst --entity tailnum --time time_hour --dir data")]
pub(super) struct Arguments {
    /// CSV or JSON Lines, plain or compressed with zstd; - is standard input.
    file: PathBuf,
    /// The column that says who a record belongs to: a name, or a number from 1 (CSV).
    #[arg(long, value_name = "COLUMN")]
    entity: Column,
    /// The column with the time: an integer or RFC 3339.
    #[arg(long, value_name = "COLUMN")]
    time: Column,
    /// What integers in the time column count since 1970.
    #[arg(long, value_name = "UNIT", default_value = "ms")]
    time_unit: TimeUnit,
    /// The column with the value; without it, the whole row.
    #[arg(long, value_name = "COLUMN")]
    value: Option<Column>,
    /// The column that tells records of one entity and millisecond apart; without it, the number of the row in the file.
    #[arg(long, value_name = "COLUMN")]
    sequence: Option<Column>,
    /// The file's format; without it, what its name ends with.
    #[arg(long)]
    format: Option<FileFormat>,
    /// Between the fields of a CSV row: one ASCII character, or \t.
    #[arg(long, default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// The first row of the CSV file is data; columns are then given by number.
    #[arg(long)]
    no_header: bool,
    /// The directory of an embedded store; made if need be.
    #[arg(long, required_unless_present = "topology", conflicts_with = "topology")]
    dir: Option<PathBuf>,
    /// Load through a node of this cluster, which then runs in this process; the other nodes must be running.
    #[arg(long, value_name = "FILE", requires = "node")]
    topology: Option<PathBuf>,
    /// Which node of the topology.
    #[arg(long, value_name = "ID", requires = "topology")]
    node: Option<u16>,
    /// How many writes are under way at the same time.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    callers: u16,
    /// What to do with a row that cannot be used.
    #[arg(long, value_name = "WHAT", default_value = "stop")]
    on_error: OnError,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    Csv,
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnError {
    /// Stop at the first one; the rows before it are stored.
    Stop,
    /// Leave it out, count it, and list the first ten.
    Skip,
}

/// Loads the file and says how it went.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let layout = arguments.layout()?;
    let bar = ProgressBar::no_length();
    let reader = source(&arguments.file, &bar)?;
    // The header is read before a store is opened: a wrong column costs nothing.
    let rows = Rows::new(reader, layout)
        .map_err(|error| Failure::usage(format!("{}: {error}", arguments.file.display())))?;
    let store = Store::open(arguments.config()?).await?;
    let outcome = tokio::select! {
        outcome = load(rows, store.clone(), &arguments, &bar) => outcome,
        interrupted = Failure::interrupted() => Err(interrupted),
    };
    bar.finish_and_clear();
    store.close().await;
    outcome
}

async fn load(
    rows: Rows<Box<dyn Read + Send>>,
    store: Store,
    arguments: &Arguments,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let (members, tally) = (Arc::new(Members::new([store])), Arc::new(Tally::new()));
    let skipped = Arc::new(Skipped::new(arguments.on_error));
    let refused = {
        let skipped = Arc::clone(&skipped);
        move |job: &Job, error: &Error| match error {
            Error::Invalid { .. } => skipped.row(format!("line {}: {error}", job.line)),
            _ => Err(Failure::from(error.clone()).during(format_args!("line {}", job.line))),
        }
    };
    let progress = {
        let bar = bar.clone();
        move |stored: u64| {
            if stored.is_multiple_of(256) {
                bar.set_message(format!("{} records", grouped(stored)));
            }
        }
    };
    let (writers, inlet) = Writers::start(
        arguments.callers.into(),
        members,
        Arc::clone(&tally),
        Box::new(refused),
        Box::new(progress),
    );
    let reading = {
        let skipped = Arc::clone(&skipped);
        tokio::task::spawn_blocking(move || read(rows, &inlet, &skipped))
    };
    let written = writers.finish().await;
    let read = reading.await.map_err(|error| Failure::other(format!("the reader ended: {error}")))?;
    let elapsed = tally.elapsed();
    bar.finish_and_clear();
    let stored = tally.acknowledged();
    written.and(read).map_err(|failure| Failure {
        message: format!(
            "{}\n{} records are stored; loading the file again stores them again, unchanged",
            failure.message,
            grouped(stored)
        ),
        ..failure
    })?;
    let mut table = Table::default();
    table.writes(&tally, elapsed);
    skipped.report(&mut table);
    print!("{table}");
    Ok(())
}

/// Reads rows and hands them on, until the file ends or the callers are gone.
fn read(rows: Rows<Box<dyn Read + Send>>, inlet: &Inlet, skipped: &Skipped) -> Result<(), Failure> {
    let mut chunk = Vec::with_capacity(CHUNK_RECORDS);
    for row in rows {
        match row {
            Ok(Row { line, entity, timestamp, sequence, value }) => {
                chunk.push(Job { line, key: Key::new(entity, timestamp, sequence), value });
            }
            Err(ReadError::Row(fault)) => {
                if let Err(failure) = skipped.row(fault.to_string()) {
                    // The rows before it are stored all the same.
                    drop(inlet.blocking_send(chunk));
                    return Err(failure);
                }
            }
            Err(error) => return Err(Failure::usage(error.to_string())),
        }
        if chunk.len() == CHUNK_RECORDS {
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK_RECORDS));
            if inlet.blocking_send(full).is_err() {
                return Ok(());
            }
        }
    }
    drop(inlet.blocking_send(chunk));
    Ok(())
}

/// Rows that could not be used.
#[derive(Debug)]
struct Skipped {
    on_error: OnError,
    rows: Mutex<(u64, Vec<String>)>,
}

impl Skipped {
    fn new(on_error: OnError) -> Self {
        Self { on_error, rows: Mutex::new((0, Vec::new())) }
    }

    /// Counts a row, or stops the load.
    fn row(&self, text: String) -> Result<(), Failure> {
        if self.on_error == OnError::Stop {
            return Err(Failure::usage(format!(
                "{text}\nmend the row, or leave out such rows with --on-error skip"
            )));
        }
        let mut rows = self.rows.lock();
        rows.0 += 1;
        if rows.1.len() < LISTED_MAX {
            rows.1.push(text);
        }
        Ok(())
    }

    fn report(&self, table: &mut Table) {
        let rows = self.rows.lock();
        table.line("rows left out", grouped(rows.0));
        for text in &rows.1 {
            table.line("", text);
        }
        let more = rows.0 - rows.1.len() as u64;
        if more > 0 {
            table.line("", format!("and {} more", grouped(more)));
        }
    }
}

impl Arguments {
    fn layout(&self) -> Result<Layout, Failure> {
        let format = match self.format.or_else(|| format_of(&self.file)) {
            Some(FileFormat::Csv) => Format::Csv { delimiter: self.delimiter, header: !self.no_header },
            Some(FileFormat::Jsonl) => Format::JsonLines,
            None => {
                let file = self.file.display();
                return Err(Failure::usage(format!(
                    "{file}: the name does not tell the format; say --format csv or --format jsonl"
                )));
            }
        };
        Ok(Layout {
            format,
            entity: self.entity.clone(),
            time: self.time.clone(),
            unit: self.time_unit,
            sequence: self.sequence.clone(),
            value: self.value.clone(),
        })
    }

    fn config(&self) -> Result<Config, Failure> {
        match (&self.dir, &self.topology, self.node) {
            (Some(dir), ..) => Ok(Config::embedded(dir)),
            (None, Some(topology), Some(node)) => Ok(Config::node(read_topology(topology)?, node)),
            _ => Err(Failure::usage("--dir, or --topology with --node, is needed")),
        }
    }
}

/// The format that a name ends with, compressed or not.
fn format_of(file: &Path) -> Option<FileFormat> {
    let name = file.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".zst").or_else(|| name.strip_suffix(".zstd")).unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" | "tsv" => Some(FileFormat::Csv),
        "jsonl" | "ndjson" => Some(FileFormat::Jsonl),
        _ => None,
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => Err("one ASCII character other than a quote or a line end, or \\t".to_owned()),
    }
}

/// The file's bytes, unpacked; the bar follows what is read of the file.
fn source(file: &Path, bar: &ProgressBar) -> Result<Box<dyn Read + Send>, Failure> {
    let failure = |error: io::Error| Failure::usage(format!("{}: {error}", file.display()));
    let style =
        |template| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    if file == Path::new("-") {
        bar.set_style(style("{spinner} {msg} in {elapsed}"));
        return unpacked(bar.wrap_read(io::stdin())).map_err(failure);
    }
    let open = File::open(file).map_err(failure)?;
    let metadata = open.metadata().map_err(failure)?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("{}: is a directory, not a file", file.display())));
    }
    if metadata.is_file() {
        bar.set_length(metadata.len());
    }
    bar.set_style(style("[{bar:40}] {bytes} of {total_bytes}, {msg}, {eta} to go"));
    unpacked(bar.wrap_read(open)).map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_name() {
        let of = |name: &str| format_of(Path::new(name));
        assert_eq!(of("a/b.csv"), Some(FileFormat::Csv));
        assert_eq!(of("B.CSV.zst"), Some(FileFormat::Csv));
        assert_eq!(of("x.jsonl.zst"), Some(FileFormat::Jsonl));
        assert_eq!(of("x.ndjson"), Some(FileFormat::Jsonl));
        assert_eq!(of("x.txt"), None);
        assert_eq!(of("csv"), None);
        assert_eq!(of("-"), None);
    }

    #[test]
    fn delimiters() {
        assert_eq!(delimiter(";"), Ok(b';'));
        assert_eq!(delimiter("\\t"), Ok(b'\t'));
        assert!(
            delimiter("").is_err()
                && delimiter(";;").is_err()
                && delimiter("\"").is_err()
                && delimiter("ä").is_err()
        );
    }

    #[test]
    fn rows_left_out_are_counted_and_the_first_ten_listed() {
        let skipped = Skipped::new(OnError::Skip);
        for line in 1..=12 {
            skipped.row(format!("line {line}")).unwrap();
        }
        let mut table = Table::default();
        skipped.report(&mut table);
        let text = table.to_string();
        assert!(text.starts_with("  rows left out  12\n"), "{text}");
        assert!(
            text.contains("line 10\n") && !text.contains("line 11") && text.ends_with("and 2 more\n"),
            "{text}"
        );
        let stopped = Skipped::new(OnError::Stop).row("line 3: bad".to_owned()).unwrap_err();
        assert!(stopped.message.starts_with("line 3: bad\nmend the row"));
    }
}
