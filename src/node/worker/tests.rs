//! A worker by itself, with the world played by the test.

use std::sync::Arc;

use bytes::Bytes;
use thermocline_paxos::{
    Accepted, Ballot, Boot, Bucket, Command, CommandId, Known, Message, NodeId, Originator, Record, Slot,
};
use thermocline_routing_table::{BucketCount, GroupCount, Machine, Placement, ReplicaCount, Table, Zone};
use thermocline_tiers::disk::{AlignedBuffer, MemoryDisk};
use thermocline_tiers::hot::journal::{
    Generation, Journal, JournalBatch, JournalConfig, Position as Place, RecordHead, RecordKind,
};
use thermocline_tiers::hot::state::{Key as StateKey, Position as StatePosition, StateConfig};

use crate::error::Error;
use crate::key::{Key, Position};
use crate::node::calls::CallKey;
use crate::node::effects::{Job, Submission};
use crate::node::identity::Identity;
use crate::node::lives::Life;
use crate::node::record_codec;
use crate::node::recovery::{Plan, Recovered, recover};
use crate::node::route::Route;
use crate::node::wire::{self, Item, Who};
use crate::node::witnessed::Witnessed;
use crate::node::worker::{Settings, Worker};
use crate::request::{Answer, Ask, Consistency, Expect, Mutation, Outcome, Request, ScanQuery};

mod addresses;
mod answers;
mod asking;
mod audited;
mod bounds;
mod copied;
mod full;
mod lives;
mod losses;
mod lost;
mod nudged;
mod past;
#[cfg(feature = "plant")]
mod plants;
mod rounds;
mod shortened;
mod slots;
mod streamed;
mod together;
mod tokens;
mod unapplied;

const BUCKETS: u32 = 1024;
const MEMTABLE_BYTES: usize = 4 << 20;

/// The worker of node `me` among nodes 1 to `nodes` in three zones, founded, with links to all of them.
fn worker(me: u16, nodes: u16, client: u64) -> Worker {
    let mut worker = newcomer(me, nodes, client);
    found(&mut worker, me);
    for peer in (1..=nodes).filter(|node| *node != me) {
        worker.peer_up(0, NodeId(peer));
    }
    for peer in worker.peers() {
        peer.out.clear();
    }
    worker
}

fn found(worker: &mut Worker, me: u16) {
    worker.found(0, wire::Founding { disk: u64::from(me), intent: None, members: Some(Vec::new()) }, false);
}

/// The same worker before its group is founded, without a link.
fn newcomer(me: u16, nodes: u16, client: u64) -> Worker {
    recovered(Arc::new(MemoryDisk::new(1)), me, nodes, client).workers.remove(0)
}

/// A node of one worker that begins with what is on the disk.
fn recovered(disk: Arc<MemoryDisk>, me: u16, nodes: u16, client: u64) -> Recovered {
    recovered_of(disk, me, nodes, &[client])
}

/// A node of as many workers as there are clients.
fn recovered_of(disk: Arc<MemoryDisk>, me: u16, nodes: u16, clients: &[u64]) -> Recovered {
    let machines: Vec<Machine> = (1..=nodes)
        .map(|node| Machine { node: thermocline_routing_table::NodeId(node), zone: Zone(node % 3) })
        .collect();
    let replicas = if nodes == 1 { ReplicaCount::One } else { ReplicaCount::Three };
    let placement = Placement::new(&machines, replicas).unwrap();
    let map = Table::for_groups(GroupCount::new(1).unwrap(), BucketCount::new(BUCKETS).unwrap());
    let peers: Vec<NodeId> = (1..=nodes).filter(|node| *node != me).map(NodeId).collect();
    let identity = Identity {
        cluster: "test".into(),
        node: me,
        disk: u64::from(me),
        buckets: BUCKETS,
        window_span_ms: 86_400_000,
        table: 1,
        parts: clients.len() as u32,
        ..Identity::default()
    };
    let plan = Plan {
        disk,
        identity,
        workers: clients.len() as u32,
        journal: JournalConfig::with_segment_bytes(1 << 20),
        state: StateConfig { sinks: false, memtable_bytes: MEMTABLE_BYTES, ..StateConfig::default() },
        route: Arc::new(Route::new(&map, &[placement])),
        peers,
        settings: Settings::new(NodeId(me), 1),
        clients: clients.to_vec(),
    };
    let mut recovered = recover(plan).unwrap();
    for worker in &mut recovered.workers {
        let hears = worker.kept.life.id;
        for peer in worker.peers() {
            let life = Life { hears, ..life(peer.node.0) };
            peer.known = Some(Witnessed::after(None, &life, None));
        }
    }
    recovered
}

