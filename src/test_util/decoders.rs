//! Every decoder of this crate, for fuzzing and for the replay of what fuzzing starts from.
//!
//! Most bytes come with a checksum, which keeps nearly everything out. Those decoders are tried with the bytes as they are, and once
//! more with the checksums put right.

use std::path::Path;

use bytes::{Buf, Bytes};
use thermocline_paxos::{
    Accepted, Ballot, Boot, Bucket, Command, CommandId, Known, Message, NodeId, Originator, Record, Slot,
};
pub use thermocline_tiers::decoders::Decoder;
use thermocline_tiers::disk::{Disk, MemoryDisk, OpenMode};
use thermocline_tiers::hot::state::Digest;

use crate::Config;
use crate::error::Error;
use crate::key::{Key, Position, Version};
use crate::node::command::{self, Change, EntryKind};
use crate::node::holes::Holes;
use crate::node::identity::{Amnesia, Identity};
use crate::node::lives::{Life, Lived, Lives, Reach};
use crate::node::stream::{Commands, StreamPart, Streamed};
use crate::node::wire::{self, BucketPiece, Founding, Item, ProbeException};
use crate::node::witnessed::Witnessed;
use crate::node::{record_codec, request_codec};
use crate::request::{Answer, Ask, Consistency, Expect, Mutation, Request, ScanQuery};
use crate::store::{Cursor, Order};
use crate::token::{Resolution, Token};
use crate::topology::Topology;
use crate::transport::frame::{self, HEADER_BYTES, Kind};
use crate::transport::handshake::Greeting;

#[cfg(feature = "server")]
mod text;

/// Those of the storage tiers, and those of the node.
pub fn all() -> Vec<Decoder> {
    let mut all = thermocline_tiers::decoders::ALL.to_vec();
    all.extend([
        Decoder { name: "frame", decode: frame, seeds: frame_seeds },
        Decoder { name: "greeting", decode: greeting, seeds: greeting_seeds },
        Decoder { name: "item", decode: item, seeds: item_seeds },
        Decoder { name: "request", decode: request, seeds: request_seeds },
        Decoder { name: "outcome", decode: outcome, seeds: outcome_seeds },
        Decoder { name: "record", decode: record, seeds: record_seeds },
        Decoder { name: "entry", decode: entry, seeds: entry_seeds },
        Decoder { name: "identity", decode: identity, seeds: identity_seeds },
        Decoder { name: "token", decode: token, seeds: token_seeds },
        Decoder { name: "cursor", decode: cursor, seeds: cursor_seeds },
        Decoder { name: "topology", decode: topology, seeds: topology_seeds },
        Decoder { name: "config", decode: config, seeds: config_seeds },
    ]);
    #[cfg(feature = "server")]
    all.extend([
        Decoder { name: "resp", decode: text::resp, seeds: text::resp_seeds },
        Decoder { name: "csv", decode: text::csv, seeds: text::csv_seeds },
        Decoder { name: "jsonl", decode: text::jsonl, seeds: text::jsonl_seeds },
    ]);
    all
}

