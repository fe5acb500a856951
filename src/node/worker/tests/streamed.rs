//! Many buckets that lack something.

use super::*;
use crate::node::catch_up::FETCHES_MAX;
use crate::node::stream::{Commands, StreamPart, Streamed};

/// The buckets that nodes 1 and 2 share.
fn shared(worker: &Worker) -> Vec<Bucket> {
    let holds = |bucket: &Bucket| [1, 2].iter().all(|node| worker.route.holds(NodeId(*node), *bucket));
    (0..BUCKETS).map(Bucket).filter(holds).collect()
}

fn command(bucket: Bucket, slot: u64) -> Command {
    let originator = Originator { node: NodeId(3), boot: Boot { disk: 3, count: 1 } };
    let payload = Bytes::from(vec![bucket.0 as u8; 100]);
    Command { id: Some(CommandId { originator, sequence: slot }), heir: None, payload }
}

/// Slots that were decided elsewhere.
fn decided(bucket: Bucket, from: u64, through: u64) -> Item {
    let commands = (from..=through).map(|slot| command(bucket, slot)).collect();
    Item::FetchAnswer { bucket, from: Slot(from), commands, chosen: Slot(through) }
}

/// Node 3 asks for a vote in that slot, which is its own.
fn vote(bucket: Bucket, slot: u64) -> Item {
    let Item::Paxos(mut message) = first_slot(bucket, 3, 0, false) else { unreachable!() };
    message.slot = Slot(slot);
    message.chosen_through = Slot(slot - 1);
    Item::Paxos(message)
}

fn applied(worker: &Worker, bucket: Bucket) -> u64 {
    worker.part(bucket).applied(thermocline_tiers::hot::Bucket(bucket.0)).0
}

/// Node 2, which has a journal, with links to the others.
fn source() -> (Worker, Journal) {
    let mut node = recovered(Arc::new(MemoryDisk::new(1)), 2, 3, 7);
    let mut worker = node.workers.remove(0);
    found(&mut worker, 2);
    worker.peer_up(0, NodeId(1));
    worker.peer_up(0, NodeId(3));
    told(&mut worker, 1);
    (worker, node.journal)
}

/// Node 1, to which node 2 has said that it lacks slots through this one in all these buckets, and what it asked node 2 then.
fn behind(buckets: &[Bucket], chosen: u64) -> (Worker, Vec<Item>) {
    let mut worker = worker(1, 3, 8);
    for bucket in buckets {
        tell(&mut worker, 0, 2, &Item::Hint { bucket: *bucket, chosen: Slot(chosen) });
    }
    worker.tick(10);
    let asked = told(&mut worker, 2);
    (worker, asked)
}

fn next(stream: u64, part: u32, through: u32, again: bool) -> Item {
    Item::StreamNext { stream, part, through, again }
}

fn part(stream: u64, part: u32, commands: Vec<Streamed>, ended: bool) -> Item {
    let commands = commands.into_iter().collect();
    Item::StreamPart(StreamPart { stream, part, commands, ended })
}

fn streamed(part: &StreamPart) -> Vec<Streamed> {
    let mut all = Vec::new();
    part.commands.clone().take(usize::MAX, &mut all).unwrap();
    all
}

fn streams(items: &[Item]) -> usize {
    items.iter().filter(|item| matches!(item, Item::StreamAsk { buckets, .. } if !buckets.is_empty())).count()
}

fn fetched(items: &[Item]) -> Vec<Bucket> {
    let fetches = items.iter().filter_map(|item| match item {
        Item::Fetch { bucket, .. } => Some(*bucket),
        _ => None,
    });
    fetches.collect()
}

#[test]
fn many_buckets_get_what_they_lack_in_the_journals_order() {
    let (mut source, mut journal) = source();
    source.settings.stream_bytes = 16 << 10;
    let buckets = shared(&source);
    assert!(buckets.len() > 500);
    for slot in 1..=3 {
        for bucket in &buckets {
            tell(&mut source, 0, 3, &decided(*bucket, slot, slot));
        }
        commit(&mut source, &mut journal);
    }
    told(&mut source, 1);
    let (mut worker, mut asked) = behind(&buckets, 3);
    assert_eq!(streams(&asked), 1);
    let mut parts = 0;
    for now in 11..200 {
        for item in std::mem::take(&mut asked) {
            tell(&mut source, now, 1, &item);
        }
        while !source.effects().jobs.is_empty() {
            run_jobs(&mut source, &journal);
        }
        for item in told(&mut source, 1) {
            parts += usize::from(matches!(item, Item::StreamPart(_)));
            tell(&mut worker, now, 2, &item);
        }
        worker.tick(now);
        worker.flush(now);
        asked = told(&mut worker, 2);
    }
    assert!(buckets.iter().all(|bucket| applied(&worker, *bucket) == 3));
    assert!(worker.is_whole() && worker.streams.is_idle());
    assert!(parts > 10, "{parts} parts");
    assert_eq!((worker.counters.streams, worker.counters.transfers), (1, 0));
    assert!(worker.counters.fetches < 100, "{} fetches", worker.counters.fetches);
}

