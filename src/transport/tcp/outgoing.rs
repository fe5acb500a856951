//! A link to a peer: dialled, kept up, written to.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::{configure, greeting};
use crate::transport::{Direction, Hello, Inbox, LinkError, NodeId, Sent, Setup};

/// A buffer that grew past this, in bytes, is given back once it is empty.
const BUFFER_KEPT_BYTES: usize = 1 << 20;

/// A link to one peer. Its task dials and writes what [`Outgoing::send`] could not write at once.
pub(super) struct Outgoing {
    /// Its host is looked up with each attempt: it may be elsewhere by then, or not known yet.
    pub(super) address: String,
    peer: NodeId,
    worker: u16,
    setup: Setup,
    up: RefCell<Option<Up>>,
    /// Tells the task that bytes wait or that the connection failed.
    wake: Notify,
    /// Ends a pause between two attempts.
    peer_lives: Notify,
}

/// A connection that passed its handshake.
struct Up {
    stream: Rc<TcpStream>,
    /// What waits behind the buffer that the task is writing.
    waiting: Vec<u8>,
    /// Bytes that wait, with those that the task is writing. At zero the socket may be written to directly.
    unwritten_bytes: usize,
    /// Calls of `send` whose bytes wait; those of the buffer that the task is writing included.
    unwritten_frames: u64,
    /// Set by `send` when the socket failed; for the task to report.
    failure: Option<io::Error>,
}