/// The longest frame that is taken.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// A stream of frames, which comes in three pieces.
pub fn frame(bytes: &[u8]) {
    let mut right = bytes.to_vec();
    reseal_frames(&mut right);
    for bytes in [bytes, &right] {
        let mut decoder = frame::Decoder::new(FRAME_BYTES_MAX);
        for piece in bytes.chunks(bytes.len() / 3 + 1) {
            decoder.buffer().extend_from_slice(piece);
            loop {
                match decoder.next() {
                    Ok(Some(body)) => {
                        let again = frame::encode(Kind::Body, &body, FRAME_BYTES_MAX)
                            .map_err(|error| error.to_string());
                        assert!(
                            again.is_ok_and(|again| bytes.windows(again.len()).any(|found| found == again))
                        );
                    }
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
        }
    }
}

/// Puts the checksums of frames right, as far as there are any.
fn reseal_frames(bytes: &mut [u8]) {
    let mut rest = bytes;
    while let Some((header, body)) = rest.split_first_chunk_mut::<HEADER_BYTES>() {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let Some((body, more)) = body.split_at_mut_checked(length) else { return };
        header[8..12].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        let checksum = crc32fast::hash(&header[..12]);
        header[12..].copy_from_slice(&checksum.to_le_bytes());
        rest = more;
    }
}

/// The first frame of a connection.
pub fn greeting(bytes: &[u8]) {
    let mut right = bytes.to_vec();
    reseal_frames(&mut right);
    let read = |bytes: &[u8]| {
        let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let header = Greeting::header(header).ok()?;
        Greeting::decode(header, body.get(..header.body_bytes)?).ok()
    };
    for bytes in [bytes, &right] {
        let Some(found) = read(bytes) else { continue };
        if matches!(found, Greeting::Foreign(_)) {
            continue;
        }
        let again = found.encode().ok().and_then(|bytes| read(&bytes));
        assert_eq!(again, Some(found));
    }
}

/// The body of a frame between nodes.
pub fn item(bytes: &[u8]) {
    let mut body = Bytes::copy_from_slice(bytes);
    while let Ok(Some(found)) = wire::take(&mut body) {
        if let Item::StreamPart(part) = &found {
            streamed(&part.commands);
        }
        let mut again = Vec::new();
        wire::put(&mut again, &found);
        let mut again = Bytes::from(again);
        assert_eq!(wire::take(&mut again).as_ref(), Ok(&Some(found)));
        assert!(again.is_empty());
    }
}

/// The commands of a part, which who catches up reads later than the frame.
fn streamed(commands: &Commands) {
    let mut taken = Vec::new();
    let whole = commands.clone().take(usize::MAX, &mut taken).is_ok();
    let again: Commands = taken.into_iter().collect();
    assert!(commands.as_bytes().starts_with(again.as_bytes()));
    assert!(!whole || commands.as_bytes().len() == again.as_bytes().len());
}

/// A request that is passed on.
pub fn request(bytes: &[u8]) {
    if let Ok(found) = request_codec::decode_request(Bytes::copy_from_slice(bytes)) {
        let again = request_codec::encode_request(&found);
        assert_eq!(request_codec::decode_request(again.into()), Ok(found));
    }
}

/// What became of a request that was passed on.
pub fn outcome(bytes: &[u8]) {
    if let Ok(found) = request_codec::get_outcome(&mut Bytes::copy_from_slice(bytes)) {
        let mut again = Vec::new();
        request_codec::put_outcome(&mut again, &found);
        // A peer that is closing is one that is not there.
        assert_eq!(request_codec::get_outcome(&mut Bytes::from(again)), Ok(found));
    }
}

/// A record of the core in the journal: kind, slot, payload.
pub fn record(bytes: &[u8]) {
    let mut payload = Bytes::copy_from_slice(bytes);
    if payload.len() < 9 {
        return;
    }
    let (kind, slot) = (payload.get_u8(), Slot(payload.get_u64_le()));
    if let Ok(found) = record_codec::decode(kind, slot, payload) {
        let mut again = Vec::new();
        record_codec::encode(&mut again, &found);
        assert_eq!(record_codec::head(&found), (kind, slot));
        assert_eq!(record_codec::decode(kind, slot, again.into()), Ok(found));
    }
}

/// A command: one entry behind the other.
pub fn entry(bytes: &[u8]) {
    let owned = |change: Change<'_>| match change {
        Change::Put { position, value, expires_at, expect } => {
            Mutation::Put { position, value: Bytes::copy_from_slice(value), expires_at, expect }
        }
        Change::Delete { position, expect } => Mutation::Delete { position, expect },
        Change::Trim { through } => Mutation::Trim { through },
    };
    for found in command::entries(bytes).flatten() {
        let id = found.token;
        let token = Token { client: id.client, counter: id.counter, bucket: 0, born: id.born };
        let EntryKind::Write { entity, mutations, asked_ms } = found.kind else {
            assert!(command::single(&command::encode_burn(&token)).is_ok_and(|again| again.token == id));
            continue;
        };
        let mutations: Vec<Mutation> = mutations.map(owned).collect();
        let again = command::encode_write(&token, entity, &mutations, asked_ms);
        let Ok(again) = command::single(&again) else { panic!("an entry that was read cannot be written") };
        let EntryKind::Write { entity: same, mutations: changes, asked_ms: asked_again } = again.kind else {
            panic!("it was a write")
        };
        assert_eq!((again.token, same, asked_again), (id, entity, asked_ms));
        assert_eq!(changes.map(owned).collect::<Vec<_>>(), mutations);
    }
}

/// The file that says whose a directory is; and the same bytes as the one that says what of its journal counts for nothing.
pub fn identity(bytes: &[u8]) {
    let mut right = bytes.to_vec();
    if let Some((head, rest)) = right.split_at_mut_checked(16) {
        head[8..12].copy_from_slice(&(rest.len() as u32).to_le_bytes());
        head[12..].copy_from_slice(&crc32fast::hash(rest).to_le_bytes());
    }
    let mut holes = right.clone();
    if let Some((magic, _)) = holes.split_at_mut_checked(8) {
        magic.copy_from_slice(b"TCHOLES1");
    }
    let disk_with = |name: &str, bytes: &[u8]| {
        let disk = MemoryDisk::new(1);
        let file = disk.open(Path::new(name), OpenMode::CreateNew);
        assert!(file.and_then(|file| file.write_all_at(bytes, 0)).is_ok());
        disk
    };
    for bytes in [bytes, &right] {
        let disk = disk_with("identity", bytes);
        let Ok(Some(found)) = Identity::read(&disk) else { continue };
        assert!(found.write(&disk).is_ok());
        assert_eq!(Identity::read(&disk), Ok(Some(found)));
    }
    let disk = disk_with("holes", &holes);
    if let Ok(found) = Holes::read(&disk) {
        assert!(found.write(&disk).is_ok());
        assert_eq!(Holes::read(&disk), Ok(found));
    }
}

/// A token as text.
pub fn token(bytes: &[u8]) {
    if let Some(found) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<Token>().ok()) {
        assert_eq!(found.to_string().parse(), Ok(found));
    }
}

