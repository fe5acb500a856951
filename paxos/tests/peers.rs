//! What one replica answers to single messages: late, repeated, out of place, or wrong. One core, and messages made by hand.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use bytes::Bytes;
use thermocline_paxos::*;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);
const D: NodeId = NodeId(4);
const E: NodeId = NodeId(5);
const BUCKET: Bucket = Bucket(0);

fn who(node: NodeId) -> Originator {
    Originator { node, boot: Boot { disk: u64::from(node.0), count: 1 } }
}

fn prepared(round: u32, node: NodeId) -> Ballot {
    let Originator { boot, .. } = who(node);
    Ballot { round, node, boot }
}

fn fast(node: NodeId) -> Ballot {
    prepared(0, node)
}

fn command(from: NodeId) -> Command {
    let id = CommandId { originator: who(from), sequence: 0 };
    Command { id: Some(id), heir: None, payload: Bytes::from_static(b"v") }
}

/// A durable record of slot 1 with nothing in it.
fn nothing() -> Message {
    Message {
        bucket: BUCKET,
        slot: Slot(1),
        promised: Ballot::ZERO,
        accepted: None,
        durable: true,
        chosen: false,
        missing: false,
        known: Known::default(),
        chosen_through: Slot(0),
    }
}

fn vote(ballot: Ballot, command: &Command) -> Message {
    let accepted = Accepted { ballot, id: command.id, command: Some(command.clone()) };
    Message { promised: ballot, accepted: Some(accepted), ..nothing() }
}

fn decision(slot: u64, through: u64, command: &Command) -> Message {
    let message = vote(prepared(1, A), command);
    Message { slot: Slot(slot), chosen: true, durable: false, chosen_through: Slot(through), ..message }
}

/// One replica, and its driver.
struct Replica {
    core: Core,
    out: Output,
}

impl Replica {
    fn new(me: NodeId, count: u16, restored: Restored) -> Self {
        let members: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let mut core = Core::new(who(me), 0, Limits { payload_bytes_max: 3 });
        core.open(BUCKET, &members, restored).unwrap();
        Self { core, out: Output::default() }
    }

    fn founder(me: NodeId, count: u16) -> Self {
        Self::new(me, count, Restored { founder: true, ..Restored::default() })
    }

    fn learner(me: NodeId) -> Self {
        Self::new(me, 3, Restored { vote: Vote::LearnerOnly, ..Restored::default() })
    }

    /// One call; what it asks for and tells.
    fn call(&mut self, call: impl FnOnce(&mut Core, &mut Output)) -> Output {
        call(&mut self.core, &mut self.out);
        std::mem::take(&mut self.out)
    }

    fn receive(&mut self, from: NodeId, message: &Message) -> Output {
        self.call(|core, out| core.receive(from, message.clone(), out))
    }

    fn propose(&mut self) -> Output {
        self.call(|core, out| assert!(core.propose(BUCKET, Bytes::from_static(b"v"), out).is_ok()))
    }

    fn sync(&mut self) -> Output {
        self.call(|core, out| core.persisted(Ticket(u64::MAX - 1), out))
    }

    fn retry(&mut self) -> Output {
        self.call(|core, out| core.retry(BUCKET, out))
    }
}

/// To whom something is sent.
fn told(out: &Output) -> Vec<NodeId> {
    out.send.iter().map(|send| send.to).collect()
}

/// To whom the value itself is sent.
fn given(out: &Output) -> Vec<NodeId> {
    let gives =
        |send: &&Send| send.message.accepted.as_ref().is_some_and(|accepted| accepted.command.is_some());
    out.send.iter().filter(gives).map(|send| send.to).collect()
}

fn behind(through: u64) -> Vec<Event> {
    vec![Event::Behind { bucket: BUCKET, peer: A, through: Slot(through) }]
}

