//! Links between nodes: how frames get from a worker of one node to a worker of another.
//!
//! A *link* is one-way. Each worker of a node has one to each other node; it is dialled by the sender, and
//! answers come back over a link of the other node's own. Links live on their worker's thread and call the
//! worker's [`Inbox`] there. Two transports do the same: TCP ([`Links::tcp`]) and, for several nodes in one
//! process under test, memory (`Links::local`).
//!
//! **A link may lose frames, and says nothing when it does**: it drops what does not fit its buffer and what
//! is under way when it breaks. It never delivers a damaged one, never one twice, and never two of one
//! connection out of order.
//!
//! **An [`Inbox`] is never called from inside a method of [`Links`]**, only from tasks of the links, and the
//! transport holds no borrow while it calls. Inside a call the inbox may use its links.

mod counts;
mod error;
pub(crate) mod frame;
pub(crate) mod handshake;
#[cfg(test)]
mod local;
mod tcp;
#[cfg(test)]
mod tests;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub(crate) use counts::Counts;
pub(crate) use error::LinkError;
pub(crate) use handshake::{Boot, Hello, Identity, PROTOCOL_VERSION};
#[cfg(test)]
pub(crate) use local::LocalNet;
pub(crate) use tcp::{Incoming, Listener};

/// Names a node of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct NodeId(pub(crate) u16);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which way a link goes, seen from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From this node to the peer.
    Out,
    /// From the peer to this node.
    In,
}

/// What a worker hears from its links; called on the worker's thread. Calls must be short: nothing of the
/// links runs meanwhile.
pub(crate) trait Inbox {
    /// A whole, undamaged body came from a node. It is a slice of a read buffer (up to 64 KiB, or twice the
    /// frame, stay in memory with it): copy what is small and kept long.
    fn frame(&self, from: NodeId, body: Bytes);

    /// A link came up. `hello` is what the peer says of itself; its epoch may differ from this node's.
    fn link_up(&self, peer: NodeId, direction: Direction, hello: &Hello);

    /// A link that was up went down.
    fn link_down(&self, peer: NodeId, direction: Direction, why: &LinkError);

    /// An attempt to bring a link to the peer up failed; another follows.
    fn dial_failed(&self, peer: NodeId, why: &LinkError) {
        let _ = (peer, why);
    }
}

/// The limits of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The longest frame, its 16-byte header included; 32 MiB.
    pub(crate) frame_bytes_max: usize,
    /// How many bytes may wait to be written to one peer; 16 MiB. A link with nothing waiting takes one call
    /// of [`Links::send`] whatever its length.
    pub(crate) peer_buffer_bytes_max: usize,
    /// How long a TCP connection may take to be made; 2,000 ms.
    pub(crate) connect_ms: u64,
    /// How long a handshake may take; 2,000 ms.
    pub(crate) handshake_ms: u64,
    /// How many incoming handshakes may be under way; 128. Past it the oldest is closed.
    pub(crate) handshakes_max: usize,
    /// A connection on which a frame has begun and no byte came for this long is closed (at the latest after
    /// twice this); 10,000 ms.
    pub(crate) frame_stall_ms: u64,
    /// A connection whose machine does not acknowledge for this long is closed; 10,000 ms.
    pub(crate) silence_ms: u64,
    /// The first pause before dialling again; 5 ms. It doubles each time, until a link stayed up for the
    /// longest pause.
    pub(crate) backoff_ms_min: u64,
    /// The longest pause before dialling again; 1,000 ms.
    pub(crate) backoff_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 32 << 20,
            peer_buffer_bytes_max: 16 << 20,
            connect_ms: 2_000,
            handshake_ms: 2_000,
            handshakes_max: 128,
            frame_stall_ms: 10_000,
            silence_ms: 10_000,
            backoff_ms_min: 5,
            backoff_ms_max: 1_000,
        }
    }
}

/// What the links of all workers, and the listener, of a node have in common.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// Who this node is.
    pub(crate) identity: Identity,
    /// What is allowed.
    pub(crate) limits: Limits,
    /// Where to count.
    pub(crate) counts: Arc<Counts>,
}

/// What became of the frames given to [`Links::send`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// They are in the operating system's buffer.
    Written,
    /// They wait in the link's buffer.
    Queued,
    /// Dropped: the link's buffer is full.
    Full,
    /// Dropped: the link is down, or there is no such peer.
    Down,
}

/// The links of one worker. Dropping it, or [`Links::stop`], closes them.
pub(crate) enum Links {
    /// Over TCP.
    Tcp(tcp::TcpLinks),
    /// Inside the process.
    #[cfg(test)]
    Local(local::LocalLinks),
}

impl Links {
    /// Starts dialling the peers from a worker, over TCP. `seed` varies the pauses between attempts.
    ///
    /// Must be called on a local runtime with I/O and time, as workers do, or inside a `LocalSet` of another one, as tests do.
    pub(crate) fn tcp(
        setup: Setup,
        worker: u16,
        peers: &[(NodeId, String)],
        inbox: Rc<dyn Inbox>,
        seed: u64,
    ) -> Self {
        Self::Tcp(tcp::TcpLinks::start(setup, worker, peers, inbox, seed))
    }

    /// Joins a network inside this process as a worker of a node.
    ///
    /// Must be called on a local runtime or inside a `LocalSet`.
    #[cfg(test)]
    pub(crate) fn local(
        net: &LocalNet,
        setup: Setup,
        worker: u16,
        peers: &[NodeId],
        inbox: Rc<dyn Inbox>,
    ) -> Self {
        Self::Local(local::LocalLinks::join(net, setup, worker, peers, inbox))
    }

    /// Sends whole frames ([`frame::begin`], [`frame::finish`]) to a peer, and leaves `frames` empty with
    /// some capacity.
    ///
    /// The bytes go to the socket at once when nothing waits there; otherwise they are joined to what waits.
    /// They are dropped when the link is down or its buffer full: the caller's protocol must survive that
    /// anyway.
    pub(crate) fn send(&self, peer: NodeId, frames: &mut Vec<u8>) -> Sent {
        match self {
            Self::Tcp(links) => links.send(peer, frames),
            #[cfg(test)]
            Self::Local(links) => links.send(peer, frames),
        }
    }

    /// Whether the link to a peer is up, as far as is known.
    #[cfg(test)]
    pub(crate) fn is_up(&self, peer: NodeId) -> bool {
        match self {
            Self::Tcp(links) => links.is_up(peer),
            Self::Local(links) => links.is_up(peer),
        }
    }

    /// Takes over a connection that the [`Listener`] greeted for this worker. Over memory there is no such
    /// thing: closed.
    pub(crate) fn accept(&self, incoming: Incoming) {
        match self {
            Self::Tcp(links) => links.accept(incoming),
            #[cfg(test)]
            Self::Local(_) => drop(incoming),
        }
    }

    /// Changes whom to dial: links to the others are closed, links to new ones are dialled, and one whose
    /// address changed is dialled anew. Over memory the peers are fixed.
    pub(crate) fn set_peers(&self, peers: &[(NodeId, String)]) {
        match self {
            Self::Tcp(links) => links.set_peers(peers),
            #[cfg(test)]
            Self::Local(_) => {}
        }
    }

    /// Closes all links, and lets go of the inbox, which may own these links. The inbox is not called any
    /// more, except that a call of it in which this is called may be followed by the rest of what was read
    /// with it.
    pub(crate) fn stop(&self) {
        match self {
            Self::Tcp(links) => links.stop(),
            #[cfg(test)]
            Self::Local(links) => links.stop(),
        }
    }
}
