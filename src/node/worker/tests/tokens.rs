//! Tokens and entries that no honest node makes, and commands with very many entries.

use super::*;
use crate::key::Version;
use crate::node::apply::{self, Verdict};
use crate::node::command;
use crate::node::effects::Peer;
use crate::node::witnessed::Witnessed;
use crate::token::{OUTCOME_SLOTS, Resolution, Token};

fn token(bucket: Bucket, counter: u64, born: u64) -> Token {
    Token { client: 9, counter, bucket: bucket.0, born }
}

fn put_under(name: &Bytes, token: Token) -> Ask {
    let Ask::Write { entity, mutations, .. } = put(name) else { unreachable!("a write") };
    Ask::Write { entity, mutations, token: Some(token) }
}

fn is_refused(answers: &[(u64, Outcome)]) -> bool {
    matches!(answers, [(_, Err(Error::Invalid { what, .. }))] if what == "token")
}

#[test]
fn a_token_from_the_future_is_refused_and_leaves_nothing_behind() {
    for born in [1, 2, 1 << 39, u64::MAX - 64, u64::MAX] {
        let mut worker = worker(1, 1, 7);
        let (name, bucket) = entity(&worker, |_| true);
        let token = token(bucket, 1, born);
        for ask in [put_under(&name, token), Ask::Resolve(token)] {
            // Neither decides a slot that the token's birth could be behind.
            call(&mut worker, 5, &name, ask);
            worker.flush(0);
            sync(&mut worker, 1);
            worker.flush(0);
            sync(&mut worker, 1);
            let answers = replies(&mut worker);
            let applied = worker.part(bucket).applied(thermocline_tiers::hot::Bucket(bucket.0)).0;
            if born > applied {
                assert!(is_refused(&answers), "born at {born}: {answers:?}");
                let entry = command::EntryToken { client: 9, counter: 1, born };
                assert_eq!(apply::remembered(worker.part(bucket), bucket, &entry).unwrap(), None);
            }
        }
    }
}

#[test]
fn an_entry_that_changes_a_record_twice_is_malformed() {
    let mut worker = worker(1, 3, 7);
    let (name, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(1));
    let Ask::Write { mutations, .. } = put(&name) else { unreachable!("a write") };
    let twice = [mutations.clone(), mutations].concat();
    let entry = command::encode_write(&token(bucket, 1, 0), &name, &twice, None);
    tell(
        &mut worker,
        0,
        2,
        &Item::ForwardWrite { call: 1, hops: 1, deadline_ms: 1_000, bucket, heir: None, entry },
    );
    assert_eq!(worker.counters.malformed_items, 1);
    assert_eq!(worker.calls.len(), 0);
    assert!(!worker.core.status(bucket).proposing);
}

#[test]
fn of_copies_in_one_command_the_first_decides_however_many_there_are() {
    const ENTRIES: u64 = 200_000;
    let mut worker = worker(1, 1, 7);
    let (_, bucket) = entity(&worker, |_| true);
    let mut payload = Vec::new();
    for number in 0..ENTRIES {
        // Each token but the first few comes twice, the second copy far behind the first.
        payload.extend_from_slice(&command::encode_burn(&token(bucket, number % (ENTRIES / 2), 0)));
    }
    let forged = token(bucket, u64::MAX, 1);
    payload.extend_from_slice(&command::encode_burn(&forged));
    payload.extend_from_slice(&command::encode_burn(&forged));
    let mut decisions = Vec::new();
    apply::apply(&mut worker.parts[0], bucket, Slot(1), &payload, &mut decisions).unwrap();
    assert_eq!(decisions.len() as u64, ENTRIES + 2);
    let (burns, rest) = decisions.split_at(ENTRIES as usize);
    assert!(burns.iter().all(|decision| decision.verdict == Verdict::Burned));
    assert!(rest.iter().all(|decision| decision.verdict == Verdict::Forged));
    assert_eq!(burns.iter().filter(|decision| decision.is_fresh()).count() as u64, ENTRIES / 2);
}

/// Writes under a token, and so often afterwards that its outcome is forgotten.
fn forgets(worker: &mut Worker) -> (Bytes, Bucket, Token) {
    let (name, bucket) = entity(worker, |_| true);
    let token = token(bucket, 1, 0);
    for slot in 0..=OUTCOME_SLOTS + 1 {
        call(worker, slot, &name, if slot == 0 { put_under(&name, token) } else { put(&name) });
        worker.flush(0);
        sync(worker, 1);
        assert!(matches!(replies(worker)[..], [(_, Ok(Answer::Written(_)))]));
    }
    (name, bucket, token)
}