/// The life of a node of which the worker knows already.
fn life(node: u16) -> Life {
    Life { disk: u64::from(node), id: u64::from(node), ..Life::default() }
}

/// What the worker has told a node since it was asked last.
fn told(worker: &mut Worker, node: u16) -> Vec<Item> {
    let peer = worker.peers().iter_mut().find(|peer| peer.node == NodeId(node)).unwrap();
    let mut body = Bytes::from(std::mem::take(&mut peer.out));
    let items = std::iter::from_fn(|| wire::take(&mut body).unwrap());
    items.filter(|item| !matches!(item, Item::Life(_))).collect()
}

/// A node that hears this life of the worker tells it something.
fn tell(worker: &mut Worker, now: u64, from: u16, item: &Item) {
    let hears = worker.kept.life.id;
    tell_in(worker, now, from, Life { hears, ..life(from) }, std::slice::from_ref(item));
}

/// A node tells something, in one frame, in a life of its own.
fn tell_in(worker: &mut Worker, now: u64, from: u16, its: Life, items: &[Item]) {
    let mut body = Vec::new();
    wire::put(&mut body, &Item::Life(its));
    items.iter().for_each(|item| wire::put(&mut body, item));
    worker.frame(now, NodeId(from), body.into());
    worker.flush(now);
}

/// The life after the one in which a node is known.
fn next_life(node: u16) -> Life {
    Life { id: 22, parent: u64::from(node), ..life(node) }
}

/// Whether it says that this next life of a node is heard.
fn is_of_next_life(item: &Item, node: u16) -> bool {
    let is_next =
        |(of, known): &(NodeId, Witnessed)| of.0 == node && known.heard() == Some(next_life(node).id);
    matches!(item, Item::Witnessed(all) if all.iter().any(is_next))
}

/// What a node says that remembers a life of a node of which nobody else knows.
fn of_an_unknown_life(node: u16) -> Item {
    let life = Life { disk: u64::from(node), id: 77, ..Life::default() };
    Item::Witnessed(vec![(NodeId(node), Witnessed::after(None, &life, None))])
}

/// Does what the worker wants done, as disk threads would.
fn run_jobs(worker: &mut Worker, journal: &Journal) {
    for job in std::mem::take(&mut worker.effects().jobs) {
        worker.job_done(0, job.run(&journal.reader(), &mut AlignedBuffer::new()));
    }
}

/// Has the journal sync a record that no worker has asked for.
fn write_down(journal: &mut Journal, bucket: Bucket, record: &Record) -> Place {
    let (kind, slot) = record_codec::head(record);
    let head = RecordHead {
        bucket: thermocline_tiers::hot::Bucket(bucket.0),
        slot: thermocline_tiers::hot::Slot(slot.0),
        kind: RecordKind(kind),
    };
    let mut bytes = Vec::new();
    record_codec::encode(&mut bytes, record);
    let mut batch = JournalBatch::new(journal.config());
    batch.push(head, |payload| payload.put(&bytes)).unwrap();
    journal.commit(&mut [&mut batch]).unwrap();
    batch.position(0).unwrap()
}

/// Has the journal sync what the worker wants recorded.
fn commit(worker: &mut Worker, journal: &mut Journal) {
    let mut submissions: Vec<Submission> = worker.effects().take_submissions().collect();
    let mut batches: Vec<&mut JournalBatch> =
        submissions.iter_mut().map(|submission| &mut submission.batch).collect();
    let commit = journal.commit(&mut batches).unwrap().sequence;
    for mut submission in submissions {
        submission.place(commit);
        worker.journal_synced(0, submission);
    }
}

