//! What it takes to get a node back: after its disk was lost, and after it was away, both under load.
//!
//! `cargo bench --bench recovery` loads a million records of 200 bytes into three nodes of this process, which talk over TCP and have
//! directories of their own on one disk. `-- RECORDS SECONDS CALLS` sets how many records, how long the node is away, and how many calls the callers
//! make in a second, where they can: without it, each calls again as soon as it is answered, and so they take all of the machine that they get.

use std::error::Error;
use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thermocline::{Config, Consistency, Key, Status, Store, Topology};
use tokio::sync::RwLock;
use tokio::task::JoinSet;

/// Callers at work.
const CALLERS: usize = 64;
/// What a journal keeps for a node that is away: more than a minute of all that these callers can write. A few puts at a time cost a block
/// of 4 KiB.
const RETAIN_BYTES: u64 = 3 << 30;
/// Records are spread over so many entities.
const ENTITIES: u64 = 20_000;
/// The node that has the trouble.
const VICTIM: usize = 2;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let records = numbers.next().unwrap_or(1_000_000);
    let away = Duration::from_secs(numbers.next().unwrap_or(60));
    let calls = numbers.next();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(records, away, calls))
}

async fn run(records: u64, away: Duration, calls: Option<u64>) -> Result<(), Failure> {
    let root = tempfile::tempdir()?;
    let topology = topology()?;
    let pace = calls.map(|calls| Duration::from_secs(CALLERS as u64).div_f64(calls.max(1) as f64));
    let nodes =
        Arc::new(Nodes { root: root.path().to_path_buf(), topology, stores: RwLock::default(), pace });
    nodes.open_all().await?;
    let begun = Instant::now();
    load(&nodes, records).await?;
    println!("{records} records of 200 bytes in {:.1} s", begun.elapsed().as_secs_f64());
    let quiet = under_load(&nodes, tokio::time::sleep(Duration::from_secs(10))).await?.1;
    println!("load of {CALLERS} callers: {quiet}");

    nodes.close(VICTIM).await;
    std::fs::remove_dir_all(nodes.directory(VICTIM))?;
    let begun = Instant::now();
    let healing = async {
        nodes.open(VICTIM).await?;
        let status = nodes.healed(VICTIM).await?;
        Ok::<_, Failure>((status, begun.elapsed()))
    };
    let (healed, during) = under_load(&nodes, healing).await?;
    let (status, elapsed) = healed?;
    println!(
        "disk lost: votes in all {} buckets after {:.1} s",
        status.buckets_voting,
        elapsed.as_secs_f64()
    );
    println!("load meanwhile: {during}");
    println!("p99 {:.1} times that without trouble", during.p99_us as f64 / quiet.p99_us.max(1) as f64);

    nodes.kill(VICTIM).await;
    let (_, during) = under_load(&nodes, tokio::time::sleep(away)).await?;
    println!("node killed, and away for {:.0} s: {during}", away.as_secs_f64());
    let sample = nodes.write_sample().await?;
    let begun = Instant::now();
    let catching_up = async {
        nodes.open(VICTIM).await?;
        let opened = begun.elapsed();
        nodes.caught_up(VICTIM, &sample).await?;
        Ok::<_, Failure>((opened, begun.elapsed()))
    };
    let (caught_up, during) = under_load(&nodes, catching_up).await?;
    let (opened, caught_up) = caught_up?;
    let status = nodes.at(VICTIM).await?.status().await?;
    let counted = |name| status.counters.iter().find(|(is, _)| *is == name).map_or(0, |(_, count)| *count);
    println!(
        "caught up {:.1} s after its start, of which opening took {:.1} s; load meanwhile: {during}",
        caught_up.as_secs_f64(),
        opened.as_secs_f64()
    );
    println!(
        "{} records replayed, {} commands of them applied; {} applied since",
        counted("replayed_records"),
        counted("replayed_commands"),
        counted("applied")
    );

    let begun = Instant::now();
    let report = nodes.at(VICTIM).await?.verify().await?;
    println!("verified in {:.1} s: {report}", begun.elapsed().as_secs_f64());
    for node in 0..3 {
        nodes.close(node).await;
    }
    if report.is_clean() { Ok(()) } else { Err("not all replicas are equal".into()) }
}

