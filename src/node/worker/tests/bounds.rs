//! Each queue of a worker, driven to its bound and back (I16).

use thermocline_tiers::hot::state::JobKind;

use super::*;
use crate::config::Config;
use crate::node::catch_up::{FETCH_BYTES_MAX, FETCH_JOBS_MAX, FETCHES_MAX};
use crate::node::effects::Done;
use crate::node::load::UNSYNCED_BYTES_MAX;
use crate::node::stream::{PART_BYTES, PARTS_AHEAD, READ_BYTES};
use crate::token::Token;

/// Buckets of which a node is the first replica, and so the owner of the first slot.
fn owned_first(worker: &Worker, node: u16) -> Vec<Bucket> {
    let buckets = (0..BUCKETS).map(Bucket);
    buckets.filter(|bucket| worker.route.replicas(*bucket)[0] == NodeId(node)).collect()
}

/// Applies records to a bucket until its part takes no more.
fn fill(worker: &mut Worker, name: &Bytes, bucket: Bucket) {
    let enough = 2 * (MEMTABLE_BYTES >> 20) as u64;
    for sequence in 1..=enough {
        let position = StatePosition::Dated { timestamp_ms: 1, sequence };
        let slot = thermocline_tiers::hot::Slot(sequence);
        let mut apply = worker.parts[0].apply(thermocline_tiers::hot::Bucket(bucket.0), slot);
        apply.put(&StateKey::new(name, position).unwrap(), &vec![b'x'; 1 << 20], None);
        apply.finish();
    }
    assert!(worker.part(bucket).is_full());
}

fn proposals(items: &[Item]) -> usize {
    items.iter().filter(|item| matches!(item, Item::Paxos(_))).count()
}

#[test]
fn while_the_journal_is_behind_nothing_is_voted_for_or_proposed() {
    let mut worker = worker(1, 3, 7);
    let payload = Bytes::from(vec![0; 500_000]);
    let buckets = owned_first(&worker, 3);
    let asked = 2 * UNSYNCED_BYTES_MAX / payload.len();
    assert!(buckets.len() > asked + 1);
    for bucket in &buckets[..asked] {
        tell(&mut worker, 0, 3, &first_command(*bucket, 3, 0, false, payload.clone()));
    }
    let (_, bytes) = worker.effects.unsynced();
    assert!((UNSYNCED_BYTES_MAX..UNSYNCED_BYTES_MAX + 2 * payload.len()).contains(&bytes), "{bytes} bytes");
    assert!(worker.counters.dropped_full > 0);

    // A decision is told once: what is dropped of it is fetched.
    let decided = buckets[asked + 1];
    let is_fetch = |item: &Item| matches!(item, Item::Fetch { bucket, .. } if *bucket == decided);
    tell(&mut worker, 0, 3, &first_command(decided, 3, 0, true, payload.clone()));
    assert!(told(&mut worker, 3).iter().any(is_fetch));
    assert_eq!(worker.core.status(decided).chosen, Slot(0));

    let (name, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(1));
    call(&mut worker, 5, &name, put(&name));
    worker.flush(0);
    assert_eq!(proposals(&told(&mut worker, 2)), 0, "an own write waits");
    sync(&mut worker, 1);
    assert_eq!(worker.effects.unsynced(), (0, 0));
    worker.flush(0);
    assert_eq!(proposals(&told(&mut worker, 2)), 1);
    assert!(worker.core.status(bucket).proposing);
    let last = buckets[asked];
    tell(&mut worker, 0, 3, &first_command(last, 3, 0, false, payload));
    assert!(worker.core.status(last).accepted.is_some(), "and peers are heard again");
}

#[test]
fn a_full_part_refuses_writes_and_serves_reads_until_it_is_flushed() {
    let mut worker = worker(1, 1, 7);
    let (name, bucket) = entity(&worker, |_| true);
    let (other, _) = {
        let mut names = (0..).map(|number: u32| Bytes::from(format!("other {number}")));
        let of = |name: &Bytes| worker.route.bucket(crate::node::entity_hash(name));
        names.find_map(|name| (of(&name) != bucket).then(|| (name.clone(), of(&name)))).unwrap()
    };
    fill(&mut worker, &name, bucket);
    call(&mut worker, 5, &other, put(&other));
    call(&mut worker, 6, &name, Ask::Get(Key::new(name.clone(), 1, 1)));
    worker.flush(0);
    let answers = replies(&mut worker);
    let [(5, Err(Error::Overloaded { what, limit })), (6, Ok(Answer::Got(Some(_))))] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!(*what, "the memory of a part");
    assert!(limit.contains(&MEMTABLE_BYTES.to_string()), "{limit}");

    worker.flush_parts();
    let jobs: Vec<Job> = worker.effects().jobs.drain(..).collect();
    for job in jobs {
        let Job::State(part, job) = job else { panic!("a flush") };
        worker.job_done(0, Done::State(part, job.run()));
    }
    call(&mut worker, 7, &other, put(&other));
    worker.flush(0);
    sync(&mut worker, 1);
    let answers = replies(&mut worker);
    assert!(matches!(answers[..], [(7, Ok(Answer::Written(_)))]), "{answers:?}");
}

