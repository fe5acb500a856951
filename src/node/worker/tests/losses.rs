//! Journals that lost a record in their middle.

use std::path::PathBuf;

use thermocline_tiers::hot::journal::RECORD_HEADER_BYTES;

use super::*;
use crate::node::command;
use crate::token::Token;

const BUCKET: Bucket = Bucket(3);

fn command(counter: u64) -> Command {
    let originator = Originator { node: NodeId(2), boot: Boot { disk: 2, count: 1 } };
    let token = Token { client: 9, counter, bucket: BUCKET.0, born: 0 };
    let id = Some(CommandId { originator, sequence: counter });
    Command { id, heir: None, payload: command::encode_burn(&token) }
}

fn vote(slot: u64, round: u32, counter: u64) -> Record {
    let ballot = Ballot { round, node: NodeId(2), boot: Boot { disk: 2, count: 1 } };
    Record::Accept { slot: Slot(slot), ballot, command: command(counter) }
}

/// Writes the records down, each in a commit of its own.
fn write(disk: &Arc<MemoryDisk>, records: &[Record]) -> Vec<Place> {
    let mut journal = recovered(disk.clone(), 1, 3, 7).journal;
    let places = records.iter().map(|record| write_down(&mut journal, BUCKET, record)).collect();
    journal.witness().unwrap();
    places
}

/// Starts from these records, of which one byte, so far from the beginning of the record given, is damaged.
fn start(records: &[Record], damaged: Option<(usize, i64)>) -> Worker {
    let disk = Arc::new(MemoryDisk::new(1));
    let places = write(&disk, records);
    if let Some((record, at)) = damaged {
        let Place { generation, offset, .. } = places[record];
        let path = PathBuf::from(format!("journal/segment-{:016x}", generation.0));
        disk.flip_bits(&path, u64::from(offset).wrapping_add_signed(at), 4).unwrap();
    }
    recovered(disk, 1, 3, 8).workers.remove(0)
}

/// How far the bucket's state is, and how many commands of its first slots the journal serves to others.
fn reached(worker: &Worker) -> (u64, u64, usize) {
    let applied = worker.part(BUCKET).applied(thermocline_tiers::hot::Bucket(BUCKET.0)).0;
    (worker.core.status(BUCKET).chosen.0, applied, worker.index.chosen(BUCKET, Slot(1), Slot(9), 9).len())
}

const PAYLOAD: i64 = RECORD_HEADER_BYTES as i64;
const COMMIT_HEADER: i64 = -40;

#[test]
fn a_vote_is_not_taken_for_the_decision_when_a_record_behind_it_is_lost() {
    let promise = Record::Promise {
        slot: Slot(2),
        ballot: Ballot { round: 1, node: NodeId(3), boot: Boot { disk: 3, count: 1 } },
    };
    let chosen = Record::Chosen { slot: Slot(1), command: command(2) };
    for last_word in [chosen, vote(1, 2, 2)] {
        let records = [vote(1, 1, 1), last_word, promise.clone(), vote(2, 3, 3)];
        assert_eq!(reached(&start(&records, None)), (1, 1, 2));
        for damage in [PAYLOAD, COMMIT_HEADER] {
            let worker = start(&records, Some((1, damage)));
            assert_eq!(reached(&worker), (0, 0, 0), "damage at {damage}");
            assert!(!worker.core.fresh(BUCKET).voting);
        }
    }
}

#[test]
fn what_is_recorded_behind_a_loss_counts() {
    // The promise that is lost says nothing of the slot, and the vote behind it is the last word again.
    let promise = Record::Promise {
        slot: Slot(1),
        ballot: Ballot { round: 2, node: NodeId(3), boot: Boot { disk: 3, count: 1 } },
    };
    let records = [vote(1, 1, 1), promise, vote(1, 3, 2), vote(2, 1, 3), vote(3, 1, 4)];
    assert_eq!(reached(&start(&records, Some((1, PAYLOAD)))), (2, 2, 3));
}

/// The power went while a copy was poured in, of a bucket of which the journal has everything.
#[test]
pub(super) fn nothing_is_applied_to_a_part_of_a_copy() {
    let state_bucket = thermocline_tiers::hot::Bucket(BUCKET.0);
    let disk = Arc::new(MemoryDisk::new(1));
    write(&disk, &[vote(1, 1, 1), vote(2, 1, 2)]);
    {
        let mut node = recovered(disk.clone(), 1, 3, 8);
        let worker = &mut node.workers[0];
        assert_eq!(worker.part(BUCKET).applied(state_bucket).0, 1);
        worker.parts[0].wipe_all(&[state_bucket]).unwrap();
        worker.flush_parts();
        run_jobs(worker, &node.journal);
    }
    let node = recovered(disk, 1, 3, 9);
    let worker = &node.workers[0];
    assert_eq!(
        (worker.core.status(BUCKET).chosen, worker.part(BUCKET).applied(state_bucket).0),
        (Slot(1), 0)
    );
    assert!(worker.part(BUCKET).is_installing(state_bucket) && worker.lacks_state(BUCKET));
    assert!(worker.transfers.concerns(BUCKET), "it is taken over again");
}

