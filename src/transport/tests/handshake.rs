//! Who may talk to whom.

use super::super::handshake::{CLUSTER_BYTES_MAX, Greeting, HANDSHAKE_BYTES_MAX, agree};
use super::super::tcp::greeting;
use super::{Boot, Hello, Identity, LinkError, NodeId, hello, identity, run_paused};
use crate::encoding::EncodingError;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

type Change = fn(&mut Hello);

/// What differs, and what the refusal must say: the field, the dialler's value, the acceptor's.
const REFUSED: [(Change, &str, &str, &str); 8] = [
    (|hello| hello.cluster = "other".into(), "cluster", "other", "test"),
    (|hello| hello.buckets = 1_024, "buckets", "1024", "65536"),
    (|hello| hello.window_span_ms = 5, "window span in ms", "5", "604800000"),
    (|hello| hello.table_id = 3, "table id", "3", "1234605616436508552"),
    (|hello| hello.replicas = 5, "replicas", "5", "3"),
    (|hello| hello.node = NodeId(1), "node", "1", "1 as well"),
    (|hello| hello.groups = 99, "groups, in the same epoch,", "99", "100"),
    (|hello| hello.worker = 1, "worker", "1 of 1", "counting from 0"),
];

/// Node 2, changed, dials node 1; returns what each of them has of it.
async fn meet(change: Change) -> (Result<Hello, LinkError>, Result<(Hello, u16), LinkError>) {
    let mut dialler = hello(2);
    change(&mut dialler);
    let (dialler, worker) = (identity(dialler.clone()), dialler.worker);
    let acceptor = identity(hello(1));
    let (mut here, mut there) = duplex(64);
    tokio::join!(
        greeting::dial(&mut here, &dialler, worker, NodeId(1), 1_000),
        greeting::accept(&mut there, &acceptor, 1_000),
    )
}

#[test]
fn two_of_a_cluster_agree() {
    run_paused(async {
        let (welcome, heard) = meet(|_| {}).await;
        assert_eq!(welcome.unwrap(), hello(1));
        assert_eq!(heard.unwrap(), (hello(2), 0));
    });
}

#[test]
fn each_difference_is_refused_and_both_sides_hear_both_values() {
    run_paused(async {
        for (change, field, of_dialler, of_acceptor) in REFUSED {
            let (there, here) = meet(change).await;
            let Err(LinkError::RefusedByPeer(told)) = there else { panic!("{field}: {there:?}") };
            let Err(LinkError::Refused(found)) = here else { panic!("{field}: {here:?}") };
            assert_eq!(told, found);
            let values = (found.field.as_str(), found.dialler.as_str(), found.acceptor.as_str());
            assert_eq!(values, (field, of_dialler, of_acceptor));
            let text = LinkError::Refused(found).to_string();
            assert!(text.contains(of_dialler) && text.contains(of_acceptor), "{text}");
        }
    });
}

#[test]
fn both_sides_judge_alike() {
    for (change, field, ..) in REFUSED {
        let mut other = hello(2);
        change(&mut other);
        assert_eq!(agree(&other, &hello(1)).unwrap_err().field, field);
    }
}

#[test]
fn another_epoch_and_another_life_are_no_reason() {
    let changes: [Change; 2] =
        [|hello| (hello.epoch, hello.groups) = (8, 200), |hello| hello.boot = Boot { disk: 1, count: 1 }];
    run_paused(async {
        for change in changes {
            let mut expected = hello(2);
            change(&mut expected);
            let (welcome, heard) = meet(change).await;
            assert_eq!(welcome.unwrap().epoch, 7);
            assert_eq!(heard.unwrap().0, expected, "the acceptor is told");
        }
    });
}

#[test]
fn a_link_goes_to_the_worker_of_its_number() {
    run_paused(async {
        let acceptor = identity(Hello { workers: 4, ..hello(1) });
        for (worker, expected) in [(0, 0), (1, 1), (3, 3)] {
            let dialler = identity(Hello { workers: 4, ..hello(2) });
            let (mut here, mut there) = duplex(64);
            let (welcome, heard) = tokio::join!(
                greeting::dial(&mut here, &dialler, worker, NodeId(1), 1_000),
                greeting::accept(&mut there, &acceptor, 1_000),
            );
            assert_eq!((welcome.unwrap().worker, heard.unwrap().1), (expected, expected));
        }
    });
}