impl Outgoing {
    pub(super) fn new(setup: Setup, worker: u16, peer: NodeId, address: String) -> Self {
        Self {
            address,
            peer,
            worker,
            setup,
            up: RefCell::new(None),
            wake: Notify::new(),
            peer_lives: Notify::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn is_up(&self) -> bool {
        self.up.borrow().as_ref().is_some_and(|up| up.failure.is_none())
    }

    /// The peer has just dialled this node: if the link is down, this is the time to try.
    pub(super) fn dial_now(&self) {
        self.peer_lives.notify_waiters();
    }

    /// See [`crate::transport::Links::send`].
    pub(super) fn send(&self, frames: &mut Vec<u8>) -> Sent {
        let sent = self.try_send(frames);
        let counts = &self.setup.counts;
        match sent {
            Sent::Full => counts.frames_dropped_full.increment(),
            Sent::Down => counts.frames_dropped_down.increment(),
            Sent::Written | Sent::Queued => {}
        }
        frames.clear();
        sent
    }

    fn try_send(&self, frames: &mut Vec<u8>) -> Sent {
        let mut up = self.up.borrow_mut();
        let Some(up) = up.as_mut().filter(|up| up.failure.is_none()) else { return Sent::Down };
        let (bytes, counts) = (frames.len(), &self.setup.counts);
        if up.unwritten_bytes > 0 {
            if up.unwritten_bytes + bytes > self.setup.limits.peer_buffer_bytes_max {
                return Sent::Full;
            }
            up.waiting.extend_from_slice(frames);
            up.unwritten_bytes += bytes;
        } else {
            let written = match up.stream.try_write(frames) {
                Ok(written) => written,
                Err(error) if is_transient(&error) => 0,
                Err(error) => {
                    up.failure = Some(error);
                    self.wake.notify_one();
                    return Sent::Down;
                }
            };
            if written == bytes {
                counts.frames_sent.increment();
                counts.bytes_sent.add(bytes as u64);
                return Sent::Written;
            }
            frames.drain(..written);
            counts.bytes_sent.add(written as u64);
            mem::swap(&mut up.waiting, frames);
            up.unwritten_bytes = bytes - written;
        }
        up.unwritten_frames += 1;
        self.wake.notify_one();
        Sent::Queued
    }

    /// Dials for as long as it lives.
    pub(super) async fn keep_up(self: Rc<Self>, inbox: Rc<dyn Inbox>, mut backoff: Backoff) {
        let (peer, counts) = (self.peer, Arc::clone(&self.setup.counts));
        let longest_pause = Duration::from_millis(self.setup.limits.backoff_ms_max);
        loop {
            match self.dial().await {
                Ok((stream, hello)) => {
                    let since = Instant::now();
                    let stream = Rc::new(stream);
                    self.set_up(&stream);
                    counts.links_up.increment();
                    inbox.link_up(peer, Direction::Out, &hello);
                    let why = self.pump(&stream).await;
                    if !self.close() {
                        // A call of the inbox by this task has closed the link, and with it this task.
                        return;
                    }
                    if since.elapsed() >= longest_pause {
                        backoff.reset();
                    }
                    counts.links_down.increment();
                    inbox.link_down(peer, Direction::Out, &why);
                }
                Err(why) => {
                    counts.dials_failed.increment();
                    if matches!(why, LinkError::Refused(_) | LinkError::RefusedByPeer(_)) {
                        counts.refusals.increment();
                    }
                    inbox.dial_failed(peer, &why);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = self.peer_lives.notified() => {}
            }
        }
    }

    /// Forgets the connection and what waits on it; says whether there was one.
    pub(super) fn close(&self) -> bool {
        let Some(up) = self.up.take() else { return false };
        self.setup.counts.frames_dropped_down.add(up.unwritten_frames);
        true
    }

    fn set_up(&self, stream: &Rc<TcpStream>) {
        let stream = Rc::clone(stream);
        let up = Up { stream, waiting: Vec::new(), unwritten_bytes: 0, unwritten_frames: 0, failure: None };
        *self.up.borrow_mut() = Some(up);
    }

    async fn dial(&self) -> Result<(TcpStream, Hello), LinkError> {
        let limits = &self.setup.limits;
        let connecting = TcpStream::connect(&*self.address);
        let connected = tokio::time::timeout(Duration::from_millis(limits.connect_ms), connecting).await;
        let mut stream = match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(cause)) => return Err(LinkError::Io { doing: "connecting", cause }),
            Err(_) => return Err(LinkError::TimedOut { doing: "connecting", limit_ms: limits.connect_ms }),
        };
        configure(&stream, limits.silence_ms)?;
        let identity = &self.setup.identity;
        let hello =
            greeting::dial(&mut stream, identity, self.worker, self.peer, limits.handshake_ms).await?;
        Ok((stream, hello))
    }

    /// Writes what waits, and watches for the end of the connection, which shows by reading.
    async fn pump(&self, stream: &TcpStream) -> LinkError {
        let mut writing = Buffer::default();
        loop {
            if let Some(cause) = self.up.borrow_mut().as_mut().and_then(|up| up.failure.take()) {
                return LinkError::io("writing", cause);
            }
            self.refill(&mut writing);
            let interest =
                if writing.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            let ready = tokio::select! {
                ready = stream.ready(interest) => ready,
                () = self.wake.notified() => continue,
            };
            let ready = match ready {
                Ok(ready) => ready,
                Err(cause) => return LinkError::io("waiting for the socket", cause),
            };
            if ready.is_readable() || ready.is_read_closed() {
                match stream.try_read(&mut [0; 1]) {
                    Ok(0) => return LinkError::Closed,
                    Ok(_) => return LinkError::NotOneWay,
                    Err(error) if is_transient(&error) => {}
                    Err(cause) => return LinkError::io("reading", cause),
                }
            }
            if !writing.is_empty() && (ready.is_writable() || ready.is_write_closed()) {
                match stream.try_write(writing.rest()) {
                    Ok(written) => self.wrote(&mut writing, written),
                    Err(error) if is_transient(&error) => {}
                    Err(cause) => return LinkError::io("writing", cause),
                }
            }
        }
    }

    /// Takes what waits, once the buffer before it is written.
    fn refill(&self, writing: &mut Buffer) {
        if writing.is_empty()
            && let Some(up) = self.up.borrow_mut().as_mut()
        {
            writing.reuse();
            mem::swap(&mut up.waiting, &mut writing.bytes);
        }
    }

    fn wrote(&self, writing: &mut Buffer, written: usize) {
        writing.written += written;
        let counts = &self.setup.counts;
        counts.bytes_sent.add(written as u64);
        let mut up = self.up.borrow_mut();
        let Some(up) = up.as_mut() else { return };
        up.unwritten_bytes -= written;
        if up.unwritten_bytes == 0 {
            counts.frames_sent.add(mem::take(&mut up.unwritten_frames));
        }
    }
}

/// Bytes and how many of them are written.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    written: usize,
}

impl Buffer {
    fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    fn reuse(&mut self) {
        self.written = 0;
        self.bytes.clear();
        if self.bytes.capacity() > BUFFER_KEPT_BYTES {
            self.bytes = Vec::new();
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
