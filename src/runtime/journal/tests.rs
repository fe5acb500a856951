//! The journal's threads over a disk in memory, which fills up and gets room again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thermocline_paxos::{Bucket, Slot, Ticket};
use thermocline_tiers::disk::{Call, Disk, Lock, MemoryDisk, Unsynced};
use thermocline_tiers::hot::journal::{
    Committed, Journal, JournalBatch, JournalConfig, JournalIdentity, RecordHead, RecordKind, Sequence,
};

use super::committer::Committer;
use super::*;
use crate::node::effects::{Placed, Submission};
use crate::node::holes::Holes;
use crate::node::journal_index::{History, JournalIndex};
use crate::node::reclaim::Retained;
use crate::node::route::Dealing;
use crate::runtime::mailbox::{Input, Mailbox};

const RECORD_BYTES: usize = 60_000;
const IDENTITY: JournalIdentity = JournalIdentity { cluster: 1, node: 1, disk: 1 };

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
    scene_on(MemoryDisk::new(1))
}

fn scene_on(disk: MemoryDisk) -> Scene {
    let config = JournalConfig { segments_max: 1000, ..JournalConfig::with_segment_bytes(256 << 10) };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (journal, _) =
        Journal::open(shared, Path::new("journal"), config.clone(), IDENTITY, |_, _| {}).unwrap();
    let history = History::new(journal.reader().history(), Dealing::new(1, 1), Holes::default());
    let mailbox = Arc::new(Mailbox::default());
    let gate = JournalGate::new(1);
    let lock: Arc<dyn Lock> = Arc::from(disk.lock(Path::new("")).unwrap());
    let mailboxes = vec![mailbox.clone()];
    let (queue, thread) =
        start(journal, mailboxes, gate.clone(), Retained::new(u64::MAX, true), Some(history), lock).unwrap();
    Scene { disk, config, mailbox, gate, queue, thread, next: 1, synced: 0 }
}

impl Scene {
    /// The next record.
    fn submission(&mut self) -> Submission {
        let mut batch = JournalBatch::new(&self.config);
        let (bucket, slot) = (Bucket(1), Slot(self.next));
        let head = RecordHead {
            bucket: thermocline_tiers::hot::Bucket(bucket.0),
            slot: thermocline_tiers::hot::Slot(slot.0),
            kind: RecordKind(0),
        };
        batch.push(head, |payload| payload.put(&[1; RECORD_BYTES])).unwrap();
        let records = vec![Placed::of_command(bucket, slot, None)];
        self.next += 1;
        Submission { batch, records, through: Ticket(slot.0), commit: Sequence(0) }
    }

    fn submit(&mut self) {
        let submission = self.submission();
        self.queue.submit(0, submission);
    }

    /// Has the thread commit.
    fn sync(&mut self, submission: Submission) {
        let last = submission.through.0;
        self.queue.submit(0, submission);
        self.until("synced", |scene| scene.synced == last);
    }

    /// Has the thread commit the next record.
    fn sync_next(&mut self) {
        let submission = self.submission();
        self.sync(submission);
    }

    fn committer<T>(&self, look: impl FnOnce(&mut Committer) -> T) -> T {
        look(self.queue.shared.lock().as_mut().unwrap())
    }

    /// Has the thread commit one record after the other until the disk counts as quick, and the segment has room for one more.
    fn make_quick(&mut self) {
        let is_for_here = |committer: &mut Committer| {
            committer.is_quick() && committer.journal.takes_at_once(RECORD_BYTES as u64 + 100)
        };
        while !self.committer(is_for_here) {
            self.sync_next();
        }
    }

    fn until_witnessed(&mut self) {
        self.until("a witness", |scene| scene.committer(|committer| committer.until_witness().is_none()));
    }

