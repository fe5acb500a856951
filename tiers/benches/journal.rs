//! Commits of one caller on a real disk: this journal against append + fdatasync, in the same run.
//!
//! Each iteration is one durable commit of 64 or 256 records of 300 bytes, the filling of the batch included. The append
//! baseline writes as many bytes at the end of a growing file. Beside criterion's figures, the two are run in turns of a
//! few commits each, so that what else the machine does meets both alike, and their latencies and the CPU time of the calling
//! thread are printed. Set `TMPDIR` to choose the disk.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use thermocline_tiers::disk::{Disk, MemoryDisk, RealDisk};
use thermocline_tiers::hot::journal::{
    Journal, JournalBatch, JournalConfig, JournalIdentity, RecordHead, RecordKind,
};
use thermocline_tiers::hot::{Bucket, Slot};

const PAYLOAD: [u8; 300] = [0x5a; 300];
/// Commits in a turn, and turns.
const TURN: usize = 50;
const TURNS: usize = 60;

fn open(disk: Arc<dyn Disk>) -> Journal {
    let identity = JournalIdentity { cluster: 1, node: 1, disk: 1 };
    let config = JournalConfig { segments_max: 8, ..JournalConfig::default() };
    let (journal, _) = Journal::open(disk, Path::new("journal"), config, identity, |_, _| {}).unwrap();
    journal.preparer().prepare_next().unwrap();
    journal
}

fn fill(batch: &mut JournalBatch, records: u64, slot: &mut u64) {
    batch.clear();
    for bucket in 0..records {
        *slot += 1;
        let head = RecordHead { bucket: Bucket(bucket as u32), slot: Slot(*slot), kind: RecordKind(1) };
        batch.push(head, |into| into.put(black_box(&PAYLOAD))).unwrap();
    }
}

/// One commit, and the keeping of house that goes with it in a running node.
fn commit(journal: &mut Journal, batch: &mut JournalBatch) {
    let committed = journal.commit(&mut [batch]).unwrap();
    if committed.rolled {
        journal.preparer().reclaim(journal.active_generation().unwrap()).unwrap();
        journal.preparer().prepare_next().unwrap();
    }
}

fn append(file: &mut File, bytes: &[u8]) {
    file.write_all(bytes).unwrap();
    file.sync_data().unwrap();
}

fn journal(criterion: &mut Criterion) {
    let root = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("commit");
    group.measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_secs(1)).sample_size(30);
    for records in [64, 256] {
        group.throughput(Throughput::Elements(records));
        let mut slot = 0;

        let mut real = open(Arc::new(RealDisk::new(root.path().join(format!("journal-{records}"))).unwrap()));
        let mut batch = JournalBatch::new(real.config());
        group.bench_function(format!("journal, {records} records"), |bencher| {
            bencher.iter(|| {
                fill(&mut batch, records, &mut slot);
                commit(&mut real, &mut batch);
            });
        });

        let mut file = File::create(root.path().join(format!("append-{records}"))).unwrap();
        let bytes = vec![0x5a; records as usize * (PAYLOAD.len() + 28)];
        group.bench_function(format!("append + fdatasync, {records} records"), |bencher| {
            bencher.iter(|| append(&mut file, &bytes));
        });
        let (mut journaled, mut appended) = (Tally::default(), Tally::default());
        for _ in 0..TURNS {
            journaled.turn(|| {
                fill(&mut batch, records, &mut slot);
                commit(&mut real, &mut batch);
            });
            appended.turn(|| append(&mut file, &bytes));
        }
        journaled.print(&format!("journal, {records} records"), records);
        appended.print(&format!("append + fdatasync, {records} records"), records);

        group.bench_function(format!("filling a batch, {records} records"), |bencher| {
            bencher.iter(|| fill(&mut batch, records, &mut slot));
        });

        // Without a disk: what building and laying out the records costs by itself.
        let mut memory = open(Arc::new(MemoryDisk::new(1)));
        group.bench_function(format!("journal in memory, {records} records"), |bencher| {
            bencher.iter(|| {
                fill(&mut batch, records, &mut slot);
                commit(&mut memory, &mut batch);
            });
        });
    }
    group.finish();
}

/// What one of the two took.
#[derive(Default)]
struct Tally {
    each: Vec<Duration>,
    cpu: Duration,
}

impl Tally {
    fn turn(&mut self, mut step: impl FnMut()) {
        let before = thread_cpu();
        for _ in 0..TURN {
            let start = Instant::now();
            step();
            self.each.push(start.elapsed());
        }
        self.cpu += thread_cpu() - before;
    }

    fn print(mut self, what: &str, records: u64) {
        self.each.sort();
        let (count, wall) = (self.each.len() as u64, self.each.iter().sum::<Duration>());
        println!(
            "in turns: {what}: {:.0} commits/s, p50 {:?}, p90 {:?}, p99 {:?}, CPU {:.1} us a commit, {:.0} ns a record",
            count as f64 / wall.as_secs_f64(),
            self.each[self.each.len() / 2],
            self.each[self.each.len() * 9 / 10],
            self.each[self.each.len() * 99 / 100],
            self.cpu.as_secs_f64() * 1e6 / count as f64,
            self.cpu.as_secs_f64() * 1e9 / (count * records) as f64,
        );
    }
}

/// User and system time of the calling thread: fields 14 and 15 of its stat file would be in ticks of 10 ms, so the
/// scheduler's own account in nanoseconds is read instead.
fn thread_cpu() -> Duration {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = account.split_whitespace().next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

criterion_group!(benches, journal);
criterion_main!(benches);