#[test]
pub(super) fn a_vote_that_lost_is_never_streamed() {
    let (mut source, mut journal) = source();
    let first_is = |node: u16| {
        shared(&source).into_iter().find(|bucket| source.route.replicas(*bucket)[0] == NodeId(node)).unwrap()
    };
    let (other, bucket) = (first_is(3), first_is(1));
    tell(&mut source, 0, 3, &decided(other, 1, 1));
    tell(&mut source, 0, 1, &first_slot(bucket, 1, 0, false));
    commit(&mut source, &mut journal);
    assert!(source.index.place(bucket, Slot(1)).is_some(), "the vote stands in the index");
    tell(&mut source, 0, 3, &first_slot(bucket, 3, 1, true));
    told(&mut source, 1);
    let buckets = vec![(other, Slot(1)), (bucket, Slot(1))];
    tell(&mut source, 0, 1, &Item::StreamAsk { stream: 5, of: 2, buckets });
    tell(&mut source, 0, 1, &next(5, 0, 1, false));
    assert!(source.effects().jobs.is_empty(), "what was chosen is not in the index yet");
    commit(&mut source, &mut journal);
    run_jobs(&mut source, &journal);
    let parts = told(&mut source, 1);
    let [Item::StreamPart(part)] = &parts[..] else { panic!("{parts:?}") };
    assert!((part.stream, part.part, part.ended) == (5, 0, true));
    let by: Vec<(Bucket, Option<NodeId>)> = streamed(part)
        .iter()
        .map(|streamed| (streamed.bucket, streamed.command.originator().map(|originator| originator.node)))
        .collect();
    assert_eq!(by, [(other, Some(NodeId(3))), (bucket, Some(NodeId(3)))]);
}

/// One of three has voted in that slot, and it may never be chosen.
#[test]
fn a_vote_of_which_nothing_is_known_is_never_streamed() {
    let (mut source, mut journal) = source();
    let bucket = shared(&source)[0];
    tell(&mut source, 0, 3, &decided(bucket, 1, 2));
    tell(&mut source, 0, 3, &vote(bucket, 3));
    commit(&mut source, &mut journal);
    assert!(source.index.place(bucket, Slot(3)).is_some(), "the vote stands in the index");
    told(&mut source, 1);
    tell(&mut source, 0, 1, &Item::StreamAsk { stream: 5, of: 1, buckets: vec![(bucket, Slot(1))] });
    tell(&mut source, 0, 1, &next(5, 0, 1, false));
    run_jobs(&mut source, &journal);
    let parts = told(&mut source, 1);
    let [Item::StreamPart(part)] = &parts[..] else { panic!("{parts:?}") };
    let slots: Vec<u64> = streamed(part).iter().map(|streamed| streamed.slot.0).collect();
    assert_eq!((slots, part.ended), (vec![1, 2], true));
}

#[test]
fn what_a_stream_did_not_bring_is_fetched_alone() {
    let buckets: Vec<Bucket> = (0..1000).map(Bucket).collect();
    let (mut worker, asked) = behind(&buckets, 3);
    let named = asked.iter().find_map(|item| match item {
        Item::StreamAsk { stream, buckets, .. } => Some((*stream, buckets.clone())),
        _ => None,
    });
    let (stream, named) = named.unwrap();
    // Of half of them the first slot comes, of the others a later one only.
    let commands = named.iter().map(|(bucket, _)| {
        let slot = 1 + u64::from(bucket.0 % 2);
        Streamed { bucket: *bucket, slot: Slot(slot), command: command(*bucket, slot) }
    });
    let part = part(stream, 0, commands.collect(), true);
    let stranger = self::part(stream ^ 1, 0, Vec::new(), true);
    tell(&mut worker, 11, 2, &stranger);
    tell(&mut worker, 11, 3, &part);
    worker.tick(11);
    assert!(!worker.streams.is_idle(), "that was not for this stream, or not from its source");
    tell(&mut worker, 12, 2, &part);
    worker.tick(12);
    assert!(named.iter().all(|(bucket, _)| applied(&worker, *bucket) == u64::from(bucket.0 % 2 == 0)));
    // What the first fetches ask for has come as well by then, and those that moved get another stream.
    for bucket in fetched(&asked) {
        tell(&mut worker, 13, 2, &decided(bucket, 1, 3));
    }
    worker.tick(20);
    let asked = told(&mut worker, 2);
    assert_eq!(streams(&asked), 1);
    let streamed = asked.iter().find_map(|item| match item {
        Item::StreamAsk { buckets, .. } => Some(buckets.clone()),
        _ => None,
    });
    assert!(streamed.unwrap().iter().all(|(bucket, slot)| bucket.0 % 2 == 0 && *slot == Slot(2)));
    let alone: Vec<Bucket> = fetched(&asked).into_iter().filter(|bucket| bucket.0 % 2 == 1).collect();
    assert!(!alone.is_empty());
}

