//! Single rules that a history reaches too seldom.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use bytes::Bytes;
use thermocline_paxos::read::{ReadQuorum, Verdict};
use thermocline_paxos::*;

fn node(number: u16) -> Originator {
    Originator { node: NodeId(number), boot: Boot { disk: u64::from(number), count: 1 } }
}

fn command(from: Originator) -> Command {
    let id = CommandId { originator: from, sequence: 1 };
    Command { id: Some(id), heir: None, payload: Bytes::from_static(b"v") }
}

fn accept(slot: u64, from: Originator) -> Record {
    Record::Accept { slot: Slot(slot), ballot: Ballot::fast(from), command: command(from) }
}

fn promise(slot: u64) -> Record {
    Record::Promise { slot: Slot(slot), ballot: Ballot::ZERO.next(node(1)).unwrap() }
}

/// The state may be ahead of the journal: what was accepted in its last slot need not be what was chosen there.
#[test]
fn replay_does_not_guess_who_owns_the_open_slot() {
    let mut replay = Replay::new(Slot(5));
    replay.record(accept(5, node(2)), &mut vec![]);
    assert_eq!(replay.clone().finish().owner, None);
    // A record of the next slot does not make it certain: it may be from a start that had the state, and not the decision's record.
    replay.record(Record::Promise { slot: Slot(6), ballot: Ballot::fast(node(2)) }, &mut vec![]);
    assert_eq!(replay.finish().owner, None);
    // The decision itself does, against what was accepted.
    let mut replay = Replay::new(Slot(5));
    replay.record(accept(5, node(2)), &mut vec![]);
    replay.record(Record::Chosen { slot: Slot(5), command: command(node(3)) }, &mut vec![]);
    replay.record(Record::Promise { slot: Slot(6), ballot: Ballot::fast(node(3)) }, &mut vec![]);
    assert_eq!(replay.finish().owner, Some(node(3)));
}

/// What a bucket starts with after these records; `None` stands for a place where some cannot be read.
fn replayed(records: &[Option<Record>]) -> Restored {
    let mut replay = Replay::new(Slot(0));
    for record in records {
        match record {
            Some(record) => {
                replay.record(record.clone(), &mut vec![]);
            }
            None => replay.lost(),
        }
    }
    replay.finish()
}

/// Records 2 and 3 are gone. The replica learned them again, in order, and votes from a floor on: what it wrote since then is exact, at
/// every later start.
#[test]
fn a_floor_behind_a_hole_and_what_was_learned_since_make_a_replica_whole() {
    let learned = |slot| Some(Record::Chosen { slot: Slot(slot), command: command(node(1)) });
    let floor = |slot| Some(Record::Floor { slot: Slot(slot) });
    let accepted = |slot| Some(accept(slot, node(1)));
    let hole = [accepted(1), accepted(2), None, accepted(4), accepted(5)];
    let since = [learned(2), learned(3), floor(7), learned(4), learned(5), learned(6), accepted(7)];
    let after = |many: usize| replayed(&[&hole[..], &since[..many]].concat());
    for (many, chosen, vote) in [
        (0, 1, Vote::LearnerOnly),
        (1, 2, Vote::LearnerOnly),
        (2, 3, Vote::LearnerOnly),
        (3, 3, Vote::From(Slot(7))),
        (4, 4, Vote::From(Slot(7))),
        (7, 6, Vote::From(Slot(7))),
    ] {
        let restored = after(many);
        assert_eq!((restored.chosen, restored.vote), (Slot(chosen), vote), "{many} records since");
        assert_eq!(restored.accepted.is_some(), many == 7, "{many} records since");
    }
    // The next hole is another.
    let again = replayed(&[&hole[..], &since[..], &[None, accepted(9)]].concat());
    assert_eq!((again.chosen, again.vote), (Slot(6), Vote::LearnerOnly));
}

