//! A state that was copied from another replica while the log went on.

use thermocline_tiers::hot::state::Digest;

use super::*;
use crate::node::command;
use crate::node::effects::Done;
use crate::token::Token;

fn chosen(bucket: Bucket, slots: std::ops::RangeInclusive<u64>) -> Item {
    let originator = Originator { node: NodeId(2), boot: Boot { disk: 2, count: 1 } };
    let command = |counter| {
        let token = Token { client: 9, counter, bucket: bucket.0, born: 0 };
        let id = Some(CommandId { originator, sequence: counter });
        Command { id, heir: None, payload: command::encode_burn(&token) }
    };
    let (from, through) = (Slot(*slots.start()), Slot(*slots.end()));
    Item::FetchAnswer { bucket, from, commands: slots.map(command).collect(), chosen: through }
}

#[test]
fn what_was_decided_while_a_state_was_copied_is_fetched_for_it() {
    let mut worker = worker(1, 3, 7);
    let bucket = Bucket(3);
    let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
    let applied = |worker: &Worker| worker.part(bucket).applied(state_bucket).0;
    worker.failed.insert(bucket.0);
    tell(&mut worker, 0, 2, &chosen(bucket, 1..=3));
    assert_eq!((worker.core.status(bucket).chosen, applied(&worker)), (Slot(3), 0));
    // The copy is of slot 1, and the log goes on before what is between them can be fetched.
    worker.parts[0].restore(state_bucket).finish(thermocline_tiers::hot::Slot(1), Digest::default());
    worker.failed.remove(&bucket.0);
    told(&mut worker, 2);
    tell(&mut worker, 0, 2, &chosen(bucket, 4..=4));
    assert_eq!((worker.core.status(bucket).chosen, applied(&worker)), (Slot(4), 1));
    let asked = [told(&mut worker, 2), told(&mut worker, 3)].concat();
    let first = |item: &Item| matches!(item, Item::Fetch { bucket: of, from, .. } if *of == bucket && *from == Slot(2));
    assert!(asked.iter().any(first), "{asked:?}");
    tell(&mut worker, 0, 2, &chosen(bucket, 2..=4));
    assert_eq!(applied(&worker), 4);
}

/// Reads the pieces that are asked for, as a disk thread would.
fn read_pieces(worker: &mut Worker) {
    while let Some(at) = worker.effects.jobs.iter().position(|job| matches!(job, Job::Copy { .. })) {
        let Job::Copy { to, session, mut copying } = worker.effects.jobs.swap_remove(at) else { continue };
        let piece = copying.read();
        worker.job_done(0, Done::Copied { to, session, copying, piece });
    }
}

#[test]
fn buckets_that_were_copied_do_not_stand_in_the_way_of_others() {
    let mut worker = worker(1, 3, 7);
    let copied = (0..BUCKETS).map(Bucket).filter(|bucket| {
        let ask =
            Item::CopyAsk { session: u64::from(bucket.0), bucket: *bucket, chunk: 0, at_least: Slot(0) };
        tell(&mut worker, 0, 2, &ask);
        read_pieces(&mut worker);
        told(&mut worker, 2).iter().any(|item| matches!(item, Item::Copy(piece) if piece.last))
    });
    assert_eq!(copied.count(), BUCKETS as usize, "all within a millisecond");
}

/// Fills a bucket's state with so many records of 1,000 bytes, in a slot.
fn fill(worker: &mut Worker, bucket: Bucket, slot: u64, records: u64) {
    let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
    let mut apply = worker.parts[0].apply(state_bucket, thermocline_tiers::hot::Slot(slot));
    for sequence in 0..records {
        let position = StatePosition::Dated { timestamp_ms: 1, sequence };
        apply.put(&StateKey::new(b"entity", position).unwrap(), &[7; 1_000], None);
    }
    apply.finish();
}

/// What node 1 asks of a node for a bucket that it takes over.
fn asked_piece(worker: &mut Worker, node: u16) -> Option<Item> {
    told(worker, node).into_iter().find(|item| matches!(item, Item::CopyAsk { .. }))
}

