//! The front against an embedded store, over a stream in memory.

use bytes::{Bytes, BytesMut};
use redis_protocol::resp3::decode::complete::decode as decode3;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::id::{Id, Wanted};
use super::reply::{Protocol, Reply};
use super::*;
use crate::key::{Key, Version};
use crate::{Config, Error};

struct Client {
    stream: DuplexStream,
    store: Store,
    _directory: tempfile::TempDir,
}

impl Client {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Config::embedded(directory.path())).await.unwrap();
        let (stream, other) = tokio::io::duplex(1 << 16);
        tokio::spawn(connection(other, store.clone(), Limits::default()));
        Self { stream, store, _directory: directory }
    }

    /// Sends words as a request and checks the bytes of the reply.
    async fn expect(&mut self, request: &str, reply: &str) {
        let words: Vec<_> = request.split(' ').map(str::as_bytes).collect();
        self.stream.write_all(&encoded(&words)).await.unwrap();
        self.expect_bytes(reply).await;
    }

    async fn expect_bytes(&mut self, reply: &str) {
        let mut got = vec![0; reply.len()];
        let mut filled = 0;
        while filled < got.len() && reply.as_bytes()[..filled] == got[..filled] {
            match self.stream.read(&mut got[filled..]).await.unwrap() {
                0 => break,
                more => filled += more,
            }
        }
        assert_eq!(got[..filled].escape_ascii().to_string(), reply.as_bytes().escape_ascii().to_string());
    }

    async fn close(self) {
        drop(self.stream);
        self.store.close().await;
    }
}