/// A cursor, as bytes and as text.
pub fn cursor(bytes: &[u8]) {
    if let Ok(found) = Cursor::from_bytes(bytes) {
        assert_eq!(Cursor::from_bytes(&found.to_bytes()), Ok(found));
    }
    if let Some(found) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<Cursor>().ok()) {
        assert_eq!(found.to_string().parse(), Ok(found));
    }
}

/// A topology file.
pub fn topology(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(found) = Topology::from_toml(text) {
        assert_eq!(found.validate(), Ok(()), "what is read has been checked");
        assert!((0..found.groups()).all(|group| found.nodes_of(group).count() > 0));
    }
}

/// A configuration file.
pub fn config(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Config::from_toml(text);
    }
}

fn a_ballot() -> Ballot {
    Ballot { round: 3, node: NodeId(2), boot: Boot { disk: 77, count: 5 } }
}

fn a_command() -> Command {
    let originator = Originator { node: NodeId(2), boot: Boot { disk: 77, count: 5 } };
    let put = Mutation::Put {
        position: Position::dated(1000, 2),
        value: Bytes::from_static(b"value"),
        expires_at: Some(9),
        expect: Expect::Version(Version(3)),
    };
    let payload =
        command::encode_write(&a_token(), b"entity", &[put, Mutation::Trim { through: 5 }], Some(4));
    Command { id: Some(CommandId { originator, sequence: 8 }), heir: Some(originator), payload }
}

fn a_token() -> Token {
    Token { client: 7, counter: 8, bucket: 3, born: 9 }
}

fn frame_seeds() -> Vec<Vec<u8>> {
    let one = |body: &[u8]| frame::encode(Kind::Body, body, FRAME_BYTES_MAX).unwrap_or_default();
    vec![one(b"a body"), [one(b""), one(&item_seeds().concat())].concat()]
}

fn greeting_seeds() -> Vec<Vec<u8>> {
    let refusal = crate::transport::handshake::Refusal {
        field: "cluster".into(),
        dialler: "a".into(),
        acceptor: "b".into(),
    };
    let hello = crate::transport::handshake::Hello {
        protocol: crate::transport::handshake::PROTOCOL_VERSION,
        cluster: "a".into(),
        node: crate::transport::NodeId(1),
        boot: crate::transport::handshake::Boot { disk: 5, count: 1 },
        worker: 0,
        workers: 2,
        buckets: 1024,
        window_span_ms: 1000,
        table_id: 1,
        replicas: 3,
        epoch: 1,
        groups: 1,
    };
    let greetings = [Greeting::Hello(hello.clone()), Greeting::Welcome(hello), Greeting::Refusal(refusal)];
    greetings.iter().filter_map(|greeting| greeting.encode().ok()).collect()
}