/// The source's answer.
fn piece(source: &mut Worker, ask: &Item) -> Item {
    tell(source, 0, 1, ask);
    read_pieces(source);
    told(source, 1).into_iter().find(|item| matches!(item, Item::Copy(_))).unwrap()
}

#[test]
fn a_transfer_that_waits_for_this_disk_is_not_given_up() {
    let (bucket, other) = (Bucket(3), Bucket(4));
    let (mut worker, mut source) = (worker(1, 3, 7), worker(2, 3, 8));
    fill(&mut source, bucket, 1, 1_000);
    for slot in 1..=2 {
        // Twice what a memtable takes, and what was frozen first is not written yet.
        fill(&mut worker, other, slot, 2 * MEMTABLE_BYTES as u64 / 1_000);
        worker.flush_parts();
    }
    assert!(worker.parts[0].is_full());
    worker.want_transfer(bucket, Slot(1));
    worker.prefer_source(bucket, NodeId(2));
    worker.tick(5);
    worker.flush(5);
    while let Some(ask) = asked_piece(&mut worker, 2) {
        let piece = piece(&mut source, &ask);
        tell(&mut worker, 5, 2, &piece);
    }
    assert!(
        worker.transfers.concerns(bucket) && worker.parts[0].is_full(),
        "more has come than can wait in memory"
    );
    for now in (5..60_000).step_by(100) {
        worker.tick(now);
        worker.flush(now);
        assert_eq!([2, 3].map(|node| asked_piece(&mut worker, node)), [None, None], "at {now} ms");
    }
    assert_eq!(worker.counters.transfers, 1);
}

#[test]
fn nothing_is_open_any_more_through_a_slot_that_is_installed() {
    let (mut worker, mut source) = (worker(1, 3, 7), worker(2, 3, 8));
    let (_, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(2));
    fill(&mut source, bucket, 1, 1);
    tell(&mut worker, 0, 2, &first_slot(bucket, 2, 0, false));
    let open = |worker: &mut Worker| worker.active.get_mut(bucket).and_then(|active| active.open);
    assert_eq!(open(&mut worker).map(|open| open.slot), Some(Slot(1)));
    worker.want_transfer(bucket, Slot(1));
    worker.prefer_source(bucket, NodeId(2));
    worker.tick(5);
    worker.flush(5);
    let ask = asked_piece(&mut worker, 2).unwrap();
    let piece = piece(&mut source, &ask);
    tell(&mut worker, 5, 2, &piece);
    assert!(!worker.transfers.concerns(bucket));
    assert!(open(&mut worker).is_none(), "slot 1 is decided");
}

/// A frame brings a decision, and behind it a copy of a later slot.
#[test]
fn what_was_decided_before_a_copy_in_the_same_frame_is_applied_before_it() {
    for slots in [1, 2] {
        let (mut worker, mut source) = (worker(1, 3, 7), worker(2, 3, 8));
        let (_, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(2));
        (1..=slots).for_each(|slot| fill(&mut source, bucket, slot, 1));
        worker.want_transfer(bucket, Slot(slots));
        worker.prefer_source(bucket, NodeId(2));
        worker.tick(5);
        worker.flush(5);
        let ask = asked_piece(&mut worker, 2).unwrap();
        let piece = piece(&mut source, &ask);
        let its = Life { hears: worker.kept.life.id, ..life(2) };
        tell_in(&mut worker, 5, 2, its, &[first_slot(bucket, 2, 0, true), piece]);
        let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
        assert_eq!(worker.part(bucket).applied(state_bucket).0, slots);
        assert!(worker.failed.is_empty() && !worker.transfers.concerns(bucket));
    }
}