fn encoded(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[tokio::test]
async fn strings() {
    let mut client = Client::new().await;
    client.expect("GET a", "$-1\r\n").await;
    client.expect("set a 1", "+OK\r\n").await;
    client.expect("GET a", "$1\r\n1\r\n").await;
    client.expect("SET a 2 NX", "$-1\r\n").await;
    client.expect("SET a 2 xx", "+OK\r\n").await;
    client.expect("SET b 3 XX", "$-1\r\n").await;
    client.expect("SET b 3 NX", "+OK\r\n").await;
    client.expect("MGET a nothing b", "*3\r\n$1\r\n2\r\n$-1\r\n$1\r\n3\r\n").await;
    client.expect("EXISTS a a b c", ":3\r\n").await;
    client.expect("DEL a b c", ":2\r\n").await;
    client.expect("MGET a b", "*2\r\n$-1\r\n$-1\r\n").await;
    client.expect("SET a 1 EX 5", "-ERR SET option EX is not supported; NX and XX are\r\n").await;
    client.expect("SET a 1 NX GET", "-ERR SET: 'GET' is not supported beside NX or XX\r\n").await;
    client.expect("SET a 1 FOO", "-ERR syntax error: SET option 'FOO' is not known\r\n").await;
    client.expect("GET a", "$-1\r\n").await;
    client.close().await;
}

#[tokio::test]
async fn versions() {
    let mut client = Client::new().await;
    client.expect("TC.GET a", "*-1\r\n").await;
    client.expect("TC.CAS a 7 x", "-CONFLICT 0\r\n").await;
    client.stream.write_all(&encoded(&[b"TC.CAS", b"a", b"0", b"x"])).await.unwrap();
    assert_eq!(client.stream.read_u8().await.unwrap(), b':');
    let mut rest = [0; 64];
    let length = client.stream.read(&mut rest).await.unwrap();
    let version: u64 = std::str::from_utf8(&rest[..length]).unwrap().trim().parse().unwrap();
    assert_eq!(client.store.get(&Key::undated("a")).await.unwrap().unwrap().version, Version(version));
    client.expect("TC.GET a", &format!("*2\r\n$1\r\nx\r\n:{version}\r\n")).await;
    client.expect("TC.CAS a 0 y", &format!("-CONFLICT {version}\r\n")).await;
    client.expect(&format!("TC.CAS a {} y", version + 1), &format!("-CONFLICT {version}\r\n")).await;
    client
        .expect("TC.CAS a x y", "-ERR invalid version: 'x'; must be 0 (no value) or a version of TC.GET\r\n")
        .await;
    client.expect("GET a", "$1\r\nx\r\n").await;
    client.close().await;
}

#[tokio::test]
async fn outcomes_by_token() {
    let mut client = Client::new().await;
    let token = client.store.new_token("a").await.unwrap();
    let version = client.store.put(&Key::undated("a"), "x").token(token).await.unwrap();
    let reply = format!("*2\r\n$9\r\nCOMMITTED\r\n:{version}\r\n");
    client.expect(&format!("TC.RESOLVE {token}"), &reply).await;
    client
        .expect(
            "TC.RESOLVE x",
            "-ERR invalid token: \"x\"; must be client-counter-bucket-born in hexadecimal\r\n",
        )
        .await;
    client.close().await;
}

#[tokio::test]
async fn streams() {
    let mut client = Client::new().await;
    client.expect("XADD s 5-1 f v", "$3\r\n5-1\r\n").await;
    client.expect("XADD s 5-1 f v", "-ERR the ID specified in XADD exists already\r\n").await;
    client.expect("XADD s 5-* f w g h", "$3\r\n5-2\r\n").await;
    client.expect("XADD s 4-* f u", "$3\r\n4-0\r\n").await;
    client.expect("XADD s 3 f t", "$3\r\n3-0\r\n").await;
    client.expect("XLEN s", ":4\r\n").await;
    let (e3, e4) = (
        "*2\r\n$3\r\n3-0\r\n*2\r\n$1\r\nf\r\n$1\r\nt\r\n",
        "*2\r\n$3\r\n4-0\r\n*2\r\n$1\r\nf\r\n$1\r\nu\r\n",
    );
    let e51 = "*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
    let e52 = "*2\r\n$3\r\n5-2\r\n*4\r\n$1\r\nf\r\n$1\r\nw\r\n$1\r\ng\r\n$1\r\nh\r\n";
    client.expect("XRANGE s - +", &format!("*4\r\n{e3}{e4}{e51}{e52}")).await;
    client.expect("XREVRANGE s + - COUNT 2", &format!("*2\r\n{e52}{e51}")).await;
    client.expect("XRANGE s (3-0 5-1", &format!("*2\r\n{e4}{e51}")).await;
    client.expect("XRANGE s 5 5", &format!("*2\r\n{e51}{e52}")).await;
    client.expect("XREVRANGE s (5-2 4", &format!("*2\r\n{e51}{e4}")).await;
    client.expect("XRANGE s 6 +", "*0\r\n").await;
    client.expect("XRANGE s + -", "*0\r\n").await;
    client.expect("XRANGE s - + COUNT 0", "*0\r\n").await;
    client.expect("XRANGE nothing - +", "*0\r\n").await;
    client.expect("XDEL s 5-1 5-1 9-9", ":1\r\n").await;
    client.expect("XLEN s", ":3\r\n").await;
    client.expect("XADD s 6-1 f", "-ERR wrong number of arguments for 'xadd' command\r\n").await;
    client
        .expect(
            "XADD s 6-1 f v g",
            "-ERR wrong number of arguments for 'xadd' command: each field needs a value\r\n",
        )
        .await;
    client.expect("XADD s x f v", "-ERR invalid stream ID 'x'; must be ms-seq, ms-* or *\r\n").await;
    client.expect("XADD s MAXLEN 5 1-1 f v", "-ERR XADD option MAXLEN is not supported\r\n").await;
    // The string of the same name is another record.
    client.expect("GET s", "$-1\r\n").await;
    client.close().await;
}

#[tokio::test]
async fn automatic_ids_grow_even_behind_an_entry_from_the_future() {
    let mut client = Client::new().await;
    let future = 99_999_999_999_999_u64;
    client.expect(&format!("XADD s {future}-7 f v"), &format!("$16\r\n{future}-7\r\n")).await;
    client.expect("XADD s * f v", &format!("$16\r\n{future}-8\r\n")).await;
    client.expect("XADD s * f v", &format!("$16\r\n{future}-9\r\n")).await;
    let last = format!("{}-{}", u64::MAX, u64::MAX);
    client.expect(&format!("XADD s {last} f v"), &format!("$41\r\n{last}\r\n")).await;
    client.expect("XADD s * f v", "-ERR invalid stream ID: *; must be an ID behind the newest entry").await;
    client.close().await;
}

#[tokio::test]
async fn clients_that_add_to_one_stream_at_the_same_time_all_succeed() {
    let client = Client::new().await;
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let store = client.store.clone();
        tasks.spawn(async move {
            let (stream, other) = tokio::io::duplex(1 << 16);
            let serving = tokio::spawn(connection(other, store, Limits::default()));
            let (mut read, mut write) = tokio::io::split(stream);
            write.write_all(&encoded(&[b"XADD", b"s", b"*", b"f", b"v"]).repeat(4)).await.unwrap();
            let mut ids = Vec::new();
            let mut reply = String::new();
            while ids.len() < 4 {
                let byte = read.read_u8().await.unwrap();
                reply.push(char::from(byte));
                if reply.ends_with("\r\n") {
                    assert!(!reply.starts_with('-'), "{reply}");
                    if !reply.starts_with('$') {
                        ids.push(Id::parse(reply.trim_end().as_bytes(), 0).unwrap());
                    }
                    reply.clear();
                }
            }
            drop((read, write));
            serving.await.unwrap().unwrap();
            ids
        });
    }
    let mut all = Vec::new();
    while let Some(ids) = tasks.join_next().await {
        let ids = ids.unwrap();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
        all.extend(ids);
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 200);
    client.close().await;
}

