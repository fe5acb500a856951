//! Small histories by hand, each with what must be said of it.

use thermocline_checkers::linearizability::search::End;
use thermocline_checkers::replicas::{self, Copy};
use thermocline_checkers::{
    Call, Change, History, Reply, Verdict, Violation, batches, counter, linearizability, list_append,
    lost_writes, scans, set, tokens, versions,
};

use super::build::{absent, cas, done, elements, failed, ok, under, unknown, value};

/// A property, who judges it, what of, and whether that is right.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) right: bool,
}

impl Case {
    /// What is wrong with the checker.
    pub(crate) fn judge(&self) -> Result<(), String> {
        let said = if self.right { self.verdict.holds() } else { self.verdict.violated() };
        if said { Ok(()) } else { Err(format!("{}: {}", self.name, self.verdict)) }
    }
}

/// All cases, judged now.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name, verdict, right| cases.push(Case { name, verdict, right });
    let registers: [(&str, History, bool); 14] = [
        (
            "a write that is read",
            vec![ok(1, 0..1, Call::Write(5), done(1)), ok(2, 2..3, Call::Read, value(5, 1))],
            true,
        ),
        (
            "a read beside a write may see it or not",
            vec![
                ok(1, 0..9, Call::Write(5), done(1)),
                ok(2, 1..2, Call::Read, absent()),
                ok(2, 3..4, Call::Read, value(5, 1)),
            ],
            true,
        ),
        (
            "two reads beside a write do not see it and then not",
            vec![
                ok(1, 0..9, Call::Write(5), done(1)),
                ok(2, 1..2, Call::Read, value(5, 1)),
                ok(2, 3..4, Call::Read, absent()),
            ],
            false,
        ),
        (
            "a stale read",
            vec![
                ok(1, 0..1, Call::Write(5), done(1)),
                ok(1, 2..3, Call::Write(6), done(2)),
                ok(2, 4..5, Call::Read, value(5, 1)),
            ],
            false,
        ),
        (
            "an unknown write may be seen late",
            vec![
                unknown(1, 0, Call::Write(5)),
                ok(2, 1..2, Call::Read, absent()),
                ok(2, 90..91, Call::Read, value(5, 7)),
            ],
            true,
        ),
        (
            "an unknown write may never be seen",
            vec![
                unknown(1, 0, Call::Write(5)),
                ok(2, 1..2, Call::Write(6), done(1)),
                ok(2, 90..91, Call::Read, value(6, 1)),
            ],
            true,
        ),
        (
            "an unknown write is not seen and then not",
            vec![
                unknown(1, 0, Call::Write(5)),
                ok(2, 1..2, Call::Read, value(5, 1)),
                ok(2, 3..4, Call::Read, absent()),
            ],
            false,
        ),
        (
            "what failed is not seen",
            vec![failed(1, 0..1, Call::Write(5)), ok(2, 2..3, Call::Read, value(5, 1))],
            false,
        ),
        (
            "a compare-and-set on what is there",
            vec![
                ok(1, 0..1, cas(0, 5), done(1)),
                ok(2, 2..3, cas(1, 6), done(4)),
                ok(1, 4..5, Call::Read, value(6, 4)),
            ],
            true,
        ),
        (
            "a compare-and-set on what is gone",
            vec![
                ok(1, 0..1, cas(0, 5), done(1)),
                ok(2, 2..3, cas(1, 6), done(4)),
                ok(1, 4..5, cas(1, 7), done(6)),
            ],
            false,
        ),
        (
            "of two compare-and-sets side by side one is refused",
            vec![
                ok(1, 0..1, cas(0, 5), done(1)),
                ok(1, 2..9, cas(1, 6), done(2)),
                ok(2, 3..8, cas(1, 7), Reply::Refused { current: Some(2) }),
            ],
            true,
        ),
        (
            "a refusal without a reason",
            vec![
                ok(1, 0..1, cas(0, 5), done(1)),
                ok(2, 2..3, cas(1, 6), Reply::Refused { current: Some(0) }),
            ],
            false,
        ),
        (
            "versions do not fall",
            vec![ok(1, 0..1, Call::Write(5), done(4)), ok(1, 2..3, Call::Write(6), done(3))],
            false,
        ),
        (
            "one version has one value",
            vec![ok(1, 0..1, Call::Write(5), done(4)), ok(2, 0..1, Call::Write(6), done(4))],
            false,
        ),
    ];
    for (name, history, right) in registers {
        case(name, linearizability::check(&history), right);
        case(name, versions::check(&history), right);
    }
    let version_twice = vec![
        ok(1, 0..9, Call::Write(5), Reply::Done { version: None }),
        ok(1, 10..19, Call::Write(6), Reply::Done { version: None }),
        ok(2, 0..30, Call::Read, value(5, 3)),
        ok(3, 0..30, Call::Read, value(6, 3)),
    ];
    case("two readers show one version with two values", versions::check(&version_twice), false);
    let refused = |current| ok(1, 0..1, cas(2, 6), Reply::Refused { current: Some(current) });
    case("a refusal names what nobody made", versions::check(&[refused(7)]), false);
    let succeeded = ok(1, 2..3, cas(3, 7), done(4));
    let write = ok(2, 0..1, Call::Write(5), done(2));
    case("what nobody made is met", versions::check(&[write.clone(), succeeded.clone()]), false);
    case("what was lost is met", versions::check(&[write, unknown(3, 0, Call::Write(6)), succeeded]), true);
    case(
        "a refusal names what was lost",
        versions::check(&[unknown(2, 0, Call::Write(5)), refused(7)]),
        true,
    );
    case("a refusal names what was asked for", versions::check(&[refused(2)]), false);
    let delete = vec![
        ok(1, 0..1, Call::Write(5), done(1)),
        ok(1, 2..3, Call::Delete, Reply::Done { version: None }),
        ok(2, 4..5, Call::Read, absent()),
        ok(1, 6..7, cas(0, 6), done(3)),
        ok(2, 8..9, Call::Read, value(6, 3)),
    ];
    case("what is deleted is absent", linearizability::check(&delete), true);
    case("deletes do not mislead versions", versions::check(&delete), true);
    let busy: History = (0..18)
        .map(|process| ok(process, process..100, Call::Write(process), Reply::Done { version: None }))
        .chain([ok(99, 200..201, Call::Read, absent())])
        .collect();
    let verdict = linearizability::check_within(&busy, 10_000);
    let gave_up = if matches!(verdict, Verdict::Unknown(_)) { Verdict::Holds } else { verdict };
    let honest = if linearizability::check_within(&busy, 10_000).holds() {
        Verdict::Unknown("it claims to know".to_owned())
    } else {
        gave_up
    };
    case("a search that gives up says so", honest, true);

    lost_deletes(&mut case);
    growing(&mut case);
    by_token(&mut case);
    copies(&mut case);
    cases
}

