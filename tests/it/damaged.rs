//! One replica whose files are damaged or gone: nobody else has what they held.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thermocline::{Config, Error, Key, Status, Store};

const PUTS: u64 = 3_000;
/// Then the journal has several segments.
const VALUE_BYTES: usize = 40_000;

fn config(directory: &Path) -> Config {
    let config = Config::embedded(directory).buckets(1024).workers(2).parts(2);
    // What was acknowledged here is to survive the end of a process, and not of the machine.
    config.sync(thermocline::Sync::None)
}

fn key(number: u64) -> Key {
    Key::new(format!("entity {}", number % 10), number, 0)
}

async fn filled(config: Config) -> Store {
    let store = Store::open(config).await.unwrap();
    for number in 0..PUTS {
        store.put(&key(number), vec![number as u8; VALUE_BYTES]).await.unwrap();
    }
    store
}

/// The files of a directory whose names end so, in their order.
fn files(directory: PathBuf, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(suffix)).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_part_of_the_state_is_refused_and_left_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    filled(config(root.path())).await.close().await;
    let part = root.path().join("state/000");
    let run = files(part.clone(), ".run").remove(0);
    for lost in [run, part.join("manifest")] {
        let aside = root.path().join("aside");
        fs::rename(&lost, &aside).unwrap();
        let before = files(part.clone(), "");
        for _ in 0..2 {
            let refusal = Store::open(config(root.path())).await.err().unwrap();
            assert!(matches!(&refusal, Error::Corrupt { what } if what.contains("part 0")), "{refusal}");
        }
        assert_eq!(files(part.clone(), ""), before);
        fs::rename(&aside, &lost).unwrap();
        let store = Store::open(config(root.path())).await.unwrap();
        for number in 0..PUTS {
            assert!(store.get(&key(number)).await.unwrap().is_some(), "{number}");
        }
        store.close().await;
    }
}

/// Waits until so many buckets are lost.
async fn until_lost(store: &Store, lost: u32) -> Status {
    let begun = Instant::now();
    loop {
        let status = store.status().await.unwrap();
        if status.buckets_lost == lost {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", status.recovery());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Opens a store that has lost a part of its journal, gives up what may be gone, and goes on.
async fn is_given_up(lose: impl Fn(&Path)) {
    let root = tempfile::tempdir().unwrap();
    filled(config(root.path()).memtable_bytes(256 << 20)).await.kill().await;
    lose(&root.path().join("journal"));
    // It is not forgotten by starts.
    for _ in 0..2 {
        let store = Store::open(config(root.path())).await.unwrap();
        until_lost(&store, 1024).await;
        let short = Duration::from_millis(200);
        for refusal in [
            store.put(&key(PUTS), "more").deadline(short).await.unwrap_err(),
            store.get(&key(0)).deadline(short).await.unwrap_err(),
        ] {
            assert!(
                matches!(&refusal, Error::Unavailable { reason } if reason.contains("lost")),
                "{refusal}"
            );
        }
        let report = store.verify().await.unwrap();
        assert!(!report.is_clean() && report.unverified.len() == 1024, "{report}");
        store.kill().await;
    }
    let store = Store::open(config(root.path())).await.unwrap();
    until_lost(&store, 1024).await;
    assert_eq!(store.lose_acknowledged_writes().await.unwrap(), 1024);
    until_lost(&store, 0).await;
    // What lay before the hole is there, and nothing that was written after it.
    let mut there = Vec::new();
    for number in 0..PUTS {
        if store.get(&key(number)).await.unwrap().is_some() {
            there.push(number);
        }
    }
    assert_eq!(there, (0..there.len() as u64).collect::<Vec<_>>());
    assert!((there.len() as u64) < PUTS);
    // As many writes again as there were before: they take the places of those that are lost.
    for number in PUTS..3 * PUTS {
        store.put(&key(number), vec![number as u8; 100]).await.unwrap();
    }
    for end in ["killed", "closed", "closed again"] {
        if end == "killed" {
            store.kill().await
        } else {
            store.close().await
        }
        let store = Store::open(config(root.path())).await.unwrap();
        assert_eq!(store.lose_acknowledged_writes().await.unwrap(), 0, "{end}");
        for number in (0..3 * PUTS).filter(|number| there.contains(number) || *number >= PUTS) {
            let record = store.get(&key(number)).await.unwrap();
            let value = record.unwrap_or_else(|| panic!("{end}: {number} is gone")).value;
            assert_eq!(
                (value[0], value.len()),
                (number as u8, if number < PUTS { VALUE_BYTES } else { 100 })
            );
        }
        let page = store.scan("entity 3").newest_first().limit(600).page().await.unwrap();
        let last = page.records.last().unwrap();
        assert_eq!((page.records.len(), &last.key), (600, &Key::new("entity 3", PUTS + 3, 0)), "{end}");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_segment_of_the_journal_is_told_until_it_is_given_up() {
    is_given_up(|journal| {
        let mut segments = files(journal.to_owned(), "");
        segments.retain(|path| path.to_string_lossy().contains("/segment-"));
        fs::remove_file(&segments[1]).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_catalog_of_the_journal_is_told_until_it_is_given_up() {
    is_given_up(|journal| {
        fs::remove_file(journal.join("catalog")).unwrap();
        // Without it nobody knows how many there were.
        let mut segments = files(journal.to_owned(), "");
        segments.retain(|path| path.to_string_lossy().contains("/segment-"));
        segments[1..].iter().for_each(|segment| fs::remove_file(segment).unwrap());
    })
    .await;
}
