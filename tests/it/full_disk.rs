//! A file system that fills up: writes are refused, reads go on, and it ends by itself when there is room.
//!
//! Needs the right to mount a file system; without it the test says so and looks at nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use thermocline::{Config, Error, Key, Store};

const DISK_BYTES: u64 = 224 << 20;
const BALLAST_BYTES: usize = 48 << 20;
const VALUE_BYTES: usize = 64 << 10;

/// A file system of its own, in memory, for as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let size = format!("size={DISK_BYTES}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn config(directory: &Path) -> Config {
    Config::embedded(directory)
        .buckets(1024)
        .workers(1)
        .parts(2)
        .memtable_bytes(1 << 20)
        .segment_bytes(1 << 20)
        .deadline_default_ms(2_000)
}

/// Bytes that do not compress, told by their number.
fn value(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..VALUE_BYTES / 8).flat_map(|_| next().to_le_bytes()).collect()
}

async fn put(store: &Store, number: u64) -> Result<(), Error> {
    store.put(&Key::new("alice", number, 0), value(number)).await.map(drop)
}

async fn is_there(store: &Store, number: u64) -> bool {
    let record = store.get(&Key::new("alice", number, 0)).await.unwrap();
    record.is_some_and(|record| record.value == value(number))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_serves_reads_and_works_again_when_there_is_room() {
    let root = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&root.path().join("disk")) else {
        return eprintln!("no file system could be mounted: nothing was looked at");
    };
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; BALLAST_BYTES]).unwrap();
    let store = Store::open(config(&disk.0.join("data"))).await.unwrap();
    let mut written = Vec::new();
    let mut refused = 0;
    for number in 0..2 * DISK_BYTES / VALUE_BYTES as u64 {
        match put(&store, number).await {
            Ok(()) => written.push(number),
            Err(Error::Overloaded { .. } | Error::Unavailable { .. }) => refused += 1,
            Err(error) => panic!("write {number}: {error}"),
        }
        if refused == 20 {
            break;
        }
    }
    assert_eq!(refused, 20, "{} writes fit a disk of {DISK_BYTES} bytes", written.len());
    for number in written.iter().step_by(50) {
        assert!(is_there(&store, *number).await, "record {number} is read from the full disk");
    }

    std::fs::remove_file(ballast).unwrap();
    let start = std::time::Instant::now();
    while let Err(error) = put(&store, u64::MAX).await {
        assert!(matches!(error, Error::Overloaded { .. } | Error::Unavailable { .. }), "{error}");
        assert!(start.elapsed().as_secs() < 60, "still refused after a minute: {error}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    store.close().await;
    let store = Store::open(config(&disk.0.join("data"))).await.unwrap();
    written.push(u64::MAX);
    for number in written {
        assert!(is_there(&store, number).await, "record {number} is there after the next start");
    }
    store.close().await;
}
