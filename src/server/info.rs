//! `INFO`, `TC.VERIFY`, `TC.LOSE-ACKNOWLEDGED-WRITES`: how the node is, and what operators do.

use std::fmt::Write;

use super::reply::Reply;
use crate::status::Status;
use crate::store::Store;

/// `INFO`, in Redis's form: sections of `name:value` lines.
pub(super) async fn info(store: &Store) -> Reply {
    match store.status().await {
        Ok(status) => Reply::Text(text(&status)),
        Err(error) => Reply::failure(&error),
    }
}

/// `TC.VERIFY`: compares the buckets of which this node is the first replica. The first word says whether all is well.
pub(super) async fn verify(store: &Store) -> Reply {
    match store.verify_first().await {
        Ok(report) => {
            Reply::bulk(format!("{} {report}", if report.is_clean() { "CLEAN" } else { "UNCLEAN" }))
        }
        Err(error) => Reply::failure(&error),
    }
}

/// `TC.LOSE-ACKNOWLEDGED-WRITES cluster-name`: the name is asked for so that nobody does it by mistake.
pub(super) async fn lose(store: &Store, cluster: &[u8]) -> Reply {
    let status = match store.status().await {
        Ok(status) => status,
        Err(error) => return Reply::failure(&error),
    };
    if status.cluster.as_bytes() != cluster {
        return Reply::err(
            "the argument must be the name of the cluster whose acknowledged writes may be lost",
        );
    }
    match store.lose_acknowledged_writes().await {
        Ok(buckets) => Reply::Number(u64::from(buckets)),
        Err(error) => Reply::failure(&error),
    }
}

pub(super) fn text(status: &Status) -> String {
    let mut text = String::with_capacity(1024);
    let groups: Vec<_> = status.groups.iter().map(u16::to_string).collect();
    let lines = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("cluster", status.cluster.clone()),
        ("node", status.node.to_string()),
        ("boot", status.boot.to_string()),
        ("disk_id", format!("{:016x}", status.disk_id)),
        ("epoch", status.epoch.to_string()),
        ("groups", groups.join(",")),
        ("journal_synced_bytes", status.journal_synced.to_string()),
        ("buckets_voting", status.buckets_voting.to_string()),
        ("buckets_learning", status.buckets_learning.to_string()),
        ("buckets_behind", status.buckets_behind.to_string()),
        ("buckets_lost", status.buckets_lost.to_string()),
        ("recovery", status.recovery()),
    ];
    text.push_str("# Thermocline\r\n");
    for (name, value) in lines {
        line(&mut text, name, &value);
    }
    text.push_str("\r\n# Peers\r\n");
    for peer in &status.peers {
        let up = if peer.up { "up" } else { "down" };
        let value = format!("address={},state={up}", peer.address);
        line(&mut text, &format!("peer_{}", peer.node), &value);
    }
    text.push_str("\r\n# Counters\r\n");
    for (name, value) in &status.counters {
        line(&mut text, name, &value.to_string());
    }
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = write!(text, "{name}:{value}\r\n");
}