/// Has a write to a bucket of the worker's own proposed; which bucket, and what node 2 is asked.
fn proposed_write(worker: &mut Worker, number: u64) -> (Bucket, Message) {
    let (name, bucket) = entity(worker, |nodes| nodes[0] == NodeId(1));
    call(worker, number, &name, put(&name));
    worker.flush(0);
    let question = told(worker, 2).into_iter().find_map(|item| match item {
        Item::Paxos(message) if message.bucket == bucket => Some(message),
        _ => None,
    });
    (bucket, question.expect("the write is proposed"))
}

fn call(worker: &mut Worker, number: u64, entity: &[u8], ask: Ask) {
    let request = Request { ask, deadline_ms: 1_000, consistency: Consistency::Linearizable };
    worker.call(0, number, crate::node::entity_hash(entity), request);
}

/// An entity, and the bucket it is in, for which the condition holds.
fn entity(worker: &Worker, wanted: impl Fn(&[NodeId]) -> bool) -> (Bytes, Bucket) {
    let mut names = (0..).map(|number: u32| Bytes::from(format!("entity {number}")));
    let bucket = |name: &Bytes| worker.route.bucket(crate::node::entity_hash(name));
    let name = names.find(|name| wanted(worker.route.replicas(bucket(name)))).unwrap();
    let bucket = bucket(&name);
    (name, bucket)
}

fn put(entity: &Bytes) -> Ask {
    let value = Bytes::from_static(b"value");
    let put = Mutation::Put { position: Position::Undated, value, expires_at: None, expect: Expect::Any };
    Ask::Write { entity: entity.clone(), mutations: vec![put], token: None }
}

#[test]
fn a_peer_is_asked_about_every_bucket_for_which_its_silence_would_count() {
    let mut worker = worker(1, 6, 7);
    for number in 0..300_u64 {
        let entity = Bytes::from(format!("entity {number}"));
        let key = Key { entity: entity.clone(), position: Position::Undated };
        call(&mut worker, number, &entity, Ask::Get(key));
    }
    worker.flush(0);
    let asked: Vec<(u16, Vec<Bucket>)> = (2..=6)
        .filter_map(|node| {
            told(&mut worker, node).into_iter().find_map(|item| match item {
                Item::Probe { buckets, .. } => {
                    Some((node, buckets.into_iter().map(|(bucket, _)| bucket).collect()))
                }
                _ => None,
            })
        })
        .collect();
    let all: std::collections::BTreeSet<Bucket> =
        asked.iter().flat_map(|(_, buckets)| buckets.clone()).collect();
    assert!(asked.len() > 1 && all.len() > 50, "there is something to ask, and more than one to be asked");
    for (node, buckets) in asked {
        for bucket in all.iter().filter(|bucket| worker.route.holds(NodeId(node), **bucket)) {
            assert!(buckets.contains(bucket), "node {node} was not asked about bucket {}", bucket.0);
        }
    }
}

#[test]
fn a_probe_of_a_bucket_that_is_not_here_is_not_answered_with_silence() {
    let mut worker = worker(1, 6, 7);
    let (_, here) = entity(&worker, |nodes| nodes.contains(&NodeId(1)));
    let (_, elsewhere) = entity(&worker, |nodes| !nodes.contains(&NodeId(1)));
    let buckets = vec![(here, Slot(0)), (elsewhere, Slot(0))];
    tell(&mut worker, 0, 2, &Item::Probe { round: 9, buckets });
    let answers = told(&mut worker, 2);
    let [Item::ProbeAnswer { round: 9, exceptions }] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(exceptions.len(), 1);
    assert!(exceptions[0].bucket == elsewhere && !exceptions[0].voting);
}

