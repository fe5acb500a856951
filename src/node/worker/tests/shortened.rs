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
    fill(worker, &mut node.journal, 1, 3);
    assert_eq!(worker.needed_segment(false), 1);
    node
}

/// What node 2 asks for in a bucket that is voted for again and again.
fn filling(bucket: Bucket, round: u32) -> Item {
    asked(bucket, 1, round, Some(command(Bytes::from(vec![0; 100_000]))))
}

/// The journal goes on to a segment.
fn fill(worker: &mut Worker, journal: &mut Journal, first_round: u32, segment: u64) {
    let mut rounds = first_round..;
    while worker.index.newest() < segment {
        tell(worker, 0, 2, &filling(FILLER, rounds.next().unwrap()));
        commit(worker, journal);
    }
}

/// The journal's second thread and its disk have done what there is to do.
fn shorten(worker: &mut Worker, journal: &mut Journal) {
    worker.journal_is_at(journal.preparer().active_generation().0);
    worker.shorten_journal();
    commit(worker, journal);
    run_jobs(worker, journal);
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
        worker.shorten_journal();
        assert_eq!(worker.effects.unsynced(), (0, 0), "once is enough");
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

/// Two workers share the journal, and one of them has a promise there and nothing else.
#[test]
fn an_idle_worker_keeps_no_journal_either() {
    let mut node = recovered_of(Arc::new(MemoryDisk::new(1)), 1, 3, &[7, 8]);
    for worker in &mut node.workers {
        found(worker, 1);
        worker.peer_up(0, NodeId(2));
    }
    let of = |worker| (0..).map(Bucket).find(|bucket| node.dealing.worker(*bucket) == worker).unwrap();
    let (idle, busy) = (of(0), of(1));
    tell(&mut node.workers[0], 0, 2, &asked(idle, 1, 1, None));
    commit(&mut node.workers[0], &mut node.journal);
    for (round, segment) in [(1, 5), (1_000, 9)] {
        let mut rounds = round..;
        while node.workers[1].index.newest() < segment {
            tell(&mut node.workers[1], 0, 2, &filling(busy, rounds.next().unwrap()));
            commit(&mut node.workers[1], &mut node.journal);
        }
        node.workers.iter_mut().for_each(|worker| shorten(worker, &mut node.journal));
        let needed: Vec<u64> = node.workers.iter().map(|worker| worker.needed_segment(false)).collect();
        assert_eq!(needed, [segment; 2]);
    }
}

/// It has decided one slot, and nothing since.
#[test]
fn the_state_of_an_idle_worker_is_written_early_too() {
    let mut node = recovered_of(Arc::new(MemoryDisk::new(1)), 1, 3, &[7, 8]);
    for worker in &mut node.workers {
        found(worker, 1);
        worker.peer_up(0, NodeId(2));
        worker.settings.replay_bytes = 2 << 20;
    }
    let is_first = |bucket: &Bucket| node.workers[0].route.replicas(*bucket)[0] == NodeId(2);
    let of = |worker| {
        let buckets = (0..BUCKETS).map(Bucket).filter(|bucket| node.dealing.worker(*bucket) == worker);
        buckets.filter(is_first).collect::<Vec<_>>()[0]
    };
    let (idle, busy) = (of(0), of(1));
    tell(&mut node.workers[0], 0, 2, &first_slot(idle, 2, 0, true));
    commit(&mut node.workers[0], &mut node.journal);
    let mut rounds = 1..;
    while node.workers[1].index.newest() < 4 {
        tell(&mut node.workers[1], 0, 2, &filling(busy, rounds.next().unwrap()));
        commit(&mut node.workers[1], &mut node.journal);
    }
    let worker = &mut node.workers[0];
    worker.journal_is_at(4);
    worker.tick(1_000);
    run_jobs(worker, &node.journal);
    assert_eq!(worker.durable(idle), Slot(1));
}

/// Each has a few megabytes that are undecided, and the journal is to be no longer than a few.
#[test]
fn workers_do_not_have_each_other_record_again() {
    use crate::node::reclaim::{Retained, plan};
    let mut node = recovered_of(Arc::new(MemoryDisk::new(1)), 1, 3, &[7, 8]);
    for worker in &mut node.workers {
        found(worker, 1);
        worker.peer_up(0, NodeId(2));
    }
    for bucket in (100..160).map(Bucket) {
        let worker = &mut node.workers[node.dealing.worker(bucket) as usize];
        tell(worker, 0, 2, &filling(bucket, 1));
        commit(worker, &mut node.journal);
    }
    let preparer = node.journal.preparer();
    let mut reached = Vec::new();
    for _ in 0..100 {
        let needed = node.workers.iter().map(|worker| worker.needed_segment(false)).min().unwrap();
        let active = preparer.active_generation();
        let plan = plan(&preparer.segments(), Retained::new(4 << 20, true), needed, active);
        reached.push(active.0);
        for worker in &mut node.workers {
            if let Some(first) = plan.first {
                preparer.reclaim(first).unwrap();
                worker.segments_reclaimed(first.0);
            }
            if plan.shorten {
                shorten(worker, &mut node.journal);
            }
        }
    }
    assert_eq!(reached[20], reached[99], "{reached:?}");
}

/// Nobody may say again what a lost self has voted for.
#[test]
fn what_cannot_be_recorded_again_keeps_the_journal_and_has_nothing_else_recorded_again() {
    let mut node = with_old_votes(&Arc::new(MemoryDisk::new(1)));
    let worker = &mut node.workers[0];
    worker.core.forget(OPEN, &mut worker.out);
    for _ in 0..3 {
        shorten(worker, &mut node.journal);
    }
    assert_eq!((worker.needed_segment(false), worker.counters.renewed_slots), (1, 0));
}

/// An admission forgets in memory what is not written down as forgotten yet: a start would vote with what its journal has.
#[test]
fn what_is_forgotten_in_memory_alone_stays_in_the_journal() {
    let disk = Arc::new(MemoryDisk::new(1));
    {
        let mut node = with_old_votes(&disk);
        let worker = &mut node.workers[0];
        tell(worker, 0, 2, &of_an_unknown_life(1));
        commit(worker, &mut node.journal);
        assert!(worker.is_admitting());
        worker.effects.jobs.clear();
        shorten(worker, &mut node.journal);
        let needed = worker.needed_segment(false);
        assert_eq!(needed, 1);
        node.journal.witness().unwrap();
    }
    let status = recovered(disk, 1, 3, 8).workers[0].core.status(OPEN);
    assert_eq!((status.promised, status.accepted), (ballot(5), ballot(2)));
}

/// Else they would go on for ever, each because of the one before.
#[test]
fn what_is_recorded_again_is_at_most_half_of_what_that_frees() {
    let mut node = with_old_votes(&Arc::new(MemoryDisk::new(1)));
    let worker = &mut node.workers[0];
    for bucket in (100..134).map(Bucket) {
        tell(worker, 0, 2, &filling(bucket, 1));
        commit(worker, &mut node.journal);
    }
    assert_eq!(worker.index.newest(), 6, "segments of a mebibyte, three and a half of them undecided");
    for segment in [6, 7] {
        fill(worker, &mut node.journal, 1_000 * segment as u32, segment);
        for _ in 0..3 {
            shorten(worker, &mut node.journal);
        }
        assert_eq!((worker.index.newest(), worker.needed_segment(false)), (segment, 1));
    }
    fill(worker, &mut node.journal, 8_000, 8);
    shorten(worker, &mut node.journal);
    let newest = worker.index.newest();
    assert!(newest <= 12 && worker.needed_segment(false) == 8);
    for _ in 0..3 {
        shorten(worker, &mut node.journal);
    }
    assert_eq!((worker.index.newest(), worker.counters.renewed_slots), (newest, 37));
}

/// The values are large, and some always wait for the disk.
#[test]
fn slots_are_recorded_again_however_much_is_under_way() {
    let mut node = with_old_votes(&Arc::new(MemoryDisk::new(1)));
    let worker = &mut node.workers[0];
    let mut rounds = 20_000..;
    let mut put = |worker: &mut Worker| {
        for _ in 0..45 {
            tell(worker, 0, 2, &filling(FILLER, rounds.next().unwrap()));
        }
    };
    put(worker);
    worker.shorten_journal();
    for _ in 0..4 {
        let submissions: Vec<Submission> = worker.effects().take_submissions().collect();
        // What comes while the disk writes.
        put(worker);
        for mut submission in submissions {
            let commit = node.journal.commit(&mut [&mut submission.batch]).unwrap().sequence;
            submission.place(commit);
            worker.journal_synced(0, submission);
        }
    }
    assert_eq!(worker.counters.renewed_slots, 3);
}

#[test]
fn nothing_is_recorded_again_while_the_journal_is_full() {
    let mut node = with_old_votes(&Arc::new(MemoryDisk::new(1)));
    let worker = &mut node.workers[0];
    worker.journal_full(true);
    worker.shorten_journal();
    assert_eq!(worker.effects.unsynced(), (0, 0));
    worker.journal_full(false);
    worker.shorten_journal();
    worker.journal_full(true);
    let records = worker.effects.unsynced().0;
    commit(worker, &mut node.journal);
    assert!(records > 0 && worker.effects.unsynced() == (0, 0));
}

/// The slots that keep its oldest segment are decided all the same, now and then, from the headroom.
#[test]
fn a_full_journal_gets_rid_of_what_keeps_it() {
    let mut node = with_old_votes(&Arc::new(MemoryDisk::new(1)));
    let worker = &mut node.workers[0];
    worker.peer_up(0, NodeId(3));
    worker.journal_full(true);
    told(worker, 3);
    let mut asked = Vec::new();
    for now in (0..10_000).step_by(10) {
        worker.tick(now);
        worker.flush(now);
        let prepared = told(worker, 3).into_iter().find_map(|item| match item {
            Item::Paxos(message) if message.promised.node == NodeId(1) => Some(message),
            _ => None,
        });
        if let Some(message) = prepared {
            asked.push((now, message));
        }
        commit(worker, &mut node.journal);
    }
    assert!(asked.windows(2).all(|two| two[1].0 - two[0].0 >= 100), "the headroom lasts");
    let (_, message) = asked.pop().expect("somebody is asked");
    let (bucket, ballot) = (message.bucket, worker.core.status(message.bucket).promised);
    let promise =
        Message { promised: ballot, accepted: None, durable: true, known: Known::default(), ..message };
    for from in [2, 3] {
        tell(worker, 10_000, from, &Item::Paxos(promise.clone()));
    }
    assert_eq!(worker.core.status(bucket).accepted, ballot, "an answer to what is under way is heard");
}

/// The peers have decided what keeps it, with another command than this node knows of.
#[test]
fn a_full_journal_takes_decisions_of_what_keeps_it() {
    let mut node = with_old_votes(&Arc::new(MemoryDisk::new(1)));
    let worker = &mut node.workers[0];
    worker.journal_full(true);
    let other = CommandId { sequence: 9, ..command(Bytes::new()).id.unwrap() };
    let decided = Command { id: Some(other), heir: None, payload: Bytes::new() };
    // One that does not vote keeps nobody from being asked.
    worker.core.forget(FILLER, &mut worker.out);
    let answer = |bucket| Item::FetchAnswer {
        bucket,
        from: Slot(1),
        commands: vec![decided.clone()],
        chosen: Slot(1),
    };
    for now in (0..5_000).step_by(10) {
        worker.tick(now);
        worker.flush(now);
        for bucket in [OPEN, FILLER, Bucket(11)] {
            tell(worker, now, 2, &answer(bucket));
        }
        commit(worker, &mut node.journal);
    }
    let chosen = |bucket| worker.core.status(bucket).chosen;
    assert_eq!([chosen(OPEN), chosen(FILLER), chosen(Bucket(11))], [Slot(1), Slot(1), Slot(0)]);
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
    assert_eq!(
        newest_when_written,
        [3],
        "segments of a mebibyte; what has nothing to be written is left alone"
    );
}