#[tokio::test]
async fn values_that_xadd_did_not_write_are_shown_as_one_field() {
    let mut client = Client::new().await;
    client.store.put(&Key::new("s", 1, 2), "plain").await.unwrap();
    client.expect("XRANGE s - +", "*1\r\n*2\r\n$3\r\n1-2\r\n*2\r\n$5\r\nvalue\r\n$5\r\nplain\r\n").await;
    client.close().await;
}

#[tokio::test]
async fn a_long_range_is_read_page_by_page() {
    let mut client = Client::new().await;
    for sequence in 0..250 {
        client.store.put(&Key::new("s", 1, sequence), "v").await.unwrap();
    }
    client.stream.write_all(&encoded(&[b"XRANGE", b"s", b"-", b"+"])).await.unwrap();
    let entry = |sequence: u64| {
        let id = format!("1-{sequence}");
        format!("*2\r\n${}\r\n{id}\r\n*2\r\n$5\r\nvalue\r\n$1\r\nv\r\n", id.len())
    };
    let entries: String = (0..250).map(entry).collect();
    client.expect_bytes(&format!("*250\r\n{entries}")).await;
    let entries: String = (50..250).rev().map(entry).collect();
    client.expect("XREVRANGE s + - COUNT 200", &format!("*200\r\n{entries}")).await;
    client.expect("XLEN s", ":250\r\n").await;
    client.close().await;
}

#[tokio::test]
async fn a_pipeline_is_answered_in_order_and_keeps_the_order_of_each_entity() {
    let mut client = Client::new().await;
    let (mut requests, mut replies) = (Vec::new(), String::new());
    for round in 0..300 {
        let (key, value) = (format!("k{}", round % 7), format!("v{round}"));
        requests.extend(encoded(&[b"SET", key.as_bytes(), value.as_bytes()]));
        requests.extend(encoded(&[b"GET", key.as_bytes()]));
        replies.push_str(&format!("+OK\r\n${}\r\n{value}\r\n", value.len()));
        if round % 50 == 0 {
            requests.extend(encoded(&[b"PING", b"x"]));
            requests.extend(encoded(&[b"NONSENSE"]));
            replies.push_str("$1\r\nx\r\n-ERR unknown command 'NONSENSE'\r\n");
        }
    }
    let (mut read, mut write) = tokio::io::split(client.stream);
    let sent = tokio::spawn(async move { write.write_all(&requests).await.map(|()| write) });
    let mut got = vec![0; replies.len()];
    read.read_exact(&mut got).await.unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), replies);
    client.stream = read.unsplit(sent.await.unwrap().unwrap());
    client.close().await;
}

/// Sends all requests at once and reads as many bytes as the replies have.
async fn pipeline(client: &mut Client, requests: &[Vec<&[u8]>], reply_bytes: usize) -> String {
    let requests: Vec<u8> = requests.iter().flat_map(|words| encoded(words)).collect();
    client.stream.write_all(&requests).await.unwrap();
    let mut got = vec![0; reply_bytes];
    client.stream.read_exact(&mut got).await.unwrap();
    String::from_utf8(got).unwrap()
}

async fn writes(store: &Store) -> u64 {
    let counters = store.status().await.unwrap().counters;
    counters.iter().find(|(name, _)| *name == "writes").unwrap().1
}

