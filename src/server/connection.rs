//! One client's connection: bytes in, requests, replies, bytes out. Everything it knows is its own, so that it can run on
//! any runtime and any thread.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Limits;
use super::command::{Rule, Touch};
use super::frame::Framer;
use super::reply::{Protocol, Reply};
use super::run::Run;
use super::session::{Next, Session};
use crate::store::Store;

/// How much is read at once, in bytes, when no request asks for more.
const READ_BYTES: usize = 16 << 10;
/// Replies are sent when so many bytes wait, even if more requests have arrived.
const WRITE_BYTES: usize = 256 << 10;
/// A longer buffer for replies is given back once it is sent.
const KEEP_BYTES_MAX: usize = 1 << 20;
/// How much of what a client still sends is awaited when its connection closes, and for how long.
const DRAIN_BYTES_MAX: u64 = 1 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// Serves one client until it goes, sends something that is no request, or the stream fails.
///
/// Requests that have arrived together are answered with one write. Dropping the future closes the connection; a change
/// that is under way then is made or not made as a whole.
///
/// # Errors
/// What the stream reports.
pub async fn connection(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    store: Store,
    limits: Limits,
) -> io::Result<()> {
    let mut client = Client {
        framer: Framer::new(limits.value_bytes_max),
        session: Session::default(),
        run: Run::default(),
        out: BytesMut::new(),
    };
    let mut buffer = BytesMut::new();
    loop {
        if buffer.capacity() - buffer.len() < READ_BYTES / 4 {
            buffer.reserve(READ_BYTES);
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let mut next = Next::Request;
        while next == Next::Request {
            next = client.answer(&mut buffer, &store).await;
            stream.write_all(&client.out).await?;
            client.out.clear();
            if client.out.capacity() > KEEP_BYTES_MAX {
                client.out = BytesMut::new();
            }
        }
        if next == Next::Close {
            stream.shutdown().await?;
            return drain(&mut stream).await;
        }
    }
}

/// Lets what the client has sent already arrive, for a moment. A socket that is closed before would take the last reply
/// back from the client.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut rest = stream.take(DRAIN_BYTES_MAX);
    let mut nowhere = tokio::io::sink();
    match tokio::time::timeout(DRAIN_TIME_MAX, tokio::io::copy(&mut rest, &mut nowhere)).await {
        Ok(drained) => drained.map(drop),
        Err(_) => Ok(()),
    }
}

/// The state of a connection beside its streams.
struct Client {
    framer: Framer,
    session: Session,
    run: Run,
    out: BytesMut,
}

impl Client {
    /// Answers what has arrived, into `out`. [`Next::Request`]: some has been answered and is to be sent before the rest.
    async fn answer(&mut self, buffer: &mut BytesMut, store: &Store) -> Next {
        loop {
            match self.framer.next(buffer) {
                Ok(None) => {
                    self.finish(store).await;
                    return Next::Bytes;
                }
                Err(error) => {
                    self.finish(store).await;
                    self.reply(&Reply::err(error));
                    return Next::Close;
                }
                Ok(Some(request)) => match Rule::of(&request) {
                    Err(refusal) => {
                        self.finish(store).await;
                        self.reply(&refusal);
                    }
                    Ok(rule) if rule.touch == Touch::Session => {
                        self.finish(store).await;
                        let (reply, next) = self.session.execute(rule.verb, &request);
                        self.reply(&reply);
                        if next == Next::Close {
                            return next;
                        }
                    }
                    Ok(rule) => {
                        if let Err(request) = self.run.take(rule, request) {
                            self.finish(store).await;
                            let taken = self.run.take(rule, request);
                            debug_assert!(taken.is_ok(), "an empty run takes any request");
                        }
                    }
                },
            }
            if self.out.len() >= WRITE_BYTES {
                self.finish(store).await;
                return Next::Request;
            }
        }
    }

    async fn finish(&mut self, store: &Store) {
        self.run.finish(store, self.protocol(), &mut self.out).await;
    }

    fn reply(&mut self, reply: &Reply) {
        reply.write(self.protocol(), &mut self.out);
    }

    fn protocol(&self) -> Protocol {
        self.session.protocol()
    }
}