#[test]
fn a_node_that_is_not_the_one_expected_is_refused_by_the_dialler() {
    run_paused(async {
        let (dialler, acceptor) = (identity(hello(2)), identity(hello(1)));
        let (mut here, mut there) = duplex(64);
        let (welcome, _) = tokio::join!(
            greeting::dial(&mut here, &dialler, 0, NodeId(3), 1_000),
            greeting::accept(&mut there, &acceptor, 1_000),
        );
        let why = welcome.unwrap_err().to_string();
        assert_eq!(
            why,
            "refused: node is dialling node 3 at the node that dialled and 1 at the node that was dialled"
        );
    });
}

#[test]
fn a_stranger_is_let_in_only_with_a_newer_topology() {
    let acceptor = Identity::new(hello(1), [NodeId(1), NodeId(2)]);
    let stranger = hello(4);
    assert_eq!(acceptor.answer(&stranger).unwrap_err().field, "node");
    assert!(acceptor.answer(&Hello { epoch: 8, ..stranger.clone() }).is_ok());
    acceptor.set_topology(8, 100, [NodeId(1), NodeId(4)]);
    assert_eq!(acceptor.answer(&stranger).map(|welcome| welcome.epoch), Ok(8));
    assert_eq!(acceptor.answer(&hello(2)).unwrap_err().field, "node");
}

#[test]
fn another_protocol_version_is_named_whatever_follows_it() {
    run_paused(async {
        for body in [&b"\x03\x00"[..], b"\x03\x00and things that this version does not know"] {
            let frame =
                crate::transport::frame::encode(crate::transport::frame::Kind::Hello, body, 4_096).unwrap();
            let (mut here, mut there) = duplex(4_096);
            here.write_all(&frame).await.unwrap();
            let why = greeting::accept(&mut there, &identity(hello(1)), 1_000).await.unwrap_err();
            let expected =
                "refused: protocol version is 3 at the node that dialled and 2 at the node that was dialled";
            assert_eq!(why.to_string(), expected);
            let mut answer = vec![0; 16];
            here.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer[3], crate::transport::frame::Kind::Refusal as u8);
        }
    });
}

#[test]
fn a_hello_of_nonsense_is_an_error() {
    for body in [&b""[..], b"\x02", b"\x02\x00\xff\xff\xff\xff\xff\xff\xff\xff", &[1; 200]] {
        let frame =
            crate::transport::frame::encode(crate::transport::frame::Kind::Hello, body, 4_096).unwrap();
        let header = Greeting::header(frame.first_chunk().unwrap()).unwrap();
        let found = Greeting::decode(header, body);
        assert!(matches!(found, Err(LinkError::Handshake(_)) | Ok(Greeting::Foreign(0x0101))), "{found:?}");
    }
    let long =
        Greeting::Hello(Hello { cluster: "x".repeat(CLUSTER_BYTES_MAX + 1), ..hello(1) }).encode().unwrap();
    let header = Greeting::header(long.first_chunk().unwrap()).unwrap();
    let too_long = EncodingError::TooLong { bytes: 257, bytes_max: 256 };
    assert!(
        matches!(Greeting::decode(header, &long[16..]), Err(LinkError::Handshake(found)) if found == too_long)
    );
    let longer = Greeting::Hello(Hello { cluster: "x".repeat(HANDSHAKE_BYTES_MAX), ..hello(1) });
    assert!(matches!(longer.encode(), Err(LinkError::Handshake(EncodingError::TooLong { .. }))));
}

#[test]
fn a_silent_acceptor_is_given_up() {
    run_paused(async {
        let (mut here, _there) = duplex(4_096);
        let why = greeting::dial(&mut here, &identity(hello(2)), 0, NodeId(1), 300).await.unwrap_err();
        assert_eq!(why.to_string(), "the handshake took longer than 300 ms");
    });
}