#[tokio::test]
async fn changes_of_one_entity_are_carried_out_together_in_their_order() {
    let mut client = Client::new().await;
    let values: Vec<String> = (0..300).map(|round| format!("v{round}")).collect();
    let sets: Vec<Vec<&[u8]>> =
        values.iter().map(|value| vec![&b"SET"[..], b"one", value.as_bytes()]).collect();
    assert_eq!(pipeline(&mut client, &sets, 300 * 5).await, "+OK\r\n".repeat(300));
    client.expect("GET one", "$4\r\nv299\r\n").await;
    let adds: Vec<Vec<&[u8]>> =
        values.iter().map(|value| vec![&b"XADD"[..], b"stream", b"*", b"field", value.as_bytes()]).collect();
    client
        .stream
        .write_all(&adds.iter().flat_map(|words| encoded(words)).collect::<Vec<u8>>())
        .await
        .unwrap();
    client.expect("XLEN other", "").await;
    let mut replies = Vec::new();
    let expected = |replies: &[u8]| replies.iter().filter(|byte| **byte == b'\n').count();
    while expected(&replies) < 601 {
        client.stream.read_buf(&mut replies).await.unwrap();
    }
    let replies = String::from_utf8(replies).unwrap();
    let lines: Vec<&str> = replies.lines().collect();
    assert_eq!(lines[600], ":0");
    let ids: Vec<Id> = lines[..600].chunks(2).map(|line| Id::parse(line[1].as_bytes(), 0).unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "ids grow in the order of the requests");
    let page = client.store.scan("stream").limit(300).page().await.unwrap();
    let stored: Vec<Bytes> = page.records.iter().map(|record| record.value.clone()).collect();
    let sent: Vec<Bytes> =
        values.iter().map(|value| pairs::encode([&b"field"[..], value.as_bytes()].into_iter())).collect();
    assert_eq!(stored, sent, "entries lie in the order of the requests");
    let writes = writes(&client.store).await;
    assert!(writes <= 200, "600 changes, {writes} writes");
    client.close().await;
}

#[tokio::test]
async fn a_change_that_cannot_be_made_does_not_keep_its_neighbours_from_it() {
    let mut client = Client::new().await;
    client.expect("XADD s 5-5 f v", "$3\r\n5-5\r\n").await;
    let add = |id: &'static [u8]| vec![&b"XADD"[..], b"s", id, b"f", b"v"];
    let taken = "-ERR the ID specified in XADD exists already\r\n";
    let expected = format!("$3\r\n5-4\r\n{taken}$3\r\n5-6\r\n{taken}$3\r\n5-7\r\n");
    let adds = [add(b"5-4"), add(b"5-5"), add(b"5-6"), add(b"5-6"), add(b"5-7")];
    assert_eq!(pipeline(&mut client, &adds, expected.len()).await, expected);
    client.expect("XLEN s", ":4\r\n").await;
    // A long value is looked at by itself: the store could refuse it.
    let long = vec![b'x'; 1 << 20];
    let sets = [vec![&b"SET"[..], b"k", b"1"], vec![b"SET", b"k", &long[..]], vec![b"SET", b"k", b"2"]];
    assert_eq!(pipeline(&mut client, &sets, 15).await, "+OK\r\n".repeat(3));
    client.expect("GET k", "$1\r\n2\r\n").await;
    client.close().await;
}

#[tokio::test]
async fn a_protocol_error_is_told_after_the_replies_before_it_and_closes() {
    let mut client = Client::new().await;
    client.stream.write_all(b"*1\r\n$4\r\nPING\r\n*1\r\n:5\r\n*1\r\n$4\r\nPING\r\n").await.unwrap();
    let mut all = String::new();
    client.stream.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n");
    client.store.close().await;
}