/// The only replica's log ends before a hole, and goes on otherwise; a later start begins with a state that has come into what is behind the hole.
#[test]
fn what_was_out_of_place_once_is_void_wherever_a_later_start_begins() {
    let log = |slots: std::ops::RangeInclusive<u64>, from| slots.map(move |slot| accept(slot, node(from)));
    let mut first = Replay::new(Slot(0)).of_only_replica();
    let mut chosen = vec![];
    let in_place = |replay: &mut Replay, record| replay.record(record, &mut vec![]);
    for record in log(1..=4, 1) {
        assert!(first.record(record, &mut chosen));
    }
    assert!(!first.record(accept(6, node(1)), &mut chosen) && !in_place(&mut first, accept(7, node(1))));
    let slots: Vec<u64> = chosen.iter().map(|(slot, _)| slot.0).collect();
    assert_eq!((slots, first.chosen()), (vec![1, 2, 3, 4], Slot(4)), "what it accepted is chosen");
    assert_eq!(first.finish().vote, Vote::LearnerOnly);
    for begins in 0..=7 {
        let mut later = Replay::new(Slot(begins)).of_only_replica();
        let mut chosen = vec![];
        for record in log(1..=4, 1) {
            later.record(record, &mut chosen);
        }
        later.void(Slot(6), &mut chosen);
        later.void(Slot(7), &mut chosen);
        let forgets = begins < 7;
        assert_eq!(later.clone().finish().vote == Vote::LearnerOnly, forgets, "from {begins}");
        assert_eq!(later.chosen(), Slot(begins.max(4)));
        later.record(Record::Floor { slot: Slot(5) }, &mut chosen);
        for record in log(5..=8, 2) {
            assert!(later.record(record, &mut chosen));
        }
        let restored = later.finish();
        assert_eq!((restored.chosen, restored.vote), (Slot(7), Vote::From(Slot(5))), "from {begins}");
        let by = |slot: u64| node(if slot <= 4 { 1 } else { 2 });
        for (slot, command) in chosen {
            assert_eq!(command.id.map(|id| id.originator), Some(by(slot.0)), "slot {} from {begins}", slot.0);
        }
    }
}

/// A group of three: what was accepted before a hole may have lost in it, and what proved a slot proves it in later starts, too.
#[test]
fn what_is_void_proves_what_it_proved() {
    let accepted = |slot| accept(slot, node(1));
    let mut first = Replay::new(Slot(0));
    let mut chosen = vec![];
    for (record, in_place) in
        [(accepted(1), true), (accepted(2), true), (accepted(4), false), (accepted(5), false)]
    {
        assert_eq!(first.record(record, &mut chosen), in_place);
    }
    assert_eq!((chosen.len(), first.chosen()), (1, Slot(1)));
    // The record of slot 2 was in place until one came that was not; it proves slot 1.
    let mut later = Replay::new(Slot(0));
    let mut chosen = vec![];
    later.record(accepted(1), &mut chosen);
    for slot in [2, 4, 5] {
        later.void(Slot(slot), &mut chosen);
    }
    assert_eq!((chosen.len(), later.clone().finish()), (1, first.finish()));
    later.record(Record::Chosen { slot: Slot(2), command: command(node(2)) }, &mut chosen);
    assert_eq!(chosen[1].1, command(node(2)));
    // A state that came whole, and did not last.
    let mut later = Replay::new(Slot(0));
    later.record(Record::Installed { slot: Slot(9) }, &mut vec![]);
    later.void(Slot(12), &mut vec![]);
    assert_eq!((later.chosen(), later.finish().vote), (Slot(9), Vote::LearnerOnly));
}

