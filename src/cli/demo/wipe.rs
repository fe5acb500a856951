//! The second act: a node's disk is lost while writers are at work, and comes back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::cluster::Cluster;
use super::flights::Flights;
use crate::cli::exit::Failure;
use crate::cli::table::{Table, grouped, seconds};
use crate::cli::tally::Tally;
use crate::cli::writers::{CHUNK_RECORDS, Writers};
use crate::status::Status;

/// The node that loses its disk, by place from 0.
const VICTIM: usize = 2;

/// How often it is asked how far it is.
const POLL: Duration = Duration::from_millis(250);

/// It is given so long.
const PATIENCE: Duration = Duration::from_secs(300);

/// Wipes a node's directory while callers store the log once more, waits until the node votes everywhere again, and has all replicas
/// compared.
pub(super) async fn act(
    cluster: &Arc<Cluster>,
    flights: &Arc<Flights>,
    callers: usize,
    table: &mut Table,
) -> Result<(), Failure> {
    println!("Node {} loses its disk, while {callers} callers store the log once more.", VICTIM + 1);
    let tally = Arc::new(Tally::new());
    let refused = |job: &super::super::writers::Job, error: &crate::Error| {
        Err(Failure::from(error.clone()).during(format_args!("line {}", job.line)))
    };
    let members = Arc::clone(&cluster.members);
    let (writers, inlet) =
        Writers::start(callers, members, Arc::clone(&tally), Box::new(refused), Box::new(|_| {}));
    let ended = Arc::new(AtomicBool::new(false));
    let mut feeding = JoinSet::new();
    let (source, stop) = (Arc::clone(flights), Arc::clone(&ended));
    feeding.spawn(async move {
        for chunk in source.jobs().chunks(CHUNK_RECORDS).cycle() {
            if stop.load(Ordering::Relaxed) || inlet.send(chunk.to_vec()).await.is_err() {
                break;
            }
        }
    });
    cluster.kill(VICTIM).await;
    cluster.wipe(VICTIM)?;
    let begun = Instant::now();
    cluster.restart(VICTIM).await?;
    let healed = heal(cluster, begun).await;
    ended.store(true, Ordering::Relaxed);
    while feeding.join_next().await.is_some() {}
    writers.finish().await?;
    let status = healed?;
    let elapsed = begun.elapsed();
    let rate = tally.acknowledged() as f64 / tally.elapsed().as_secs_f64().max(1e-9);
    table.line("disk lost, voting everywhere again after", seconds(elapsed));
    table.line("writes meanwhile", format!("{} ({}/s)", grouped(tally.acknowledged()), grouped(rate as u64)));
    let copied =
        status.counters.iter().find(|(name, _)| *name == "buckets_installed").map_or(0, |(_, count)| *count);
    table.line("buckets copied whole", grouped(copied));
    println!("Comparing what lies on the three disks, bucket by bucket.");
    let store = cluster.members.at(VICTIM).ok_or_else(|| Failure::other("the node is gone"))?;
    let begun = Instant::now();
    let report = store.verify().await?;
    table.line(
        "buckets equal on all disks",
        format!(
            "{} of {}, compared in {}",
            grouped(report.equal),
            grouped(report.buckets),
            seconds(begun.elapsed())
        ),
    );
    if report.is_clean() { Ok(()) } else { Err(Failure::other(report.to_string())) }
}

/// Waits until the node votes in all its buckets and lacks nothing, and says how far it is.
async fn heal(cluster: &Cluster, begun: Instant) -> Result<Status, Failure> {
    let mut said = String::new();
    loop {
        tokio::time::sleep(POLL).await;
        let store = cluster.members.at(VICTIM).ok_or_else(|| Failure::other("the node is gone"))?;
        let status = store.status().await?;
        let line = status.recovery();
        if line != said {
            println!("  {}: {line}", seconds(begun.elapsed()));
            said = line;
        }
        if status.buckets_learning == 0 && status.buckets_behind == 0 {
            return Ok(status);
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::other(format!("node {} did not come back: {said}", VICTIM + 1)));
        }
    }
}