#[test]
fn a_message_from_ahead_says_what_to_fetch_and_is_not_voted_on() {
    let request = vote(fast(A), &command(A));
    for (message, through) in [
        (Message { slot: Slot(3), chosen_through: Slot(2), ..request.clone() }, 2),
        (Message { slot: Slot(3), ..request.clone() }, 2),
        (Message { slot: Slot(1), chosen_through: Slot(1), ..request.clone() }, 1),
        (Message { slot: Slot(1), chosen_through: Slot(7), ..request }, 7),
        (decision(2, 2, &command(A)), 2),
    ] {
        let out = Replica::founder(B, 3).receive(A, &message);
        assert_eq!(out.events, behind(through), "{message:?}");
        assert!(out.persist.is_empty() && out.send.is_empty(), "{message:?}");
    }
}

#[test]
fn a_decision_of_the_open_slot_is_learned_and_more_is_fetched_only_if_there_is_more() {
    for (through, more) in [(0, vec![]), (1, vec![]), (2, behind(2))] {
        let out = Replica::founder(B, 3).receive(A, &decision(1, through, &command(A)));
        assert!(matches!(out.events[0], Event::Chosen { slot: Slot(1), .. }));
        assert_eq!(out.events[1..], more);
    }
}

#[test]
fn a_message_that_breaks_a_rule_is_dropped_and_counted() {
    let (x, y) = (command(A), command(B));
    let high = prepared(2, C);
    let cases: [(&str, Vec<Message>, Message); 6] = [
        ("accepted above its promise", vec![], Message { promised: fast(A), ..vote(high, &x) }),
        ("accepted at no ballot", vec![], Message { promised: high, ..vote(Ballot::ZERO, &x) }),
        ("fast by who is not first", vec![], vote(fast(C), &x)),
        ("another value at the ballot voted for", vec![vote(high, &x)], vote(high, &y)),
        (
            "another value at a ballot told of",
            vec![Message { promised: high, ..vote(prepared(1, A), &x) }],
            Message { promised: high, ..vote(prepared(1, A), &y) },
        ),
        (
            "fast after a no-op",
            vec![decision(1, 1, &Command::no_op())],
            Message { slot: Slot(2), chosen_through: Slot(1), ..vote(fast(A), &x) },
        ),
    ];
    for (name, before, wrong) in cases {
        let mut replica = Replica::founder(B, 3);
        for message in before {
            replica.receive(A, &Message { durable: false, ..message });
            replica.sync();
        }
        assert_eq!(replica.core.refused(), 0, "{name}");
        for count in 1..=2 {
            assert!(replica.receive(C, &wrong).is_empty(), "{name}");
            assert_eq!(replica.core.refused(), count, "{name}");
        }
    }
}

#[test]
fn the_owner_of_a_slot_may_be_fast_there_and_who_is_not_known_not_to_be() {
    let fast_in = |slot: u64, node| Message {
        slot: Slot(slot),
        chosen_through: Slot(slot - 1),
        ..vote(fast(node), &command(node))
    };
    let mut replica = Replica::founder(C, 3);
    assert_eq!(replica.receive(A, &fast_in(1, A)).persist.len(), 1);
    replica.receive(A, &decision(1, 1, &command(B)));
    assert!(replica.receive(A, &fast_in(2, A)).is_empty());
    assert_eq!(replica.core.refused(), 1);
    assert_eq!(replica.receive(B, &fast_in(2, B)).persist.len(), 1);
    // After a restart the owner may not be known: nothing speaks against any of them.
    let mut replica = Replica::new(C, 3, Restored { chosen: Slot(1), ..Restored::default() });
    assert_eq!(replica.receive(B, &fast_in(2, B)).persist.len(), 1);
    assert_eq!(replica.core.refused(), 0);
}

/// Five replicas: A's command is chosen with the votes of B and C.
fn decided_by_three() -> Replica {
    let mut replica = Replica::founder(A, 5);
    replica.propose();
    replica.sync();
    replica.receive(B, &vote(fast(A), &command(A)));
    let out = replica.receive(C, &vote(fast(A), &command(A)));
    assert_eq!(told(&out), [B, C, D, E]);
    assert!(given(&out).is_empty(), "all were sent the value before");
    replica
}