fn item_seeds() -> Vec<Vec<u8>> {
    let (bucket, slot) = (Bucket(4), Slot(9));
    let command = a_command();
    let message = Message {
        bucket,
        slot,
        promised: a_ballot(),
        accepted: Some(Accepted { ballot: a_ballot(), id: command.id, command: Some(command.clone()) }),
        durable: true,
        chosen: false,
        missing: false,
        known: Known { promised: a_ballot(), accepted: Ballot::ZERO },
        chosen_through: Slot(8),
    };
    let exception = ProbeException { bucket, chosen: slot, accepted_next: true, voting: true };
    let get = Request { ask: Ask::Get(Key::undated("e")), deadline_ms: 5, consistency: Consistency::Stale };
    let founding = Founding { disk: 5, intent: Some(vec![(1, 5)]), members: None };
    let reach = Reach { generation: 1, offset: 2 };
    let heads = vec![Lived { id: 6, synced: reach }];
    let witnessed = Witnessed {
        disk: 5,
        heads,
        over: vec![Lived { id: 3, synced: reach }],
        retired: vec![4],
        hears: 8,
        ..Witnessed::default()
    };
    let commands = [Streamed { bucket, slot, command: command.clone() }].into_iter().collect();
    let part = StreamPart { stream: 1, part: 2, commands, ended: true };
    let items = [
        Item::Paxos(message),
        Item::Probe { round: 1, buckets: vec![(bucket, slot)] },
        Item::ProbeAnswer { round: 1, exceptions: vec![exception] },
        Item::Forward { call: 1, hops: 2, request: get },
        Item::ForwardWrite {
            call: 1,
            hops: 1,
            deadline_ms: 3,
            bucket,
            heir: Some(a_ballot().boot),
            entry: command.payload.clone(),
        },
        Item::ForwardAnswer { call: 1, outcome: Ok(Answer::Written(Version(4))) },
        Item::Fetch { bucket, from: slot, through: slot },
        Item::FetchAnswer { bucket, from: slot, commands: vec![command.clone(), command], chosen: slot },
        Item::StreamAsk { stream: 1, of: 2, buckets: vec![(bucket, slot)] },
        Item::StreamNext { stream: 1, part: 2, through: 3, again: true },
        Item::StreamPart(part),
        Item::Hint { bucket, chosen: slot },
        Item::Founding(founding),
        Item::FloorAsk { nonce: 1, buckets: vec![bucket] },
        Item::FloorAnswer { nonce: 1, buckets: vec![(bucket, slot, slot)], learning: vec![(bucket, slot)] },
        Item::Nudge { who: wire::Who::OwnerOrYou, buckets: vec![bucket] },
        Item::Life(Life { disk: 5, id: 6, parent: 3, recovered: reach, synced: reach, hears: 8 }),
        Item::Witnessed(vec![(NodeId(2), witnessed)]),
        Item::Accounts(vec![Lived { id: 6, synced: reach }]),
        Item::CopyAsk { session: 1, bucket, chunk: 0, at_least: slot },
        Item::Copy(BucketPiece {
            session: 1,
            bucket,
            chunk: 0,
            at: slot,
            digest: Digest(7),
            sum: 8,
            last: true,
            body: Bytes::from_static(b"piece"),
        }),
        Item::CopyRefused { session: 1, bucket },
        Item::AuditAsk { round: 1, buckets: vec![bucket] },
        Item::AuditAnswer { round: 1, findings: Vec::new() },
        Item::Repair { bucket, at: slot, source: NodeId(2) },
        Item::Address { epoch: 1, address: "a:1".into() },
    ];
    let encoded = |item: &Item| {
        let mut out = Vec::new();
        wire::put(&mut out, item);
        out
    };
    items.iter().map(encoded).collect()
}

fn request_seeds() -> Vec<Vec<u8>> {
    let scan = ScanQuery {
        entity: Bytes::from_static(b"e"),
        from: Position::Undated,
        to: Position::dated(9, 9),
        newest_first: true,
        limit_records: 5,
        limit_bytes: 50,
    };
    let asks = [
        Ask::Get(Key::new("e", 5, 6)),
        Ask::Scan(scan),
        Ask::Resolve(a_token()),
        Ask::NewToken { entity: Bytes::from_static(b"e") },
    ];
    let request = |ask| Request { ask, deadline_ms: 100, consistency: Consistency::Linearizable };
    asks.map(|ask| request_codec::encode_request(&request(ask))).to_vec()
}

