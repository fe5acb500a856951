//! Faults of nodes and of their disks.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Fault, Plan};
use crate::cluster::{Cluster, Disturbance};
use crate::ground::run;
use crate::random::Random;
use crate::resp::{Answer, Connection};

/// Commits of a journal begin at blocks of this length, with these bytes.
const BLOCK_BYTES: usize = 4096;
const COMMIT_MAGIC: &[u8] = b"TCJC";
/// A clock that is off by less may be right: asking it takes time.
const CLOCK_WRONG_MS_MIN: u64 = 500;
/// A segment with fewer is as good as new.
const COMMITS_MIN: usize = 4;

/// How long a node that was cut off is waited for to write something, where writes fail.
const FAILING_MAX: Duration = Duration::from_secs(10);

/// Breaks nodes for a while and mends them. Says whether it did anything; `None` if it could not be tried now.
pub(super) fn inflict(plan: &Plan, cluster: &Cluster, fault: Fault, random: &mut Random) -> Option<bool> {
    // A wiped node learns from journals that go back to the beginning. So in one run one node only gets holes in its journal:
    // bringing back a node from which all journals have lost something is not promised yet.
    let victim = (plan.seed % cluster.len() as u64) as usize;
    let bitten = match fault {
        Fault::Kill => kill(plan, cluster, random),
        Fault::Pause => pause(plan, cluster, random),
        Fault::Clock => return clock(plan, cluster, random),
        Fault::Power => power(plan, cluster, random),
        Fault::Full => full(plan, cluster, random),
        Fault::SlowSync => slow_sync(plan, cluster, random),
        Fault::FailingSync => failing_sync(plan, cluster, random),
        Fault::Flip => return damage(plan, cluster, victim, random, flip),
        Fault::Truncate => return damage(plan, cluster, victim, random, truncate),
        Fault::Wipe => {
            return damage(plan, cluster, random.below(cluster.len() as u64) as usize, random, wipe);
        }
        Fault::RollBack => return roll_back(plan, cluster, random),
        _ => return None,
    };
    Some(bitten)
}

/// One node, a minority, a majority, or all.
fn some(cluster: &Cluster, random: &mut Random) -> Vec<usize> {
    let nodes = cluster.len();
    let count = match random.below(10) {
        0..=3 => 1,
        4 | 5 => nodes.div_ceil(2) - 1,
        6 | 7 => nodes / 2 + 1,
        _ => nodes,
    };
    random.some(count.max(1), nodes)
}

fn kill(plan: &Plan, cluster: &Cluster, random: &mut Random) -> bool {
    let nodes = some(cluster, random);
    let (began, mut bitten) = (Instant::now(), false);
    for &node in &nodes {
        bitten |= cluster.kill(node);
        // At once, or one after the other.
        plan.sleep(Duration::from_millis(random.below(2) * random.below(200)));
    }
    plan.sleep(Duration::from_millis(random.between(0, 4_000)));
    start(cluster, &nodes);
    plan.note_taken(&nodes, began);
    bitten
}

fn pause(plan: &Plan, cluster: &Cluster, random: &mut Random) -> bool {
    let nodes = some(cluster, random);
    let (began, mut bitten) = (Instant::now(), false);
    for &node in &nodes {
        bitten |= cluster.pause(node);
    }
    let most = match random.below(20) {
        0..=12 => 3_000,
        13..=18 => 10_000,
        _ => 60_000,
    };
    plan.sleep(Duration::from_millis(random.between(100, most)));
    nodes.iter().for_each(|&node| cluster.resume(node));
    plan.note_taken(&nodes, began);
    bitten
}

