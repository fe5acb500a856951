//! The handshake over a stream: both sides, with a limit on its time and its bytes.

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::transport::frame::{FrameError, HEADER_BYTES, Kind};
use crate::transport::handshake::{Greeting, Hello, Identity, PROTOCOL_VERSION, Refusal};
use crate::transport::{LinkError, NodeId};

/// The dialler's side: says hello, and returns what the acceptor said.
pub(in crate::transport) async fn dial<S>(
    stream: &mut S,
    identity: &Identity,
    worker: u16,
    expected: NodeId,
    limit_ms: u64,
) -> Result<Hello, LinkError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    within(limit_ms, async {
        write(stream, &Greeting::Hello(identity.hello(worker))).await?;
        match read(stream).await? {
            Greeting::Welcome(hello) => match identity.check_welcome(expected, &hello) {
                Ok(()) => Ok(hello),
                Err(refusal) => Err(LinkError::Refused(refusal)),
            },
            Greeting::Refusal(refusal) => Err(LinkError::RefusedByPeer(refusal)),
            Greeting::Hello(_) => Err(unexpected(Kind::Hello, "an answer to a hello")),
            Greeting::Foreign(protocol) => {
                Err(LinkError::Refused(other_protocol(PROTOCOL_VERSION, protocol)))
            }
        }
    })
    .await
}

/// The acceptor's side: hears a hello and answers it. Returns the hello and the worker that is to serve the
/// link.
pub(in crate::transport) async fn accept<S>(
    stream: &mut S,
    identity: &Identity,
    limit_ms: u64,
) -> Result<(Hello, u16), LinkError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    within(limit_ms, async {
        let answer = match read(stream).await? {
            Greeting::Hello(hello) => identity.answer(&hello).map(|welcome| (hello, welcome)),
            Greeting::Welcome(_) => return Err(unexpected(Kind::Welcome, "a hello")),
            Greeting::Refusal(_) => return Err(unexpected(Kind::Refusal, "a hello")),
            Greeting::Foreign(protocol) => Err(other_protocol(protocol, PROTOCOL_VERSION)),
        };
        match answer {
            Ok((hello, welcome)) => {
                let worker = welcome.worker;
                write(stream, &Greeting::Welcome(welcome)).await?;
                Ok((hello, worker))
            }
            Err(refusal) => {
                // The refusal stands whether or not the other side hears of it.
                let told = write(stream, &Greeting::Refusal(refusal.clone())).await;
                if told.is_ok() {
                    let _ = stream.shutdown().await;
                }
                Err(LinkError::Refused(refusal))
            }
        }
    })
    .await
}

async fn within<T>(
    limit_ms: u64,
    handshake: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    match tokio::time::timeout(Duration::from_millis(limit_ms), handshake).await {
        Ok(result) => result,
        Err(_) => Err(LinkError::TimedOut { doing: "the handshake", limit_ms }),
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, greeting: &Greeting) -> Result<(), LinkError> {
    let bytes = greeting.encode()?;
    let doing = "writing a handshake";
    stream.write_all(&bytes).await.map_err(|cause| LinkError::io(doing, cause))?;
    stream.flush().await.map_err(|cause| LinkError::io(doing, cause))
}

/// Reads exactly one greeting.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Greeting, LinkError> {
    let doing = "reading a handshake";
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await.map_err(|cause| LinkError::io(doing, cause))?;
    let header = Greeting::header(&header)?;
    // At most the 4 KiB of a handshake: the header was checked against that.
    let mut body = vec![0; header.body_bytes];
    stream.read_exact(&mut body).await.map_err(|cause| LinkError::io(doing, cause))?;
    Greeting::decode(header, &body)
}

fn unexpected(found: Kind, expected: &'static str) -> LinkError {
    FrameError::UnexpectedKind { found, expected }.into()
}

fn other_protocol(dialler: u16, acceptor: u16) -> Refusal {
    Refusal {
        field: "protocol version".to_owned(),
        dialler: dialler.to_string(),
        acceptor: acceptor.to_string(),
    }
}