#[test]
fn a_vote_that_comes_late_is_no_question_the_first_time() {
    let mut replica = decided_by_three();
    let late = vote(fast(A), &command(A));
    for from in [E, D] {
        assert!(replica.receive(from, &late).is_empty(), "{from:?} was told already");
    }
    for from in [E, D, C, B] {
        let out = replica.receive(from, &late);
        assert_eq!(told(&out), [from], "the decision was lost");
        assert!(out.send[0].message.chosen && out.events.is_empty());
    }
}

#[test]
fn who_votes_for_something_else_in_a_slot_that_is_decided_is_sent_the_log() {
    let mut replica = decided_by_three();
    let lacks = vec![Event::PeerBehind { bucket: BUCKET, peer: D, chosen: Slot(0) }];
    for message in [vote(prepared(1, D), &command(D)), nothing()] {
        let out = replica.receive(D, &message);
        assert_eq!(out.events, lacks);
        assert!(out.send.is_empty());
    }
    // Who knows the decision needs nothing, and gets nothing.
    for message in [decision(1, 1, &command(A)), Message { chosen_through: Slot(1), ..nothing() }] {
        assert!(replica.receive(D, &message).is_empty());
    }
    // Of a slot further back only the log knows.
    replica.receive(B, &Message { slot: Slot(2), ..decision(2, 2, &command(B)) });
    assert_eq!(replica.receive(D, &vote(fast(A), &command(A))).events, lacks);
}

#[test]
fn a_vote_is_written_once_and_told_when_it_is_synced() {
    let mut replica = Replica::founder(B, 3);
    let request = Message { durable: false, ..vote(fast(A), &command(A)) };
    let first = replica.receive(A, &request);
    assert_eq!((first.persist.len(), first.send.len()), (1, 0));
    assert!(replica.receive(A, &request).is_empty());
    assert_eq!(told(&replica.sync()), [A]);
    // Who asks again is told again, and nothing is written; who knows it all is not told.
    let again = replica.receive(A, &request);
    assert_eq!((again.persist.len(), told(&again)), (0, vec![A]));
    let known = Known { promised: fast(A), accepted: fast(A) };
    assert!(replica.receive(A, &Message { known, ..request.clone() }).is_empty());
    let half = Known { promised: fast(A), accepted: Ballot::ZERO };
    assert_eq!(told(&replica.receive(A, &Message { known: half, ..request })), [A]);
}

#[test]
fn a_value_is_given_once_and_again_to_who_lacks_it() {
    let mut replica = Replica::founder(A, 5);
    assert_eq!(given(&replica.propose()), [B, C, D, E]);
    replica.sync();
    let missing = Message { missing: true, durable: false, ..nothing() };
    for from in [C, E] {
        assert_eq!(given(&replica.receive(from, &missing)), [from]);
        let later = replica.receive(from, &nothing());
        assert_eq!((told(&later), given(&later)), (vec![from], vec![]), "by name, as it was sent");
    }
    // What was sent may have been lost, so a timer gives it again.
    assert_eq!(given(&replica.retry()), [B, C, D, E]);
}

#[test]
fn an_owner_asks_a_majority_first_and_tells_the_others_what_is_decided() {
    for (count, asked, rest) in [(3, vec![C], vec![B]), (5, vec![E, C], vec![B, D])] {
        let mut replica = Replica::founder(A, count);
        replica.core.ask_first([E, C, B, D].into_iter());
        let out = replica.propose();
        assert_eq!((told(&out), given(&out)), (asked.clone(), asked.clone()), "the best of the members");
        replica.sync();
        let mut out = Output::default();
        for from in &asked {
            out = replica.receive(*from, &vote(fast(A), &command(A)));
        }
        let decisions: Vec<NodeId> = told(&out);
        assert_eq!(decisions.len(), usize::from(count) - 1, "all are told");
        assert_eq!(given(&out), rest, "those who were not asked get the value with it");
        assert!(out.send.iter().all(|send| send.can_wait && send.message.chosen));
    }
}