struct Nodes {
    root: PathBuf,
    topology: Topology,
    stores: RwLock<[Option<Store>; 3]>,
    /// How long after a call the same caller makes the next one, at least.
    pace: Option<Duration>,
}

impl Nodes {
    fn directory(&self, node: usize) -> PathBuf {
        self.root.join(format!("node-{node}"))
    }

    fn config(&self, node: usize) -> Config {
        Config::node(self.topology.clone(), node as u16 + 1)
            .directory(self.directory(node))
            .workers(1_u32)
            .journal_retain_bytes(RETAIN_BYTES)
    }

    async fn open_all(&self) -> Result<(), Failure> {
        let (one, two, three) = tokio::join!(
            Store::open(self.config(0)),
            Store::open(self.config(1)),
            Store::open(self.config(2))
        );
        *self.stores.write().await = [Some(one?), Some(two?), Some(three?)];
        self.healed(0).await.map(drop)
    }

    async fn open(&self, node: usize) -> Result<(), Failure> {
        let store = Store::open(self.config(node)).await?;
        self.stores.write().await[node] = Some(store);
        Ok(())
    }

    async fn close(&self, node: usize) {
        let store = self.stores.write().await[node].take();
        if let Some(store) = store {
            store.close().await;
        }
    }

    /// It ends as by SIGKILL: what its state has in memory is to be replayed at its next start.
    async fn kill(&self, node: usize) {
        let store = self.stores.write().await[node].take();
        if let Some(store) = store {
            store.kill().await;
        }
    }

    async fn at(&self, node: usize) -> Result<Store, Failure> {
        self.stores.read().await[node].clone().ok_or_else(|| "the node is closed".into())
    }

    /// A node that is open, the wanted one if it can be.
    async fn near(&self, node: usize) -> Option<Store> {
        let stores = self.stores.read().await;
        (0..3).find_map(|step| stores[(node + step) % 3].clone())
    }

