use super::*;
use crate::StorageKind;

#[test]
fn a_store_and_its_calls_go_wherever_tasks_go() {
    fn anywhere<T: Clone + Send + Sync + 'static>() {}
    fn sendable<T: Send>(_: T) {}
    anywhere::<Store>();
    // Never run: that it compiles is the test.
    let _ = |store: &Store, key: &Key, token: &Token| {
        sendable(Store::open(Config::embedded("data")));
        sendable(store.put(key, "value").send());
        sendable(store.delete(key).send());
        sendable(store.batch("alice").commit());
        sendable(store.trim("alice", 1).send());
        sendable(store.get(key).send());
        sendable(store.batch_get([key.clone()]).send());
        sendable(store.scan("alice").page());
        sendable(store.new_token("alice").send());
        sendable(store.resolve(token).send());
        sendable(store.status());
        sendable(store.close());
    };
}

fn config(directory: &std::path::Path) -> Config {
    Config::embedded(directory)
        .buckets(1_024)
        .workers(1)
        .parts(2)
        .value_bytes_max(1 << 10)
        .batch_bytes_max(2 << 10)
}

/// The argument that a call was refused for.
fn refused<T: fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Invalid { what, .. }) => what,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_refused_write_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(directory.path())).await.unwrap();
    let (key, long) = (Key::new("alice", 1, 0), vec![7; 1_025]);
    let kept = store.put(&key, "kept").await.unwrap();
    let foreign = store.new_token("alice").await.unwrap();
    let foreign = Token { bucket: foreign.bucket ^ 1, ..foreign };
    let (short, huge_entity) = (std::time::Duration::ZERO, vec![7; 1_025]);

    assert_eq!(refused(store.put(&key, long.clone()).await), "value");
    assert_eq!(refused(store.put(&key, "x").expires_at(0).await), "expires_at");
    assert_eq!(refused(store.put(&key, "x").deadline(short).await), "deadline");
    assert_eq!(refused(store.put(&key, "x").token(foreign).await), "token");
    assert_eq!(refused(store.compare_and_set(&key, Some(kept), long.clone()).await), "value");
    assert_eq!(refused(store.put(&Key::undated(""), "x").await), "entity");
    assert_eq!(refused(store.put(&Key::undated(huge_entity.clone()), "x").await), "entity");
    assert_eq!(refused(store.delete(&Key::undated("")).await), "entity");
    assert_eq!(refused(store.delete(&key).deadline(short).await), "deadline");
    assert_eq!(refused(store.delete(&key).token(foreign).await), "token");
    assert_eq!(refused(store.trim("", 9).await), "entity");
    assert_eq!(refused(store.trim("alice", 9).deadline(short).await), "deadline");
    assert_eq!(refused(store.trim("alice", 9).token(foreign).await), "token");
    let batch = || store.batch("alice").delete((1, 0)).put((2, 0), "x");
    assert_eq!(refused(store.batch("alice").commit().await), "batch");
    assert_eq!(refused(batch().delete((2, 0)).commit().await), "batch");
    assert_eq!(refused(batch().trim(1).commit().await), "batch");
    assert_eq!(refused(batch().put((3, 0), long).commit().await), "value");
    assert_eq!(refused(batch().deadline(short).commit().await), "deadline");
    assert_eq!(refused(batch().token(foreign).await), "token");
    assert_eq!(refused(store.batch(huge_entity).delete((1, 0)).commit().await), "entity");

    let page = store.scan("alice").page().await.unwrap();
    assert_eq!(page.records.iter().map(|record| record.version).collect::<Vec<_>>(), [kept]);
    assert_eq!(store.get(&Key::undated("alice")).await, Ok(None));
    store.close().await;
}

#[tokio::test]
async fn a_refused_read_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(directory.path())).await.unwrap();
    let (key, short) = (Key::new("alice", 1, 0), std::time::Duration::ZERO);
    let token = store.new_token("alice").await.unwrap();

    assert_eq!(refused(store.get(&Key::undated("")).await), "entity");
    assert_eq!(refused(store.get(&key).deadline(short).await), "deadline");
    assert_eq!(refused(store.batch_get(vec![key.clone(); 1_001]).await), "batch_get");
    assert_eq!(refused(store.batch_get([key.clone(), Key::undated("")]).await), "entity");
    assert_eq!(refused(store.batch_get([key.clone()]).deadline(short).await), "deadline");
    assert_eq!(refused(store.scan("").page().await), "entity");
    assert_eq!(refused(store.scan("alice").limit(0).page().await), "limit");
    assert_eq!(refused(store.scan("alice").limit_bytes(0).page().await), "limit_bytes");
    assert_eq!(refused(store.scan("alice").from(2, 0).to(1, 0).page().await), "range");
    assert_eq!(refused(store.scan("alice").deadline(short).page().await), "deadline");
    let cursor = Cursor::at(&key, Order::OldestFirst).unwrap();
    assert_eq!(refused(store.scan("bob").after(&cursor).page().await), "cursor");
    assert_eq!(refused(store.scan("alice").newest_first().after(&cursor).await), "cursor");
    assert_eq!(refused(store.new_token("").await), "entity");
    assert_eq!(refused(store.new_token("alice").deadline(short).await), "deadline");
    assert_eq!(refused(store.resolve(&Token { bucket: 1_024, ..token }).await), "token");
    assert_eq!(refused(store.resolve(&token).deadline(short).await), "deadline");
    store.close().await;
}

