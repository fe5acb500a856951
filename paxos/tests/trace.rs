//! Worked examples of the protocol: scripts whose every message, record and event is printed, and compared with
//! `testdata/*.txt`, which `PROTOCOL.md` explains. After a change of the protocol that is meant, `TRACE_WRITE=1` rewrites them.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::fmt::Write;

use bytes::Bytes;
use thermocline_paxos::read::ReadQuorum;
use thermocline_paxos::{
    Ballot, Boot, Bucket, Command, CommandId, Core, Event, Freshness, Known, Limits, Message, NodeId,
    Originator, Output, ProposalOutcome, Record, Replay, Restored, Slot, Ticket, Vote,
};

const BUCKET: Bucket = Bucket(0);

struct Node {
    core: Core,
    boot: Boot,
    journal: Vec<(Ticket, Record)>,
    synced: usize,
}

/// Replicas A, B, C and so on, and the messages between them, which move only when the script says so.
struct Script {
    members: Vec<NodeId>,
    nodes: Vec<Node>,
    net: Vec<(usize, usize, Message)>,
    text: String,
}

impl Script {
    fn new(count: u16) -> Self {
        let members: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let nodes = members.iter().map(|node| {
            let boot = Boot { disk: 0, count: 1 };
            let mut core = Core::new(Originator { node: *node, boot }, 0, Limits::default());
            core.open(BUCKET, &members, Restored { founder: true, ..Restored::default() }).unwrap();
            Node { core, boot, journal: vec![], synced: 0 }
        });
        Self { nodes: nodes.collect(), members, net: vec![], text: String::new() }
    }