/// An audit has found the bucket wrong here and right at node 3, at slot 5. A fetch that was asked for before finds nothing in a journal.
#[test]
fn a_fetch_that_finds_nothing_does_not_forget_how_a_bucket_is_wanted() {
    let mut worker = worker(1, 3, 7);
    for bucket in [3, 4].map(Bucket) {
        worker.repair(bucket, Slot(5), NodeId(3));
        for from in [2, 3] {
            let nothing = Item::FetchAnswer { bucket, from: Slot(1), commands: Vec::new(), chosen: Slot(1) };
            tell(&mut worker, 0, from, &nothing);
        }
    }
    worker.tick(5);
    worker.flush(5);
    assert!(asked_piece(&mut worker, 2).is_none());
    let items = told(&mut worker, 3);
    let asked = |item: &&Item| matches!(item, Item::CopyAsk { at_least: Slot(5), .. });
    assert_eq!(items.iter().filter(asked).count(), 2, "{items:?}");
}

#[test]
#[cfg(feature = "plant")]
fn a_want_that_begins_anew_is_noticed() {
    let test = a_fetch_that_finds_nothing_does_not_forget_how_a_bucket_is_wanted;
    crate::node::tests::plants::each_is_noticed(&[(crate::plant::Plant::WantBeginsAnew, test)]);
}

#[test]
fn a_bucket_that_all_refuse_is_asked_for_again_after_a_while() {
    let mut worker = worker(1, 3, 7);
    worker.want_transfer(Bucket(3), Slot(1));
    let mut asked = Vec::new();
    for now in (0..200).step_by(5) {
        worker.tick(now);
        worker.flush(now);
        for node in [2, 3] {
            let items = told(&mut worker, node);
            let session = |item: &Item| match item {
                Item::CopyAsk { session, bucket, .. } if *bucket == Bucket(3) => Some(*session),
                _ => None,
            };
            if let Some(session) = items.iter().find_map(session) {
                asked.push((now, node));
                tell(&mut worker, now, node, &Item::CopyRefused { session, bucket: Bucket(3) });
            }
        }
    }
    let (ones, times): (Vec<u16>, Vec<u64>) = asked.iter().map(|(now, node)| (*node, *now)).unzip();
    assert!(ones.chunks_exact(2).all(|pair| pair[0] != pair[1]), "both, by turns: {asked:?}");
    assert!((4..=10).contains(&times.len()), "neither forgotten nor asked all the time: {asked:?}");
}

/// What the worker has in memory is written to its state.
fn flush(worker: &mut Worker, journal: &mut Journal) {
    commit(worker, journal);
    worker.flush_parts();
    run_jobs(worker, journal);
}

/// Node 1 with a link to node 2, and its journal; its state has slots 1 to 5 of the bucket, durably.
fn with_five_slots(bucket: Bucket) -> (Worker, Journal) {
    let mut node = recovered(Arc::new(MemoryDisk::new(1)), 1, 3, 7);
    let mut worker = node.workers.remove(0);
    found(&mut worker, 1);
    worker.peer_up(0, NodeId(2));
    (1..=5).for_each(|slot| fill(&mut worker, bucket, slot, 1));
    flush(&mut worker, &mut node.journal);
    (worker, node.journal)
}

/// The journal may have given back what it had of the slots between.
#[test]
fn a_copy_older_than_what_the_state_has_durably_does_not_take_its_place() {
    let (bucket, mut source) = (Bucket(3), worker(2, 3, 8));
    let (mut worker, _journal) = with_five_slots(bucket);
    (1..=3).for_each(|slot| fill(&mut source, bucket, slot, 1));
    // It was wanted for another reason before the state turned out to be damaged.
    worker.want_transfer(bucket, Slot(1));
    worker.failed.insert(bucket.0);
    worker.tick(5);
    worker.flush(5);
    let ask = asked_piece(&mut worker, 2).unwrap();
    let old = piece(&mut source, &ask);
    tell(&mut worker, 5, 2, &old);
    assert!(worker.failed.contains(&bucket.0) && worker.transfers.concerns(bucket));
    assert_eq!(worker.durable(bucket), Slot(5));

    (4..=6).for_each(|slot| fill(&mut source, bucket, slot, 1));
    let asked = (6..1_000).find_map(|now| {
        worker.tick(now);
        worker.flush(now);
        asked_piece(&mut worker, 2)
    });
    let ask = asked.unwrap();
    assert!(matches!(ask, Item::CopyAsk { at_least: Slot(5), .. }), "{ask:?}");
    let new = piece(&mut source, &ask);
    tell(&mut worker, 1_000, 2, &new);
    assert!(!worker.failed.contains(&bucket.0) && !worker.transfers.concerns(bucket));
}

