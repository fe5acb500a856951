//! Answers of other nodes, and calls that nobody can take yet.

use super::*;

/// Has a call passed on, and says to which node and under which name.
fn passed_on(worker: &mut Worker) -> (u16, u64) {
    let found = (2..=6).find_map(|node| {
        let mut items = told(worker, node).into_iter();
        items.find_map(|item| match item {
            Item::Forward { call, .. } | Item::ForwardWrite { call, .. } => Some((node, call)),
            _ => None,
        })
    });
    found.expect("the call is passed on")
}

fn elsewhere(worker: &Worker) -> Bytes {
    entity(worker, |nodes| !nodes.contains(&NodeId(1))).0
}

#[test]
fn an_answer_to_another_question_leaves_a_write_unknown() {
    for answer in [Answer::Got(None), Answer::Resolved(crate::Resolution::NotCommitted)] {
        let mut worker = worker(1, 6, 7);
        let name = elsewhere(&worker);
        call(&mut worker, 5, &name, put(&name));
        let (node, call) = passed_on(&mut worker);
        tell(&mut worker, 1, node, &Item::ForwardAnswer { call, outcome: Ok(answer) });
        let answers = replies(&mut worker);
        assert!(matches!(answers[..], [(5, Err(Error::Unknown(_)))]), "{answers:?}");
        assert_eq!(worker.counters.malformed_items, 1);
    }
}

/// The names of calls and rounds are drawn anew at each start, and may still be the same.
#[test]
pub(super) fn an_answer_to_an_earlier_life_is_none_to_this_one_whatever_its_name() {
    let mut worker = worker(1, 6, 7);
    let worker_life = worker.kept.life.id;
    let earlier = |node| Life { hears: worker_life + 1, ..life(node) };
    let name = elsewhere(&worker);
    call(&mut worker, 5, &name, put(&name));
    let (node, call_name) = passed_on(&mut worker);
    let written = Ok(Answer::Written(crate::key::Version(1)));
    let answer = Item::ForwardAnswer { call: call_name, outcome: written.clone() };
    tell_in(&mut worker, 1, node, earlier(node), std::slice::from_ref(&answer));
    assert_eq!(replies(&mut worker), []);
    tell(&mut worker, 1, node, &answer);
    assert_eq!(replies(&mut worker), [(5, written)]);

    let (name, _) = entity(&worker, |nodes| nodes.contains(&NodeId(1)));
    call(&mut worker, 6, &name, Ask::Get(Key { entity: name.clone(), position: Position::Undated }));
    worker.flush(1);
    let probed = (2..=6).find_map(|node| {
        told(&mut worker, node).into_iter().find_map(|item| match item {
            Item::Probe { round, .. } => Some((node, round)),
            _ => None,
        })
    });
    let (node, round) = probed.expect("a majority is asked");
    let answer = Item::ProbeAnswer { round, exceptions: Vec::new() };
    tell_in(&mut worker, 1, node, earlier(node), std::slice::from_ref(&answer));
    assert_eq!(replies(&mut worker), []);
    tell(&mut worker, 1, node, &answer);
    assert_eq!(replies(&mut worker), [(6, Ok(Answer::Got(None)))]);
}

/// A copy of a write is refused late, when another node has answered and another write has its place among the calls.
#[test]
pub(super) fn a_late_refusal_says_nothing_of_the_call_that_has_the_place_now() {
    let mut worker = worker(1, 6, 7);
    let name = elsewhere(&worker);
    call(&mut worker, 5, &name, put(&name));
    let (first, old) = passed_on(&mut worker);
    worker.tick(25);
    worker.flush(25);
    let (second, copy) = passed_on(&mut worker);
    assert!(first != second && old == copy, "the write is tried at a second node");
    let written = Ok(Answer::Written(crate::key::Version(1)));
    tell(&mut worker, 26, second, &Item::ForwardAnswer { call: copy, outcome: written.clone() });
    assert_eq!(replies(&mut worker), [(5, written)]);

    call(&mut worker, 6, &name, put(&name));
    let (node, new) = passed_on(&mut worker);
    assert!(node == first && new != old);
    let refusal = Error::Overloaded { what: "a queue of the serving node", limit: "1".into() };
    tell(&mut worker, 27, first, &Item::ForwardAnswer { call: old, outcome: Err(refusal) });
    worker.tick(1_010);
    let answers = replies(&mut worker);
    assert!(matches!(answers[..], [(6, Err(Error::Unknown(_)))]), "{answers:?}");
}

