//! Reads, as a program would make them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::cluster::{Cluster, NODES};
use super::flights::{Flights, in_words};
use crate::cli::exit::Failure;
use crate::cli::table::{Table, grouped, quantiles};
use crate::cli::tally::{latencies, record};
use crate::error::Error;
use crate::key::{Key, Position, Record};
use crate::store::Store;

/// How many single records are read, at most, and by how many callers.
const POINTS_MAX: u64 = 50_000;
const CALLERS: u64 = 64;
/// A day, in milliseconds.
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Shows the newest five flights of the busiest aircraft, and its flights in a week.
pub(super) async fn examples(cluster: &Cluster, flights: &Flights) -> Result<(), Failure> {
    let busiest = flights.aircraft().iter().max_by_key(|(_, places)| places.len());
    let Some((tail, places)) = busiest else { return Ok(()) };
    let store = any(cluster)?;
    let newest = store.scan(tail.clone()).newest_first().limit(5).page().await?;
    println!("\nThe newest five of the {} flights of {}:", places.len(), tail.escape_ascii());
    print_all(&newest.records);
    // The seven days around the middle of its year.
    let middle = flights.jobs()[places[places.len() / 2]].key.position;
    let Position::Dated { timestamp, .. } = middle else { return Ok(()) };
    let (from, to) = (timestamp.saturating_sub(3 * DAY_MS), timestamp.saturating_add(4 * DAY_MS));
    let week = store.scan(tail.clone()).range(from..to).limit(10).page().await?;
    println!("Its first flights from {} on, within a week:", crate::ingest::show_time(from));
    print_all(&week.records);
    println!();
    Ok(())
}

fn print_all(records: &[Record]) {
    for record in records {
        println!("  {}", in_words(record.key.position, &record.value));
    }
}

fn any(cluster: &Cluster) -> Result<Store, Failure> {
    let (_, store) = cluster.members.near(0).ok_or_else(|| Failure::from(Error::Closed))?;
    Ok(store)
}

/// Reads single records all over the log, through all nodes, and compares each.
pub(super) async fn points(
    cluster: &Arc<Cluster>,
    flights: &Arc<Flights>,
    table: &mut Table,
) -> Result<(), Failure> {
    let count = flights.count();
    let wanted = count.min(POINTS_MAX);
    println!("Reading {} single records through all nodes.", grouped(wanted));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for caller in 0..CALLERS {
        let (cluster, flights) = (Arc::clone(cluster), Arc::clone(flights));
        tasks.spawn(async move {
            let mut latencies = latencies();
            let place = (caller % NODES as u64) as usize;
            let store = cluster.members.at(place).ok_or_else(|| Failure::from(Error::Closed))?;
            for number in (caller..wanted).step_by(CALLERS as usize) {
                // A stride that is odd and no divisor of the count wanders all over the log.
                let job = &flights.jobs()[(number.wrapping_mul(7_919) % count) as usize];
                let begun = Instant::now();
                let value = value_of(&store, &job.key).await?;
                record(&mut latencies, begun.elapsed());
                if value.as_ref() != Some(&job.value) {
                    return Err(Failure::other(format!(
                        "line {} of the log was read as {value:?}",
                        job.line
                    )));
                }
            }
            Ok(latencies)
        });
    }
    let mut all = latencies();
    while let Some(end) = tasks.join_next().await {
        all += end.map_err(|error| Failure::other(error.to_string()))??;
    }
    let rate = wanted as f64 / begun.elapsed().as_secs_f64().max(1e-9);
    table.line("single reads", format!("{}, {}/s", grouped(wanted), grouped(rate as u64)));
    table.line("latency of a read", quantiles(&all));
    Ok(())
}

async fn value_of(store: &Store, key: &Key) -> Result<Option<Bytes>, Failure> {
    Ok(store.get(key).send().await?.map(|record| record.value))
}
