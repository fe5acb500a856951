//! `INFO`: how the node is.

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
