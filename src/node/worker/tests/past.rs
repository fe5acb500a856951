//! What a start has left unread in the journal, because the state has it.

use std::path::PathBuf;

use thermocline_tiers::hot::journal::RECORD_HEADER_BYTES;

use super::*;
use crate::node::command;
use crate::node::journal_index::Step;
use crate::token::Token;

const BUCKET: Bucket = Bucket(3);
/// Of which there is so much that the journal goes on to its second segment.
const FILLER: Bucket = Bucket(5);

/// The record that was the last word on slot 2, among those of the second segment.
const LAST_WORD: usize = 1;

fn command(bucket: Bucket, counter: u64) -> Command {
    let originator = Originator { node: NodeId(2), boot: Boot { disk: 2, count: 1 } };
    let token = Token { client: 9, counter, bucket: bucket.0, born: 0 };
    let id = Some(CommandId { originator, sequence: counter });
    Command { id, heir: None, payload: command::encode_burn(&token) }
}

fn vote(slot: u64, round: u32, command: Command) -> Record {
    let ballot = Ballot { round, node: NodeId(2), boot: Boot { disk: 2, count: 1 } };
    Record::Accept { slot: Slot(slot), ballot, command }
}

/// Slots 1 to 3 are decided, of slot 2 a vote lost, and of slot 4 there is a vote. Slots 1 and 2 stand in the first segment; the rest, and what was decided
/// in slot 2, in the second one, of which the records' places are returned. The state has all that is decided, and the next start need not read the
/// first segment.
fn two_segments() -> (Arc<MemoryDisk>, Vec<Place>) {
    let disk = Arc::new(MemoryDisk::new(1));
    let mut journal = recovered(disk.clone(), 1, 3, 7).journal;
    write_down(&mut journal, BUCKET, &vote(1, 1, command(BUCKET, 1)));
    write_down(&mut journal, BUCKET, &vote(2, 1, command(BUCKET, 2)));
    for round in 1.. {
        let large = Command { payload: Bytes::from(vec![0; 100_000]), ..command(FILLER, 1) };
        if write_down(&mut journal, FILLER, &vote(1, round, large)).generation > Generation(1) {
            break;
        }
    }
    let records = [
        (FILLER, Record::Chosen { slot: Slot(1), command: command(FILLER, 2) }),
        (BUCKET, Record::Chosen { slot: Slot(2), command: command(BUCKET, 3) }),
        (BUCKET, vote(3, 1, command(BUCKET, 4))),
        (BUCKET, vote(4, 1, command(BUCKET, 5))),
    ];
    let places = records.iter().map(|(bucket, record)| write_down(&mut journal, *bucket, record)).collect();
    journal.close().unwrap();

    let mut node = recovered(disk.clone(), 1, 3, 8);
    assert!(node.history.is_none());
    let worker = &mut node.workers[0];
    worker.flush_parts();
    run_jobs(worker, &node.journal);
    let needed = worker.needed_segment(false);
    assert_eq!(needed, 2, "of slot 4 nobody knows whether it is decided");
    node.journal.preparer().replay_from(Generation(needed)).unwrap();
    (disk, places)
}

/// Indexes what is left to be.
fn read_history(node: &mut Recovered) {
    while let Some(history) = &mut node.history {
        match history.step() {
            Step::Read => {}
            Step::Past(worker, past) => node.workers[worker].past_came(past),
            Step::Done => node.history = None,
        }
    }
}

fn indexed(node: &Recovered) -> Vec<u64> {
    let places = node.workers[0].index.chosen(BUCKET, Slot(1), Slot(9), 9);
    places.iter().map(|place| place.generation.0).collect()
}

#[test]
fn a_start_reads_what_it_needs_and_indexes_the_rest_behind_it() {
    let (disk, _) = two_segments();
    let mut node = recovered(disk, 1, 3, 9);
    let applied = node.workers[0].part(BUCKET).applied(thermocline_tiers::hot::Bucket(BUCKET.0)).0;
    assert_eq!((node.workers[0].core.status(BUCKET).chosen, applied), (Slot(3), 3));
    assert_eq!((node.report.records, indexed(&node)), (5, vec![]));
    read_history(&mut node);
    assert_eq!(indexed(&node), [1, 2, 2, 2]);
    let counters = &node.workers[0].counters;
    assert_eq!((counters.past_commands, counters.past_losses), (1, 0));
}

#[test]
fn damage_in_what_is_indexed_behind_the_start_is_counted() {
    let (disk, _) = two_segments();
    // In a large record in the middle of the first segment.
    disk.flip_bits(&PathBuf::from(format!("journal/segment-{:016x}", 1)), 64 << 10, 4).unwrap();
    let mut node = recovered(disk, 1, 3, 9);
    assert_eq!(node.report.damage, [""; 0]);
    read_history(&mut node);
    assert_eq!(node.workers[0].counters.past_losses, 1);
}

/// The first segment says that something else was decided in slot 2, which is not true.
#[test]
pub(super) fn where_a_record_is_lost_nothing_is_served_that_it_may_have_been_written_over() {
    for damage in [RECORD_HEADER_BYTES as i64, -40] {
        let (disk, places) = two_segments();
        let place = places[LAST_WORD];
        let path = PathBuf::from(format!("journal/segment-{:016x}", place.generation.0));
        disk.flip_bits(&path, u64::from(place.offset).wrapping_add_signed(damage), 4).unwrap();
        let mut node = recovered(disk, 1, 3, 9);
        read_history(&mut node);
        assert_eq!(indexed(&node), [0; 0], "damage at {damage}");
    }
}

#[test]
fn a_peer_is_not_told_that_there_is_nothing_as_long_as_it_may_still_be_found() {
    let (disk, _) = two_segments();
    let mut node = recovered(disk, 1, 3, 9);
    let worker = &mut node.workers[0];
    found(worker, 1);
    worker.peer_up(0, NodeId(2));
    told(worker, 2);

    // What is indexed is served.
    tell(worker, 0, 2, &Item::Fetch { bucket: BUCKET, from: Slot(3), through: Slot(3) });
    assert!(!worker.wants_past());
    run_jobs(worker, &node.journal);
    assert!(matches!(&told(worker, 2)[..], [Item::FetchAnswer { from: Slot(3), .. }]));

    let fetch = Item::Fetch { bucket: BUCKET, from: Slot(1), through: Slot(3) };
    let buckets = vec![(BUCKET, Slot(1))];
    tell(worker, 0, 2, &fetch);
    assert!(worker.wants_past());
    tell(worker, 0, 2, &Item::StreamAsk { stream: 5, of: 1, buckets });
    tell(worker, 0, 2, &Item::StreamNext { stream: 5, part: 0, through: 1, again: false });
    assert!(worker.effects().jobs.is_empty());
    assert_eq!(told(worker, 2), []);

    read_history(&mut node);
    let worker = &mut node.workers[0];
    assert!(!worker.wants_past());
    run_jobs(worker, &node.journal);
    assert!(matches!(&told(worker, 2)[..], [Item::StreamPart(part)] if part.ended));
    tell(worker, 0, 2, &fetch);
    run_jobs(worker, &node.journal);
    let answers = told(worker, 2);
    let [Item::FetchAnswer { commands, .. }] = &answers[..] else { panic!("{answers:?}") };
    let counters: Vec<u64> = commands.iter().map(|command| command.id.unwrap().sequence).collect();
    assert_eq!(counters, [1, 3, 4]);
}