/// The last commit says that the vote before it lost, and is damaged as if it had been torn. The state was written when that commit was synced.
#[test]
pub(super) fn a_state_that_was_written_after_the_end_of_the_journal_tells_that_the_end_is_lost() {
    let disk = Arc::new(MemoryDisk::new(1));
    let last = {
        let mut journal = recovered(disk.clone(), 1, 3, 7).journal;
        write_down(&mut journal, BUCKET, &vote(1, 1, 1));
        write_down(&mut journal, BUCKET, &Record::Chosen { slot: Slot(1), command: command(2) })
    };
    let flushed = |client| {
        let mut node = recovered(disk.clone(), 1, 3, client);
        let worker = &mut node.workers[0];
        let before = (node.report.damage.len(), reached(worker), worker.core.status(BUCKET).vote);
        worker.flush_parts();
        run_jobs(worker, &node.journal);
        before
    };
    assert_eq!((flushed(8).0, flushed(9).1), (0, (1, 1, 1)));
    let path = PathBuf::from(format!("journal/segment-{:016x}", last.generation.0));
    disk.flip_bits(&path, u64::from(last.offset) + PAYLOAD as u64, 4).unwrap();
    let (damages, reached, vote) = flushed(10);
    assert_eq!((damages, reached), (1, (1, 1, 0)), "what may have lost is served to nobody");
    assert_eq!(vote, thermocline_paxos::Vote::LearnerOnly);
    // The next one knows it from the identity and the journal, and does not find it anew.
    let mut node = recovered(disk, 1, 3, 11);
    assert!(node.identity.read().amnesia.concerns(BUCKET.0));
    assert!(
        node.report.damage.iter().all(|damage| damage.contains("EarlierDamage")),
        "{:?}",
        node.report.damage
    );
    node.journal.witness().unwrap();
}

/// The state's memory is full in the midst of the journal's last commit, which may be nowhere but in a cache.
#[test]
fn a_start_writes_nothing_to_the_state_that_may_still_be_lost_from_the_journal() {
    const FILLER: Bucket = Bucket(5);
    let disk = Arc::new(MemoryDisk::new(1));
    let put = |slot: u64| {
        let value = Bytes::from(vec![0; 450_000]);
        let mutation =
            Mutation::Put { position: Position::Undated, value, expires_at: None, expect: Expect::Any };
        let token = Token { client: 9, counter: slot, bucket: FILLER.0, born: 0 };
        let name = format!("entity {slot}");
        let payload = command::encode_write(&token, name.as_bytes(), &[mutation], None);
        Record::Chosen { slot: Slot(slot), command: Command { payload, ..command(slot) } }
    };
    let mut journal = recovered(disk.clone(), 1, 3, 7).journal;
    write_down(&mut journal, BUCKET, &vote(1, 1, 1));
    let enough = MEMTABLE_BYTES as u64 / 450_000;
    for slot in 1..=enough {
        write_down(&mut journal, FILLER, &put(slot));
    }
    let mut batch = JournalBatch::new(journal.config());
    for (bucket, record) in
        [(BUCKET, Record::Chosen { slot: Slot(1), command: command(2) }), (FILLER, put(enough + 1))]
    {
        let (kind, slot) = record_codec::head(&record);
        let (bucket, slot) = (thermocline_tiers::hot::Bucket(bucket.0), thermocline_tiers::hot::Slot(slot.0));
        let mut bytes = Vec::new();
        record_codec::encode(&mut bytes, &record);
        let head = RecordHead { bucket, slot, kind: RecordKind(kind) };
        batch.push(head, |payload| payload.put(&bytes)).unwrap();
    }
    let last = journal.commit(&mut [&mut batch]).unwrap().sequence;
    drop(journal);
    let started = |client| {
        let node = recovered(disk.clone(), 1, 3, client);
        let worker = &node.workers[0];
        (worker.applied(BUCKET).0, worker.durable(BUCKET).0, worker.parts[0].rests_on(), node.journal)
    };
    let (applied, durable, rests_on, mut journal) = started(8);
    assert_eq!((applied, durable, rests_on), (1, 0, 0));
    journal.witness().unwrap();
    drop(journal);
    let (applied, durable, rests_on, _) = started(9);
    assert_eq!((applied, durable, rests_on), (1, 1, last.0));
}

/// With `Sync::None` a journal may end before what the state has, and nobody was promised anything else.
#[test]
fn a_state_says_nothing_of_a_journal_that_is_not_durable() {
    for (is_durable, rests_on) in [(false, 0), (true, 3)] {
        let disk = Arc::new(MemoryDisk::new(1));
        write(&disk, &[vote(1, 1, 1), vote(2, 1, 2)]);
        let mut node = recovered(disk, 1, 3, 8);
        let worker = &mut node.workers[0];
        worker.settings.is_durable = is_durable;
        worker.flush_parts();
        run_jobs(worker, &node.journal);
        assert_eq!((worker.durable(BUCKET), worker.parts[0].rests_on()), (Slot(1), rests_on));
    }
}