/// A copy was begun, so that the state has nothing of the bucket any more, and its source is lost: the next one may not be older than what there was.
#[test]
fn a_copy_after_one_that_was_given_up_is_not_older_than_what_was_there() {
    let (bucket, mut source) = (Bucket(3), worker(2, 3, 8));
    let (mut worker, mut journal) = with_five_slots(bucket);
    (1..=6).for_each(|slot| fill(&mut source, bucket, slot, slot * 300));
    worker.want_transfer(bucket, Slot(1));
    worker.failed.insert(bucket.0);
    worker.tick(5);
    worker.flush(5);
    while worker.durable(bucket) == Slot(5) {
        let ask = asked_piece(&mut worker, 2).unwrap();
        let piece = piece(&mut source, &ask);
        assert!(matches!(&piece, Item::Copy(piece) if !piece.last), "it is larger than that");
        tell(&mut worker, 5, 2, &piece);
        flush(&mut worker, &mut journal);
    }
    assert_eq!(worker.durable(bucket), Slot(0));
    let Some(Item::CopyAsk { session, .. }) = asked_piece(&mut worker, 2) else { panic!("it is not whole") };
    tell(&mut worker, 5, 2, &Item::CopyRefused { session, bucket });
    let asked = (6..5_000).find_map(|now| {
        worker.tick(now);
        worker.flush(now);
        asked_piece(&mut worker, 2)
    });
    assert!(matches!(asked, Some(Item::CopyAsk { at_least: Slot(5), .. })), "{asked:?}");
}

/// The power goes while a copy is poured in, of which the journal has nothing; the next start has it whole, from a replica that was behind; and there is a
/// start after that.
#[test]
fn a_bucket_that_was_wiped_learns_until_it_has_a_floor_whatever_was_copied() {
    let (bucket, disk) = (Bucket(3), Arc::new(MemoryDisk::new(1)));
    let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
    let start = |client: u64| {
        let mut node = recovered(disk.clone(), 1, 3, client);
        node.write_first_commit().unwrap();
        node
    };
    let votes = |node: &Recovered, bucket: u32| node.workers[0].core.fresh(Bucket(bucket)).voting;
    {
        let mut node = start(7);
        node.identity.update(|identity| identity.founding = Some(vec![(1, 1), (2, 2), (3, 3)])).unwrap();
        let worker = &mut node.workers[0];
        (1..=5).for_each(|slot| fill(worker, bucket, slot, 1));
        flush(worker, &mut node.journal);
        worker.parts[0].wipe_all(&[state_bucket]).unwrap();
        flush(worker, &mut node.journal);
    }
    {
        let mut node = start(8);
        assert!(votes(&node, 4) && !votes(&node, 3));
        let worker = &mut node.workers[0];
        worker.parts[0].restore(state_bucket).finish(thermocline_tiers::hot::Slot(2), Digest::default());
        flush(worker, &mut node.journal);
    }
    let node = start(9);
    assert_eq!(node.workers[0].part(bucket).applied(state_bucket).0, 2);
    assert!(votes(&node, 4) && !votes(&node, 3));
}

#[test]
#[cfg(feature = "plant")]
fn a_state_that_goes_back_is_noticed() {
    crate::node::tests::plants::each_is_noticed(&[
        (
            crate::plant::Plant::InstallsOlder,
            a_copy_older_than_what_the_state_has_durably_does_not_take_its_place,
        ),
        (
            crate::plant::Plant::InstallsOlder,
            a_copy_after_one_that_was_given_up_is_not_older_than_what_was_there,
        ),
        (
            crate::plant::Plant::WipedIsNoAmnesia,
            a_bucket_that_was_wiped_learns_until_it_has_a_floor_whatever_was_copied,
        ),
    ]);
}
