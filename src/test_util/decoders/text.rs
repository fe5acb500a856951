//! What people and their programs send.

use bytes::BytesMut;

use crate::ingest::{Column, Format, Layout, Rows, TimeUnit};
use crate::server::frame::Framer;

/// A stream of requests of the Redis protocol, which comes in three pieces.
pub(super) fn resp(bytes: &[u8]) {
    let mut framer = Framer::new(1 << 16);
    let mut buffer = BytesMut::new();
    for piece in bytes.chunks(bytes.len() / 3 + 1) {
        buffer.extend_from_slice(piece);
        loop {
            match framer.next(&mut buffer) {
                Ok(Some(request)) => {
                    assert!(request.len() > 0);
                    let length: usize = (0..request.len()).map(|number| request.argument(number).len()).sum();
                    assert!(length <= bytes.len());
                    assert_eq!(request.share(0), request.argument(0));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// A file of comma-separated values, with names and without.
pub(super) fn csv(bytes: &[u8]) {
    rows(bytes, Format::Csv { delimiter: b',', header: true }, ["who", "when", "number", "what"]);
    rows(bytes, Format::Csv { delimiter: b',', header: false }, ["1", "2", "3", "4"]);
}

/// A file of JSON Lines.
pub(super) fn jsonl(bytes: &[u8]) {
    rows(bytes, Format::JsonLines, ["who", "when", "number", "what"]);
}

/// Reads all rows, of four columns and of two.
fn rows(bytes: &[u8], format: Format, [who, when, number, what]: [&str; 4]) {
    let column = |name: &str| name.parse::<Column>().unwrap_or_else(|error| panic!("{error}"));
    let two = Layout {
        format,
        entity: column(who),
        time: column(when),
        unit: TimeUnit::Ms,
        sequence: None,
        value: None,
    };
    let four = Layout { sequence: Some(column(number)), value: Some(column(what)), ..two.clone() };
    for layout in [two, four] {
        let Ok(rows) = Rows::new(bytes, layout) else { continue };
        let mut line = 0;
        for row in rows.flatten() {
            assert!(row.line > line, "rows come in the order of their lines");
            assert!(!row.entity.is_empty() && row.entity.len() <= crate::ENTITY_BYTES_MAX);
            line = row.line;
        }
    }
}

pub(super) fn resp_seeds() -> Vec<Vec<u8>> {
    vec![
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n*1\r\n$4\r\nPING\r\n".to_vec(),
        b"GET k\r\n*-1\r\n*0\r\n\r\nPING\r\n".to_vec(),
    ]
}

pub(super) fn csv_seeds() -> Vec<Vec<u8>> {
    vec![
        b"who,when,number,what\nalice,1700000000000,1,\"a, \"\"b\"\"\"\nbob,2013-01-01T05:15:00Z,2,x\n"
            .to_vec(),
    ]
}

pub(super) fn jsonl_seeds() -> Vec<Vec<u8>> {
    vec![b"{\"who\":\"alice\",\"when\":1700000000000,\"number\":1,\"what\":\"a\"}\n\n{\"who\":7,\"when\":\"2013-01-01T05:15:00Z\",\"number\":\"2\",\"what\":[1]}\n".to_vec()]
}
