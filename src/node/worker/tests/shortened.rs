//! A journal whose oldest records are of slots that nobody decides.

use super::*;

/// Of which a slot is voted for again and again, so that the journal goes on to further segments.
const FILLER: Bucket = Bucket(5);
/// Of which slot 1 is decided and slot 2 is not.
const GOES_ON: Bucket = Bucket(7);
/// Of which slot 1 is not decided.
const OPEN: Bucket = Bucket(9);

fn ballot(round: u32) -> Ballot {
    Ballot { round, node: NodeId(2), boot: Boot { disk: 2, count: 1 } }
}

fn command(payload: Bytes) -> Command {
    let originator = Originator { node: NodeId(2), boot: Boot { disk: 2, count: 1 } };
    Command { id: Some(CommandId { originator, sequence: 1 }), heir: None, payload }
}

/// What node 2 says of a slot: it asks for a promise, or a vote.
fn asked(bucket: Bucket, slot: u64, round: u32, command: Option<Command>) -> Item {
    let ballot = ballot(round);
    Item::Paxos(Message {
        bucket,
        slot: Slot(slot),
        promised: ballot,
        accepted: command.map(|command| Accepted { ballot, id: command.id, command: Some(command) }),
        durable: false,
        chosen: false,
        missing: false,
        known: Known::default(),
        chosen_through: Slot(slot - 1),
    })
}

/// A node that has promised and voted in its journal's first segment, and has gone on to its third since.
fn with_old_votes(disk: &Arc<MemoryDisk>) -> Recovered {
    let mut node = recovered(disk.clone(), 1, 3, 7);
    node.journal.witness().unwrap();
    node.identity.update(|identity| identity.founding = Some(vec![(1, 1), (2, 2), (3, 3)])).unwrap();
    let worker = &mut node.workers[0];
    found(worker, 1);
    worker.peer_up(0, NodeId(2));
    let told = [
        asked(OPEN, 1, 1, None),
        asked(OPEN, 1, 2, Some(command(Bytes::from_static(b"the vote")))),
        asked(OPEN, 1, 5, None),
        first_slot(GOES_ON, 2, 0, true),
        asked(GOES_ON, 2, 3, None),
    ];
    for item in told {
        tell(worker, 0, 2, &item);
    }
    commit(worker, &mut node.journal);
    for round in 1.. {
        tell(worker, 0, 2, &asked(FILLER, 1, round, Some(command(Bytes::from(vec![0; 100_000])))));
        commit(worker, &mut node.journal);
        if worker.index.newest() == 3 {
            break;
        }
    }
    assert_eq!(worker.needed_segment(false), 1);
    node
}

#[test]
pub(super) fn what_counts_of_undecided_slots_is_recorded_again_and_the_journal_is_given_back_before_it() {
    let disk = Arc::new(MemoryDisk::new(1));
    {
        let mut node = with_old_votes(&disk);
        let worker = &mut node.workers[0];
        worker.shorten_journal();
        run_jobs(worker, &node.journal);
        assert_eq!(worker.needed_segment(true), 1, "as long as it is not synced");
        commit(worker, &mut node.journal);
        run_jobs(worker, &node.journal);
        let needed = worker.needed_segment(false);
        assert_eq!((needed, worker.counters.renewed_slots), (3, 3));
        let (_, records) = worker.effects.unsynced();
        worker.shorten_journal();
        assert_eq!(worker.effects.unsynced().1, records, "once is enough");
        node.journal.preparer().reclaim(Generation(needed)).unwrap();
    }
    let node = recovered(disk, 1, 3, 8);
    assert_eq!(node.report.damage, [""; 0]);
    let core = &node.workers[0].core;
    let status = core.status(OPEN);
    assert_eq!((status.chosen, status.promised, status.accepted), (Slot(0), ballot(5), ballot(2)));
    let status = core.status(GOES_ON);
    assert_eq!((status.chosen, status.promised, status.accepted), (Slot(1), ballot(3), Ballot::ZERO));
    assert!(core.status(FILLER).accepted.is_some());
    assert!([OPEN, GOES_ON, FILLER].iter().all(|bucket| core.fresh(*bucket).voting));
}