/// A write that was proposed before this node knew that its slot is decided needs the slots that come next; so does one that waits for it.
#[test]
fn what_a_write_waits_for_is_fetched_and_not_left_to_the_stream() {
    let mut worker = worker(1, 3, 8);
    let (name, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(1));
    call(&mut worker, 5, &name, put(&name));
    worker.flush(0);
    let others = (0..1000).map(Bucket).filter(|other| *other != bucket);
    for behind in others.chain([bucket]) {
        tell(&mut worker, 0, 2, &Item::Hint { bucket: behind, chosen: Slot(3) });
    }
    worker.tick(10);
    let asked = told(&mut worker, 2);
    let is_streamed =
        |item: &Item| matches!(item, Item::StreamAsk { buckets, .. } if buckets.contains(&(bucket, Slot(1))));
    assert!(asked.iter().any(is_streamed) && !fetched(&asked).contains(&bucket));
    for first in fetched(&asked) {
        tell(&mut worker, 11, 2, &decided(first, 1, 3));
    }
    // What a peer says that is asked for a vote in a slot that is decided.
    tell(&mut worker, 12, 2, &Item::Hint { bucket, chosen: Slot(3) });
    assert_eq!(fetched(&told(&mut worker, 2)), [bucket]);
}

/// A write to a bucket whose missing slots are still to come would wait for them here. It is passed on, to another node if the first one does not
/// answer, and this one does not ask to own what it cannot propose in.
#[test]
fn who_lacks_slots_passes_writes_on_and_inherits_nothing() {
    let buckets: Vec<Bucket> = (0..1000).map(Bucket).collect();
    let (mut worker, asked) = behind(&buckets, 3);
    assert_eq!(streams(&asked), 1);
    let (name, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(1));
    let request = Request { ask: put(&name), deadline_ms: 1_000, consistency: Consistency::Linearizable };
    worker.call(11, 5, crate::node::entity_hash(&name), request);
    worker.flush(11);
    let passed_on = |worker: &mut Worker| -> Vec<(u16, Option<Boot>)> {
        let mut all = Vec::new();
        for node in [2, 3] {
            all.extend(told(worker, node).into_iter().filter_map(|item| match item {
                Item::ForwardWrite { heir, bucket: about, .. } if about == bucket => Some((node, heir)),
                _ => None,
            }));
        }
        all
    };
    let first = passed_on(&mut worker);
    let [(first, None)] = first[..] else { panic!("{first:?}") };
    let late = 11 + worker.settings.hedge_ms;
    worker.tick(late);
    worker.flush(late);
    assert_eq!(passed_on(&mut worker), [(5 - first, None)], "the other one is tried");
    assert_eq!(worker.counters.proposals, 0);
    // Once it has the slots, it may own the bucket again.
    tell(&mut worker, late, 2, &decided(bucket, 1, 3));
    call(&mut worker, 6, &name, put(&name));
    worker.flush(late);
    let last = passed_on(&mut worker);
    assert!(matches!(last[..], [(3, Some(_))]), "{last:?}");
}

/// A source sends bytes that are no command: what is before them counts, and what follows in that part is lost.
#[test]
fn a_part_that_is_no_list_of_commands_ends_there() {
    let buckets: Vec<Bucket> = (0..1000).map(Bucket).collect();
    let (mut worker, asked) = behind(&buckets, 1);
    let Some(Item::StreamNext { stream, .. }) = asked.last() else { panic!("{asked:?}") };
    let one =
        |bucket: u32| Streamed { bucket: Bucket(bucket), slot: Slot(1), command: command(Bucket(bucket), 1) };
    let good: Commands = [one(100), one(101), one(102)].into_iter().collect();
    let cut = Bytes::copy_from_slice(&good.as_bytes()[..good.as_bytes().len() - 1]);
    let cut = StreamPart { stream: *stream, part: 0, commands: Commands::new(cut), ended: false };
    tell(&mut worker, 11, 2, &Item::StreamPart(cut));
    tell(&mut worker, 11, 2, &part(*stream, 1, vec![one(103)], false));
    worker.tick(12);
    let came: Vec<u32> = (100..105).filter(|bucket| applied(&worker, Bucket(*bucket)) > 0).collect();
    assert_eq!((came, worker.counters.malformed_items), (vec![100, 101, 103], 1));
    assert!(!worker.streams.is_idle());
}