/// The state through slot 9 came whole, and did not last. It is as if it had not come, until the replica has recorded something behind it: then
/// the log goes on from there, ahead of the state. Nothing is forgotten either way.
#[test]
fn an_installation_that_did_not_last_forgets_no_vote() {
    let accepted = |slot| Some(accept(slot, node(1)));
    let installed = Some(Record::Installed { slot: Slot(9) });
    let floor = |slot| Some(Record::Floor { slot: Slot(slot) });
    let seen = |records: &[Option<Record>]| {
        let restored = replayed(records);
        (restored.chosen.0, restored.accepted.is_some(), restored.vote)
    };
    assert_eq!(seen(std::slice::from_ref(&installed)), (0, false, Vote::Voting));
    assert_eq!(seen(&[accepted(1), installed.clone()]), (0, true, Vote::Voting));
    assert_eq!(seen(&[accepted(1), installed.clone(), accepted(2)]), (1, true, Vote::Voting), "begun anew");
    assert_eq!(seen(&[accepted(1), installed.clone(), accepted(10)]), (9, true, Vote::Voting));
    assert_eq!(seen(&[installed.clone(), accepted(10), accepted(11)]), (10, true, Vote::Voting));
    assert_eq!(seen(&[floor(5), installed.clone(), accepted(10)]), (9, true, Vote::From(Slot(5))));
    assert_eq!(replayed(&[accepted(1), installed.clone(), promise(10).into()]).owner, None);
    // One that lasted, in a state that has gone on since.
    let mut replay = Replay::new(Slot(11));
    for record in [installed, accepted(12)].into_iter().flatten() {
        replay.record(record, &mut vec![]);
    }
    let restored = replay.finish();
    assert_eq!((restored.chosen, restored.accepted.is_some()), (Slot(11), true));
}

/// What was voted for in the last of the slots that came whole may have lost: the record behind them is no proof of it.
#[test]
fn an_installation_is_no_proof_of_what_was_voted_for_before() {
    let records =
        [accept(8, node(1)), accept(9, node(1)), Record::Installed { slot: Slot(9) }, accept(10, node(1))];
    let mut replay = Replay::new(Slot(7));
    let mut chosen = vec![];
    for record in records {
        assert!(replay.record(record, &mut chosen));
    }
    assert_eq!(chosen.iter().map(|(slot, _)| slot.0).collect::<Vec<_>>(), [8]);
    assert_eq!(replay.finish().chosen, Slot(9));
}

/// A hole is a hole, unless all that may have been voted for in it is decided.
#[test]
fn an_installation_makes_up_for_a_hole_that_it_reaches_beyond() {
    let accepted = |slot| Some(accept(slot, node(1)));
    let installed = Some(Record::Installed { slot: Slot(9) });
    let votes = |records: &[Option<Record>]| replayed(records).vote == Vote::Voting;
    assert!(votes(&[accepted(1), None, accepted(4), installed.clone(), accepted(10)]));
    assert!(!votes(&[accepted(1), None, accepted(4), installed.clone()]), "it may not have come");
    assert!(!votes(&[accepted(1), None, accepted(12), installed.clone(), accepted(10)]));
    assert!(!votes(&[accepted(1), installed, None, accepted(12)]));
}

/// A state that was to come whole was wiped before: what the journal has of votes counts from there.
#[test]
fn a_wiped_state_leaves_the_log_and_its_votes() {
    let installed = Record::Installed { slot: Slot(9) };
    let vote = promise(8);
    for (records, chosen, votes) in [
        (vec![vote.clone(), installed.clone()], 9, true),
        (vec![vote.clone(), installed.clone(), accept(10, node(1))], 9, true),
        (vec![vote], 0, false),
    ] {
        let mut replay = Replay::new(Slot(0));
        for record in &records {
            replay.record(record.clone(), &mut vec![]);
        }
        replay.wiped();
        let restored = replay.finish();
        assert_eq!((restored.chosen.0, restored.vote == Vote::Voting), (chosen, votes), "{records:?}");
    }
}

/// Numbers that only a faulty peer can send stop at their end.
#[test]
fn the_highest_numbers_do_not_overflow() {
    let members = [NodeId(1), NodeId(2), NodeId(3)];
    let far = Freshness { chosen: Slot(u64::MAX), accepted_next: true, voting: true };
    let mut quorum = ReadQuorum::new(&members, NodeId(1), far);
    quorum.answer(NodeId(2), far);
    assert_eq!(quorum.verdict(), Verdict::Finish { slot: Slot(u64::MAX) });

    let mut core = Core::new(node(1), 0, Limits::default());
    let restored = Restored { vote: Vote::LearnerOnly, ..Restored::default() };
    core.open(Bucket(0), &members, restored).unwrap();
    let mut out = Output::default();
    core.floor_answer(Bucket(0), NodeId(2), Slot(u64::MAX), &mut out);
    core.floor_answer(Bucket(0), NodeId(3), Slot(1), &mut out);
    assert_eq!(out.persist[0].record, Record::Floor { slot: Slot(u64::MAX) });
}

