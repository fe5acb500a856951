//! The flight log as records. What is entity, timestamp and sequence stands in `data/README.md`.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use bytes::Bytes;
use csv::{ByteRecord, ReaderBuilder};

use crate::cli::exit::Failure;
use crate::cli::writers::Job;
use crate::ingest::{minutes_after, row_text, unpacked};
use crate::key::{Key, Position};

/// The log that is part of the program.
static PACKED: &[u8] = include_bytes!("../../../data/flights2013.csv.zst");

/// The columns, in their order.
const COLUMNS: [&str; 9] = [
    "tailnum",
    "time_hour",
    "sched_dep_time",
    "carrier",
    "flight",
    "origin",
    "dest",
    "dep_delay",
    "arr_delay",
];

/// The log: in its own order, and by aircraft.
#[derive(Debug)]
pub(super) struct Flights {
    jobs: Vec<Job>,
    /// Places in `jobs`, in the order of the keys.
    aircraft: BTreeMap<Bytes, Vec<usize>>,
}

impl Flights {
    /// Reads the log that is part of the program, or another one.
    pub(super) fn read(file: Option<&Path>, limit: usize) -> Result<Self, Failure> {
        match file {
            None => Self::of(unpacked(Cursor::new(PACKED))?, limit).map_err(Failure::other),
            Some(path) => {
                let failure = |cause: String| Failure::usage(format!("{}: {cause}", path.display()));
                let file = File::open(path).and_then(unpacked).map_err(|error| failure(error.to_string()))?;
                Self::of(file, limit).map_err(failure)
            }
        }
    }

    fn of(reader: impl Read, limit: usize) -> Result<Self, String> {
        let mut reader = ReaderBuilder::new().buffer_capacity(1 << 16).from_reader(reader);
        let header = reader.byte_headers().map_err(|error| error.to_string())?;
        if header != &ByteRecord::from(COLUMNS.to_vec()) {
            return Err(format!("the columns must be {}", COLUMNS.join(",")));
        }
        let mut sequences: HashMap<(Bytes, u64), u64> = HashMap::new();
        let (mut jobs, mut aircraft): (Vec<Job>, BTreeMap<Bytes, Vec<usize>>) = (Vec::new(), BTreeMap::new());
        let mut row = ByteRecord::new();
        while jobs.len() < limit && reader.read_byte_record(&mut row).map_err(|error| error.to_string())? {
            let line = row.position().map_or(0, csv::Position::line);
            let entity = Bytes::copy_from_slice(&row[0]);
            let timestamp = minutes_after(&row[1], &row[2]).map_err(|reason| {
                let text = row_text(row.iter(), b',');
                format!("line {line}: \"{}\": {reason}", text.escape_ascii())
            })?;
            let next = sequences.entry((entity.clone(), timestamp)).or_default();
            let key = Key::new(entity.clone(), timestamp, *next);
            *next += 1;
            aircraft.entry(entity).or_default().push(jobs.len());
            jobs.push(Job { line, key, value: row_text(row.iter(), b',') });
        }
        for places in aircraft.values_mut() {
            places.sort_by_key(|place| jobs[*place].key.position);
        }
        Ok(Self { jobs, aircraft })
    }

    /// How many records there are.
    pub(super) fn count(&self) -> u64 {
        self.jobs.len() as u64
    }

    /// The records in the order of the log.
    pub(super) fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The aircraft, with the places of their flights in the order of the keys.
    pub(super) fn aircraft(&self) -> &BTreeMap<Bytes, Vec<usize>> {
        &self.aircraft
    }

    /// The flights of an aircraft, oldest first.
    pub(super) fn of_aircraft<'a>(&'a self, tail: &Bytes) -> impl Iterator<Item = &'a Job> {
        self.aircraft.get(tail).into_iter().flatten().map(|place| &self.jobs[*place])
    }
}

/// A flight in words.
pub(super) fn in_words(position: Position, value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let fields: Vec<_> = text.split(',').collect();
    let when = match position {
        Position::Dated { timestamp, .. } => crate::ingest::show_time(timestamp),
        Position::Undated => String::new(),
    };
    match fields[..] {
        [_, _, _, carrier, flight, origin, dest, dep_delay, arr_delay] => {
            let delay = match (dep_delay, arr_delay) {
                ("NA", _) => "cancelled".to_owned(),
                (dep, "NA") => format!("left {}, diverted", delay_in_words(dep)),
                (dep, arr) => format!("left {}, arrived {}", delay_in_words(dep), delay_in_words(arr)),
            };
            format!("{when}  {:<7} {origin} to {dest}, {delay}", format!("{carrier}{flight}"))
        }
        _ => format!("{when}  {text}"),
    }
}

fn delay_in_words(minutes: &str) -> String {
    match (minutes, minutes.strip_prefix('-')) {
        ("0", _) => "on time".to_owned(),
        (_, Some(early)) => format!("{early} min early"),
        (late, None) => format!("{late} min late"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_all_its_flights_and_no_key_twice() {
        let flights = Flights::read(None, usize::MAX).unwrap();
        assert_eq!((flights.count(), flights.aircraft().len()), (334_264, 4_043));
        let mut seconds = 0;
        for tail in flights.aircraft().keys() {
            let keys: Vec<_> = flights.of_aircraft(tail).map(|job| job.key.position).collect();
            assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{tail:?}");
            seconds += keys.iter().filter(|key| matches!(key, Position::Dated { sequence: 1.., .. })).count();
        }
        assert_eq!(seconds, 31);
        let first = &flights.jobs()[0];
        assert_eq!(first.key, Key::new("N14228", 1_357_034_400_000 + 15 * 60_000, 0));
        assert_eq!(&first.value[..], b"N14228,2013-01-01T10:00:00Z,515,UA,1545,EWR,IAH,2,11");
        assert_eq!(
            in_words(first.key.position, &first.value),
            "2013-01-01T10:15:00Z  UA1545  EWR to IAH, left 2 min late, arrived 11 min late"
        );
    }

    #[test]
    fn another_log_must_have_the_same_columns() {
        let head = COLUMNS.join(",");
        let good = format!("{head}\nA,2013-01-01T10:00:00Z,515,UA,1,EWR,IAH,2,11\n");
        assert_eq!(Flights::of(good.as_bytes(), usize::MAX).unwrap().count(), 1);
        assert!(
            Flights::of(&b"a,b\n1,2\n"[..], usize::MAX)
                .unwrap_err()
                .starts_with("the columns must be tailnum,")
        );
        let bad = format!("{head}\nA,2013-01-01T10:00:00Z,561,UA,1,EWR,IAH,2,11\n");
        let error = Flights::of(bad.as_bytes(), usize::MAX).unwrap_err();
        assert!(error.starts_with("line 2: \"A,2013") && error.ends_with("from 0 to 2400"), "{error}");
    }
}