#[tokio::test]
async fn pages_follow_one_another_in_both_orders_and_across_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(config(directory.path())).await.unwrap();
    let mut keys: Vec<Key> = (0..40).map(|i| Key::new("alice", i / 4, i % 4)).collect();
    for key in &keys {
        store.put(key, vec![7; 100]).await.unwrap();
    }
    store.put(&Key::undated("alice"), "not among them").await.unwrap();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let (mut seen, mut cursor, mut limits) = (Vec::new(), None::<String>, [1, 7, 3].into_iter().cycle());
        loop {
            let mut scan = store.scan("alice").order(order).limit(limits.next().unwrap()).limit_bytes(499);
            if let Some(text) = &cursor {
                scan = scan.after(&text.parse().unwrap());
            }
            let page = scan.page().await.unwrap();
            let count = page.records.len();
            let least = usize::from(page.cursor.is_some());
            assert!(
                (least..=4).contains(&count),
                "{count} records after {} in a page of 499 bytes",
                seen.len()
            );
            seen.extend(page.records.into_iter().map(|record| record.key));
            match page.cursor {
                Some(next) => cursor = Some(next.to_string()),
                None => break,
            }
            if seen.len() == 8 || seen.len() == 9 {
                store.close().await;
                store = Store::open(config(directory.path())).await.unwrap();
            }
        }
        assert_eq!(seen, keys);
        let mut records = store.scan("alice").order(order).limit(7).records();
        let mut streamed = Vec::new();
        while let Some(record) = records.next().await.unwrap() {
            streamed.push(record.key);
        }
        assert_eq!(streamed, keys);
        keys.reverse();
    }
    store.close().await;
}

#[tokio::test]
async fn several_gets_answer_in_the_order_of_their_keys() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(directory.path())).await.unwrap();
    let key = |i: usize| Key::undated(format!("entity {i}"));
    for i in (0..BATCH_GET_KEYS_MAX).step_by(3) {
        store.put(&key(i), i.to_string()).await.unwrap();
    }
    let records = store.batch_get((0..BATCH_GET_KEYS_MAX).map(key)).await.unwrap();
    for (i, record) in records.iter().enumerate() {
        let expected = (i % 3 == 0).then(|| i.to_string());
        assert_eq!(record.as_ref().map(|record| &record.value[..]), expected.as_ref().map(String::as_bytes));
    }
    assert_eq!(records.len(), BATCH_GET_KEYS_MAX);
    assert_eq!(store.batch_get([]).await, Ok(Vec::new()));
    store.close().await;
}

#[tokio::test]
async fn a_dropped_write_is_applied_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(directory.path())).await.unwrap();
    for i in 0..50 {
        let token = store.new_token("alice").await.unwrap();
        let write = store.batch("alice").put((i, 0), "first").put((i, 1), "second").token(token).commit();
        let mut write = Box::pin(write);
        // Polled once, which hands it over, and dropped.
        std::future::poll_fn(|context| std::task::Poll::Ready(write.as_mut().poll(context).is_ready())).await;
        drop(write);
        let expected = match store.resolve(&token).await.unwrap() {
            crate::Resolution::Committed(version) => vec![version; 2],
            crate::Resolution::NotCommitted => vec![],
            crate::Resolution::Forgotten => panic!("the outcome of {token} is too young to be forgotten"),
        };
        let page = store.scan("alice").range(i..=i).page().await.unwrap();
        assert_eq!(page.records.iter().map(|record| record.version).collect::<Vec<_>>(), expected);
    }
    store.close().await;
}

#[tokio::test]
async fn a_closed_store_refuses_every_call() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(directory.path())).await.unwrap();
    let (clone, key) = (store.clone(), Key::undated("alice"));
    store.close().await;
    store.close().await;
    assert_eq!(clone.put(&key, "x").await, Err(Error::Closed));
    assert_eq!(clone.get(&key).await, Err(Error::Closed));
    assert_eq!(clone.scan("alice").page().await, Err(Error::Closed));
    assert_eq!(clone.new_token("alice").await, Err(Error::Closed));
    assert_eq!(clone.status().await, Err(Error::Closed));
}

#[tokio::test]
async fn the_longest_value_and_the_fullest_batch_are_taken() {
    let directory = tempfile::tempdir().unwrap();
    let store =
        Store::open(Config::embedded(directory.path()).buckets(1_024).workers(1).parts(2)).await.unwrap();
    let (key, longest) = (Key::new("alice", 1, 0), vec![7; 1 << 20]);
    store.put(&key, longest.clone()).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap().map(|record| record.value), Some(longest.clone().into()));
    let full = (2..6).fold(store.batch("alice"), |batch, i| batch.put((i, 0), longest.clone()));
    full.commit().await.unwrap();
    let many = (0..1_000).fold(store.batch(vec![7; 1_024]), |batch, i| batch.put((i, 0), "x"));
    many.commit().await.unwrap();
    store.close().await;
}