    /// Hears from the journal until something holds. A minute is for a machine that is stuck.
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            for input in self.hear(start, what) {
                match input {
                    Input::Synced(submission) => self.synced = submission.through.0,
                    Input::Failed(cause) => panic!("{cause}"),
                    _ => {}
                }
            }
        }
    }

    fn until_it_failed(&mut self) {
        let start = Instant::now();
        while !self.hear(start, "failed").iter().any(|input| matches!(input, Input::Failed(_))) {}
    }

    /// What the journal has told by now.
    fn hear(&self, since: Instant, what: &str) -> Vec<Input> {
        assert!(since.elapsed() < Duration::from_secs(60), "never: {what}");
        let mut inputs = Vec::new();
        self.mailbox.take(&mut inputs);
        if inputs.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        inputs
    }

    /// Hears that the history is indexed.
    fn until_all_is_indexed(&self) {
        let (start, mut index) = (Instant::now(), JournalIndex::new(2));
        index.await_past();
        while index.awaits_past() {
            for input in self.hear(start, "indexed") {
                if let Input::Past(past) = input {
                    index.join(past, |_| Slot(0));
                }
            }
        }
    }

    /// What opening the journal would read, by the first record's slot.
    fn first_replayed(&self) -> u64 {
        let mut first = None;
        let visit = |record: thermocline_tiers::hot::journal::Record<'_>, _| {
            first.get_or_insert(record.head.slot.0);
        };
        let copy = Arc::new(self.disk.fork());
        Journal::open(copy, Path::new("journal"), self.config.clone(), IDENTITY, visit).unwrap();
        first.unwrap_or(0)
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
    scene.sync_next();
    scene.end();
}

#[test]
fn a_full_disk_gets_room_from_segments_that_only_peers_want() {
    let mut scene = scene();
    scene.fill(2 << 20);
    // Nothing is needed by the state any more; all is kept for peers, until its room is wanted.
    scene.gate.needed[0].store(u64::MAX, Ordering::Release);
    scene.until("room again from within", |scene| !scene.is_full());
    scene.sync_next();
    scene.end();
}

#[test]
fn segments_that_only_peers_want_leave_room_on_the_disk() {
    let mut scene = scene();
    scene.gate.needed[0].store(u64::MAX, Ordering::Release);
    scene.disk.set_capacity(Some(scene.disk.used_bytes() + (4 << 20)));
    for _ in 0..200 {
        scene.sync_next();
        scene.until("room for others", |scene| scene.disk.room(Path::new("")).unwrap() > 1 << 20);
    }
    scene.end();
}

#[test]
fn a_worker_commits_for_itself_when_the_disk_is_known_to_be_quick() {
    let mut scene = scene();
    let mut held = [scene.submission()];
    assert!(!scene.queue.commit_here(&mut held), "nothing is known of the disk");
    let [submission] = held;
    scene.queue.submit(0, submission);
    scene.make_quick();
    let mut held = [scene.submission()];
    assert!(scene.queue.commit_here(&mut held));
    assert!(held[0].records[0].position.is_some());
    assert_eq!(scene.gate.commits_by_workers.load(Ordering::Relaxed), 1);
    let last = scene.next - 1;

    // It is durable when that returns.
    let left = scene.disk.fork();
    left.power_cut(Unsynced::Lost);
    let mut found = Vec::new();
    let visit = |record: thermocline_tiers::hot::journal::Record<'_>, _| found.push(record.head.slot.0);
    Journal::open(Arc::new(left), Path::new("journal"), scene.config.clone(), IDENTITY, visit).unwrap();
    assert_eq!(found, (1..=last).collect::<Vec<_>>());

    // The thread sees to the witness, though it has not committed itself.
    scene.until_witnessed();
    scene.make_quick();
    scene.until_witnessed();
    let mut held = [scene.submission()];
    assert!(scene.queue.commit_here(&mut held));
    scene.until_witnessed();
    scene.end();
}

