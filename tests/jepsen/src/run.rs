//! One run: a cluster, clients, faults; then everything heals, every key is read through every node, and the history is judged.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use thermocline_checkers::{History, Outcome};

use crate::clients::{self, Shared};
use crate::cluster::Cluster;
use crate::ground::Ground;
use crate::judge::{self, Finals, Judgement};
use crate::nemesis::{Deeds, Fault, Plan, Taken};
use crate::resp::{Answer, Connection};
use crate::target::{Kind, Target};
use crate::workload::{CLIENTS_OF_A_GROUP, Workload};

/// How long a cluster may take until all of it serves again.
pub(crate) const HEAL_MAX: Duration = Duration::from_secs(10);
/// How long it is waited for.
const HEAL_PATIENCE: Duration = Duration::from_secs(60);
/// How long the final reads may take.
const READ_PATIENCE: Duration = Duration::from_secs(300);
/// How many threads read through each node at the end.
const READERS_OF_A_NODE: usize = 3;
/// Different keys, so that buckets of every owner are probed.
const PROBES: u64 = 16;

/// What a run is to be.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) target: Target,
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
    pub(crate) duration: Duration,
    pub(crate) seed: u64,
    pub(crate) faults: Vec<Fault>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) isolated: bool,
    /// Where its files are, and what is kept of it.
    pub(crate) directory: PathBuf,
    /// Whether the whole history is kept.
    pub(crate) keep: bool,
}

