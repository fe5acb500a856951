//! What a driver tells a core of the state, of disks and of lost memory, and what it may ask: one core, with nothing from peers but answers.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use bytes::Bytes;
use thermocline_paxos::*;

const BUCKET: Bucket = Bucket(1);
const ME: NodeId = NodeId(1);
const PEERS: [NodeId; 2] = [NodeId(2), NodeId(3)];

fn me() -> Originator {
    Originator { node: ME, boot: Boot { disk: 1, count: 1 } }
}

fn core(restored: Restored) -> Core {
    let mut core = Core::new(me(), 0, Limits::default());
    core.open(BUCKET, &[ME, PEERS[0], PEERS[1]], restored).unwrap();
    core
}

fn founder() -> Core {
    core(Restored { founder: true, ..Restored::default() })
}

fn learner(chosen: u64) -> Core {
    core(Restored { vote: Vote::LearnerOnly, chosen: Slot(chosen), ..Restored::default() })
}

/// What a call asks for and tells.
fn told(call: impl FnOnce(&mut Output)) -> Output {
    let mut out = Output::default();
    call(&mut out);
    out
}

fn records(out: &Output) -> Vec<&Record> {
    out.persist.iter().map(|persist| &persist.record).collect()
}

/// Proposes, and returns the event that says that nobody knows what becomes of it.
fn proposed(core: &mut Core) -> Event {
    let mut out = Output::default();
    let id = core.propose(BUCKET, Bytes::from_static(b"v"), &mut out).unwrap();
    Event::ProposalEnded { bucket: BUCKET, id, outcome: ProposalOutcome::Unknown }
}

#[test]
fn an_installation_takes_over_what_is_decided_and_ends_the_proposal_as_unknown() {
    let mut core = founder();
    let ended = proposed(&mut core);
    let out = told(|out| core.install(BUCKET, Slot(9), out));
    assert_eq!(records(&out), [&Record::Installed { slot: Slot(9) }]);
    assert_eq!((out.events, out.send), (vec![ended], vec![]));
    assert_eq!(core.status(BUCKET), Status { chosen: Slot(9), ..Status::default() });
    assert_eq!(core.owner(BUCKET), None, "what was decided there is not known here");
    for known in [9, 8, 0] {
        assert!(told(|out| core.install(BUCKET, Slot(known), out)).is_empty());
        assert_eq!(core.status(BUCKET).chosen, Slot(9));
    }
}

#[test]
fn who_may_have_forgotten_gives_up_its_proposal_and_only_learns() {
    let mut core = founder();
    let ended = proposed(&mut core);
    assert!(core.touched(BUCKET).is_some() && !core.needs_floor(BUCKET));
    let out = told(|out| core.forget(BUCKET, out));
    assert_eq!((out.events, out.persist), (vec![ended], vec![]));
    assert_eq!(core.status(BUCKET).vote, Vote::LearnerOnly);
    assert!(core.needs_floor(BUCKET) && !core.fresh(BUCKET).voting && !core.status(BUCKET).proposing);
    assert_eq!(core.touched(BUCKET), None);
}

#[test]
fn an_answer_of_who_has_forgotten_since_makes_no_floor() {
    let answer = |core: &mut Core, from: NodeId, touched: u64| {
        told(|out| core.floor_answer(BUCKET, from, Slot(touched), out))
    };
    for (forgetful, floor) in [(PEERS[0], None), (NodeId(9), Some(Slot(7)))] {
        let mut core = learner(0);
        assert!(answer(&mut core, PEERS[0], 4).is_empty());
        core.disregard(forgetful);
        let out = answer(&mut core, PEERS[1], 5);
        let expected: Vec<Record> = floor.map(|slot| Record::Floor { slot }).into_iter().collect();
        assert_eq!(records(&out), expected.iter().collect::<Vec<_>>());
    }
    let mut core = learner(0);
    answer(&mut core, PEERS[0], 4);
    core.disregard(PEERS[0]);
    answer(&mut core, PEERS[1], 5);
    let again = answer(&mut core, PEERS[0], 8);
    assert_eq!(records(&again), [&Record::Floor { slot: Slot(10) }], "what it tells after that counts");
}

#[test]
fn an_operator_lets_a_learner_vote_from_the_slot_after_the_highest_that_is_known() {
    for (chosen, known, floor) in [(3, 5, 6), (5, 3, 6), (4, 4, 5)] {
        let mut core = learner(chosen);
        let out =
            told(|out| assert_eq!(core.vote_in_spite_of_loss(BUCKET, Slot(known), out), Some(Slot(floor))));
        assert_eq!(records(&out), [&Record::Floor { slot: Slot(floor) }]);
        assert_eq!(core.status(BUCKET).vote, Vote::LearnerOnly, "not before it is synced");
        let again = told(|out| assert_eq!(core.vote_in_spite_of_loss(BUCKET, Slot(90), out), None));
        assert!(again.is_empty(), "once");
        let synced = told(|synced| core.persisted(out.persist[0].ticket, synced));
        assert_eq!(synced.events, [Event::VotingFrom { bucket: BUCKET, slot: Slot(floor) }]);
        assert_eq!(core.status(BUCKET).vote, Vote::From(Slot(floor)));
        assert_eq!(core.fresh(BUCKET).voting, floor == chosen + 1);
    }
    let mut voter = founder();
    let out = told(|out| assert_eq!(voter.vote_in_spite_of_loss(BUCKET, Slot(5), out), None));
    assert!(out.is_empty(), "who votes has nothing to give up");
}

