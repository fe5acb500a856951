//! `thermocline demo`: the flight log of 2013 into three nodes, one of which dies on the way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::exit::Failure;
use super::table::{Table, grouped, mebibytes, seconds};
use super::tally::Tally;
use super::writers::{CHUNK_RECORDS, Writers};

mod cluster;
mod flights;
mod reads;
mod verify;
mod wipe;

use cluster::Cluster;
use flights::Flights;

/// The node that dies, by place from 0.
const VICTIM: usize = 1;

/// The options of `demo`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Another flight log, in the same columns: CSV, plain or compressed with zstd.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Where the three nodes keep their data; without it, a temporary directory that is removed at the end.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How many writes are under way at the same time.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    callers: u16,
    /// Only so many records of the log, from its beginning.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    records: Option<u64>,
}

/// Runs the demonstration and says how it went.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let limit =
        arguments.records.map_or(usize::MAX, |records| usize::try_from(records).unwrap_or(usize::MAX));
    let data = arguments.data.clone();
    let flights = tokio::task::spawn_blocking(move || Flights::read(data.as_deref(), limit))
        .await
        .map_err(|error| Failure::other(format!("the reader ended: {error}")))??;
    let flights = Arc::new(flights);
    println!(
        "{} flights of {} aircraft.",
        grouped(flights.count()),
        grouped(flights.aircraft().len() as u64)
    );
    let cluster = Arc::new(Cluster::open(arguments.dir.as_deref()).await?);
    println!("Three nodes in {}, on {}.", cluster.directory().display(), cluster.addresses());
    let mut table = Table::default();
    let outcome = tokio::select! {
        outcome = show(&cluster, &flights, usize::from(arguments.callers), &mut table) => outcome,
        interrupted = Failure::interrupted() => Err(interrupted),
    };
    cluster.members.close().await;
    let bytes_on_disk = cluster.bytes_on_disk();
    cluster.remove()?;
    let difference = outcome?;
    table.line("bytes on disk, three nodes", mebibytes(bytes_on_disk?));
    println!("\n{table}");
    difference.map_or(Ok(()), |difference| Err(Failure::other(difference)))
}

/// All there is to see. What is returned is a difference between the nodes and the log, if there is one.
async fn show(
    cluster: &Arc<Cluster>,
    flights: &Arc<Flights>,
    callers: usize,
    table: &mut Table,
) -> Result<Option<String>, Failure> {
    load(cluster, flights, callers, table).await?;
    reads::examples(cluster, flights).await?;
    reads::points(cluster, flights, table).await?;
    wipe::act(cluster, flights, callers.min(64), table).await?;
    verify::all(cluster, flights, table).await
}

async fn load(
    cluster: &Arc<Cluster>,
    flights: &Arc<Flights>,
    callers: usize,
    table: &mut Table,
) -> Result<(), Failure> {
    println!(
        "Loading with {callers} callers; node {} is killed after a third and is back after two thirds.",
        VICTIM + 1
    );
    let total = flights.count();
    let bar = bar(total);
    let tally = Arc::new(Tally::new());
    let (first_third, second_third) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let progress = {
        let (bar, first, second) = (bar.clone(), Arc::clone(&first_third), Arc::clone(&second_third));
        move |stored: u64| {
            if stored.is_multiple_of(64) {
                bar.set_position(stored);
            }
            if stored == (total / 3).max(1) {
                first.notify_one();
            }
            if stored == (total * 2 / 3).max(1) {
                second.notify_one();
            }
        }
    };
    let refused = |job: &super::writers::Job, error: &crate::Error| {
        Err(Failure::from(error.clone()).during(format_args!("line {}", job.line)))
    };
    let members = Arc::clone(&cluster.members);
    let (writers, inlet) =
        Writers::start(callers, members, Arc::clone(&tally), Box::new(refused), Box::new(progress));
    // Sets of one, because what is in a set ends when the set is dropped.
    let (mut feeding, mut incident) = (JoinSet::new(), JoinSet::new());
    let source = Arc::clone(flights);
    feeding.spawn(async move {
        for chunk in source.jobs().chunks(CHUNK_RECORDS) {
            if inlet.send(chunk.to_vec()).await.is_err() {
                break;
            }
        }
    });
    incident.spawn(kill_and_restart(
        Arc::clone(cluster),
        Arc::clone(&tally),
        bar.clone(),
        first_third,
        second_third,
    ));
    writers.finish().await?;
    let elapsed = tally.elapsed();
    bar.finish_and_clear();
    let ended = incident.join_next().await.ok_or_else(|| Failure::other("the incident did not happen"))?;
    let (gap, down) = ended.map_err(|error| Failure::other(format!("the incident ended: {error}")))??;
    table.line("records", grouped(total));
    table.writes(&tally, elapsed);
    table.line("longest gap while a node was down", format!("{} (down for {})", seconds(gap), seconds(down)));
    println!("Loaded {} records in {}.", grouped(tally.acknowledged()), seconds(elapsed));
    Ok(())
}

/// Kills a node at one notice and opens it again at the other. Returns the longest time without a write in between, and how
/// long the node was away.
async fn kill_and_restart(
    cluster: Arc<Cluster>,
    tally: Arc<Tally>,
    bar: ProgressBar,
    kill: Arc<Notify>,
    restart: Arc<Notify>,
) -> Result<(Duration, Duration), Failure> {
    let say = |what: &str| {
        let text = format!("Node {} {what} at record {}.", VICTIM + 1, grouped(tally.acknowledged()));
        bar.suspend(|| println!("{text}"));
    };
    kill.notified().await;
    tally.mark();
    let killed_at = tally.elapsed();
    say("is killed");
    cluster.kill(VICTIM).await;
    restart.notified().await;
    let (gap, down) = (tally.marked_gap(), tally.elapsed() - killed_at);
    say("comes back");
    cluster.restart(VICTIM).await?;
    say("is open again");
    Ok((gap, down))
}

/// A bar that moves with records.
fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("[{bar:40}] {human_pos} of {human_len}, {per_sec}, {eta} to go");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