#[test]
pub(super) fn a_write_whose_outcome_is_forgotten_stays_unknown_when_it_is_sent_again() {
    let mut worker = worker(1, 1, 7);
    let (name, _, token) = forgets(&mut worker);
    call(&mut worker, 5, &name, put_under(&name, token));
    worker.flush(0);
    sync(&mut worker, 1);
    assert_eq!(replies(&mut worker), [(5, Err(Error::Unknown(token)))]);
}

#[test]
fn a_burn_that_was_passed_on_and_came_late_does_not_deny_what_was_forgotten() {
    let mut worker = worker(1, 1, 7);
    let mut peer = Peer::new(NodeId(2));
    peer.known = Some(Witnessed::after(None, &life(2), None));
    worker.peers.push(peer);
    worker.peer_up(0, NodeId(2));
    let (_, bucket, token) = forgets(&mut worker);
    told(&mut worker, 2);
    let entry = command::encode_burn(&token);
    tell(
        &mut worker,
        0,
        2,
        &Item::ForwardWrite { call: 1, hops: 1, deadline_ms: 1_000, bucket, heir: None, entry },
    );
    sync(&mut worker, 1);
    let outcome = Ok(Answer::Resolved(Resolution::Forgotten));
    assert_eq!(told(&mut worker, 2), [Item::ForwardAnswer { call: 1, outcome }]);
}

#[test]
pub(super) fn what_has_expired_is_not_there_for_conditions() {
    let mut node = recovered(Arc::new(MemoryDisk::new(1)), 1, 1, 7);
    let mut worker = node.workers.remove(0);
    found(&mut worker, 1);
    let (name, _) = entity(&worker, |_| true);
    let put_if = |expect, expires_at| {
        let value = Bytes::from_static(b"value");
        let put = Mutation::Put { position: Position::Undated, value, expires_at, expect };
        Ask::Write { entity: name.clone(), mutations: vec![put], token: None }
    };
    let mut outcome = |wall_ms, ask| {
        worker.set_wall_clock(wall_ms);
        call(&mut worker, 1, &name, ask);
        worker.flush(0);
        commit(&mut worker, &mut node.journal);
        replies(&mut worker).remove(0).1
    };
    assert_eq!(outcome(100, put_if(Expect::Absent, Some(200))), Ok(Answer::Written(Version(1))));
    let there = Err(Error::Conflict { current: Some(Version(1)) });
    assert_eq!(outcome(199, put_if(Expect::Absent, None)), there, "not yet");
    let absent = Err(Error::Conflict { current: None });
    assert_eq!(outcome(200, put_if(Expect::Present, None)), absent);
    assert_eq!(outcome(200, put_if(Expect::Version(Version(1)), None)), absent);
    assert_eq!(outcome(200, put_if(Expect::Absent, None)), Ok(Answer::Written(Version(5))));
}

#[test]
pub(super) fn more_writers_of_one_record_than_a_token_holds_for_are_all_served() {
    const WRITERS: u64 = 300;
    let mut node = recovered(Arc::new(MemoryDisk::new(1)), 1, 1, 7);
    let mut worker = node.workers.remove(0);
    found(&mut worker, 1);
    let (name, bucket) = entity(&worker, |_| true);
    (0..WRITERS).for_each(|number| call(&mut worker, number, &name, put(&name)));
    let mut served = Vec::new();
    for turn in 1.. {
        worker.flush(0);
        commit(&mut worker, &mut node.journal);
        for (number, outcome) in replies(&mut worker) {
            assert!(matches!(outcome, Ok(Answer::Written(_))), "{number}: {outcome:?}");
            served.push(number);
        }
        if served.len() as u64 == WRITERS {
            break;
        }
        assert!(turn <= 2 * WRITERS, "{} of {WRITERS} after {turn} turns", served.len());
    }
    assert_eq!(served, (0..WRITERS).collect::<Vec<_>>(), "in their order");
    assert_eq!(worker.core.status(bucket).chosen, Slot(WRITERS), "no slot is taken for nothing");
}