#[test]
fn the_others_are_asked_when_those_asked_first_are_late_and_it_is_said_who_is() {
    let mut replica = Replica::founder(A, 5);
    replica.core.ask_first([C, E].into_iter());
    assert_eq!(told(&replica.propose()), [C, E]);
    replica.sync();
    replica.receive(E, &vote(fast(A), &command(A)));
    let mut silent = vec![];
    let out = replica.call(|core, out| silent = core.widen(BUCKET, out));
    assert_eq!((given(&out), silent.clone()), (vec![B, D], vec![C]));
    // Once all are asked there is nobody left to ask.
    let out = replica.call(|core, out| silent = core.widen(BUCKET, out));
    assert_eq!((told(&out), silent), (vec![], vec![B, C, D]));
    // A timer tells all of them again who have not voted.
    assert_eq!(told(&replica.retry()), [B, C, D]);
    // Nothing is under way in a bucket at rest, or in one that only votes.
    let mut voter = Replica::founder(B, 3);
    assert_eq!(voter.call(|core, out| assert!(core.widen(BUCKET, out).is_empty())), Output::default());
    let request = Message { durable: false, ..vote(fast(A), &command(A)) };
    voter.receive(A, &request);
    assert_eq!(voter.call(|core, out| assert!(core.widen(BUCKET, out).is_empty())), Output::default());
}

#[test]
fn who_decided_the_slot_before_is_asked_before_all() {
    let mut replica = Replica::founder(C, 3);
    // A hands the bucket over to C.
    let handed = Command { heir: Some(who(C)), ..command(A) };
    replica.receive(A, &decision(1, 1, &handed));
    for (first, asked) in [(vec![B, A], A), (vec![B], B)] {
        let mut replica = Replica { core: replica.core.clone(), out: Output::default() };
        replica.core.ask_first(first.into_iter());
        assert_eq!(
            told(&replica.propose()),
            [asked],
            "B may not have heard of it; who is not named is not asked"
        );
    }
}

#[test]
fn where_too_few_are_named_or_phase_one_was_needed_all_are_asked() {
    let mut replica = Replica::founder(A, 5);
    replica.core.ask_first([C, A].into_iter());
    assert_eq!(told(&replica.propose()), [B, C, D, E], "one is not enough");
    let mut stranger = Replica::founder(B, 3);
    stranger.core.ask_first([C, A].into_iter());
    assert_eq!(told(&stranger.propose()), [A, C]);
}

#[test]
fn a_decision_carries_the_value_to_who_may_lack_it() {
    let mut replica = Replica::founder(C, 5);
    replica.propose();
    replica.sync();
    let x = command(A);
    for from in [A, B] {
        replica.receive(from, &vote(fast(A), &x));
    }
    let out = replica.receive(D, &vote(fast(A), &x));
    let decisions = || out.send.iter().filter(|send| send.message.chosen);
    assert_eq!(decisions().map(|send| send.to).collect::<Vec<_>>(), [A, B, D, E]);
    let given: Vec<NodeId> = decisions()
        .filter(|send| send.message.accepted.as_ref().unwrap().command.is_some())
        .map(|send| send.to)
        .collect();
    assert_eq!(given, [E], "the others have voted for it");
}

#[test]
fn an_own_promise_counts_only_when_it_is_synced() {
    let mut replica = Replica::founder(B, 3);
    replica.propose();
    let promise = Message { promised: prepared(1, B), ..nothing() };
    assert!(replica.receive(C, &promise).is_empty());
    assert_eq!(given(&replica.sync()), [A, C], "two of three have promised now");
}

#[test]
fn a_proposer_that_is_outbid_answers_backs_off_and_gives_up_after_three_prepares() {
    let mut replica = Replica::founder(B, 3);
    replica.propose();
    for attempt in 1..=PREPARES_MAX {
        replica.sync();
        let higher = Message { promised: prepared(10 * u32::from(attempt), C), durable: false, ..nothing() };
        let out = replica.receive(C, &higher);
        assert_eq!(out.events, [Event::Backoff { bucket: BUCKET, attempt }]);
        assert!(replica.core.status(BUCKET).backed_off);
        assert_eq!(told(&replica.sync()), [C]);
        let retried = replica.retry();
        assert_eq!(replica.core.status(BUCKET).proposing, attempt < PREPARES_MAX);
        assert!(!replica.core.status(BUCKET).backed_off);
        let outcome = ProposalOutcome::Contended;
        let over = Event::ProposalEnded { bucket: BUCKET, id: command(B).id.unwrap(), outcome };
        assert_eq!(retried.events, if attempt < PREPARES_MAX { vec![] } else { vec![over] });
    }
}