#[tokio::test]
async fn sessions() {
    let mut client = Client::new().await;
    client.expect("PING", "+PONG\r\n").await;
    client.expect("ECHO hi", "$2\r\nhi\r\n").await;
    client.expect("SELECT 0", "+OK\r\n").await;
    client.expect("SELECT 1", "-ERR DB index is out of range: there is only database 0\r\n").await;
    client.expect("CLIENT SETNAME x", "+OK\r\n").await;
    client.expect("CLIENT SETINFO lib-name y", "+OK\r\n").await;
    client.expect("CLIENT KILL 1", "-ERR CLIENT KILL is not supported").await;
    client.expect_bytes("; SETNAME and SETINFO are accepted\r\n").await;
    client.expect("COMMAND COUNT", ":23\r\n").await;
    client.expect("COMMAND DOCS", "*0\r\n").await;
    client.expect("GET", "-ERR wrong number of arguments for 'get' command\r\n").await;
    client.expect("HELLO 4", "-NOPROTO unsupported protocol version: 2 or 3\r\n").await;
    client
        .expect("HELLO 3 AUTH a b", "-ERR AUTH is not supported: there are no users and no passwords\r\n")
        .await;
    client.expect("GET a", "$-1\r\n").await;
    client.expect("HELLO 3 SETNAME me", "%6\r\n$6\r\nserver\r\n$11\r\nthermocline\r\n").await;
    client.expect_bytes(&format!("$7\r\nversion\r\n$5\r\n{}\r\n", env!("CARGO_PKG_VERSION"))).await;
    client.expect_bytes("$5\r\nproto\r\n:3\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n").await;
    client.expect_bytes("$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n").await;
    client.expect("GET a", "_\r\n").await;
    client.expect("TC.GET a", "_\r\n").await;
    client.expect("INFO", "=").await;
    let mut rest = [0; 4096];
    let length = client.stream.read(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest[..length]).contains("txt:# Thermocline\r\nversion:"));
    client.expect("QUIT", "+OK\r\n").await;
    let mut rest = Vec::new();
    assert_eq!(client.stream.read_to_end(&mut rest).await.unwrap(), 0);
    client.store.close().await;
}

#[tokio::test]
async fn a_closed_store_is_unavailable() {
    let mut client = Client::new().await;
    client.store.close().await;
    client.expect("SET a 1", "-UNAVAILABLE the store is closed\r\n").await;
    client.expect("GET a", "-UNAVAILABLE the store is closed\r\n").await;
}

#[test]
fn failures_say_what_is_known() {
    let text = |error: &Error| match Reply::failure(error) {
        Reply::Error(text) => text,
        other => panic!("{other:?}"),
    };
    let token: crate::Token = "000000000000000a-b-c-d".parse().unwrap();
    assert_eq!(text(&Error::Unknown(token)), "UNKNOWN 000000000000000a-b-c-d");
    assert_eq!(text(&Error::Conflict { current: None }), "CONFLICT 0");
    assert_eq!(text(&Error::Conflict { current: Some(Version(9)) }), "CONFLICT 9");
    assert!(text(&Error::Contended).starts_with("UNAVAILABLE contended"));
    assert!(
        text(&Error::Overloaded { what: "queue", limit: "5".to_owned() })
            .starts_with("UNAVAILABLE overloaded")
    );
    assert!(text(&Error::Unavailable { reason: "x".to_owned() }).starts_with("UNAVAILABLE unavailable"));
    assert!(text(&Error::Corrupt { what: "x".to_owned() }).starts_with("ERR corrupt"));
    assert!(text(&Error::invalid("a", "b", "c")).starts_with("ERR invalid a: b"));
}

/// What we write is read back by a decoder that is not ours, in both forms of the protocol.
#[test]
fn replies_are_what_another_decoder_reads() {
    let reply = Reply::Array(vec![
        Reply::Word("OK"),
        Reply::Number(u64::from(u32::MAX)),
        Reply::Number(0),
        Reply::Negative(3),
        Reply::bulk("two\r\nlines"),
        Reply::Nil,
        Reply::NilArray,
        Reply::Map(vec![(Reply::bulk("a"), Reply::Number(1))]),
        Reply::Text("text".to_owned()),
        Reply::Array(vec![Reply::err("line\r\nend")]),
    ]);
    let (mut two, mut three) = (BytesMut::new(), BytesMut::new());
    reply.write(Protocol::Resp2, &mut two);
    reply.write(Protocol::Resp3, &mut three);
    let (frame, length) = redis_protocol::resp2::decode::decode(&two).unwrap().unwrap();
    assert_eq!(length, two.len());
    let redis_protocol::resp2::types::OwnedFrame::Array(parts) = frame else { panic!("{frame:?}") };
    assert_eq!(parts.len(), 10);
    let text = format!("{parts:?}");
    assert!(text.contains("Integer(4294967295), Integer(0), Integer(-3)"), "{text}");
    assert!(text.contains("Error(\"ERR line  end\")"), "{text}");
    let (frame, length) = decode3(&three).unwrap().unwrap();
    assert_eq!(length, three.len());
    let text = format!("{frame:?}");
    assert!(text.contains("Null") && text.contains("Map") && text.contains("Verbatim"), "{text}");
}

