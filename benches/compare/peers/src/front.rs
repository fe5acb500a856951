//! The front: enough of the Redis protocol for PING, SET, GET and INFO; and DRIVE, with the arguments of a load generator, whose
//! clients then call the store in this very process. Its answer is their report.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::drive::drive;

/// Arguments a command may have, its name included.
const ARGUMENTS_MAX: usize = 64;
/// Bytes an argument may have: 1 MiB.
const ARGUMENT_BYTES_MAX: usize = 1 << 20;
/// Digits and sign of any length the front reads, with room to spare.
const LENGTH_LINE_BYTES_MAX: usize = 32;

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another node leads: nothing was done here. `-NOTLEADER`
    NotLeader,
    /// Leadership was lost on the way: the write may yet happen. `-UNKNOWN`
    Unknown,
    /// Anything else. `-ERR`
    Failed(String),
}

/// A replicated map.
pub trait Store: Send + Sync + 'static {
    /// Ends when the value is durable on a majority.
    fn set(&self, key: Bytes, value: Bytes) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// A linearizable read, confirmed by a majority.
    fn get(&self, key: Bytes) -> impl Future<Output = Result<Option<Bytes>, Refusal>> + Send;
    /// What INFO answers.
    fn info(&self) -> String;
}

/// Serves clients at `address` for as long as the process lives.
pub async fn serve<S: Store>(address: String, store: S) -> io::Result<()> {
    let store = Arc::new(store);
    let listener = TcpListener::bind(&address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            // A client that goes away is none of the store's business.
            drop(session(stream, store).await);
        });
    }
}

async fn session<S: Store>(mut stream: TcpStream, store: Arc<S>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BytesMut::with_capacity(4096);
    let mut output = Vec::with_capacity(512);
    loop {
        loop {
            match take_command(&mut input) {
                Ok(Some(command)) => answer(&command, &store, &mut output).await,
                Ok(None) => break,
                Err(malformed) => {
                    stream.write_all(format!("-ERR {malformed}\r\n").as_bytes()).await?;
                    return Ok(());
                }
            }
        }
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

async fn answer<S: Store>(command: &[Bytes], store: &Arc<S>, output: &mut Vec<u8>) {
    let name = command[0].to_ascii_uppercase();
    match (&name[..], command) {
        // Copies: a stored slice would keep its whole input buffer alive.
        (b"SET", [_, key, value]) => {
            match store.set(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)).await {
                Ok(()) => output.extend_from_slice(b"+OK\r\n"),
                Err(refusal) => push_refusal(output, &refusal),
            }
        }
        (b"GET", [_, key]) => match store.get(key.clone()).await {
            Ok(Some(value)) => push_bulk(output, &value),
            Ok(None) => output.extend_from_slice(b"$-1\r\n"),
            Err(refusal) => push_refusal(output, &refusal),
        },
        (b"PING", [_]) => output.extend_from_slice(b"+PONG\r\n"),
        (b"INFO", _) => push_bulk(output, store.info().as_bytes()),
        (b"DRIVE", [_, arguments @ ..]) => match drive(arguments, Arc::clone(store)).await {
            Ok(report) => push_bulk(output, report.as_bytes()),
            Err(why) => push_refusal(output, &Refusal::Failed(why)),
        },
        _ => output.extend_from_slice(
            b"-ERR this store knows PING, SET key value, GET key, INFO and DRIVE arguments\r\n",
        ),
    }
}

fn push_bulk(output: &mut Vec<u8>, bytes: &[u8]) {
    output.push(b'$');
    output.extend_from_slice(bytes.len().to_string().as_bytes());
    output.extend_from_slice(b"\r\n");
    output.extend_from_slice(bytes);
    output.extend_from_slice(b"\r\n");
}

fn push_refusal(output: &mut Vec<u8>, refusal: &Refusal) {
    let mut line = String::new();
    match refusal {
        Refusal::NotLeader => line.push_str("NOTLEADER ask another node"),
        Refusal::Unknown => line.push_str("UNKNOWN leadership was lost, the write may yet happen"),
        Refusal::Failed(why) => line.push_str(&format!("ERR {why}")),
    }
    output.push(b'-');
    output.extend(line.bytes().map(|byte| if byte == b'\r' || byte == b'\n' { b' ' } else { byte }));
    output.extend_from_slice(b"\r\n");
}

/// Takes one whole command off the front of `input`; `None` when it has not all arrived.
fn take_command(input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, String> {
    let Some((arguments, mut at)) = length_line(input, 0, b'*', 1..=ARGUMENTS_MAX)? else { return Ok(None) };
    let mut spans = Vec::with_capacity(arguments);
    for _ in 0..arguments {
        let Some((bytes, start)) = length_line(input, at, b'$', 0..=ARGUMENT_BYTES_MAX)? else {
            return Ok(None);
        };
        spans.push(start..start + bytes);
        at = start + bytes + 2;
    }
    if input.len() < at {
        return Ok(None);
    }
    let whole = input.split_to(at).freeze();
    Ok(Some(spans.into_iter().map(|span| whole.slice(span)).collect()))
}

/// The number on a line that begins with `kind`, and where the next line starts.
fn length_line(
    input: &[u8],
    at: usize,
    kind: u8,
    allowed: std::ops::RangeInclusive<usize>,
) -> Result<Option<(usize, usize)>, String> {
    let rest = input.get(at..).unwrap_or_default();
    let Some(&first) = rest.first() else { return Ok(None) };
    if first != kind {
        return Err(format!("expected `{}`, found byte {first}", kind as char));
    }
    let Some(end) = rest.iter().take(LENGTH_LINE_BYTES_MAX).position(|&byte| byte == b'\n') else {
        return if rest.len() < LENGTH_LINE_BYTES_MAX {
            Ok(None)
        } else {
            Err("a length without an end".to_owned())
        };
    };
    let digits = std::str::from_utf8(&rest[1..end]).unwrap_or_default().trim_end();
    match digits.parse() {
        Ok(number) if allowed.contains(&number) => Ok(Some((number, at + end + 1))),
        _ => Err(format!("length `{digits}` is not within {} to {}", allowed.start(), allowed.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_taken_only_when_whole() {
        let wire = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n";
        for cut in 0..wire.len() {
            let mut input = BytesMut::from(&wire[..cut]);
            assert_eq!(take_command(&mut input), Ok(None), "cut at {cut}");
        }
        let mut input = BytesMut::from(&wire[..]);
        input.extend_from_slice(b"*1\r\n");
        let command = take_command(&mut input).unwrap().unwrap();
        assert_eq!(command, [&b"SET"[..], b"k", b"a\r\nb"]);
        assert_eq!(&input[..], b"*1\r\n");
    }

    #[test]
    fn lengths_out_of_bounds_are_refused() {
        for wire in ["*0\r\n", "*65\r\n", "*x\r\n", "GET k\r\n", "*1\r\n$1048577\r\n", "*1\r\n$-1\r\n"] {
            assert!(take_command(&mut BytesMut::from(wire)).is_err(), "{wire:?}");
        }
        assert!(take_command(&mut BytesMut::from(&[b'*'; 40][..])).is_err());
    }
}
