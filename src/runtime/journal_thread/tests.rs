//! The journal's threads over a disk in memory that fills up and gets room again.

use std::path::Path;
use std::time::Instant;

use thermocline_paxos::{Bucket, Slot, Ticket};
use thermocline_tiers::disk::{Disk, MemoryDisk};
use thermocline_tiers::hot::journal::{JournalConfig, JournalIdentity, RecordHead, RecordKind};

use super::*;
use crate::node::effects::Placed;

const RECORD_BYTES: usize = 60_000;

struct Scene {
    disk: MemoryDisk,
    config: JournalConfig,
    mailbox: Arc<Mailbox>,
    gate: Arc<JournalGate>,
    queue: JournalQueue,
    thread: JoinHandle<()>,
    next: u64,
    synced: u64,
}

/// A journal of small segments, of which all are kept for peers.
fn scene() -> Scene {
    let disk = MemoryDisk::new(1);
    let config = JournalConfig { segments_max: 1000, ..JournalConfig::with_segment_bytes(256 << 10) };
    let identity = JournalIdentity { cluster: 1, node: 1, disk: 1 };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (journal, _) =
        Journal::open(shared, Path::new("journal"), config.clone(), identity, |_, _| {}).unwrap();
    let mailbox = Arc::new(Mailbox::default());
    let gate = JournalGate::new(1);
    let lock: Arc<dyn Lock> = Arc::from(disk.lock(Path::new("")).unwrap());
    let (queue, thread) = start(journal, vec![mailbox.clone()], gate.clone(), u64::MAX, lock).unwrap();
    Scene { disk, config, mailbox, gate, queue, thread, next: 1, synced: 0 }
}

impl Scene {
    fn submit(&mut self) {
        let mut batch = JournalBatch::new(&self.config);
        let (bucket, slot) = (Bucket(1), Slot(self.next));
        let head = RecordHead {
            bucket: thermocline_tiers::hot::Bucket(bucket.0),
            slot: thermocline_tiers::hot::Slot(slot.0),
            kind: RecordKind(0),
        };
        batch.push(head, |payload| payload.put(&[1; RECORD_BYTES])).unwrap();
        let records = vec![Placed { bucket, slot, has_command: true, starts_anew: false, position: None }];
        self.queue.submit(0, Submission { batch, records, through: Ticket(self.next) });
        self.next += 1;
    }

    /// Hears from the journal until something holds. A minute is for a machine that is stuck.
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
            let mut inputs = Vec::new();
            self.mailbox.take(&mut inputs);
            for input in inputs {
                match input {
                    Input::Synced(submission) => self.synced = submission.through.0,
                    Input::JournalFailed(cause) => panic!("{cause}"),
                    _ => {}
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_full(&self) -> bool {
        self.gate.full.get()
    }

    /// Writes until the disk has no room but the headroom.
    fn fill(&mut self, room: u64) {
        self.disk.set_capacity(Some(self.disk.used_bytes() + room));
        while !self.is_full() {
            self.submit();
            let last = self.next - 1;
            self.until("synced or full", |scene| scene.synced == last || scene.is_full());
        }
    }

    fn end(self) {
        self.queue.stop();
        self.thread.join().unwrap();
    }
}

#[test]
fn a_full_disk_is_said_and_what_was_under_way_is_synced() {
    let mut scene = scene();
    scene.fill(1 << 20);
    let last = scene.next - 1;
    scene.until("synced from the headroom", |scene| scene.synced == last);
    scene.disk.set_capacity(None);
    scene.until("room again, without any write", |scene| !scene.is_full());
    scene.submit();
    let last = scene.next - 1;
    scene.until("synced again", |scene| scene.synced == last);
    scene.end();
}

#[test]
fn a_full_disk_gets_room_from_segments_that_only_peers_want() {
    let mut scene = scene();
    // Nothing is needed by the state; all is kept for peers, until its room is wanted.
    scene.gate.needed[0].store(u64::MAX, Ordering::Release);
    scene.fill(2 << 20);
    scene.until("room again from within", |scene| !scene.is_full());
    scene.submit();
    let last = scene.next - 1;
    scene.until("synced again", |scene| scene.synced == last);
    scene.end();
}