/// What came of it.
pub(crate) struct Outcomes {
    pub(crate) ok: usize,
    pub(crate) failed: usize,
    pub(crate) unknown: usize,
    /// The longest time in which no operation of any client succeeded, and when it began.
    pub(crate) longest_gap: Duration,
    pub(crate) gap_began: Duration,
    /// What was broken then.
    pub(crate) gap_during: Vec<Fault>,
    /// The longest time in which nothing succeeded although a majority ran and was connected, and had been for as long.
    pub(crate) majority_gap: Duration,
    /// From the end of the last fault until every node served; `None`: it did not within a minute.
    pub(crate) healed: Option<Duration>,
    /// Until every node had all that it needs to vote.
    pub(crate) whole: Option<Duration>,
    pub(crate) deeds: Deeds,
    pub(crate) skipped: Vec<(Fault, &'static str)>,
    pub(crate) ended: Vec<String>,
    pub(crate) judgement: Judgement,
    pub(crate) network: &'static str,
    pub(crate) own_disks: bool,
    pub(crate) elapsed: Duration,
}

/// Carries out a run.
pub(crate) fn run(order: &Order) -> io::Result<Outcomes> {
    let ground = Ground::make(&order.directory, order.nodes, order.isolated)?;
    let (network, own_disks) =
        (ground.network.name(), ground.disks.iter().all(crate::ground::Disk::has_power_switch));
    let cluster = Cluster::start(order.target.clone(), ground)?;
    let skipped: Vec<(Fault, &'static str)> =
        order.faults.iter().filter_map(|&fault| Some((fault, fault.obstacle(&cluster)?))).collect();

    let groups = order.clients.div_ceil(CLIENTS_OF_A_GROUP);
    let workload = Workload::new(&order.kinds, groups, order.target.knows_versions());
    let (stop, taken, began) = (AtomicBool::new(false), Taken::default(), Instant::now());
    let shared = Shared { cluster: &cluster, workload: &workload, began, stop: &stop, seed: order.seed };
    let plan = Plan {
        faults: &order.faults,
        until: began + order.duration,
        seed: order.seed,
        stop: &stop,
        taken: &taken,
    };

    let (mut history, deeds, healed, whole) = thread::scope(|scope| {
        let working: Vec<_> = (0..order.clients)
            .map(|number| {
                scope.spawn({
                    let shared = &shared;
                    move || clients::work(shared, number)
                })
            })
            .collect();
        let network = scope.spawn(|| plan.break_network(&cluster));
        let nodes = plan.break_nodes(&cluster);
        let deeds = nodes.merge(join(network));
        plan_rest(&plan);
        // Clients go on working while it heals: healing under load is what counts.
        let last = deeds.last_ended().unwrap_or_else(Instant::now);
        let healed = wait_until_served(&cluster, last);
        let whole = cluster.wait_until_whole(HEAL_PATIENCE).then(|| last.elapsed());
        stop.store(true, Ordering::SeqCst);
        let history: Vec<History> = working.into_iter().map(join).collect();
        (history.concat(), deeds, healed, whole)
    });

    let since = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let (ok, failed, unknown) = count(&history);
    let (longest_gap, gap_began) = longest_gap(&history);
    let majority_gap = majority_gap(&history, began, &plan.without_majority(order.nodes));
    let gap_during = deeds.during(began + gap_began, began + gap_began + longest_gap);
    let keys = workload.keys();
    history
        .extend(read_everything(&shared, &keys.iter().map(|(&key, &kind)| (key, kind)).collect::<Vec<_>>()));
    cluster.tend();
    let ended = cluster.ended();
    drop(cluster);

    if order.keep {
        judge::keep(&history, &order.directory, "history")?;
    }
    let finals = Finals { since, readers: order.nodes };
    let judgement = judge::judge(&history, &keys, finals, &order.directory)?;
    let elapsed = began.elapsed();
    Ok(Outcomes {
        ok,
        failed,
        unknown,
        longest_gap,
        gap_began,
        gap_during,
        majority_gap,
        healed,
        whole,
        deeds,
        skipped,
        ended,
        judgement,
        network,
        own_disks,
        elapsed,
    })
}

/// Waits for the end where there was nothing to break.
fn plan_rest(plan: &Plan) {
    thread::sleep(plan.until.saturating_duration_since(Instant::now()));
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Waits until every node answers reads and writes of several keys; says how long after `last` that was.
fn wait_until_served(cluster: &Cluster, last: Instant) -> Option<Duration> {
    for node in 0..cluster.len() {
        let address = cluster.ground.places[node].clients;
        for probe in 0..PROBES {
            // Writes go to the only node that takes them, where there is one.
            let words = if cluster.target.knows_versions() {
                vec!["SET", "probe", "1"]
            } else {
                vec!["GET", "probe"]
            };
            let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            words[1] = format!("probe-{probe}");
            loop {
                let answer =
                    Connection::open(address, Duration::from_secs(3)).and_then(|mut node| node.call(&words));
                if answer.is_ok_and(|answer| !matches!(answer, Answer::Error(_))) {
                    break;
                }
                if last.elapsed() > HEAL_PATIENCE {
                    return None;
                }
                cluster.tend();
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
    Some(last.elapsed())
}

/// Reads every key through every node.
fn read_everything(shared: &Shared, keys: &[(u64, Kind)]) -> History {
    let until = Instant::now() + READ_PATIENCE;
    thread::scope(|scope| {
        let mut reading = Vec::new();
        for node in 0..shared.cluster.len() {
            for part in 0..READERS_OF_A_NODE {
                let mine: Vec<_> = keys.iter().copied().skip(part).step_by(READERS_OF_A_NODE).collect();
                let reader = (node * READERS_OF_A_NODE + part) as u64;
                reading.push(scope.spawn(move || clients::read(shared, node, reader, &mine, until)));
            }
        }
        reading.into_iter().flat_map(join).collect()
    })
}

fn count(history: &History) -> (usize, usize, usize) {
    history.iter().fold((0, 0, 0), |(ok, failed, unknown), operation| match operation.outcome {
        Outcome::Ok { .. } => (ok + 1, failed, unknown),
        Outcome::Failed { .. } => (ok, failed + 1, unknown),
        Outcome::Unknown => (ok, failed, unknown + 1),
    })
}

/// The longest time in which nothing succeeded, and when it began.
fn longest_gap(history: &History) -> (Duration, Duration) {
    let longest = gaps(history).into_iter().map(|(from, to)| (to - from, from)).max().unwrap_or_default();
    (Duration::from_nanos(longest.0), Duration::from_nanos(longest.1))
}

/// The longest time in which nothing succeeded although a majority was there: times without one do not count.
fn majority_gap(history: &History, began: Instant, without: &[(Instant, Instant)]) -> Duration {
    let nanoseconds =
        |at: Instant| u64::try_from(at.saturating_duration_since(began).as_nanos()).unwrap_or(u64::MAX);
    let without: Vec<(u64, u64)> =
        without.iter().map(|&(from, to)| (nanoseconds(from), nanoseconds(to))).collect();
    let longest = gaps(history).into_iter().map(|(from, to)| {
        let missing: u64 =
            without.iter().map(|&(lost, back)| back.min(to).saturating_sub(lost.max(from))).sum();
        (to - from).saturating_sub(missing)
    });
    Duration::from_nanos(longest.max().unwrap_or(0))
}

/// The times between one success and the next.
fn gaps(history: &History) -> Vec<(u64, u64)> {
    let answered = history.iter().filter(|operation| operation.reply().is_some());
    let mut times: Vec<u64> = answered.filter_map(|operation| operation.ended()).collect();
    times.sort_unstable();
    times.windows(2).map(|pair| (pair[0], pair[1])).collect()
}