#[test]
fn no_worker_waits_for_a_disk_that_was_slow_lately_or_for_another_commit() {
    let mut scene = scene();
    scene.make_quick();
    let mut held = [scene.submission()];
    {
        let shared = scene.queue.shared.clone();
        let _committing = shared.lock();
        assert!(!scene.queue.commit_here(&mut held));
    }
    let written = Committed { sequence: Sequence(0), commits: 0, records: 0, bytes: 0, rolled: false };
    let slow = Instant::now().checked_sub(Duration::from_millis(2)).unwrap();
    scene.committer(|committer| committer.note(slow, &written));
    assert!(!scene.queue.commit_here(&mut held));
    let [submission] = held;
    scene.queue.submit(0, submission);
    scene.make_quick();
    let mut held = [scene.submission()];
    assert!(scene.queue.commit_here(&mut held));
    scene.end();
}

#[test]
fn a_worker_leaves_another_segment_to_the_thread() {
    let mut scene = scene();
    let active = |scene: &Scene| scene.committer(|committer| committer.journal.active_generation());
    for _ in 0..3 {
        scene.make_quick();
        let segment = active(&scene);
        while active(&scene) == segment {
            let mut held = [scene.submission()];
            let committed = scene.queue.commit_here(&mut held);
            assert_eq!(active(&scene), segment, "no segment was begun here");
            if !committed {
                let [submission] = held;
                assert!(submission.records[0].position.is_none());
                scene.sync(submission);
            }
        }
    }
    scene.end();
}

#[test]
fn a_worker_leaves_what_is_large_to_the_thread() {
    let mut scene = scene();
    scene.make_quick();
    let mut held = [scene.submission(), scene.submission()];
    assert!(!scene.queue.commit_here(&mut held));
    held.into_iter().for_each(|submission| scene.sync(submission));
    scene.end();
}

#[test]
fn the_next_start_replays_what_is_needed_and_the_rest_is_indexed_behind_it() {
    let mut scene = scene();
    for _ in 0..12 {
        scene.sync_next();
    }
    assert_eq!(scene.first_replayed(), 1, "all of it is needed");
    scene.gate.replayed[0].store(u64::MAX, Ordering::Release);
    scene.until("noted", |scene| scene.first_replayed() > 4);
    let disk = scene.disk.clone();
    scene.end();
    let scene = scene_on(disk);
    let segments = |scene: &Scene| scene.committer(|committer| committer.journal.segments());
    scene.until_all_is_indexed();
    let written = segments(&scene).iter().filter(|segment| segment.records > 0).count();
    assert!(written >= 3, "{:?}", segments(&scene));
    scene.end();
}

#[test]
fn nobody_goes_on_with_a_journal_whose_write_failed() {
    let mut scene = scene();
    scene.make_quick();
    // Some of them may hit the thread that makes segments ready, which tries again.
    (1..=40).for_each(|nth| scene.disk.fail(Call::Write, nth, std::io::ErrorKind::Other));
    let mut held = [scene.submission()];
    // At the end of a segment the thread is asked, and fails.
    if !scene.queue.commit_here(&mut held) && !scene.gate.failed.load(Ordering::Relaxed) {
        let [submission] = held;
        scene.queue.submit(0, submission);
    }
    scene.until_it_failed();
    assert!(scene.gate.failed.load(Ordering::Relaxed));
    let mut held = [scene.submission()];
    assert!(!scene.queue.commit_here(&mut held));
    assert!(held[0].records[0].position.is_none());
    scene.end();
}

#[test]
fn no_worker_commits_when_the_thread_is_gone() {
    let mut scene = scene();
    scene.make_quick();
    let mut held = [scene.submission()];
    let (queue, written) = (scene.queue.clone(), scene.gate.synced.load(Ordering::Relaxed));
    let gate = scene.gate.clone();
    scene.end();
    assert!(!queue.commit_here(&mut held));
    assert_eq!(gate.synced.load(Ordering::Relaxed), written);
}
