//! One process, one replica.

use std::task::Poll;
use std::time::{Duration, Instant};

use thermocline::{Config, Error, Key, Resolution, StorageKind, Store, Version};

fn config(directory: &std::path::Path) -> Config {
    Config::embedded(directory).buckets(1024).workers(2).parts(4).memtable_bytes(1 << 20)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_reopening() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(config(root.path())).await.unwrap();
    for i in 0..500u64 {
        store.put(&Key::new(format!("entity-{}", i % 7), i, 0), format!("value-{i}")).await.unwrap();
    }
    store.delete(&Key::new("entity-0", 0, 0)).await.unwrap();
    store.trim("entity-1", 100).await.unwrap();
    store.close().await;
    let store = Store::open(config(root.path())).await.unwrap();
    assert_eq!(store.get(&Key::new("entity-0", 0, 0)).await.unwrap(), None);
    assert_eq!(store.get(&Key::new("entity-1", 99, 0)).await.unwrap(), None);
    for i in 101..500u64 {
        let record = store.get(&Key::new(format!("entity-{}", i % 7), i, 0)).await.unwrap().unwrap();
        assert_eq!(record.value, format!("value-{i}"));
    }
    let page = store.scan("entity-3").newest_first().limit(5).page().await.unwrap();
    let values: Vec<_> = page.records.iter().map(|record| record.value.clone()).collect();
    assert_eq!(values, ["value-493", "value-486", "value-479", "value-472", "value-465"]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_that_is_given_up_at_any_moment_frees_the_directory() {
    let root = tempfile::tempdir().unwrap();
    let opened = async || {
        let begun = Instant::now();
        loop {
            match Store::open(config(root.path())).await {
                Err(Error::Storage { kind: StorageKind::Locked, .. }) => {
                    assert!(begun.elapsed() < Duration::from_secs(60), "the directory is never free");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                other => return other.unwrap(),
            }
        }
    };
    // It is given up wherever it waits: the first time, the second, and so on.
    for waits in 0..12 {
        opened().await.close().await;
        let mut opening = std::pin::pin!(Store::open(config(root.path())));
        let mut waited = 0;
        std::future::poll_fn(|context| {
            if opening.as_mut().poll(context).is_ready() || waited == waits {
                return Poll::Ready(());
            }
            waited += 1;
            Poll::Pending
        })
        .await;
    }
    let store = opened().await;
    store.put(&Key::undated("alice"), "value").await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compare_and_set_succeeds_on_its_predecessor_only() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(config(root.path())).await.unwrap();
    let key = Key::undated("counter");
    let first = store.compare_and_set(&key, None, "1").await.unwrap();
    assert_eq!(store.compare_and_set(&key, None, "x").await, Err(Error::Conflict { current: Some(first) }));
    let second = store.compare_and_set(&key, Some(first), "2").await.unwrap();
    assert!(second > first);
    let stale = store.compare_and_set(&key, Some(first), "y").await;
    assert_eq!(stale, Err(Error::Conflict { current: Some(second) }));
    store.delete(&key).await.unwrap();
    let third = store.compare_and_set(&key, None, "3").await.unwrap();
    assert!(third > second, "a version never repeats, not even after a delete");
    assert_eq!(store.get(&key).await.unwrap().unwrap().version, third);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_applied_once_and_can_be_resolved() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(config(root.path())).await.unwrap();
    let key = Key::undated("alice");
    let token = store.new_token("alice").await.unwrap();
    let version = store.put(&key, "first").token(token).await.unwrap();
    let other = store.put(&key, "second").await.unwrap();
    assert_eq!(store.put(&key, "first").token(token).await.unwrap(), version, "the first outcome again");
    let record = store.get(&key).await.unwrap().unwrap();
    assert_eq!((&record.value[..], record.version), (&b"second"[..], other));
    assert_eq!(store.resolve(&token).await.unwrap(), Resolution::Committed(version));
    let unused = store.new_token("alice").await.unwrap();
    assert_eq!(store.resolve(&unused).await.unwrap(), Resolution::NotCommitted);
    let refused = store.put(&key, "third").token(unused).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_of_one_key_get_different_versions() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(config(root.path())).await.unwrap();
    let writers: Vec<_> = (0..64u64)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move { store.put(&Key::undated("hot"), format!("{writer}")).await.unwrap() })
        })
        .collect();
    let mut versions: Vec<Version> = Vec::new();
    for writer in writers {
        versions.push(writer.await.unwrap());
    }
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 64);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_taken_by_one_store_only() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(config(root.path())).await.unwrap();
    let second = Store::open(config(root.path())).await.err().unwrap();
    assert!(matches!(&second, Error::Storage { kind: StorageKind::Locked, .. }), "{second}");
    store.close().await;
    Store::open(config(root.path())).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_other_settings_is_refused() {
    let root = tempfile::tempdir().unwrap();
    Store::open(config(root.path())).await.unwrap().close().await;
    let parts = config(root.path()).parts(32);
    let named = root.path().display().to_string();
    for (other, found, configured) in
        [(config(root.path()).buckets(2048), "buckets is 1024", "2048"), (parts, "parts is 4", "32")]
    {
        let other = Store::open(other).await.err().unwrap();
        let Error::Storage { kind: StorageKind::Foreign, what } = &other else { panic!("{other}") };
        assert!(what.starts_with(&named), "{other}");
        assert!(what.contains(found) && what.ends_with(&format!("configured is {configured}")), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_no_directory() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a file");
    std::fs::write(&file, "kept").unwrap();
    let refused = Store::open(config(&file)).await.err().unwrap();
    let Error::Invalid { what, value, .. } = &refused else { panic!("{refused}") };
    assert_eq!((what.as_str(), value.as_str()), ("directory", file.display().to_string().as_str()));
    assert_eq!(std::fs::read(&file).unwrap(), b"kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_not_there_for_reads_and_not_for_conditions() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(config(root.path())).await.unwrap();
    let key = Key::undated("lock");
    for flushed in [false, true] {
        let expired = store.put(&key, "mine").expires_at(1_000).await.unwrap();
        if flushed {
            // What a stop has left to be replayed is in memory again; the rest is read from files.
            store.close().await;
        }
        let store = if flushed { Store::open(config(root.path())).await.unwrap() } else { store.clone() };
        assert_eq!(store.get(&key).await.unwrap(), None);
        let none = Err(Error::Conflict { current: None });
        assert_eq!(store.put(&key, "again").if_version(expired).await, none);
        assert_eq!(store.put(&key, "again").if_present().await, none);
        assert_eq!(store.delete(&key).if_version(expired).await, none);
        let taken = store.put(&key, "mine now").expires_at(u64::MAX).if_absent().await.unwrap();
        let conflict = Err(Error::Conflict { current: Some(taken) });
        assert_eq!(store.put(&key, "nobody's").if_absent().await, conflict, "what has not expired is there");
        store.put(&key, "mine still").if_version(taken).await.unwrap();
        if flushed {
            store.close().await;
        }
    }
}
