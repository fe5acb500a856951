//! An inbox: messages come in, the newest are read, the old ones go.

use thermocline::{Config, Error, Key, Store};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let store = Store::open(Config::embedded("inbox-data")).await?;

    // Who, when in milliseconds, and which one within the millisecond.
    let first = Key::new("alice", 1_700_000_000_000, 0);
    let version = store.put(&first, "the first message").await?;
    store.put(&Key::new("alice", 1_700_000_060_000, 0), "the second one").await?;

    // The newest 50, with a cursor for the 50 before them.
    let page = store.scan("alice").newest_first().limit(50).page().await?;
    for record in &page.records {
        println!("{} (version {}): {:?}", record.key.position, record.version, record.value);
    }

    // Only if nobody has changed it since.
    store.put(&first, "the first message, corrected").if_version(version).await?;

    // Read through the first minute: it can go.
    store.trim("alice", 1_700_000_030_000).await?;
    assert_eq!(store.get(&first).await?, None);

    store.close().await;
    Ok(())
}
