//! Links between nodes: frames of a length (u32, little-endian) and that many bytes, over TCP.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// A longer frame closes the connection: 64 MiB.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// What is queued for a peer is joined into writes of about this many bytes.
const WRITE_BYTES: usize = 256 << 10;

/// A node that cannot be reached is tried again after this long.
const RECONNECT: Duration = Duration::from_millis(20);

/// Appends `body` as one frame.
pub fn push_frame(out: &mut Vec<u8>, body: &[u8]) {
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(body);
}

/// Cuts a byte stream into frames.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames from `stream`.
    pub fn new(stream: R) -> Self {
        FrameReader { stream, buffer: BytesMut::with_capacity(64 << 10) }
    }

    /// The next frame, or `None` when the other side has closed.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(length) = self.buffer.first_chunk::<4>() {
                let length = u32::from_le_bytes(*length) as usize;
                if length > FRAME_BYTES_MAX {
                    let text = format!("frame of {length} bytes, more than {FRAME_BYTES_MAX}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                if self.buffer.len() >= 4 + length {
                    self.buffer.advance(4);
                    return Ok(Some(self.buffer.split_to(length).freeze()));
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// One-way links to every peer. What is queued while a write runs is joined into the next; what is queued while
/// there is no connection is dropped, which Raft allows.
#[derive(Debug)]
pub struct Links {
    queues: BTreeMap<u64, mpsc::UnboundedSender<Vec<u8>>>,
}

impl Links {
    /// Starts a sending task for each of `peers`.
    pub fn start(runtime: &Handle, peers: BTreeMap<u64, String>) -> Links {
        let queues = peers
            .into_iter()
            .map(|(id, address)| {
                let (queue, waiting) = mpsc::unbounded_channel();
                runtime.spawn(send_all(address, waiting));
                (id, queue)
            })
            .collect();
        Links { queues }
    }

    /// Queues `message` for node `to`.
    pub fn send(&self, to: u64, message: Vec<u8>) {
        if let Some(queue) = self.queues.get(&to) {
            // A closed queue means that the runtime is going down.
            drop(queue.send(message));
        }
    }

    /// Accepts peers at `address` and hands each frame to `receive`, for as long as the process lives.
    pub async fn listen<F>(address: String, receive: F) -> io::Result<()>
    where
        F: Fn(Bytes) + Clone + Send + 'static,
    {
        let listener = TcpListener::bind(&address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let receive = receive.clone();
            tokio::spawn(async move {
                let mut frames = FrameReader::new(stream);
                while let Ok(Some(frame)) = frames.next().await {
                    receive(frame);
                }
            });
        }
    }
}

async fn send_all(address: String, mut waiting: mpsc::UnboundedReceiver<Vec<u8>>) {
    loop {
        match TcpStream::connect(&address).await {
            Ok(stream) => {
                if send_on(stream, &mut waiting).await.is_ok() {
                    return;
                }
            }
            Err(_) => {
                tokio::time::sleep(RECONNECT).await;
                while waiting.try_recv().is_ok() {}
            }
        }
    }
}

/// Ends without an error when nobody can queue any more.
async fn send_on(mut stream: TcpStream, waiting: &mut mpsc::UnboundedReceiver<Vec<u8>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut joined = Vec::with_capacity(WRITE_BYTES);
    while let Some(first) = waiting.recv().await {
        joined.clear();
        push_frame(&mut joined, &first);
        while joined.len() < WRITE_BYTES {
            let Ok(next) = waiting.try_recv() else { break };
            push_frame(&mut joined, &next);
        }
        stream.write_all(&joined).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn frames_come_back_whole_and_a_huge_length_is_an_error() {
        let mut wire = Vec::new();
        push_frame(&mut wire, b"one");
        push_frame(&mut wire, b"");
        wire.extend_from_slice(&u32::MAX.to_le_bytes());
        let mut frames = FrameReader::new(&wire[..]);
        assert_eq!(frames.next().await.unwrap().unwrap(), &b"one"[..]);
        assert_eq!(frames.next().await.unwrap().unwrap(), &b""[..]);
        assert_eq!(frames.next().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