    /// Waits until the node votes everywhere and lacks nothing.
    async fn healed(&self, node: usize) -> Result<Status, Failure> {
        let begun = Instant::now();
        let mut told = 0;
        loop {
            let status = self.at(node).await?.status().await?;
            if status.buckets_learning == 0 && status.buckets_behind == 0 {
                return Ok(status);
            }
            if begun.elapsed().as_secs() > told {
                told = begun.elapsed().as_secs();
                eprintln!("  {told} s: {}", status.recovery());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Keys that nobody else writes, each in an entity of its own.
    async fn write_sample(&self) -> Result<Vec<Key>, Failure> {
        let store = self.near(0).await.ok_or("no node is open")?;
        let sample: Vec<Key> = (0..2_000).map(|number| Key::undated(format!("sample {number}"))).collect();
        for key in &sample {
            store.put(key, "sample").await?;
        }
        Ok(sample)
    }

    /// Waits until the node itself has all of the sample: what it has is asked for without asking the others. All of it, once it has the first: one
    /// after the other would take longer than what is to be measured.
    async fn caught_up(&self, node: usize, sample: &[Key]) -> Result<(), Failure> {
        let store = self.at(node).await?;
        let Some(first) = sample.first() else { return Ok(()) };
        has(&store, first).await?;
        let mut tasks = JoinSet::new();
        for some in sample.chunks(sample.len().div_ceil(CALLERS)) {
            let (store, some) = (store.clone(), some.to_vec());
            tasks.spawn(async move {
                for key in &some {
                    has(&store, key).await?;
                }
                Ok::<_, Failure>(())
            });
        }
        while let Some(end) = tasks.join_next().await {
            end??;
        }
        self.healed(node).await.map(drop)
    }
}

/// Waits until the node itself has a record of this key.
async fn has(store: &Store, key: &Key) -> Result<(), Failure> {
    while store.get(key).consistency(Consistency::Stale).send().await?.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn key(number: u64) -> Key {
    Key::new(format!("entity {}", number % ENTITIES), number, 0)
}

async fn load(nodes: &Arc<Nodes>, records: u64) -> Result<(), Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for caller in 0..256 {
        let (nodes, next) = (Arc::clone(nodes), Arc::clone(&next));
        tasks.spawn(async move {
            let value = "v".repeat(200);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= records {
                    return Ok::<_, Failure>(());
                }
                let store = nodes.near(caller).await.ok_or("no node is open")?;
                let mut tries = 0;
                while let Err(error) = store.put(&key(number), value.clone()).await {
                    tries += 1;
                    if tries > 100 {
                        return Err(error.into());
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
    }
    while let Some(end) = tasks.join_next().await {
        end??;
    }
    Ok(())
}

/// What callers saw.
struct Seen {
    calls: usize,
    seconds: f64,
    p50_us: u64,
    p99_us: u64,
    longest_us: u64,
    failed: usize,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.0} calls/s, p50 {:.1} ms, p99 {:.1} ms, longest {:.0} ms, {} failed",
            self.calls as f64 / self.seconds,
            self.p50_us as f64 / 1e3,
            self.p99_us as f64 / 1e3,
            self.longest_us as f64 / 1e3,
            self.failed
        )
    }
}

/// Does something while callers put and get, half and half, at all nodes that are open.
async fn under_load<T>(nodes: &Arc<Nodes>, something: impl Future<Output = T>) -> Result<(T, Seen), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for caller in 0..CALLERS as u64 {
        let (nodes, stop) = (Arc::clone(nodes), Arc::clone(&stop));
        tasks.spawn(async move {
            let value = "w".repeat(200);
            let (mut latencies, mut failed, mut number) = (Vec::new(), 0_usize, caller * 7_919);
            let mut due = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let key = key(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
                // Two of three nodes: which ones does not change when the third is away.
                let Some(store) = nodes.near(caller as usize % 2).await else { break };
                let begun = Instant::now();
                let outcome = if number.is_multiple_of(2) {
                    store.put(&key, value.clone()).await.map(drop)
                } else {
                    store.get(&key).await.map(drop)
                };
                latencies.push(begun.elapsed().as_micros() as u64);
                failed += usize::from(outcome.is_err());
                if let Some(pace) = nodes.pace {
                    due = (due + pace).max(begun);
                    tokio::time::sleep_until(due.into()).await;
                }
            }
            (latencies, failed)
        });
    }
    let begun = Instant::now();
    let done = something.await;
    stop.store(true, Ordering::Relaxed);
    let (mut latencies, mut failed) = (Vec::new(), 0);
    while let Some(end) = tasks.join_next().await {
        let (some, failures) = end?;
        latencies.extend(some);
        failed += failures;
    }
    latencies.sort_unstable();
    let at = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied().unwrap_or(0);
    let seen = Seen {
        calls: latencies.len(),
        seconds: begun.elapsed().as_secs_f64(),
        p50_us: at(0.5),
        p99_us: at(0.99),
        longest_us: latencies.last().copied().unwrap_or(0),
        failed,
    };
    Ok((done, seen))
}

fn topology() -> Result<Topology, Failure> {
    let mut text = String::from("cluster = \"recovery\"\nreplicas = 3\n");
    let mut held = Vec::new();
    for (id, zone) in (1..).zip(["a", "b", "c"]) {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        text.push_str(&format!("[[node]]\nid = {id}\nzone = \"{zone}\"\naddress = \"{address}\"\n"));
        held.push(listener);
    }
    Ok(Topology::from_toml(&text)?)
}
