//! A link from a peer: frames are read and handed to the inbox.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;

use crate::transport::frame::{Decoder, FrameError};
use crate::transport::{Inbox, LinkError, NodeId, Setup};

/// Serves a greeted connection until it ends, and says why it did.
pub(super) async fn serve(
    stream: std::net::TcpStream,
    peer: NodeId,
    setup: &Setup,
    inbox: &dyn Inbox,
) -> LinkError {
    let why = match TcpStream::from_std(stream) {
        Ok(stream) => read(stream, peer, setup, inbox).await,
        Err(cause) => LinkError::io("registering a connection", cause),
    };
    if matches!(why, LinkError::Frame(_)) {
        setup.counts.frames_bad.increment();
    }
    why
}

/// Reads frames until the stream ends or is no good.
pub(in crate::transport) async fn read<S>(
    mut stream: S,
    peer: NodeId,
    setup: &Setup,
    inbox: &dyn Inbox,
) -> LinkError
where
    S: AsyncRead + Unpin,
{
    let limit_ms = setup.limits.frame_stall_ms;
    let mut decoder = Decoder::new(setup.limits.frame_bytes_max);
    let mut ticks = tokio::time::interval(Duration::from_millis(limit_ms.max(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut reads_since_tick = 1_u64;
    loop {
        let read = tokio::select! {
            biased;
            read = stream.read_buf(decoder.buffer()) => read,
            _ = ticks.tick() => {
                if reads_since_tick == 0 && decoder.is_inside_frame() {
                    return LinkError::TimedOut { doing: "waiting for the rest of a frame", limit_ms };
                }
                reads_since_tick = 0;
                continue;
            }
        };
        match read {
            Ok(0) => return LinkError::Closed,
            Ok(bytes) => setup.counts.bytes_received.add(bytes as u64),
            Err(cause) => return LinkError::io("reading", cause),
        }
        reads_since_tick += 1;
        if let Err(error) = deliver(&mut decoder, peer, setup, inbox) {
            return error.into();
        }
    }
}

fn deliver(decoder: &mut Decoder, peer: NodeId, setup: &Setup, inbox: &dyn Inbox) -> Result<(), FrameError> {
    while let Some(body) = decoder.next()? {
        setup.counts.frames_received.increment();
        inbox.frame(peer, body);
    }
    Ok(())
}