#[test]
fn stream_ids() {
    let id = |timestamp, sequence| Id { timestamp, sequence };
    assert_eq!(Id::parse(b"5-7", 0), Some(id(5, 7)));
    assert_eq!(Id::parse(b"5", 9), Some(id(5, 9)));
    for bad in [&b""[..], b"-", b"5-", b"-5", b"+5-1", b"5-1-2", b"18446744073709551616-0", b"\xff"] {
        assert_eq!(Id::parse(bad, 0), None, "{}", bad.escape_ascii());
    }
    assert_eq!(Id::range_start(b"(5-7"), Some(Some(id(5, 8))));
    assert_eq!(Id::range_start(b"(5-18446744073709551615"), Some(Some(id(6, 0))));
    assert_eq!(Id::range_end(b"(5-0"), Some(Some(id(4, u64::MAX))));
    assert_eq!(Id::range_end(b"(0-0"), Some(None));
    assert_eq!(Id::range_end(b"5"), Some(Some(id(5, u64::MAX))));
    assert_eq!(Id::range_end(b"x"), None);
    assert_eq!(Wanted::parse(b"*"), Some(Wanted::Auto));
    assert_eq!(Wanted::parse(b"5-*"), Some(Wanted::Within(5)));
    assert_eq!(Wanted::parse(b"-*"), None);
    assert_eq!(Wanted::parse(b"5"), Some(Wanted::Exactly(id(5, 0))));
}

#[test]
fn fields_are_a_value_and_back() {
    let parts: [&[u8]; 4] = [b"field", b"", b"", b"value"];
    let value = pairs::encode(parts.into_iter());
    assert_eq!(&value[..13], b"TCF1\x05\0\0\0field");
    let read: Vec<_> = pairs::decode(&value).unwrap().collect();
    assert_eq!(read, [(parts[0], parts[1]), (parts[2], parts[3])]);
    for length in (0..value.len()).filter(|length| ![4, 17].contains(length)) {
        assert!(pairs::decode(&value[..length]).is_none(), "cut at {length}");
    }
    assert!(pairs::decode(b"TCF1\xff\xff\xff\xff").is_none());
}

#[tokio::test]
async fn long_replies_are_read_a_few_at_a_time_and_bounded() {
    const VALUE: usize = 1 << 20;
    let mut client = Client::new().await;
    let value = vec![b'v'; VALUE];
    for number in 0..66 {
        client.stream.write_all(&encoded(&[b"SET", format!("k{number}").as_bytes(), &value])).await.unwrap();
        client.expect_bytes("+OK\r\n").await;
    }
    // One reply has as much as there may be, and not more.
    let name = |number: usize| format!("k{number}");
    let get_all = |keys: usize| {
        let names: Vec<String> = (0..keys).map(name).collect();
        let words: Vec<&[u8]> =
            std::iter::once(&b"MGET"[..]).chain(names.iter().map(String::as_bytes)).collect();
        encoded(&words)
    };
    let bulk = format!("${VALUE}\r\n{}\r\n", String::from_utf8(value.clone()).unwrap());
    client.stream.write_all(&get_all(64)).await.unwrap();
    client.expect_bytes("*64\r\n").await;
    for _ in 0..64 {
        client.expect_bytes(&bulk).await;
    }
    client.stream.write_all(&get_all(65)).await.unwrap();
    let refusal = "-ERR the values are longer than 67108864 bytes together; ask for fewer keys at a time\r\n";
    client.expect_bytes(refusal).await;
    // More keys than a batch of the store has, most of them twice.
    let mut words: Vec<&[u8]> = vec![b"EXISTS"];
    words.extend(std::iter::repeat_n(&b"k1"[..], 1_500));
    words.extend(std::iter::repeat_n(&b"none"[..], 1_500));
    client.stream.write_all(&encoded(&words)).await.unwrap();
    client.expect_bytes(":1500\r\n").await;
    // A pipeline is answered in its order, however few of it are carried out at a time.
    let mut pipeline = Vec::new();
    for _ in 0..100 {
        pipeline.extend(encoded(&[b"GET", b"k1"]));
        pipeline.extend(encoded(&[b"MGET", b"none"]));
        pipeline.extend(encoded(&[b"GET", b"none"]));
    }
    client.stream.write_all(&pipeline).await.unwrap();
    let three = format!("{bulk}*1\r\n$-1\r\n$-1\r\n");
    for _ in 0..100 {
        client.expect_bytes(&three).await;
    }
    client.close().await;
}
