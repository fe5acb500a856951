use super::*;

const ARGUMENT_BYTES_MAX: usize = 1000;

/// What comes out of bytes that arrive in pieces of a length.
fn cut(bytes: &[u8], piece: usize) -> (Vec<Vec<Vec<u8>>>, Result<(), String>) {
    let (mut framer, mut buffer, mut requests) =
        (Framer::new(ARGUMENT_BYTES_MAX), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match framer.next(&mut buffer) {
                Ok(Some(request)) => {
                    requests
                        .push((0..request.len()).map(|number| request.argument(number).to_vec()).collect());
                }
                Ok(None) => break,
                Err(error) => return (requests, Err(error.to_string())),
            }
        }
    }
    (requests, Ok(()))
}

fn requests(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let (whole, outcome) = cut(bytes, bytes.len());
    assert_eq!(outcome, Ok(()));
    for piece in 1..bytes.len().min(40) {
        assert_eq!(cut(bytes, piece), (whole.clone(), Ok(())), "in pieces of {piece}");
    }
    whole
}

fn refused(bytes: &[u8]) -> String {
    let (_, whole) = cut(bytes, bytes.len());
    let (_, by_byte) = cut(bytes, 1);
    assert_eq!(whole, by_byte);
    whole.unwrap_err()
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn requests_come_out_whole_however_the_bytes_arrive() {
    let pipeline =
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n\r\n*1\r\n*0\r\n*-1\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n";
    assert_eq!(requests(pipeline), [words(&["SET", "a", "\r\n*1"]), words(&["GET", ""])]);
}

#[test]
fn lines_typed_by_hand() {
    assert_eq!(
        requests(b"PING\r\n\r\n  set  a b \n*1\r\n$4\r\nQUIT\r\n"),
        [words(&["PING"]), words(&["set", "a", "b"]), words(&["QUIT"])]
    );
    let endless = vec![b'x'; INLINE_BYTES_MAX];
    assert_eq!(
        cut(&endless, 1 << 20).1,
        Err("Protocol error: too big inline request, at most 65536 bytes".to_owned())
    );
}

#[test]
fn hostile_headers_are_refused_as_soon_as_they_are_seen() {
    let cases: [(&[u8], &str); 11] = [
        (b"*4097\r\n", "invalid multibulk length, at most 4096"),
        (b"*-2\r\n", "invalid multibulk length, at most 4096"),
        (b"*99999999999999999999\r\n", "invalid length"),
        (b"*1x\r\n", "invalid length"),
        (b"*\r\n", "invalid length"),
        (b"*1\rx", "invalid length"),
        (b"*0000000000000000000000000000", "invalid length"),
        (b"*1\r\n$1001\r\n", "invalid bulk length, at most 1000"),
        (b"*1\r\n$-1\r\n", "invalid bulk length, at most 1000"),
        (b"*1\r\n:5\r\n", "expected '$', got ':'"),
        (b"*1\r\n$1\r\nab\r\n", "a bulk string is longer than it says"),
    ];
    for (bytes, reason) in cases {
        assert_eq!(refused(bytes), format!("Protocol error: {reason}"), "{}", bytes.escape_ascii());
    }
}

#[test]
fn deep_nesting_is_refused_before_it_is_decoded() {
    let deep = b"*1\r\n".repeat(1 << 20);
    assert_eq!(cut(&deep, deep.len()).1, Err("Protocol error: expected '$', got '*'".to_owned()));
}

#[test]
fn a_request_has_a_bound_beside_the_bounds_of_its_parts() {
    let mut bytes = b"*4000\r\n".to_vec();
    for _ in 0..4000 {
        bytes.extend_from_slice(b"$1000\r\n");
        bytes.extend_from_slice(&[b'x'; 1000]);
        bytes.extend_from_slice(b"\r\n");
    }
    let most = ARGUMENT_BYTES_MAX + REST_BYTES_MAX;
    assert_eq!(cut(&bytes, 4096).1, Err(format!("Protocol error: request too long, at most {most} bytes")));
}

#[test]
fn nothing_is_reserved_for_what_a_header_claims() {
    let (mut framer, mut buffer) =
        (Framer::new(1 << 30), BytesMut::from(&b"*4096\r\n$1073741824\r\nabc"[..]));
    let capacity = buffer.capacity();
    assert!(framer.next(&mut buffer).unwrap().is_none());
    assert_eq!(buffer.capacity(), capacity);
}

#[test]
fn any_bytes_give_requests_or_a_refusal() {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let alphabet = b"**$$\r\n\r\n0123-x :";
    for _ in 0..20_000 {
        let length = next() % 60;
        let bytes: Vec<u8> = (0..length).map(|_| alphabet[next() as usize % alphabet.len()]).collect();
        let whole = cut(&bytes, bytes.len().max(1));
        assert_eq!(cut(&bytes, 1), whole, "{}", bytes.escape_ascii());
    }
}
