//! The door: one listener for all workers of a node.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{configure, greeting};
use crate::transport::{Hello, LinkError, Setup};

/// How long to wait when the operating system has no descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A connection that passed its handshake, on its way to its worker's
/// [`Links::accept`](crate::transport::Links::accept).
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(super) stream: std::net::TcpStream,
    pub(super) hello: Hello,
}

/// Accepts connections, greets them, and hands them to their workers.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    setup: Setup,
}

impl Listener {
    /// Listens at an address. Must be called inside a runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub(crate) async fn bind(address: SocketAddr, setup: Setup) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, setup })
    }

    /// Where it listens: the port that was chosen when port 0 was asked for.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    #[cfg(test)]
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts for as long as it is polled. `hand_over` gets each greeted connection with the number of the
    /// worker that is to serve it; it is called on the listener's thread. `refused` gets each connection that
    /// did not get that far.
    pub(crate) async fn run(
        self,
        hand_over: impl Fn(u16, Incoming) + Send + Sync + 'static,
        refused: impl Fn(SocketAddr, &LinkError) + Send + Sync + 'static,
    ) {
        let callbacks = Arc::new((hand_over, refused));
        let mut handshakes = Handshakes { tasks: VecDeque::new(), max: self.setup.limits.handshakes_max };
        loop {
            let (stream, from) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if handshakes.make_room() {
                self.setup.counts.connections_rejected.increment();
            }
            let (setup, callbacks) = (self.setup.clone(), Arc::clone(&callbacks));
            handshakes.tasks.push_back(tokio::spawn(async move {
                match greet(stream, &setup).await {
                    Ok((worker, incoming)) => callbacks.0(worker, incoming),
                    Err(why) => {
                        setup.counts.handshakes_failed.increment();
                        match why {
                            LinkError::Refused(_) => setup.counts.refusals.increment(),
                            LinkError::Frame(_) => setup.counts.frames_bad.increment(),
                            _ => {}
                        }
                        callbacks.1(from, &why);
                    }
                }
            }));
        }
    }
}

async fn greet(mut stream: TcpStream, setup: &Setup) -> Result<(u16, Incoming), LinkError> {
    configure(&stream, setup.limits.silence_ms)?;
    let (hello, worker) = greeting::accept(&mut stream, &setup.identity, setup.limits.handshake_ms).await?;
    let stream = stream.into_std().map_err(|cause| LinkError::io("handing a connection over", cause))?;
    Ok((worker, Incoming { stream, hello }))
}

/// The handshakes under way, oldest first.
struct Handshakes {
    tasks: VecDeque<JoinHandle<()>>,
    max: usize,
}

impl Handshakes {
    /// Makes room for one more; says whether that cost the oldest its connection. An honest handshake takes a
    /// round trip, so the oldest of many is the one that means no good.
    fn make_room(&mut self) -> bool {
        if self.tasks.len() < self.max.max(1) {
            return false;
        }
        self.tasks.retain(|task| !task.is_finished());
        if self.tasks.len() < self.max.max(1) {
            return false;
        }
        if let Some(oldest) = self.tasks.pop_front() {
            oldest.abort();
        }
        true
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