/// What a core says of a replica that rests is what it says of one that does not.
#[test]
fn a_replica_tells_of_itself_at_rest_and_awake() {
    let stranger = core(Restored::default());
    assert_eq!(stranger.status(BUCKET), Status::default());
    assert_eq!(stranger.owner(BUCKET), Some(ME), "before slot 1, the first member");
    let mut core = founder();
    assert_eq!(core.status(BUCKET), Status { owner: Some(me()), ..Status::default() });
    assert!(core.may_fast(BUCKET));
    assert_eq!(core.touched(BUCKET), Some(Slot(0)));
    proposed(&mut core);
    let status = core.status(BUCKET);
    assert_eq!(
        (status.promised, status.accepted, status.proposing),
        (Ballot::fast(me()), Ballot::fast(me()), true)
    );
    assert!(!status.backed_off && !core.may_fast(BUCKET));
    assert_eq!(core.touched(BUCKET), Some(Slot(1)));
    assert!(!core.fresh(BUCKET).accepted_next, "what is not synced is in no answer");
    told(|out| core.persisted(Ticket(100), out));
    assert_eq!(core.fresh(BUCKET), Freshness { chosen: Slot(0), accepted_next: true, voting: true });

    let id = CommandId { originator: me(), sequence: 7 };
    let command = Command { id: Some(id), heir: None, payload: Bytes::new() };
    let learned = told(|out| core.learn(BUCKET, Slot(1), command.clone(), out));
    assert!(learned.events.contains(&Event::Chosen {
        bucket: BUCKET,
        slot: Slot(1),
        command: command.clone()
    }));
    assert!(told(|out| core.learn(BUCKET, Slot(1), command.clone(), out)).is_empty(), "it is known already");
    assert!(told(|out| core.learn(BUCKET, Slot(3), command, out)).is_empty(), "slot 2 comes first");
    assert_eq!((core.status(BUCKET).owner, core.owner(BUCKET)), (Some(me()), Some(ME)));

    for vote in [Vote::Voting, Vote::LearnerOnly, Vote::From(Slot(5)), Vote::From(Slot(4))] {
        let core = self::core(Restored { vote, chosen: Slot(3), ..Restored::default() });
        let votes = matches!(vote, Vote::Voting | Vote::From(Slot(4)));
        assert_eq!((core.status(BUCKET).vote, core.fresh(BUCKET).voting), (vote, votes));
        assert_eq!(core.touched(BUCKET), votes.then_some(Slot(3)));
        assert_eq!((core.needs_floor(BUCKET), core.may_fast(BUCKET)), (vote == Vote::LearnerOnly, false));
    }
}

#[test]
fn a_bucket_without_a_replica_says_so() {
    let core = founder();
    for vacant in [Bucket(0), Bucket(2), Bucket(u32::MAX)] {
        assert_eq!(core.status(vacant), Status::default());
        assert_eq!(core.fresh(vacant), Freshness { chosen: Slot(0), accepted_next: false, voting: false });
        assert_eq!((core.owner(vacant), core.touched(vacant)), (None, None));
        assert!(!core.may_fast(vacant) && !core.needs_floor(vacant));
    }
}

/// Slot 4 is open. Whatever of the old records and the new ones is read, a start finds the same.
#[test]
fn what_was_promised_and_accepted_in_the_open_slot_is_written_again_and_says_the_same() {
    let ballot = |round| Ballot { round, node: PEERS[0], boot: Boot { disk: 2, count: 1 } };
    let slot = Slot(4);
    let id = Some(CommandId { originator: me(), sequence: 7 });
    let command = Command { id, heir: None, payload: Bytes::from_static(b"v") };
    let (promise, accept, floor) = (
        |round| Record::Promise { slot, ballot: ballot(round) },
        |round| Record::Accept { slot, ballot: ballot(round), command: command.clone() },
        |slot| Record::Floor { slot: Slot(slot) },
    );
    for (old, again) in [
        (vec![], vec![]),
        (vec![promise(1), promise(2)], vec![promise(2)]),
        (vec![promise(1), accept(1)], vec![accept(1)]),
        (vec![accept(1), promise(5)], vec![promise(5), accept(1)]),
        (vec![floor(4), promise(2)], vec![promise(2)]),
        (vec![floor(4)], vec![]),
        // What a lost self has left is not this one's to say again.
        (vec![floor(6)], vec![]),
        (vec![accept(1), promise(5), floor(6)], vec![]),
    ] {
        let replayed = |records: &[Record]| {
            let mut replay = Replay::new(Slot(3));
            for record in records {
                replay.record(record.clone(), &mut vec![]);
            }
            replay.finish()
        };
        let found = replayed(&old);
        let mut core = core(found.clone());
        let bytes = again.iter().map(|record| usize::from(matches!(record, Record::Accept { .. }))).max();
        assert_eq!(core.undecided().collect::<Vec<_>>(), bytes.map(|bytes| (BUCKET, bytes)).as_slice());
        assert_eq!(core.is_undecided(BUCKET), bytes.is_some());
        let out = told(|out| core.renew(BUCKET, out));
        assert_eq!(records(&out), again.iter().collect::<Vec<_>>(), "{old:?}");
        assert_eq!((out.send, out.events), (vec![], vec![]));
        assert_eq!(replayed(&[old.clone(), again.clone()].concat()), found);
        if !again.is_empty() {
            let floors = old.into_iter().filter(|record| matches!(record, Record::Floor { .. }));
            assert_eq!(replayed(&floors.chain(again).collect::<Vec<_>>()), found);
        }
    }
}
