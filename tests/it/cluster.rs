//! Three nodes, five nodes, six nodes: over TCP on loopback.

use thermocline::{Key, Resolution};

use crate::support::{Cluster, retrying};

#[tokio::test(flavor = "multi_thread")]
async fn every_node_reads_what_any_node_wrote() {
    let mut cluster = Cluster::start(3, 3).await;
    for i in 0..60u64 {
        let writer = cluster.node(1 + (i % 3) as u16);
        retrying(|| async { writer.put(&Key::new(format!("entity-{i}"), i, 0), format!("value-{i}")).await })
            .await;
        for node in 1..=3 {
            let record = cluster.node(node).get(&Key::new(format!("entity-{i}"), i, 0)).await.unwrap();
            assert_eq!(record.unwrap().value, format!("value-{i}"), "read at node {node}");
        }
    }
    cluster.close_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_catches_up() {
    let mut cluster = Cluster::start(3, 3).await;
    for i in 0..100u64 {
        retrying(|| async { cluster.node(1).put(&Key::new("a", i, 0), format!("{i}")).await }).await;
    }
    cluster.close(3).await;
    for i in 100..300u64 {
        let entity = format!("e{}", i % 10);
        retrying(|| async { cluster.node(2).put(&Key::new(entity.clone(), i, 0), format!("{i}")).await })
            .await;
    }
    cluster.open(3).await;
    cluster.close(1).await;
    // Nodes 2 and 3 are a majority only when 3 has caught up.
    for i in 100..300u64 {
        let entity = format!("e{}", i % 10);
        let record = retrying(|| async { cluster.node(3).get(&Key::new(entity.clone(), i, 0)).await }).await;
        assert_eq!(record.unwrap().value, format!("{i}"));
    }
    retrying(|| async { cluster.node(3).put(&Key::undated("last"), "one").await }).await;
    cluster.close_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_restarted_have_all_that_was_acknowledged() {
    let mut cluster = Cluster::start(3, 3).await;
    for i in 0..200u64 {
        let node = cluster.node(1 + (i % 3) as u16);
        retrying(|| async { node.put(&Key::new(format!("e{}", i % 20), i, 0), format!("{i}")).await }).await;
    }
    cluster.close_all().await;
    for node in 1..=3 {
        cluster.open(node).await;
    }
    for i in 0..200u64 {
        let node = cluster.node(1 + (i % 3) as u16);
        let record = retrying(|| async { node.get(&Key::new(format!("e{}", i % 20), i, 0)).await }).await;
        assert_eq!(record.unwrap().value, format!("{i}"));
    }
    cluster.close_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn six_nodes_serve_buckets_that_they_do_not_hold() {
    let mut cluster = Cluster::start(6, 3).await;
    for i in 0..60u64 {
        let key = Key::new(format!("entity-{i}"), i, 0);
        let (writer, reader) = (cluster.node(1 + (i % 6) as u16), cluster.node(1 + ((i + 2) % 6) as u16));
        retrying(|| async { writer.put(&key, "v").await }).await;
        let record = retrying(|| async { reader.get(&key).await }).await;
        assert_eq!(record.unwrap().value, "v");
        let page = retrying(|| async { writer.scan(format!("entity-{i}")).page().await }).await;
        assert_eq!(page.records.len(), 1);
    }
    let token = cluster.node(4).new_token("entity-1").await.unwrap();
    assert_eq!(retrying(|| async { cluster.node(5).resolve(&token).await }).await, Resolution::NotCommitted);
    // A token can be used wherever it was made, however long the log of its bucket is.
    for i in 0..70u64 {
        retrying(|| async { cluster.node(1).put(&Key::undated("entity-1"), format!("{i}")).await }).await;
    }
    for node in 1..=6 {
        let token = retrying(|| async { cluster.node(node).new_token("entity-1").await }).await;
        let other = cluster.node(1 + node % 6);
        let put =
            retrying(|| async { other.put(&Key::undated("entity-1"), "once").token(token).await }).await;
        let resolved = retrying(|| async { cluster.node(node).resolve(&token).await }).await;
        assert_eq!(resolved, Resolution::Committed(put));
    }
    cluster.close_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_replicas_survive_two() {
    let mut cluster = Cluster::start(5, 5).await;
    retrying(|| async { cluster.node(1).put(&Key::undated("k"), "before").await }).await;
    cluster.close(1).await;
    cluster.close(2).await;
    retrying(|| async { cluster.node(3).put(&Key::undated("k"), "after").await }).await;
    for node in 3..=5 {
        let record = retrying(|| async { cluster.node(node).get(&Key::undated("k")).await }).await;
        assert_eq!(record.unwrap().value, "after");
    }
    cluster.close_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_node_learns_and_votes_again() {
    let mut cluster = Cluster::start(3, 3).await;
    for i in 0..50u64 {
        retrying(|| async { cluster.node(1).put(&Key::new(format!("e{i}"), i, 0), format!("{i}")).await })
            .await;
    }
    cluster.close(3).await;
    std::fs::remove_dir_all(cluster.root.path().join("node-3")).unwrap();
    cluster.open(3).await;
    for i in 0..50u64 {
        let record = retrying(|| async { cluster.node(3).get(&Key::new(format!("e{i}"), i, 0)).await }).await;
        assert_eq!(record.unwrap().value, format!("{i}"));
    }
    cluster.close_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_of_one_record_at_all_nodes_are_all_served() {
    const CALLERS: u64 = 100;
    let mut cluster = Cluster::start(3, 3).await;
    retrying(|| async { cluster.node(1).put(&Key::undated("hot"), "").await }).await;
    let mut callers = Vec::new();
    for caller in 0..3 * CALLERS {
        let store = cluster.node(1 + (caller % 3) as u16).clone();
        callers.push(tokio::spawn(async move {
            let key = Key::undated("hot");
            for write in 0..3 {
                retrying(|| async { store.put(&key, format!("{caller} {write}")).await }).await;
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    cluster.close_all().await;
}