/// A part whose memory is filled again before its flush has ended.
#[test]
fn merges_keep_pace_with_flushes_that_never_pause() {
    let mut worker = worker(1, 1, 7);
    let (name, bucket) = entity(&worker, |_| true);
    let (mut slots, mut kinds, mut most) = (1.., Vec::new(), 0);
    for _ in 0..60 {
        while !worker.parts[0].wants_flush() {
            let slot = slots.next().unwrap();
            let mut apply = worker.parts[0]
                .apply(thermocline_tiers::hot::Bucket(bucket.0), thermocline_tiers::hot::Slot(slot));
            let position = StatePosition::Dated { timestamp_ms: slot, sequence: 1 };
            apply.put(&StateKey::new(&name, position).unwrap(), &vec![b'x'; 1 << 20], None);
            apply.finish();
        }
        worker.maintain_part(0, 0);
        let Some(Job::State(part, job)) = worker.effects().jobs.pop() else { panic!("a job") };
        kinds.push(job.kind());
        worker.job_done(0, Done::State(part, job.run()));
        most = most.max(worker.parts[0].stats().runs);
    }
    assert!(kinds.iter().filter(|kind| **kind == JobKind::Flush).count() >= 40, "{kinds:?}");
    // Two sets, of the records and of what is known of the bucket, each with up to three runs of a size before they are merged.
    assert!(most <= 20, "{most} runs, by {kinds:?}");
}

#[test]
fn a_full_part_votes_for_nothing() {
    let mut worker = worker(1, 3, 7);
    let (name, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(2));
    let buckets = owned_first(&worker, 2);
    let other = *buckets.iter().find(|other| **other != bucket).unwrap();
    fill(&mut worker, &name, bucket);
    tell(&mut worker, 0, 2, &first_slot(other, 2, 0, false));
    assert!(!worker.core.status(other).accepted.is_some());
    assert_eq!(worker.counters.dropped_full, 1);
}

#[test]
fn a_refusal_at_the_door_says_unknown_of_a_token_that_may_have_been_used() {
    let mut worker = worker(1, 1, 7);
    let (name, bucket) = entity(&worker, |_| true);
    worker.settings.calls_max = 0;
    call(&mut worker, 5, &name, put(&name));
    let token = Token { client: 3, counter: 4, bucket: bucket.0, born: 0 };
    let Ask::Write { entity, mutations, .. } = put(&name) else { unreachable!("a write") };
    call(&mut worker, 6, &name, Ask::Write { entity, mutations, token: Some(token) });
    let answers = replies(&mut worker);
    let [(5, Err(Error::Overloaded { .. })), (6, Err(Error::Unknown(unknown)))] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!(*unknown, token);
}

#[test]
fn what_is_fetched_at_the_same_time_fits_the_buffer_of_a_link() {
    let mut worker = worker(1, 3, 7);
    for bucket in (0..BUCKETS).map(Bucket) {
        tell(&mut worker, 0, 2, &Item::Hint { bucket, chosen: Slot(1) });
    }
    let fetches = told(&mut worker, 2).iter().filter(|item| matches!(item, Item::Fetch { .. })).count();
    assert_eq!(fetches, FETCHES_MAX);
    let buffer = Config::embedded("data").peer_buffer_bytes_max;
    assert!((fetches * FETCH_BYTES_MAX) as u64 <= buffer / 2);
    // What a part is closed by may be as long as what is read at a time.
    assert!(u64::from(PARTS_AHEAD) * (PART_BYTES as u64 + u64::from(READ_BYTES)) <= buffer * 3 / 8);
}

#[test]
fn a_few_fetches_of_others_are_read_at_a_time() {
    let mut worker = worker(1, 3, 7);
    let buckets = owned_first(&worker, 2);
    let asked = 3 * FETCH_JOBS_MAX;
    for bucket in &buckets[..asked] {
        tell(&mut worker, 0, 2, &Item::Fetch { bucket: *bucket, from: Slot(1), through: Slot(1) });
    }
    let mut answered = 0;
    loop {
        let jobs: Vec<Job> = worker.effects().jobs.drain(..).collect();
        assert!(jobs.len() <= FETCH_JOBS_MAX, "{} jobs", jobs.len());
        let Some(Job::Fetch { to, bucket, from, .. }) = jobs.into_iter().next() else { break };
        // The others stay under way: one end lets one more begin.
        answered += 1;
        worker.job_done(0, Done::Fetched { to, bucket, from, commands: Vec::new() });
    }
    assert_eq!(answered, asked - FETCH_JOBS_MAX + 1);
}
