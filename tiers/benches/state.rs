//! Load, gets and scans of one part on a real disk.
//!
//! The load is printed, not sampled: `STATE_RECORDS` records (default 1,000,000) of a 40-byte key and a 200-byte value of which half can be
//! compressed, in order of time, spread over 20,000 entities in 1,024 buckets and five windows; ten records of one bucket are one
//! command. Flushes and merges run on the same thread, so that the CPU seconds are those of everything. Before it
//! come twice as many commands of one record each; with `STATE_SINGLY` set, nothing else does. Set `TMPDIR` to choose the disk.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use thermocline_tiers::disk::RealDisk;
use thermocline_tiers::hot::state::{
    Identity, Key, Lookup, Part, Position, Record, Scan, ScanRange, StateConfig, TokenKey,
};
use thermocline_tiers::hot::{Bucket, Slot};

const ENTITIES: u64 = 20_000;
const BUCKETS: u64 = 1024;
const COMMAND: u64 = 10;
const VALUE_BYTES: usize = 200;
const SPAN_MS: u64 = 1_000_000;

struct Random(u64);

impl Random {
    /// xorshift64* (Vigna 2016).
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

fn entity(number: u64) -> [u8; 24] {
    let mut name = *b"entity-00000000000000000";
    let digits = format!("{:017}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8);
    name[7..].copy_from_slice(&digits.as_bytes()[..17]);
    name
}

/// Record `index` of the load: whose it is, where, and what.
fn record(index: u64, records: u64, value: &mut [u8; VALUE_BYTES]) -> (u64, Position) {
    let command = index / COMMAND;
    // All records of a command are in one bucket.
    let bucket = command.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    let mut random = Random(index + 1);
    random.next();
    let number = bucket + BUCKETS * (random.next() % (ENTITIES / BUCKETS));
    for chunk in value[..VALUE_BYTES / 2].chunks_mut(8) {
        chunk.copy_from_slice(&random.next().to_le_bytes()[..chunk.len()]);
    }
    let timestamp_ms = index * 5 * SPAN_MS / records;
    (number, Position::Dated { timestamp_ms, sequence: index })
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn open(dir: &Path) -> Part {
    open_with(dir, StateConfig::default())
}

fn open_with(dir: &Path, config: StateConfig) -> Part {
    let disk = Arc::new(RealDisk::new(dir).unwrap());
    let config = StateConfig { window_span_ms: SPAN_MS, ..config };
    Part::open(disk, Path::new("part"), config, Identity { store: 1, part: 0 }).unwrap()
}

fn load(part: &mut Part, records: u64, outcomes: bool) {
    let mut value = [b'x'; VALUE_BYTES];
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let (mut flushing, mut merging, mut flush_cpu, mut generating) = (0.0, 0.0, 0.0, 0.0);
    let mut batch = Vec::new();
    for command in 0..records / COMMAND {
        batch.clear();
        let begun = Instant::now();
        for index in command * COMMAND..(command + 1) * COMMAND {
            let (number, position) = record(index, records, &mut value);
            batch.push((entity(number), position, value));
        }
        generating += begun.elapsed().as_secs_f64();
        let bucket = Bucket((command.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as u32);
        let slot = Slot(part.applied(bucket).0 + 1);
        let mut apply = part.apply(bucket, slot);
        for (at, (entity, position, value)) in batch.iter().enumerate() {
            apply.put(&Key::new(entity, *position).unwrap(), value, None);
            if outcomes {
                let counter = command * COMMAND + at as u64;
                apply.outcome(TokenKey { client: 1, counter }, 1, 0, 0);
            }
        }
        apply.finish();
        if part.wants_flush() {
            let (begun, used) = (Instant::now(), cpu_seconds());
            let job = part.freeze().unwrap();
            part.install(job.run()).unwrap();
            flushing += begun.elapsed().as_secs_f64();
            flush_cpu += cpu_seconds() - used;
            let begun = Instant::now();
            while let Some(job) = part.choose_merge() {
                part.install(job.run()).unwrap();
            }
            merging += begun.elapsed().as_secs_f64();
        }
    }
    let job = part.freeze().unwrap();
    part.install(job.run()).unwrap();
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let millions = records as f64 / 1e6;
    let stats = part.stats();
    let user_bytes = (records * (40 + VALUE_BYTES as u64)) as f64;
    println!(
        "load of {records} records{}: {:.0} records/s; per million: {:.2} s wall, {:.2} s CPU, of which the making of the records {:.2}, \
         flushes {:.2} wall {:.2} CPU, merges {:.2} wall; write amplification {:.2} of {:.2} (flushes), {} MiB in {} runs",
        if outcomes { " with an outcome each" } else { "" },
        records as f64 / (wall - generating),
        wall / millions,
        cpu / millions,
        generating / millions,
        flushing / millions,
        flush_cpu / millions,
        merging / millions,
        (stats.flushed_bytes + stats.merged_bytes) as f64 / user_bytes,
        stats.flushed_bytes as f64 / user_bytes,
        stats.run_bytes >> 20,
        stats.runs,
    );
}

/// What a node does for many writers of single records: for every command one question for the outcome of its token, one put of an undated
/// record of 20,000, and one outcome, over 65,536 buckets in 16 parts with memtables of `STATE_MEMTABLE_MIB` each (default 16).
fn load_singly(records: u64) {
    const PARTS: u64 = 16;
    let dirs: Vec<_> = (0..PARTS).map(|_| tempfile::tempdir().unwrap()).collect();
    let memtable_bytes = std::env::var("STATE_MEMTABLE_MIB").map_or(16, |mib| mib.parse().unwrap()) << 20;
    let config = StateConfig { memtable_bytes, ..StateConfig::default() };
    let mut parts: Vec<Part> = dirs.iter().map(|dir| open_with(dir.path(), config.clone())).collect();
    let keys: Vec<_> = (0..ENTITIES)
        .map(|number| (entity(number), Bucket((number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u32)))
        .collect();
    let value = [b'x'; VALUE_BYTES];
    let mut random = Random(11);
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let (mut flushing, mut flushes) = (0.0, 0);
    for command in 0..records {
        let (entity, bucket) = &keys[(random.next() % ENTITIES) as usize];
        let part = &mut parts[(u64::from(bucket.0) % PARTS) as usize];
        let slot = Slot(part.applied(*bucket).0 + 1);
        let token = TokenKey { client: command % 256, counter: command };
        assert!(part.outcome(*bucket, &token).unwrap().is_none());
        let mut apply = part.apply(*bucket, slot);
        apply.put(&Key::new(entity, Position::Undated).unwrap(), black_box(&value), None);
        apply.outcome(token, 1, 0, slot.0);
        apply.finish();
        if part.wants_flush() {
            let used = cpu_seconds();
            let job = part.freeze().unwrap();
            part.install(job.run()).unwrap();
            while let Some(job) = part.choose_merge() {
                part.install(job.run()).unwrap();
            }
            flushing += cpu_seconds() - used;
            flushes += 1;
        }
    }
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let millions = records as f64 / 1e6;
    let memory: usize = parts.iter().map(Part::memory_bytes).sum();
    println!(
        "{records} commands of one record and one outcome: per million {:.2} s wall, {:.2} s CPU, of which {flushes} flushes and their \
         merges {:.2}; {} MiB in memory of at most {} a part",
        wall / millions,
        cpu / millions,
        flushing / millions,
        memory >> 20,
        memtable_bytes >> 20,
    );
}

fn get(part: &Part, bucket: Bucket, entity: &[u8], position: Position) -> Option<Record> {
    match part.get(bucket, &Key::new(entity, position).unwrap()) {
        Lookup::Found(record) => Some(record),
        Lookup::Absent => None,
        Lookup::Deferred(job) => job.run().unwrap(),
    }
}

fn scan(part: &Part, bucket: Bucket, entity: &[u8]) -> usize {
    let range = ScanRange {
        from: Position::FIRST,
        to: Position::LAST,
        newest_first: true,
        limit_records: 50,
        limit_bytes: 1 << 20,
    };
    match part.scan(bucket, entity, &range) {
        Scan::Done(page) => page.records.len(),
        Scan::Deferred(job) => job.run().unwrap().records.len(),
    }
}

fn reads(criterion: &mut Criterion, part: &Part, name: &str, records: u64, of: std::ops::Range<u64>) {
    let mut random = Random(7);
    let mut value = [0; VALUE_BYTES];
    let mut draw = || {
        let index = of.start + random.next() % (of.end - of.start);
        let (number, position) = record(index, records, &mut value);
        (Bucket((number % BUCKETS) as u32), entity(number), position)
    };
    criterion.bench_function(&format!("{name}: get"), |bencher| {
        bencher.iter_batched(
            &mut draw,
            |(bucket, entity, position)| {
                assert!(get(part, bucket, black_box(&entity), position).is_some());
            },
            criterion::BatchSize::SmallInput,
        );
    });
    criterion.bench_function(&format!("{name}: get of nothing"), |bencher| {
        bencher.iter_batched(
            &mut draw,
            |(bucket, entity, _)| {
                let position = Position::Dated { timestamp_ms: 1, sequence: u64::MAX };
                assert!(get(part, bucket, black_box(&entity), position).is_none());
            },
            criterion::BatchSize::SmallInput,
        );
    });
    criterion.bench_function(&format!("{name}: reverse scan of 50"), |bencher| {
        bencher.iter_batched(
            &mut draw,
            |(bucket, entity, _)| assert!(scan(part, bucket, black_box(&entity)) > 0),
            criterion::BatchSize::SmallInput,
        );
    });
}

fn state(criterion: &mut Criterion) {
    let records = std::env::var("STATE_RECORDS").map_or(1_000_000, |records| records.parse().unwrap());
    load_singly(2 * records);
    if std::env::var_os("STATE_SINGLY").is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    load(&mut open(dir.path()), records, true);
    let dir = tempfile::tempdir().unwrap();
    let mut part = open(dir.path());
    load(&mut part, records, false);
    drop(part);
    let opening = Instant::now();
    let part = open(dir.path());
    println!("reopened in {:?}", opening.elapsed());
    reads(criterion, &part, "on disk", records, 0..records);
    // A memtable that holds 50 records of each of some entities.
    let dir = tempfile::tempdir().unwrap();
    let mut part = open(dir.path());
    let value = [b'x'; VALUE_BYTES];
    let in_memory = 200_000;
    for index in 0..in_memory {
        let (number, position) = record(index, in_memory, &mut [0; VALUE_BYTES]);
        let bucket = Bucket((number % BUCKETS) as u32);
        let slot = Slot(part.applied(bucket).0 + 1);
        let mut apply = part.apply(bucket, slot);
        apply.put(&Key::new(&entity(number), position).unwrap(), &value, None);
        apply.finish();
    }
    reads(criterion, &part, "in memory", in_memory, 0..in_memory);
    let mut slots: Vec<u64> = (0..BUCKETS as u32).map(|bucket| part.applied(Bucket(bucket)).0).collect();
    let mut index = in_memory;
    criterion.bench_function("apply a command of one record", |bencher| {
        bencher.iter(|| {
            index += 1;
            let bucket = index % BUCKETS;
            slots[bucket as usize] += 1;
            let mut apply = part.apply(Bucket(bucket as u32), Slot(slots[bucket as usize]));
            let position = Position::Dated { timestamp_ms: index, sequence: index };
            let name = *b"entity-00000000000000000";
            apply.put(&Key::new(black_box(&name), position).unwrap(), black_box(&value), None);
            apply.finish();
            if part.memory_bytes() > 256 << 20 {
                let job = part.freeze().unwrap();
                part.install(job.run()).unwrap();
            }
        });
    });
}

criterion_group!(benches, state);
criterion_main!(benches);
