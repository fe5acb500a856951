//! Every record of the log compared with what each node returns.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::cluster::{Cluster, NODES};
use super::flights::Flights;
use crate::cli::exit::Failure;
use crate::cli::table::{Table, grouped};
use crate::cli::writers::Job;
use crate::error::Error;
use crate::key::Record;
use crate::store::Store;

/// How many scans each node works on at the same time.
const SCANS: usize = 16;
/// How many records are asked for at once.
const PAGE_RECORDS: u32 = 1_000;
/// How often a scan that is not answered is made again.
const ATTEMPTS_MAX: u32 = 5;

/// What the comparison found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) same: u64,
    pub(super) different: u64,
    pub(super) missing: u64,
    pub(super) extra: u64,
}

impl Findings {
    fn add(&mut self, other: Self) {
        self.same += other.same;
        self.different += other.different;
        self.missing += other.missing;
        self.extra += other.extra;
    }
}

/// Scans every aircraft through every node. Returns a sentence if anything differs.
pub(super) async fn all(
    cluster: &Arc<Cluster>,
    flights: &Arc<Flights>,
    table: &mut Table,
) -> Result<Option<String>, Failure> {
    println!("Comparing every record with the log, through each of the {NODES} nodes.");
    let total = flights.count() * NODES as u64;
    let bar = super::bar(total);
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for place in 0..NODES {
        for share in 0..SCANS {
            let (cluster, flights, bar) = (Arc::clone(cluster), Arc::clone(flights), bar.clone());
            tasks.spawn(async move {
                let store = cluster.members.at(place).ok_or_else(|| Failure::from(Error::Closed))?;
                compare_share(&store, &flights, share, &bar).await
            });
        }
    }
    let mut findings = Findings::default();
    while let Some(end) = tasks.join_next().await {
        findings.add(end.map_err(|error| Failure::other(error.to_string()))??);
    }
    bar.finish_and_clear();
    let rate = total as f64 / begun.elapsed().as_secs_f64().max(1e-9);
    let Findings { same, different, missing, extra } = findings;
    table.line("scanned for comparison", format!("{} records, {}/s", grouped(total), grouped(rate as u64)));
    let counts = format!(
        "{} same, {} different, {} missing, {} extra",
        grouped(same),
        grouped(different),
        grouped(missing),
        grouped(extra)
    );
    table.line(format!("compared through {NODES} nodes"), counts.clone());
    let sound = different + missing + extra == 0 && same == total;
    Ok((!sound).then(|| format!("the nodes differ from the log: {counts}")))
}

/// Compares each `SCANS`-th aircraft.
async fn compare_share(
    store: &Store,
    flights: &Flights,
    share: usize,
    bar: &ProgressBar,
) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    for tail in flights.aircraft().keys().skip(share).step_by(SCANS) {
        let records = records_of(store, tail).await?;
        findings.add(compare(flights.of_aircraft(tail), &records));
        bar.inc(records.len() as u64);
    }
    Ok(findings)
}

async fn records_of(store: &Store, tail: &Bytes) -> Result<Vec<Record>, Failure> {
    let mut scan = store.scan(tail.clone()).limit(PAGE_RECORDS);
    let (mut records, mut attempts) = (Vec::new(), 0);
    loop {
        let page = match scan.clone().page().await {
            Ok(page) => page,
            Err(error) if error.is_retryable() && attempts < ATTEMPTS_MAX => {
                attempts += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        records.extend(page.records);
        match page.cursor {
            Some(cursor) => scan = scan.after(&cursor),
            None => return Ok(records),
        }
    }
}

/// Merges what there should be and what there is, both oldest first.
fn compare<'a>(wanted: impl Iterator<Item = &'a Job>, records: &[Record]) -> Findings {
    let mut findings = Findings::default();
    let mut records = records.iter().peekable();
    for job in wanted {
        while records.next_if(|record| record.key.position < job.key.position).is_some() {
            findings.extra += 1;
        }
        match records.next_if(|record| record.key.position == job.key.position) {
            Some(record) if record.value == job.value && record.key == job.key => findings.same += 1,
            Some(_) => findings.different += 1,
            None => findings.missing += 1,
        }
    }
    findings.extra += records.count() as u64;
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Key, Version};

    fn record(timestamp: u64, value: &'static str) -> Record {
        Record {
            key: Key::new("a", timestamp, 0),
            value: value.into(),
            version: Version(1),
            expires_at: None,
        }
    }

    #[test]
    fn what_is_different_missing_or_extra_is_counted() {
        let job = |timestamp, value: &'static str| Job {
            line: 1,
            key: Key::new("a", timestamp, 0),
            value: value.into(),
        };
        let jobs = [job(2, "b"), job(4, "d"), job(6, "f")];
        let found = |records: &[Record]| {
            let Findings { same, different, missing, extra } = compare(jobs.iter(), records);
            (same, different, missing, extra)
        };
        assert_eq!(found(&[record(2, "b"), record(4, "d"), record(6, "f")]), (3, 0, 0, 0));
        assert_eq!(found(&[record(2, "b"), record(4, "x"), record(6, "f")]), (2, 1, 0, 0));
        assert_eq!(found(&[record(2, "b"), record(6, "f")]), (2, 0, 1, 0));
        assert_eq!(
            found(&[record(1, "a"), record(2, "b"), record(3, "c"), record(4, "d"), record(9, "z")]),
            (2, 0, 1, 3)
        );
        assert_eq!(found(&[record(2, "b"), record(2, "b"), record(4, "d"), record(6, "f")]), (3, 0, 0, 1));
        assert_eq!(found(&[]), (0, 0, 3, 0));
    }
}