/// The state of what was decided is not written yet.
#[test]
pub(super) fn what_is_recorded_again_does_not_stand_for_what_was_decided_before() {
    let mut node = with_old_votes(&Arc::new(MemoryDisk::new(1)));
    let worker = &mut node.workers[0];
    worker.shorten_journal();
    commit(worker, &mut node.journal);
    assert_eq!((worker.needed_segment(false), worker.counters.renewed_slots), (1, 3));
    run_jobs(worker, &node.journal);
    assert_eq!(worker.needed_segment(false), 3);
}

/// A replica that waits for its floor, in a group without a majority, whose other buckets go on.
#[test]
fn a_floor_that_is_not_reached_is_recorded_again() {
    let disk = Arc::new(MemoryDisk::new(1));
    {
        let mut node = with_old_votes(&disk);
        let worker = &mut node.workers[0];
        worker.core.forget(OPEN, &mut worker.out);
        worker.core.vote_in_spite_of_loss(OPEN, Slot(8), &mut worker.out);
        worker.pump(0);
        commit(worker, &mut node.journal);
        for round in 1_000.. {
            tell(worker, 0, 2, &asked(FILLER, 1, round, Some(command(Bytes::from(vec![0; 100_000])))));
            commit(worker, &mut node.journal);
            if worker.index.newest() == 5 {
                break;
            }
        }
        worker.shorten_journal();
        commit(worker, &mut node.journal);
        run_jobs(worker, &node.journal);
        assert_eq!(worker.needed_segment(false), 5);
        // What the lost self voted for is not its vote any more; should it be decided, that is recorded.
        assert!(!worker.core.status(OPEN).accepted.is_some());
        node.journal.preparer().reclaim(Generation(5)).unwrap();
    }
    let node = recovered(disk, 1, 3, 8);
    let status = node.workers[0].core.status(OPEN);
    assert_eq!((status.vote, status.promised), (thermocline_paxos::Vote::From(Slot(9)), Ballot::ZERO));
}

#[test]
fn a_full_journal_is_not_asked_to_take_a_promise_of_an_own_proposal() {
    let mut worker = worker(1, 3, 7);
    tell(&mut worker, 0, 2, &asked(OPEN, 1, 1, Some(command(Bytes::new()))));
    sync(&mut worker, 100);
    worker.journal_full(true);
    let due = 10_000;
    for now in (0..due).step_by(50) {
        worker.tick(now);
        worker.flush(now);
    }
    assert_eq!(worker.effects.unsynced().0, 0);
    worker.journal_full(false);
    worker.tick(due);
    worker.tick(2 * due);
    assert!(worker.effects.unsynced().0 > 0, "the slot is finished when there is room");
}

/// Its part has a few bytes in memory, and room for much more.
#[test]
fn a_state_is_written_when_a_start_would_have_to_replay_too_much_for_it() {
    let mut node = recovered(Arc::new(MemoryDisk::new(1)), 1, 3, 7);
    let worker = &mut node.workers[0];
    found(worker, 1);
    worker.peer_up(0, NodeId(2));
    worker.settings.replay_bytes = 2 << 20;
    tell(worker, 0, 2, &first_slot(GOES_ON, 2, 0, true));
    commit(worker, &mut node.journal);
    let (mut now, mut newest_when_written) = (0, Vec::new());
    for round in 1.. {
        tell(worker, now, 2, &asked(FILLER, 1, round, Some(command(Bytes::from(vec![0; 100_000])))));
        commit(worker, &mut node.journal);
        now += 100;
        worker.tick(now);
        if !worker.effects.jobs.is_empty() {
            newest_when_written.push(worker.index.newest());
        }
        run_jobs(worker, &node.journal);
        if worker.index.newest() == 9 {
            break;
        }
    }
    assert_eq!(worker.durable(GOES_ON), Slot(1));
    assert_eq!(newest_when_written, [3], "segments of a mebibyte; what has nothing to be written is left alone");
}