/// A learner-only replica gives no promise, and its own answers are no floor.
#[test]
fn a_learner_promises_nothing() {
    let members = [NodeId(1), NodeId(2), NodeId(3)];
    let mut out = Output::default();
    let mut proposer = Core::new(node(1), 0, Limits::default());
    proposer.open(Bucket(0), &members, Restored { founder: true, ..Restored::default() }).unwrap();
    proposer.propose(Bucket(0), Bytes::from_static(b"v"), &mut out).unwrap();
    let request = out.send.iter().find(|send| send.to == NodeId(2)).unwrap().message.clone();

    let mut learner = Core::new(node(2), 0, Limits::default());
    learner.open(Bucket(0), &members, Restored { vote: Vote::LearnerOnly, ..Restored::default() }).unwrap();
    let mut out = Output::default();
    learner.receive(NodeId(1), request.clone(), &mut out);
    learner.floor_answer(Bucket(0), NodeId(2), Slot(0), &mut out);
    learner.floor_answer(Bucket(0), NodeId(1), Slot(0), &mut out);
    assert!(out.is_empty(), "{out:?}");
    assert_eq!(learner.propose(Bucket(0), Bytes::new(), &mut out), Err(ProposeError::LearnerOnly));

    // The same request moves one that votes, so the test can fail.
    let mut voter = Core::new(node(2), 0, Limits::default());
    voter.open(Bucket(0), &members, Restored::default()).unwrap();
    voter.receive(NodeId(1), request, &mut out);
    assert_eq!(out.persist.len(), 1);
}

/// All no-ops are equal: one with a payload can only come from a faulty peer, and is not voted for.
#[test]
fn a_no_op_has_no_payload() {
    let members = [NodeId(1), NodeId(2), NodeId(3)];
    let ballot = Ballot::ZERO.next(node(1)).unwrap();
    for (payload, votes) in [(&b""[..], 1), (&b"x"[..], 0)] {
        let command = Command { id: None, heir: None, payload: Bytes::from_static(payload) };
        let message = Message {
            bucket: Bucket(0),
            slot: Slot(1),
            promised: ballot,
            accepted: Some(Accepted { ballot, id: None, command: Some(command) }),
            durable: false,
            chosen: false,
            missing: false,
            known: Known::default(),
            chosen_through: Slot(0),
        };
        let mut voter = Core::new(node(2), 0, Limits::default());
        voter.open(Bucket(0), &members, Restored::default()).unwrap();
        let mut out = Output::default();
        voter.receive(NodeId(1), message, &mut out);
        assert_eq!(out.persist.len(), votes);
    }
}

/// One peer's answer is no vote floor: it takes a majority of the group, all of them others.
#[test]
fn a_floor_needs_a_majority_of_the_others() {
    for count in [3_u16, 5] {
        let members: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let mut core = Core::new(node(1), 0, Limits::default());
        core.open(Bucket(0), &members, Restored { vote: Vote::LearnerOnly, ..Restored::default() }).unwrap();
        let mut out = Output::default();
        let needed = count / 2 + 1;
        for answers in 1..=needed {
            assert!(core.needs_floor(Bucket(0)) && out.is_empty(), "{answers} of {count}: {out:?}");
            // The one asked last has touched the most; who answers twice counts once.
            core.floor_answer(Bucket(0), NodeId(1 + answers), Slot(u64::from(answers)), &mut out);
            if answers < needed {
                core.floor_answer(Bucket(0), NodeId(1 + answers), Slot(u64::from(answers)), &mut out);
            }
        }
        assert_eq!(out.persist[0].record, Record::Floor { slot: Slot(u64::from(needed) + 2) });
        assert!(!core.needs_floor(Bucket(0)));
    }
}