    fn say(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A heading that tells what happens next, and why.
    fn note(&mut self, line: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        writeln!(self.text, "{gap}# {line}").unwrap();
    }

    fn call(&mut self, at: char, call: impl FnOnce(&mut Core, &mut Output)) {
        let index = index(at);
        let mut out = Output::default();
        call(&mut self.nodes[index].core, &mut out);
        for persist in out.persist {
            self.say(&format!("    {at} writes {}", record(&persist.record)));
            self.nodes[index].journal.push((persist.ticket, persist.record));
        }
        for send in out.send {
            let to = self.members.iter().position(|member| *member == send.to).unwrap();
            self.say(&format!("    {at} sends to {}: {}", name(to), message(&send.message)));
            self.net.push((index, to, send.message));
        }
        for event in out.events {
            self.say(&format!("    {at}: {}", self::event(&event)));
        }
    }

    fn propose(&mut self, at: char, payload: &'static str) {
        self.say(&format!("{at} proposes {payload}"));
        self.call(at, |core, out| {
            core.propose(BUCKET, Bytes::from_static(payload.as_bytes()), out).unwrap();
        });
    }

    fn sync(&mut self, at: char) {
        let node = &mut self.nodes[index(at)];
        node.synced = node.journal.len();
        let through = node.journal.last().unwrap().0;
        self.say(&format!("{at} has synced"));
        self.call(at, |core, out| core.persisted(through, out));
    }

    /// The oldest message on its way from one replica to another arrives.
    fn deliver(&mut self, from: char, to: char) {
        let message = self.take(from, to);
        self.say(&format!("{to} receives from {from}"));
        self.call(to, |core, out| core.receive(NodeId(index(from) as u16 + 1), message, out));
    }

    /// It is lost.
    fn lose(&mut self, from: char, to: char) {
        self.take(from, to);
        self.say(&format!("from {from} to {to}: lost"));
    }

    fn take(&mut self, from: char, to: char) -> Message {
        let (from, to) = (index(from), index(to));
        let at =
            self.net.iter().position(|(a, b, _)| (*a, *b) == (from, to)).expect("a message is on its way");
        self.net.remove(at).2
    }

    /// What is on its way to a replica is delivered, and what it writes synced, until nothing is left.
    fn settle(&mut self) {
        while let Some((from, to, _)) = self.net.first() {
            let (from, to) = (name(*from), name(*to));
            self.deliver(from, to);
            self.sync_all();
        }
    }

    fn sync_all(&mut self) {
        while let Some(dirty) = self.nodes.iter().position(|node| node.synced < node.journal.len()) {
            self.sync(name(dirty));
        }
    }

    /// Loses what is not synced, and starts again from the rest.
    fn crash(&mut self, at: char) {
        let node = &mut self.nodes[index(at)];
        node.journal.truncate(node.synced);
        node.boot.count += 1;
        self.say(&format!("{at} crashes, and starts again as {}", self.who(at)));
        self.start(at, Vote::Voting);
    }

    /// Loses its disk, and starts with an empty one.
    fn wipe(&mut self, at: char) {
        let node = &mut self.nodes[index(at)];
        node.journal.clear();
        node.synced = 0;
        node.boot = Boot { disk: node.boot.disk + 1, count: 1 };
        self.say(&format!("{at} loses its disk, and starts with an empty one as {}", self.who(at)));
        self.start(at, Vote::LearnerOnly);
    }

    fn who(&self, at: char) -> String {
        originator(Originator { node: NodeId(index(at) as u16 + 1), boot: self.nodes[index(at)].boot })
    }

    fn start(&mut self, at: char, vote: Vote) {
        let me = index(at);
        let mut replay = Replay::new(Slot(0));
        let mut chosen = vec![];
        for (_, record) in &self.nodes[me].journal {
            replay.record(record.clone(), &mut chosen);
        }
        let mut restored = replay.finish();
        if restored.vote == Vote::Voting {
            restored.vote = vote;
        }
        for (slot, command) in chosen {
            self.say(&format!("    {at} finds slot {} chosen: {}", slot.0, value(&command)));
        }
        let open = restored.chosen.next().0;
        let accepted = restored.accepted.as_ref().map_or("nothing".into(), |(ballot, command)| {
            format!("{} {}", self::ballot(*ballot), value(command))
        });
        self.say(&format!(
            "    {at} starts at slot {open}, promised {}, accepted {accepted}",
            ballot(restored.promised)
        ));
        let mut core =
            Core::new(Originator { node: self.members[me], boot: self.nodes[me].boot }, 0, Limits::default());
        core.open(BUCKET, &self.members, restored).unwrap();
        self.nodes[me].core = core;
    }

    /// A read at `at` that hears of `others`.
    fn read(&mut self, at: char, others: &str) {
        let fresh = |script: &Self, at: char| script.nodes[index(at)].core.fresh(BUCKET);
        let own = fresh(self, at);
        let mut quorum = ReadQuorum::new(&self.members, self.members[index(at)], own);
        self.say(&format!("{at} reads, and asks {others}"));
        self.say(&format!("    {at} itself: {}", freshness(own)));
        for other in others.chars() {
            let answer = fresh(self, other);
            self.say(&format!("    {other} answers: {}", freshness(answer)));
            quorum.answer(self.members[index(other)], answer);
        }
        self.say(&format!("    verdict: {:?}", quorum.verdict()));
    }

    /// A learner asks for its floor.
    fn ask_floor(&mut self, at: char, others: &str) {
        for other in others.chars() {
            let touched = self.nodes[index(other)].core.touched(BUCKET).unwrap();
            self.say(&format!("{at} hears that {other} has touched slot {}", touched.0));
            let from = self.members[index(other)];
            self.call(at, |core, out| core.floor_answer(BUCKET, from, touched, out));
        }
    }

    /// What another replica knows to be chosen in a slot is handed over.
    fn learn(&mut self, at: char, slot: u64, from: char) {
        let records = self.nodes[index(from)].journal.iter().map(|(_, record)| record);
        let last = records.filter_map(|record| match record {
            Record::Accept { slot: of, command, .. } | Record::Chosen { slot: of, command }
                if of.0 == slot =>
            {
                Some(command.clone())
            }
            _ => None,
        });
        let command = last.last().unwrap();
        self.say(&format!("{at} fetches slot {slot} from {from}"));
        self.call(at, |core, out| core.learn(BUCKET, Slot(slot), command, out));
    }

    fn owner(&mut self, at: char) {
        let core = &self.nodes[index(at)].core;
        let owner = core.status(BUCKET).owner.map_or("nobody".into(), originator);
        let fast = if core.may_fast(BUCKET) { "may" } else { "may not" };
        self.say(&format!("    {at} takes {owner} for the owner, and {fast} skip phase one"));
    }

    /// Compares with the file, or writes it.
    fn expect(&self, file: &str) {
        let path = format!("{}/testdata/{file}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("TRACE_WRITE").is_some() {
            std::fs::write(&path, &self.text).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        for (number, (line, expected)) in self.text.lines().zip(written.lines()).enumerate() {
            assert_eq!(line, expected, "{file}:{}; all of it:\n{}", number + 1, self.text);
        }
        assert_eq!(self.text.len(), written.len(), "{file}; all of it:\n{}", self.text);
    }
}

fn index(name: char) -> usize {
    (name as u8 - b'A') as usize
}

fn name(index: usize) -> char {
    (b'A' + index as u8) as char
}

/// A1 is node A in its first start; A1' the same on its second disk.
fn originator(who: Originator) -> String {
    let disks = "'".repeat(who.boot.disk as usize);
    format!("{}{}{disks}", name(usize::from(who.node.0) - 1), who.boot.count)
}

fn ballot(ballot: Ballot) -> String {
    if ballot.is_some() { format!("{}.{}", ballot.round, originator(ballot.proposer())) } else { "-".into() }
}

fn value(command: &Command) -> String {
    match command.id {
        Some(id) => format!("{} of {}", String::from_utf8_lossy(&command.payload), originator(id.originator)),
        None => "no-op".into(),
    }
}

fn named(id: Option<CommandId>) -> String {
    id.map_or("no-op".into(), |id| format!("the value of {}", originator(id.originator)))
}

fn record(record: &Record) -> String {
    match record {
        Record::Promise { slot, ballot } => format!("slot {}: promised {}", slot.0, self::ballot(*ballot)),
        Record::Accept { slot, ballot, command } => {
            format!("slot {}: accepted {} {}", slot.0, self::ballot(*ballot), value(command))
        }
        Record::Chosen { slot, command } => format!("slot {}: chosen {}", slot.0, value(command)),
        Record::Floor { slot } => format!("votes from slot {} on", slot.0),
        Record::Installed { slot } => format!("took over all slots through {}", slot.0),
    }
}

fn message(message: &Message) -> String {
    let Message { slot, promised, accepted, durable, chosen, missing, known, chosen_through, .. } = message;
    let accepted = accepted.as_ref().map_or("nothing".into(), |accepted| match &accepted.command {
        Some(command) => format!("{} {}", ballot(accepted.ballot), value(command)),
        None => format!("{} {} (by name)", ballot(accepted.ballot), named(accepted.id)),
    });
    let kind = match (durable, chosen, missing) {
        (_, true, _) => "decision",
        (_, _, true) => "lacks the value",
        (true, ..) => "vote",
        (false, ..) => "request",
    };
    let Known { promised: p, accepted: a } = known;
    let known = if *known == Known::default() {
        String::new()
    } else {
        format!("; you: {}, {}", ballot(*p), ballot(*a))
    };
    format!(
        "{kind}, slot {}: promised {}, accepted {accepted}{known}; chosen through {}",
        slot.0,
        ballot(*promised),
        chosen_through.0
    )
}

fn event(event: &Event) -> String {
    match event {
        Event::Chosen { slot, command, .. } => format!("slot {} is chosen: {}", slot.0, value(command)),
        Event::ProposalEnded { outcome: ProposalOutcome::ChosenAt(slot), .. } => {
            format!("its proposal is chosen at slot {}", slot.0)
        }
        Event::ProposalEnded { outcome, .. } => format!("its proposal ends: {outcome:?}"),
        Event::Behind { peer, through, .. } => {
            format!("is behind {}, which has slots through {}", name(usize::from(peer.0) - 1), through.0)
        }
        Event::PeerBehind { peer, chosen, .. } => {
            format!("{} is behind, at slot {}", name(usize::from(peer.0) - 1), chosen.0)
        }
        Event::Backoff { attempt, .. } => format!("backs off after {attempt} prepares"),
        Event::VotingFrom { slot, .. } => format!("votes from slot {} on", slot.0),
    }
}

fn freshness(fresh: Freshness) -> String {
    let Freshness { chosen, accepted_next, voting } = fresh;
    let accepted = if accepted_next { "something" } else { "nothing" };
    let voting = if voting { "" } else { ", and does not vote" };
    format!("chosen through {}, {accepted} accepted after{voting}", chosen.0)
}

#[test]
fn fast_accept() {
    let mut s = Script::new(3);
    s.note(
        "A founded the group, so slot 1 is its own: no phase one. The question leaves before A's own sync.",
    );
    s.propose('A', "x");
    s.note("B votes. Its answer waits for its disk.");
    s.deliver('A', 'B');
    s.sync('B');
    s.note("One vote. A's own is not synced yet, so it does not count.");
    s.deliver('B', 'A');
    s.note(
        "Now there are two of three. B and C hear the decision, by the value's name, as both were sent it.",
    );
    s.sync('A');
    s.deliver('A', 'B');
    s.note("C hears the decision before the question. It does not hold the value: it is to fetch it, or the question brings it.");
    let question = s.take('A', 'C');
    s.deliver('A', 'C');
    s.sync_all();
    s.net.push((index('A'), index('C'), question));
    s.deliver('A', 'C');
    s.note("Everybody knows who owns slot 2. A uses that.");
    s.owner('A');
    s.owner('B');
    s.propose('A', "y");
    s.sync_all();
    s.settle();
    s.expect("fast_accept.txt");
}

#[test]
fn recovery() {
    let mut s = Script::new(3);
    s.note("A asks for votes for x at slot 1, and crashes before its own sync. C has not heard of it.");
    s.propose('A', "x");
    s.deliver('A', 'B');
    s.sync('B');
    s.lose('A', 'C');
    s.lose('B', 'A');
    s.crash('A');
    s.note(
        "The new start is another originator: slot 1 is not its own, and it never uses that ballot again.",
    );
    s.owner('A');
    s.note("A read at C hears of one vote: with A's it would be a decision. C must see to it that slot 1 is decided.");
    s.read('C', "B");
    s.note("C wants z. It does not own slot 1, so it prepares.");
    s.propose('C', "z");
    s.lose('C', 'A');
    s.deliver('C', 'B');
    s.sync_all();
    s.note("B's promise tells of x. C proposes x, under A's name, in place of z.");
    s.deliver('B', 'C');
    s.lose('C', 'A');
    s.deliver('C', 'B');
    s.sync_all();
    s.note("x is chosen at slot 1; z goes on at slot 2. Nobody owns that: x is of A1, and A is A2 now.");
    s.deliver('B', 'C');
    s.owner('C');
    s.settle();
    s.sync_all();
    s.settle();
    s.expect("recovery.txt");
}

#[test]
fn ownership() {
    let mut s = Script::new(5);
    s.note("A asks for votes for x at slot 1. B and C vote; their answers are slow.");
    s.propose('A', "x");
    s.sync('A');
    s.deliver('A', 'B');
    s.sync('B');
    s.deliver('A', 'C');
    s.sync('C');
    s.lose('A', 'D');
    s.lose('A', 'E');
    s.note("E wants z. C, D and itself promise; C tells of x, so x is what E proposes.");
    s.propose('E', "z");
    s.sync('E');
    s.deliver('E', 'C');
    s.sync('C');
    s.deliver('E', 'D');
    s.sync('D');
    s.deliver('C', 'E');
    s.deliver('D', 'E');
    s.sync('E');
    s.lose('E', 'A');
    s.lose('E', 'B');
    s.deliver('E', 'C');
    s.sync('C');
    s.deliver('E', 'D');
    s.sync('D');
    s.deliver('C', 'E');
    s.deliver('D', 'E');
    s.note("E's ballot won slot 1. Meanwhile the slow answers complete A's ballot at A: it won as well.");
    s.deliver('B', 'A');
    s.deliver('C', 'A');
    s.note(
        "Both hold x, and x is of A1: A owns slot 2 and E does not. E, which has z left, has prepared there.",
    );
    s.owner('A');
    s.owner('E');
    s.expect("ownership.txt");
}

#[test]
fn floor() {
    let mut s = Script::new(3);
    s.note("x is chosen at slot 1.");
    s.propose('A', "x");
    s.sync_all();
    s.settle();
    s.note("C promises a ballot of its own at slot 2. Nobody hears of it, and C loses its disk.");
    s.propose('C', "z");
    s.sync('C');
    s.lose('C', 'A');
    s.lose('C', 'B');
    s.wipe('C');
    s.note("C takes no part; in a read it does not count itself.");
    s.read('C', "A");
    s.note(
        "Both others tell what they have touched: T = 1, and C may have voted at slot 2 for all they know.",
    );
    s.ask_floor('C', "AB");
    s.sync('C');
    s.note("Slot 2 is decided by A and B.");
    s.propose('A', "y");
    s.sync_all();
    s.settle();
    s.note("C fetches what it lacks. From slot 3 on it votes.");
    s.learn('C', 1, 'A');
    s.learn('C', 2, 'A');
    s.sync_all();
    s.propose('A', "w");
    s.lose('A', 'B');
    s.sync_all();
    s.settle();
    s.read('C', "A");
    s.expect("floor.txt");
}

/// What PROTOCOL.md shows of a trace is what the trace is.
#[test]
fn protocol_md_quotes_traces() {
    let root = env!("CARGO_MANIFEST_DIR");
    let text = std::fs::read_to_string(format!("{root}/PROTOCOL.md")).unwrap();
    let traces: Vec<String> = std::fs::read_dir(format!("{root}/testdata"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let quotes: Vec<&str> =
        text.split("```trace\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!quotes.is_empty());
    for quote in quotes {
        assert!(traces.iter().any(|trace| trace.contains(quote)), "no trace has:\n{quote}");
    }
}