/// Sets, lists, entities, counters, final reads.
/// What only an operation of unknown outcome explains, by the search and by counting.
fn lost_deletes(case: &mut impl FnMut(&'static str, Verdict, bool)) {
    let write = |time, value, version| ok(1, time, Call::Write(value), done(version));
    let read = |time| ok(2, time, Call::Read, absent());
    let delete = |process, at| unknown(process, at, Call::Delete);
    let once = vec![write(0..1, 5, 1), delete(3, 2), read(4..5), write(6..7, 6, 3), read(8..9)];
    let twice: History = once.iter().cloned().chain([delete(4, 2)]).collect();
    let early = vec![write(0..1, 5, 1), read(2..3), delete(3, 4)];
    let late = vec![write(0..1, 5, 1), read(2..9), delete(3, 4)];
    let crowded = vec![write(0..1, 5, 1), delete(3, 2), read(4..5), write(6..7, 6, 2)];
    let histories = [
        ("a lost delete explains what is gone once", once, false),
        ("two lost deletes explain what is gone twice", twice, true),
        ("a delete does not explain what was gone before it was called", early, false),
        ("a delete explains what is gone while it is called", late, true),
        ("there is no version for a lost delete between two that follow each other", crowded, false),
    ];
    for (name, history, right) in histories {
        case(name, linearizability::check(&history), right);
        let places: Vec<usize> = (0..history.len()).collect();
        let counted = match linearizability::counted::decide(&history, &places, 1_000) {
            End::Found => Verdict::Holds,
            End::Impossible { stuck } => {
                let what = name.to_owned();
                Verdict::Violated(vec![Violation { key: 1, what, operations: stuck }])
            }
            End::GaveUp => Verdict::Unknown(name.to_owned()),
        };
        case(name, counted, right);
    }
}

fn growing(case: &mut impl FnMut(&'static str, Verdict, bool)) {
    let add =
        |process, time, of: &[u64]| ok(process, time, Call::Add(of.to_vec()), Reply::Done { version: None });
    let scan = |process, time, of: &[u64]| ok(process, time, Call::Scan, elements(of));

    let crossed = vec![add(1, 0..9, &[1]), add(2, 0..9, &[2]), scan(3, 1..8, &[1]), scan(4, 1..8, &[2])];
    case("two scans that contradict each other", scans::check(&crossed), false);
    case("the same by search", linearizability::check(&crossed), false);
    let lost = vec![add(1, 0..1, &[1]), scan(2, 2..3, &[])];
    case("an element is missing", set::check(&lost), false);
    case("an element is missing in the series", scans::check(&lost), false);
    let unread = vec![add(1, 0..1, &[1]), add(1, 2..3, &[2]), scan(2, 4..5, &[2])];
    case("an element is missing that nobody read", set::check(&unread), false);
    let half = vec![add(1, 0..9, &[1, 2]), scan(2, 1..2, &[1])];
    case("half a batch is shown", batches::check(&half), false);
    let put = |at: &[u64]| {
        Call::Change(at.iter().map(|&position| Change::Put { position, value: position }).collect())
    };
    let records = vec![
        ok(1, 0..9, put(&[1, 2]), Reply::Done { version: None }),
        ok(2, 1..2, Call::Scan, Reply::Records(vec![(2, 2)])),
    ];
    case("half a batch of records is shown", batches::check(&records), false);
    case("half a batch of records by search", linearizability::check(&records), false);

    let append = |process, time, of: &[u64]| {
        ok(process, time, Call::Append(of.to_vec()), Reply::Done { version: None })
    };
    let lists = vec![
        append(1, 0..9, &[1]),
        append(2, 0..9, &[2]),
        scan(3, 10..11, &[1, 2]),
        scan(4, 10..11, &[2, 1]),
    ];
    case("two orders of one list", list_append::check(&lists), false);
    let refused = |shown: &[u64]| {
        vec![ok(1, 0..1, Call::Append(vec![1]), Reply::Refused { current: None }), scan(2, 2..3, shown)]
    };
    case("what was refused is not in the list", linearizability::check(&refused(&[])), true);
    case("what was refused is in the list", linearizability::check(&refused(&[1])), false);
    case("what was refused is in the list, by order", list_append::check(&refused(&[1])), false);
    let order = vec![append(1, 0..1, &[1]), append(1, 2..3, &[2]), scan(3, 4..5, &[2, 1])];
    case("an order against real time", list_append::check(&order), false);

    let add = |time, by| ok(1, time, Call::Increment(by), Reply::Done { version: None });
    let read = |time, count| ok(2, time, Call::Read, Reply::Count(count));
    case(
        "a counter within its bounds",
        counter::check(&[add(0..1, 3), add(2..9, 4), read(3..4, 3), read(5..6, 7)]),
        true,
    );
    case("a counter too low", counter::check(&[add(0..1, 3), read(3..4, 2)]), false);
    case("a counter too high", counter::check(&[add(0..1, 3), read(3..4, 4)]), false);

    let left = |seen: u64, version| {
        vec![
            ok(1, 0..1, Call::Write(5), done(1)),
            ok(1, 2..3, Call::Write(6), done(2)),
            ok(11, 100..101, Call::Read, value(6, 2)),
            ok(12, 100..101, Call::Read, value(seen, version)),
        ]
    };
    case("all that was acknowledged is left", lost_writes::check(&left(6, 2), 50, 2), true);
    case("one node has lost an acknowledged write", lost_writes::check(&left(5, 1), 50, 2), false);
    case("one node was not asked", lost_writes::check(&left(6, 2)[..3], 50, 2), false);
    let mut late = vec![unknown(3, 3, Call::Write(7))];
    late.extend(left(6, 2));
    late.push(ok(13, 102..103, Call::Read, value(7, 3)));
    case("an unknown write may come between the last reads", lost_writes::check(&late, 50, 2), true);
    let emptied = vec![
        ok(1, 0..1, Call::Write(5), Reply::Done { version: None }),
        ok(11, 100..101, Call::Read, absent()),
    ];
    case("nothing is left of what was acknowledged", lost_writes::check(&emptied, 50, 1), false);
}

fn by_token(case: &mut impl FnMut(&'static str, Verdict, bool)) {
    let resolve = |time, reply| ok(9, time, Call::Resolve("t".into()), reply);
    let write = under("t", unknown(1, 0, Call::Write(5)));
    let history =
        vec![write.clone(), resolve(1..2, Reply::Committed(7)), ok(2, 3..4, Call::Read, value(5, 7))];
    case("a token that was committed", tokens::check(&history), true);
    let settled = tokens::settle(&history);
    case("a committed write is a write", linearizability::check(&settled), true);
    let vanished = vec![write.clone(), resolve(1..2, Reply::Committed(7)), ok(2, 3..4, Call::Read, absent())];
    case("a committed write does not vanish", linearizability::check(&tokens::settle(&vanished)), false);
    let seen = vec![write.clone(), resolve(1..2, Reply::NotCommitted), ok(2, 3..4, Call::Read, value(5, 7))];
    case("what was not committed is seen", tokens::check(&seen), false);
    case("what was not committed is seen, by search", linearizability::check(&tokens::settle(&seen)), false);
    let twice = vec![write.clone(), resolve(1..2, Reply::Committed(7)), resolve(3..4, Reply::Committed(8))];
    case("a token takes effect twice", tokens::check(&twice), false);
    let changed = vec![write, resolve(1..2, Reply::NotCommitted), resolve(3..4, Reply::Committed(8))];
    case("a token changes its mind", tokens::check(&changed), false);
}

fn copies(case: &mut impl FnMut(&'static str, Verdict, bool)) {
    let copy = |node, slot, digest| Copy { node, bucket: 3, slot, digest };
    case("replicas at different slots may differ", replicas::check(&[copy(1, 5, 77), copy(2, 6, 78)]), true);
    case("replicas at one slot are equal", replicas::check(&[copy(1, 5, 77), copy(2, 5, 78)]), false);
    case(
        "replicas at rest are at one slot",
        replicas::check_at_rest(&[copy(1, 5, 77), copy(2, 6, 77)], 2),
        false,
    );
    case("a replica is missing", replicas::check_at_rest(&[copy(1, 5, 77)], 2), false);
    case("replicas at rest", replicas::check_at_rest(&[copy(1, 5, 77), copy(2, 5, 77)], 2), true);
}