#[test]
fn an_answer_to_a_call_of_an_earlier_start_is_not_taken_for_another() {
    let forwarded = |client| {
        let mut worker = worker(1, 6, client);
        let (name, _) = entity(&worker, |nodes| !nodes.contains(&NodeId(1)));
        call(&mut worker, 5, &name, put(&name));
        let (node, call) = (2..=6)
            .find_map(|node| {
                told(&mut worker, node).into_iter().find_map(|item| match item {
                    Item::ForwardWrite { call, .. } => Some((node, call)),
                    _ => None,
                })
            })
            .unwrap();
        (worker, node, call)
    };
    let (_, node, old) = forwarded(0x1234_5678_0000_0000);
    let (mut worker, same, new) = forwarded(0x8765_4321_0000_0000);
    assert!(node == same && old != new);
    let outcome = Ok(Answer::Written(crate::key::Version(1)));
    tell(&mut worker, 1, node, &Item::ForwardAnswer { call: old, outcome: outcome.clone() });
    assert!(worker.effects().replies.is_empty());
    tell(&mut worker, 1, node, &Item::ForwardAnswer { call: new, outcome: outcome.clone() });
    assert_eq!(worker.effects().replies, [(5, outcome)]);
}

#[test]
fn a_refusal_of_the_second_copy_says_nothing_of_the_first() {
    let mut worker = worker(1, 6, 7);
    let (name, bucket) = entity(&worker, |nodes| !nodes.contains(&NodeId(1)));
    call(&mut worker, 5, &name, put(&name));
    worker.tick(25);
    worker.flush(25);
    let second = worker.route.replicas(bucket)[1].0;
    let items = told(&mut worker, second);
    let [Item::ForwardWrite { call, .. }] = items[..] else { panic!("{items:?}") };
    let refusal = Error::Overloaded { what: "a queue of the serving node", limit: "1".into() };
    tell(&mut worker, 26, second, &Item::ForwardAnswer { call, outcome: Err(refusal) });
    let replies = std::mem::take(&mut worker.effects().replies);
    assert!(matches!(replies[..], [(5, Err(Error::Unknown(_)))]), "{replies:?}");
}

#[test]
fn a_long_stretch_of_expired_records_is_one_empty_page() {
    const RECORDS: u64 = 20_000;
    let mut worker = worker(1, 1, 7);
    let (name, bucket) = entity(&worker, |_| true);
    let mut apply =
        worker.parts[0].apply(thermocline_tiers::hot::Bucket(bucket.0), thermocline_tiers::hot::Slot(1));
    for sequence in 0..RECORDS {
        let position = StatePosition::Dated { timestamp_ms: 1, sequence };
        apply.put(&StateKey::new(&name, position).unwrap(), b"gone", Some(1));
    }
    apply.finish();
    worker.set_wall_clock(2);
    let query = ScanQuery {
        entity: name.clone(),
        from: Position::Dated { timestamp: 0, sequence: 0 },
        to: Position::Dated { timestamp: u64::MAX, sequence: u64::MAX },
        newest_first: true,
        limit_records: 1,
        limit_bytes: 1 << 20,
    };
    call(&mut worker, 5, &name, Ask::Scan(query));
    worker.flush(0);
    assert_eq!(worker.effects().replies, [(5, Ok(Answer::Page { records: Vec::new(), end: true }))]);
}

/// The replies to callers of this process since the last time.
fn replies(worker: &mut Worker) -> Vec<(u64, Outcome)> {
    std::mem::take(&mut worker.effects().replies)
}

/// Has all that was recorded synced, each record at an offset of its own, from `first` on.
fn sync(worker: &mut Worker, first: u32) {
    let submissions: Vec<Submission> = worker.effects().take_submissions().collect();
    for mut submission in submissions {
        for (offset, record) in (first..).zip(&mut submission.records) {
            record.position = Some(Place { generation: Generation(1), offset, length: 1 });
        }
        worker.journal_synced(0, submission);
    }
}

/// What node `node` says of slot 1 of a bucket: an empty command of its own, voted for or chosen.
fn first_slot(bucket: Bucket, node: u16, round: u32, chosen: bool) -> Item {
    first_command(bucket, node, round, chosen, Bytes::new())
}

fn first_command(bucket: Bucket, node: u16, round: u32, chosen: bool, payload: Bytes) -> Item {
    let originator = Originator { node: NodeId(node), boot: Boot { disk: u64::from(node), count: 1 } };
    let ballot = Ballot { round, node: originator.node, boot: originator.boot };
    let command = Command { id: Some(CommandId { originator, sequence: 1 }), heir: None, payload };
    Item::Paxos(Message {
        bucket,
        slot: Slot(1),
        promised: ballot,
        accepted: Some(Accepted { ballot, id: command.id, command: Some(command) }),
        durable: false,
        chosen,
        missing: false,
        known: Known::default(),
        chosen_through: Slot(u64::from(chosen)),
    })
}