#[test]
fn a_stream_whose_source_is_silent_or_gone_goes_on_elsewhere() {
    let buckets: Vec<Bucket> = (0..1000).map(Bucket).collect();
    for is_gone in [false, true] {
        let (mut worker, asked) = behind(&buckets, 3);
        assert_eq!(streams(&asked), 1);
        told(&mut worker, 3);
        if is_gone {
            worker.peer_down(20, NodeId(2));
            worker.tick(30);
        } else {
            // It is asked again, after longer and longer times.
            for now in (20..1_600).step_by(5) {
                worker.tick(now);
                assert_eq!(streams(&told(&mut worker, 3)), 0, "it may still come at {now}");
            }
            let agains = told(&mut worker, 2);
            let is_again = |item: &&Item| matches!(item, Item::StreamNext { part: 0, again: true, .. });
            assert_eq!((streams(&agains), agains.iter().filter(is_again).count()), (4, 4));
            for now in (3_000..3_500).step_by(5) {
                worker.tick(now);
            }
        }
        assert!(streams(&told(&mut worker, 3)) > 0);
    }
}

#[test]
fn a_source_that_sends_more_than_was_asked_for_fills_no_memory() {
    let buckets: Vec<Bucket> = (0..1000).map(Bucket).collect();
    let (mut worker, asked) = behind(&buckets, 3);
    let Some(Item::StreamNext { stream, part: 0, through, .. }) = asked.last() else { panic!("{asked:?}") };
    let command = |part: u64| {
        let bucket = Bucket(part as u32);
        vec![Streamed { bucket, slot: Slot(1), command: command(bucket, 1) }]
    };
    let parts = (0..1_000).map(|number| part(*stream, number, command(number.into()), false));
    let its = Life { hears: worker.kept.life.id, ..life(2) };
    tell_in(&mut worker, 11, 2, its, &parts.collect::<Vec<_>>());
    worker.tick(12);
    let came = buckets.iter().filter(|bucket| applied(&worker, **bucket) > 0).count();
    assert_eq!(came, *through as usize);
}

/// Frames between the two are lost now and then, in each direction, and never four questions or answers in a row.
#[test]
fn parts_that_are_lost_are_sent_again() {
    for lost in [3_u64, 5, 8, 10] {
        let (mut source, mut journal) = source();
        source.settings.stream_bytes = 4 << 10;
        let buckets = shared(&source);
        for bucket in &buckets {
            tell(&mut source, 0, 3, &decided(*bucket, 1, 1));
        }
        commit(&mut source, &mut journal);
        told(&mut source, 1);
        let mut state = lost;
        let mut comes = |_: &Item| {
            // SplitMix64 (Steele, Lea, Flood 2014).
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % 100 >= lost
        };
        let (mut worker, mut asked) = behind(&buckets, 1);
        let stream = worker.counters.streams;
        let mut now = 10;
        while worker.counters.streams == stream && !worker.streams.is_idle() && now < 20_000 {
            now += 1;
            // The first buckets are fetched one by one; that is another test.
            let of_streams = |item: &Item| !matches!(item, Item::Fetch { .. });
            let asks = std::mem::take(&mut asked).into_iter().filter(of_streams);
            for item in asks.filter(&mut comes).collect::<Vec<_>>() {
                tell(&mut source, now, 1, &item);
            }
            while !source.effects().jobs.is_empty() {
                run_jobs(&mut source, &journal);
            }
            let items: Vec<Item> = told(&mut source, 1).into_iter().filter(&mut comes).collect();
            for item in items {
                tell(&mut worker, now, 2, &item);
            }
            worker.tick(now);
            worker.flush(now);
            asked = told(&mut worker, 2);
        }
        assert!(worker.streams.is_idle(), "{lost} of 100 frames are lost");
        let missing = buckets.iter().filter(|bucket| applied(&worker, **bucket) == 0).count();
        assert_eq!(missing, FETCHES_MAX, "{lost} of 100 frames are lost");
    }
}