/// A clock is wrong from one start of the node to the next. Not counted if the node does not come to say what time it has.
fn clock(plan: &Plan, cluster: &Cluster, random: &mut Random) -> Option<bool> {
    let node = random.below(cluster.len() as u64) as usize;
    let wrong = random.pick(&["-1s", "+1s", "-60s", "+60s", "-3600s", "+3600s", "+0 x10"])?;
    cluster.kill(node);
    cluster.set_clock(node, Some((*wrong).to_owned()));
    start(cluster, &[node]);
    plan.hold(random, 8_000);
    let said = clock_of(cluster, node, random);
    cluster.kill(node);
    cluster.set_clock(node, None);
    start(cluster, &[node]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis() as u64;
    Some(said?.abs_diff(now) > CLOCK_WRONG_MS_MIN)
}

/// What a node's clock says: it puts it into the id of what is added to a new stream.
fn clock_of(cluster: &Cluster, node: usize, random: &mut Random) -> Option<u64> {
    let stream = format!("clock-{}", random.next());
    let words = ["XADD", &stream, "*", "e", "1"].map(str::to_owned);
    for _ in 0..5 {
        let mut connection =
            Connection::open(cluster.ground.places[node].clients, Duration::from_secs(2)).ok();
        let answer = connection.as_mut().and_then(|node| node.call(&words).ok());
        if let Some(Answer::Bulk(id)) = answer {
            return id.split('-').next()?.parse().ok();
        }
        thread::sleep(Duration::from_millis(100));
    }
    None
}

/// The power goes where nodes are writing. Something that nobody synced must be gone afterwards: else it was no power cut.
fn power(plan: &Plan, cluster: &Cluster, random: &mut Random) -> bool {
    let nodes = some(cluster, random);
    let (began, mut bitten) = (Instant::now(), true);
    for &node in &nodes {
        let disk = &cluster.ground.disks[node];
        let unsynced = disk.leave_unsynced();
        let off = disk.power_off();
        cluster.kill(node);
        let on = disk.power_on();
        if let Some(error) = off.err().or(on.err()) {
            eprintln!("power of node {}: {error}", node + 1);
            bitten = false;
        }
        bitten &= unsynced.is_ok_and(|path| !path.exists());
    }
    plan.sleep(Duration::from_millis(random.between(0, 3_000)));
    start(cluster, &nodes);
    plan.note_taken(&nodes, began);
    bitten
}

fn full(plan: &Plan, cluster: &Cluster, random: &mut Random) -> bool {
    let node = random.below(cluster.len() as u64) as usize;
    let disk = &cluster.ground.disks[node];
    cluster.may_end(node, true);
    let filled = disk.fill();
    plan.hold(random, 8_000);
    let room = disk.room();
    let freed = disk.free();
    cluster.tend();
    cluster.may_end(node, false);
    for error in [filled.as_ref().err(), room.as_ref().err(), freed.as_ref().err()].into_iter().flatten() {
        eprintln!("disk of node {}: {error}", node + 1);
    }
    filled.is_ok() && room.is_ok_and(|room| room < 1 << 20) && freed.is_ok()
}

fn slow_sync(plan: &Plan, cluster: &Cluster, random: &mut Random) -> bool {
    let node = random.below(cluster.len() as u64) as usize;
    let bitten = cluster.disturb_disk(node, Disturbance::Slow { milliseconds: random.between(5, 300) });
    plan.hold(random, 6_000);
    cluster.leave_disk(node);
    bitten
}

/// Writes and syncs fail. The node must end by itself at the next one, and may only count on its disk again after it has read it anew.
fn failing_sync(plan: &Plan, cluster: &Cluster, random: &mut Random) -> bool {
    let node = random.below(cluster.len() as u64) as usize;
    cluster.may_end(node, true);
    let traced = cluster.disturb_disk(node, Disturbance::Failing);
    plan.hold(random, 4_000);
    plan.sleep_until(FAILING_MAX, || cluster.has_ended(node));
    cluster.leave_disk(node);
    let ended = cluster.has_ended(node);
    if !ended {
        cluster.kill(node);
    }
    cluster.tend();
    start(cluster, &[node]);
    cluster.may_end(node, false);
    traced && ended
}

/// A node's disk loses or changes what it held. That is survived by one at a time: the next must wait until this one has learnt
/// everything again.
fn damage(
    plan: &Plan,
    cluster: &Cluster,
    node: usize,
    random: &mut Random,
    harm: impl FnOnce(&Path, &mut Random) -> io::Result<bool>,
) -> Option<bool> {
    if !cluster.is_whole() {
        return None;
    }
    let killed = cluster.kill(node);
    let harmed = harm(&cluster.ground.places[node].directory.join("data"), random);
    if let Err(error) = &harmed {
        eprintln!("damage to node {}: {error}", node + 1);
    }
    plan.sleep(Duration::from_millis(random.between(0, 3_000)));
    start(cluster, &[node]);
    Some(killed && harmed.is_ok_and(|harmed| harmed))
}

fn wipe(data: &Path, _: &mut Random) -> io::Result<bool> {
    fs::remove_dir_all(data)?;
    Ok(true)
}

/// Bits change in the journal, but not in its last commits: those may be taken for a write that was cut short.
fn flip(data: &Path, random: &mut Random) -> io::Result<bool> {
    let Some((segment, commits)) = commits_of_a_segment(data, random)? else { return Ok(false) };
    let old = commits.len() / 2;
    let file = OpenOptions::new().read(true).write(true).open(segment)?;
    for _ in 0..random.between(1, 8) {
        let Some(&at) = random.pick(&commits[..old]) else { return Ok(false) };
        // Within what a commit's header and first record take.
        let at = at + random.below(64);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        byte[0] ^= 1 << random.below(8);
        file.write_all_at(&byte, at)?;
    }
    file.sync_all()?;
    Ok(old > 0)
}

/// A segment of the journal loses its second half.
fn truncate(data: &Path, random: &mut Random) -> io::Result<bool> {
    let Some((segment, commits)) = commits_of_a_segment(data, random)? else { return Ok(false) };
    let Some(&half) = commits.get(commits.len() / 2) else { return Ok(false) };
    let file = OpenOptions::new().write(true).open(segment)?;
    file.set_len(half)?;
    file.sync_all()?;
    Ok(true)
}

/// A segment of the journal that is in use, and where its commits begin.
fn commits_of_a_segment(data: &Path, random: &mut Random) -> io::Result<Option<(PathBuf, Vec<u64>)>> {
    let mut used = Vec::new();
    for entry in fs::read_dir(data.join("journal"))? {
        let segment = entry?.path();
        if segment.file_name().is_some_and(|name| name.to_string_lossy().starts_with("segment-")) {
            let bytes = fs::read(&segment)?;
            let begins = |&block: &usize| bytes[block * BLOCK_BYTES..].starts_with(COMMIT_MAGIC);
            let commits =
                (1..bytes.len() / BLOCK_BYTES).filter(begins).map(|block| (block * BLOCK_BYTES) as u64);
            used.push((segment, commits.collect::<Vec<u64>>()));
        }
    }
    used.retain(|(_, commits)| commits.len() >= COMMITS_MIN);
    used.sort();
    Ok(random.pick(&used).cloned())
}

/// A node is put back to an earlier state of its own. The store does not promise to survive that.
fn roll_back(plan: &Plan, cluster: &Cluster, random: &mut Random) -> Option<bool> {
    if !cluster.is_whole() {
        return None;
    }
    let node = random.below(cluster.len() as u64) as usize;
    let data = cluster.ground.places[node].directory.join("data");
    let saved = data.with_file_name("saved");
    let copied =
        cluster.kill(node) && run("cp", &["-a", &data.to_string_lossy(), &saved.to_string_lossy()]).is_ok();
    start(cluster, &[node]);
    plan.hold(random, 8_000);
    cluster.kill(node);
    let back = fs::remove_dir_all(&data).and_then(|()| fs::rename(&saved, &data));
    start(cluster, &[node]);
    Some(copied && back.is_ok())
}

fn start(cluster: &Cluster, nodes: &[usize]) {
    for &node in nodes {
        if let Err(error) = cluster.start_node(node) {
            eprintln!("node {} cannot be started: {error}", node + 1);
        }
    }
}