#[test]
fn a_flush_of_the_state_waits_until_the_journal_has_synced_what_is_in_it() {
    let mut worker = worker(1, 3, 7);
    let (_, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(2));
    tell(&mut worker, 0, 2, &first_slot(bucket, 2, 0, true));
    let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
    assert_eq!(worker.part(bucket).applied(state_bucket).0, 1, "applied as soon as it is known to be chosen");
    worker.flush_parts();
    assert!(worker.effects().jobs.is_empty(), "the journal does not have slot 1 yet");
    sync(&mut worker, 100);
    let jobs: Vec<Job> = worker.effects().jobs.drain(..).collect();
    assert!(matches!(jobs[..], [Job::State(..)]), "{} jobs", jobs.len());
}

#[test]
fn a_vote_that_lost_is_never_fetched_as_chosen() {
    let mut worker = worker(1, 3, 7);
    let (_, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(2));
    tell(&mut worker, 0, 2, &first_slot(bucket, 2, 0, false));
    sync(&mut worker, 100);
    assert_eq!(worker.index.chosen(bucket, Slot(1), Slot(1), 9).len(), 1, "the vote stands in the index");
    tell(&mut worker, 0, 3, &first_slot(bucket, 3, 1, true));
    tell(&mut worker, 0, 2, &Item::Fetch { bucket, from: Slot(1), through: Slot(1) });
    assert!(worker.effects().jobs.is_empty(), "what was chosen is not in the index yet");
    sync(&mut worker, 200);
    let jobs = &worker.effects().jobs;
    let [Job::Fetch { places, .. }] = &jobs[..] else { panic!("{} jobs", jobs.len()) };
    assert_eq!(places.iter().map(|place| place.offset).collect::<Vec<_>>(), [200]);
}

#[test]
fn numbers_at_the_end_of_their_range_do_no_harm() {
    let mut worker = worker(1, 3, 7);
    let (bucket, end) = (Bucket(5), Slot(u64::MAX));
    let call = CallKey::from_wire(u64::MAX).to_wire();
    let outcome = Ok(Answer::Expired { chosen: u64::MAX });
    let items = [
        Item::FetchAnswer { bucket, from: end, commands: vec![Command::no_op()], chosen: end },
        Item::FetchAnswer { bucket, from: end, commands: Vec::new(), chosen: end },
        Item::FetchAnswer { bucket: Bucket(u32::MAX), from: end, commands: Vec::new(), chosen: end },
        Item::Fetch { bucket, from: end, through: end },
        Item::Fetch { bucket: Bucket(u32::MAX), from: Slot(0), through: end },
        Item::StreamAsk { stream: 1, of: 1, buckets: vec![(bucket, end), (Bucket(u32::MAX), Slot(0))] },
        Item::StreamNext { stream: 1, part: u32::MAX, through: u32::MAX, again: true },
        Item::Hint { bucket, chosen: end },
        Item::Hint { bucket: Bucket(u32::MAX), chosen: end },
        Item::Probe { round: u64::MAX, buckets: vec![(bucket, end), (Bucket(u32::MAX), end)] },
        Item::ProbeAnswer { round: u64::MAX, exceptions: Vec::new() },
        Item::ForwardAnswer { call, outcome },
        Item::FloorAsk { nonce: 1, buckets: vec![bucket, Bucket(u32::MAX)] },
        Item::Nudge { who: Who::You, buckets: vec![bucket, Bucket(u32::MAX)] },
        Item::FloorAnswer {
            nonce: 1,
            buckets: vec![(bucket, end, end), (Bucket(u32::MAX), end, end)],
            learning: vec![(bucket, end)],
        },
    ];
    for (now, item) in (0..).step_by(50).zip(items) {
        tell(&mut worker, now, 2, &item);
        worker.tick(now);
        worker.flush(now);
    }
}