#[test]
fn an_answer_to_another_question_has_a_read_asked_again() {
    let mut worker = worker(1, 6, 7);
    let name = elsewhere(&worker);
    let stranger = crate::key::Record {
        key: Key::undated("somebody else"),
        value: Bytes::new(),
        version: crate::key::Version(1),
        expires_at: None,
    };
    call(&mut worker, 5, &name, Ask::Get(Key::undated(name.clone())));
    let wrong =
        [Ok(Answer::Written(crate::key::Version(1))), Ok(Answer::Got(Some(stranger))), Err(Error::Contended)];
    for (turn, outcome) in (1..).zip(wrong) {
        let (node, call) = passed_on(&mut worker);
        tell(&mut worker, 100 * turn, node, &Item::ForwardAnswer { call, outcome });
        assert_eq!(replies(&mut worker), []);
        worker.tick(100 * turn + 50);
    }
    let (node, call) = passed_on(&mut worker);
    tell(&mut worker, 400, node, &Item::ForwardAnswer { call, outcome: Ok(Answer::Got(None)) });
    assert_eq!(replies(&mut worker), [(5, Ok(Answer::Got(None)))]);
    assert_eq!(worker.counters.malformed_items, 3);
}

#[test]
fn a_call_before_the_founding_waits_for_it() {
    let mut worker = newcomer(1, 1, 7);
    let name = entity(&worker, |_| true).0;
    call(&mut worker, 5, &name, put(&name));
    call(&mut worker, 6, &name, Ask::Get(Key::undated(name.clone())));
    worker.tick(30);
    worker.flush(30);
    assert_eq!(replies(&mut worker), []);
    found(&mut worker, 1);
    worker.tick(60);
    worker.flush(60);
    sync(&mut worker, 1);
    let answers = replies(&mut worker);
    assert!(answers.iter().any(|answer| matches!(answer, (5, Ok(Answer::Written(_))))), "{answers:?}");
}

#[test]
fn a_call_without_a_link_waits_for_one_or_for_its_deadline() {
    let mut worker = newcomer(1, 6, 7);
    found(&mut worker, 1);
    let (name, bucket) = entity(&worker, |nodes| !nodes.contains(&NodeId(1)));
    let replica = worker.route.replicas(bucket)[0];
    call(&mut worker, 5, &name, put(&name));
    call(&mut worker, 6, &name, Ask::Get(Key::undated(name.clone())));
    worker.tick(500);
    assert_eq!(replies(&mut worker), []);
    worker.peer_up(500, replica);
    let passed = told(&mut worker, replica.0);
    let passed =
        passed.iter().filter(|item| matches!(item, Item::Forward { .. } | Item::ForwardWrite { .. }));
    assert_eq!(passed.count(), 2);

    let mut alone = newcomer(1, 6, 7);
    found(&mut alone, 1);
    call(&mut alone, 5, &name, put(&name));
    alone.tick(999);
    assert_eq!(replies(&mut alone), []);
    alone.tick(1_010);
    let answers = replies(&mut alone);
    assert!(matches!(answers[..], [(5, Err(Error::Unavailable { .. }))]), "{answers:?}");
}

#[test]
fn all_reads_of_an_undecided_slot_share_one_timer() {
    let mut worker = worker(1, 3, 7);
    let (name, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(2));
    for number in 0..50 {
        call(&mut worker, number, &name, Ask::Get(Key::undated(name.clone())));
        worker.flush(0);
        let probed = told(&mut worker, 2).into_iter().chain(told(&mut worker, 3));
        let round = probed.into_iter().find_map(|item| match item {
            Item::Probe { round, .. } => Some(round),
            _ => None,
        });
        let round = round.expect("a probe");
        for node in [2, 3] {
            let undecided =
                wire::ProbeException { bucket, chosen: Slot(0), accepted_next: true, voting: true };
            tell(&mut worker, 0, node, &Item::ProbeAnswer { round, exceptions: vec![undecided] });
        }
    }
    assert_eq!(worker.counters.reads_waited, 50);
    assert_eq!(worker.timers.len(), 1);
}