fn outcome_seeds() -> Vec<Vec<u8>> {
    let record = crate::key::Record {
        key: Key::new("e", 5, 6),
        value: Bytes::from_static(b"v"),
        version: Version(3),
        expires_at: Some(8),
    };
    let outcomes = [
        Ok(Answer::Written(Version(3))),
        Ok(Answer::Got(None)),
        Ok(Answer::Got(Some(record.clone()))),
        Ok(Answer::Page { records: vec![record.clone(), record], end: true }),
        Ok(Answer::Resolved(Resolution::Committed(Version(4)))),
        Ok(Answer::Token(a_token())),
        Ok(Answer::Expired { chosen: 5 }),
        Err(Error::Conflict { current: Some(Version(2)) }),
        Err(Error::Contended),
        Err(Error::Unknown(a_token())),
        Err(Error::invalid("what", "value", "bound")),
        Err(Error::Unavailable { reason: "reason".into() }),
        Err(Error::Corrupt { what: "what".into() }),
    ];
    let encoded = |outcome| {
        let mut out = Vec::new();
        request_codec::put_outcome(&mut out, outcome);
        out
    };
    outcomes.iter().map(encoded).collect()
}

fn record_seeds() -> Vec<Vec<u8>> {
    let slot = Slot(9);
    let records = [
        Record::Promise { slot, ballot: a_ballot() },
        Record::Accept { slot, ballot: a_ballot(), command: a_command() },
        Record::Chosen { slot, command: a_command() },
        Record::Floor { slot },
    ];
    let encoded = |record: &Record| {
        let (kind, slot) = record_codec::head(record);
        let mut out = vec![kind];
        out.extend_from_slice(&slot.0.to_le_bytes());
        record_codec::encode(&mut out, record);
        out
    };
    records.iter().map(encoded).collect()
}

fn entry_seeds() -> Vec<Vec<u8>> {
    vec![a_command().payload.to_vec(), [&command::encode_burn(&a_token())[..], &a_command().payload].concat()]
}

fn identity_seeds() -> Vec<Vec<u8>> {
    let mut lives = Lives::default();
    lives.begin(6, Reach::default(), &[]);
    lives.begin(7, Reach { generation: 1, offset: 2 }, &[]);
    let identity = Identity {
        cluster: "a".into(),
        node: 1,
        disk: 5,
        buckets: 1024,
        window_span_ms: 1000,
        table: 1,
        parts: 2,
        boots: 3,
        intent: Some(vec![(1, 5), (2, 6)]),
        founding: None,
        lives,
        amnesia: Amnesia {
            everywhere: false,
            buckets: vec![3, 4],
            behind: Reach { generation: 1, offset: 2 },
        },
    };
    let disk = MemoryDisk::new(1);
    let mut bytes = Vec::new();
    if identity.write(&disk).is_ok()
        && let Ok(file) = disk.open(Path::new("identity"), OpenMode::Read)
    {
        bytes = vec![0; file.len().unwrap_or_default() as usize];
        assert!(file.read_exact_at(&mut bytes, 0).is_ok());
    }
    vec![bytes]
}

fn token_seeds() -> Vec<Vec<u8>> {
    vec![a_token().to_string().into_bytes()]
}

fn cursor_seeds() -> Vec<Vec<u8>> {
    let at = |order| Cursor::at(&Key::new("e", 5, 6), order).ok();
    let cursors = [at(Order::NewestFirst), at(Order::OldestFirst)];
    let both = |cursor: Cursor| [cursor.to_bytes().to_vec(), cursor.to_string().into_bytes()];
    cursors.into_iter().flatten().flat_map(both).collect()
}

fn topology_seeds() -> Vec<Vec<u8>> {
    let node = |id: u16| {
        format!(
            "[[node]]\nid = {id}\nzone = \"z{id}\"\naddress = \"127.0.0.1:{}\"\nredis = \"127.0.0.1:{}\"\n",
            7000 + id,
            6000 + id
        )
    };
    let head = "cluster = \"a\"\nepoch = 1\nreplicas = 3\nbuckets = 1024\nwindow_ms = 86400000\n\n";
    vec![format!("{head}{}{}{}", node(1), node(2), node(3)).into_bytes()]
}

fn config_seeds() -> Vec<Vec<u8>> {
    vec![b"directory = \"data\"\nworkers = 2\nvalue_bytes_max = 65536\n".to_vec()]
}