#[test]
fn a_proposal_that_was_prepared_three_times_does_not_go_on_in_the_next_slot() {
    for (prepares, ends) in [(2, false), (3, true)] {
        let mut replica = Replica::founder(B, 3);
        replica.propose();
        for round in 1..prepares {
            replica.receive(C, &Message { promised: prepared(10 * round, C), ..nothing() });
            replica.retry();
        }
        // Not even where it would own it.
        let handed_over = Command { heir: Some(who(B)), ..command(A) };
        let out = replica.receive(A, &decision(1, 1, &handed_over));
        let ended = out.events.iter().any(|event| matches!(event, Event::ProposalEnded { .. }));
        assert_eq!((ended, replica.core.status(BUCKET).proposing), (ends, !ends));
    }
}

#[test]
fn a_timer_says_nothing_where_there_is_nothing_to_say() {
    assert!(Replica::founder(B, 3).retry().is_empty());
    let restored = Restored { promised: prepared(1, C), vote: Vote::LearnerOnly, ..Restored::default() };
    assert!(Replica::new(B, 3, restored.clone()).retry().is_empty(), "it does not vote");
    let mut voter = Replica::new(B, 3, Restored { vote: Vote::Voting, ..restored });
    assert_eq!(told(&voter.retry()), [A, C]);
}

#[test]
fn a_no_op_is_proposed_where_nothing_is_under_way() {
    let mut replica = Replica::founder(A, 3);
    let out = replica.call(|core, out| core.propose_no_op(BUCKET, out));
    assert_eq!(out.persist[0].record, Record::Promise { slot: Slot(1), ballot: prepared(1, A) });
    assert!(replica.call(|core, out| core.propose_no_op(BUCKET, out)).is_empty());
    assert!(Replica::learner(A).call(|core, out| core.propose_no_op(BUCKET, out)).is_empty());
}

#[test]
fn only_other_members_speak_and_of_real_slots() {
    let request = vote(fast(A), &command(A));
    assert!(Replica::founder(B, 3).receive(B, &request).is_empty());
    assert!(Replica::founder(B, 3).receive(D, &request).is_empty());
    assert!(Replica::founder(B, 3).receive(A, &Message { slot: Slot(0), ..request.clone() }).is_empty());
    assert!(Replica::founder(B, 3).receive(A, &Message { bucket: Bucket(1), ..request.clone() }).is_empty());
    assert!(!Replica::founder(B, 3).receive(A, &request).is_empty());
}

#[test]
fn a_payload_has_a_bound() {
    let mut replica = Replica::founder(A, 3);
    let long = replica.core.propose(BUCKET, Bytes::from_static(b"four"), &mut replica.out);
    assert_eq!(long, Err(ProposeError::TooLarge { max: 3 }));
    assert!(replica.out.is_empty());
    assert!(replica.core.propose(BUCKET, Bytes::from_static(b"333"), &mut replica.out).is_ok());
}

#[test]
fn a_founding_lets_vote_who_has_nothing_to_remember() {
    for (voting, node, votes, owns) in
        [(true, A, true, true), (true, B, true, false), (false, A, false, false)]
    {
        let mut replica = Replica::learner(node);
        assert!(replica.core.needs_floor(BUCKET));
        replica.core.found(BUCKET, voting);
        assert_eq!(replica.core.fresh(BUCKET).voting, votes);
        assert_eq!(replica.core.may_fast(BUCKET), owns);
        assert_eq!(replica.core.needs_floor(BUCKET), !votes);
    }
    let later = Restored { chosen: Slot(1), vote: Vote::LearnerOnly, ..Restored::default() };
    let voter = Restored::default();
    for restored in [later, voter] {
        let mut replica = Replica::new(A, 3, restored.clone());
        replica.core.found(BUCKET, true);
        assert_eq!(replica.core.status(BUCKET).vote, restored.vote, "this is no founding");
        assert!(!replica.core.may_fast(BUCKET));
    }
}