/// Records of the journal that the next start replays.
fn replayed(directory: &std::path::Path) -> u64 {
    use thermocline_tiers::hot::journal::{identity_of, inspect};
    let disk = thermocline_tiers::disk::RealDisk::new(directory).unwrap();
    let journal = std::path::Path::new("journal");
    let identity = identity_of(&disk, journal).unwrap().unwrap();
    inspect(&disk, journal, identity, |_, _| {}).unwrap().records
}

#[tokio::test]
async fn what_a_closed_store_had_in_memory_is_not_replayed() {
    const PUTS: u64 = 12_000;
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path()).sync(crate::Sync::None).segment_bytes(2 << 20);
    let store = Store::open(config.clone()).await.unwrap();
    for number in 0..PUTS {
        store.put(&Key::new("alice", number, 0), vec![7; 1_000]).await.unwrap();
    }
    store.kill().await;
    let all = replayed(directory.path());
    assert!(all >= PUTS, "{all}");
    let store = Store::open(config.clone()).await.unwrap();
    store.close().await;
    let few = replayed(directory.path());
    assert!(few < PUTS / 2, "{few}");
    let store = Store::open(config).await.unwrap();
    let page = store.scan("alice").newest_first().limit(1).page().await.unwrap();
    assert_eq!(page.records[0].key, Key::new("alice", PUTS - 1, 0));
    assert!(store.get(&Key::new("alice", 0, 0)).await.unwrap().is_some());
    store.close().await;
}

#[tokio::test]
async fn a_worker_that_ends_by_a_fault_leaves_no_write_that_may_be_applied_as_failed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(directory.path()).workers(2)).await.unwrap();
    let names = || (0..100).map(|number| format!("entity {number}"));
    let mut tokens = Vec::new();
    for name in names() {
        tokens.push(store.new_token(name).await.unwrap());
    }
    let puts: Vec<_> = names()
        .zip(&tokens)
        .map(|(name, token)| {
            let (store, key, token) = (store.clone(), Key::undated(name), *token);
            tokio::spawn(async move { store.put(&key, "value").token(token).await })
        })
        .collect();
    // They are handed over, and more or less under way.
    tokio::task::yield_now().await;
    store.shared.runtime.fault(0);
    let mut unknown = 0;
    for (put, token) in puts.into_iter().zip(&tokens) {
        match put.await.unwrap() {
            Ok(_) => {}
            Err(Error::Unknown(of)) if of == *token => unknown += 1,
            other => panic!("a write under its caller's token was applied, or nobody knows: {other:?}"),
        }
    }
    for name in names() {
        let refusal = store.get(&Key::undated(name)).await;
        assert!(matches!(refusal, Err(Error::Storage { kind: StorageKind::SyncFailed, .. })), "{refusal:?}");
    }
    store.close().await;
    // What is not known is found out by the next start.
    let store = Store::open(config(directory.path()).workers(2)).await.unwrap();
    let mut lost = 0;
    for token in &tokens {
        lost += usize::from(store.resolve(token).await.unwrap() == crate::Resolution::NotCommitted);
    }
    assert!(lost <= unknown, "{lost} of {unknown}");
    store.close().await;
}

/// However many there are, so many are under way at most; and when no more are wanted, no more are begun.
#[tokio::test]
async fn calls_are_made_some_at_a_time_and_their_results_come_in_order() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (begun, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let taken = AtomicUsize::new(0);
    let call = |number: usize| {
        let (begun, most, taken) = (&begun, &most, &taken);
        async move {
            let under_way = 1 + begun.fetch_add(1, Ordering::Relaxed) - taken.load(Ordering::Relaxed);
            most.fetch_max(under_way, Ordering::Relaxed);
            if number > 0 {
                tokio::task::yield_now().await;
            }
            Ok(number)
        }
    };
    for (at_a_time, wanted) in [(1, 100), (2, 100), (7, 100), (64, 30), (usize::MAX, 100)] {
        for count in [&begun, &most, &taken] {
            count.store(0, Ordering::Relaxed);
        }
        let mut results = Vec::new();
        let take = |number| {
            taken.fetch_add(1, Ordering::Relaxed);
            results.push(number);
            results.len() < wanted
        };
        let outcome = each((0..100).map(call), at_a_time, take).await;
        assert_eq!(outcome, Ok(wanted > 100));
        assert_eq!(results, (0..wanted).collect::<Vec<_>>());
        assert!(most.load(Ordering::Relaxed) <= at_a_time, "{at_a_time} at a time");
        assert!(begun.load(Ordering::Relaxed) <= wanted.saturating_add(at_a_time));
    }
}