#[test]
fn who_probably_owns_a_slot() {
    let mut replica = Replica::founder(B, 3);
    assert_eq!(replica.core.owner(BUCKET), Some(A), "the first member, before slot 1");
    replica.receive(A, &decision(1, 1, &command(C)));
    assert_eq!(replica.core.owner(BUCKET), Some(C));
    replica.receive(A, &decision(2, 2, &Command::no_op()));
    assert_eq!(replica.core.owner(BUCKET), None, "a no-op has no originator");
    assert_eq!(replica.core.owner(Bucket(1)), None);
}

#[test]
fn an_output_is_empty_when_nothing_is_in_it() {
    let out = Replica::founder(A, 3).propose();
    assert!(Output::default().is_empty());
    assert!(!Output { persist: out.persist, ..Output::default() }.is_empty());
    assert!(!Output { send: out.send, ..Output::default() }.is_empty());
    assert!(!Output { events: behind(1), ..Output::default() }.is_empty());
}

#[test]
fn replay_takes_a_hole_of_two_slots_for_a_hole() {
    let accept = |slot| Record::Accept { slot: Slot(slot), ballot: fast(A), command: command(A) };
    for (next, chosen, vote) in [(2, 1, Vote::Voting), (3, 0, Vote::LearnerOnly)] {
        let mut replay = Replay::new(Slot(0));
        replay.record(accept(1), &mut vec![]);
        replay.record(accept(next), &mut vec![]);
        let restored = replay.finish();
        assert_eq!((restored.chosen, restored.vote), (Slot(chosen), vote));
    }
}

#[test]
fn what_a_node_told_that_has_forgotten_something_does_not_count() {
    // A learner of five needs three answers: B's is taken back.
    let mut learner = Replica::new(A, 5, Restored { vote: Vote::LearnerOnly, ..Restored::default() });
    for (from, touched) in [(B, 1), (C, 1), (D, 4), (E, 1)] {
        learner.call(|core, out| core.floor_answer(BUCKET, from, Slot(touched), out));
        if from == C {
            learner.core.disregard(B);
        }
        assert_eq!(learner.core.needs_floor(BUCKET), from != E);
    }
    // A proposer of three needs one vote: B's came, and is taken back before the own one is synced.
    let mut proposer = Replica::founder(A, 3);
    proposer.propose();
    proposer.receive(B, &vote(fast(A), &command(A)));
    proposer.core.disregard(B);
    assert_eq!(proposer.sync().events, []);
    assert_eq!(proposer.core.status(BUCKET).chosen, Slot(0));
    proposer.receive(C, &vote(fast(A), &command(A)));
    assert_eq!(proposer.core.status(BUCKET).chosen, Slot(1));
}

/// What the search of small groups takes for one state.
#[test]
fn cores_that_behave_alike_are_equal_however_they_came_there() {
    let hash = |core: &Core| {
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(core, &mut hasher);
        std::hash::Hasher::finish(&hasher)
    };
    let vote = vote(prepared(2, C), &command(A));
    let mut at_once = Replica::founder(B, 3);
    at_once.receive(A, &vote);
    at_once.sync();
    // Another ticket, and a message refused on the way.
    let mut in_steps = Replica::founder(B, 3);
    in_steps.receive(A, &Message { accepted: None, durable: false, ..vote.clone() });
    in_steps.receive(C, &Message { promised: prepared(1, A), ..vote.clone() });
    assert_eq!(in_steps.core.refused(), 1);
    in_steps.sync();
    in_steps.receive(A, &vote);
    assert_ne!(at_once.core, in_steps.core, "it waits for its sync");
    in_steps.sync();
    assert_eq!(at_once.core, in_steps.core);
    assert_eq!(hash(&at_once.core), hash(&in_steps.core));
    let [one, other] = [A, B].map(|node| Core::new(who(node), 0, Limits::default()));
    assert_ne!(one, other);
    assert_ne!(hash(&one), hash(&other));
}
