//! The handshake: two nodes tell each other who they are and refuse to talk when they would not agree on
//! where a record lives. Pure. Bytes: `FORMAT.md`.
//!
//! The dialler sends a [`Hello`]; the acceptor answers with a hello of its own (the *welcome*) or a
//! [`Refusal`] that names the fact and the value at both sides. The dialler checks the welcome in the same
//! way and hangs up if it does not like it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::frame::{self, FrameError, HEADER_BYTES, Header, Kind};
use super::{LinkError, NodeId};
use crate::encoding::{self, EncodingError};

/// The version of the protocol that links speak: what frames mean, and the layout of a hello.
pub(crate) const PROTOCOL_VERSION: u16 = 2;

/// The longest frame of a handshake, header included.
pub(crate) const HANDSHAKE_BYTES_MAX: usize = 4096;

/// The longest cluster name, in bytes.
pub(crate) const CLUSTER_BYTES_MAX: usize = 256;

/// One life of a node: never repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Boot {
    /// Random, drawn when the directory was made.
    pub(crate) disk: u64,
    /// Counts the starts from that directory.
    pub(crate) count: u32,
}

/// What a node says of itself when a connection starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// [`PROTOCOL_VERSION`] of the sender. It is the first field in every version.
    pub(crate) protocol: u16,
    /// The cluster's name; at most 256 bytes.
    pub(crate) cluster: String,
    /// Who is speaking.
    pub(crate) node: NodeId,
    /// Which life of that node.
    pub(crate) boot: Boot,
    /// Which worker of the sender this connection belongs to.
    pub(crate) worker: u16,
    /// How many workers the sender has.
    pub(crate) workers: u16,
    /// Buckets of the cluster.
    pub(crate) buckets: u32,
    /// Length of a window in milliseconds.
    pub(crate) window_span_ms: u64,
    /// Which routing table.
    pub(crate) table_id: u64,
    /// Replicas of a bucket.
    pub(crate) replicas: u8,
    /// The version of the sender's topology. May differ; the receiver is told.
    pub(crate) epoch: u64,
    /// How many groups that topology has.
    pub(crate) groups: u32,
}

/// Why two nodes do not talk: what differs, and the value at both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// The fact that differs.
    pub(crate) field: String,
    /// The value of the side that dialled.
    pub(crate) dialler: String,
    /// The value of, or wanted by, the side that accepted.
    pub(crate) acceptor: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, dialler, acceptor } = self;
        let (field, dialler, acceptor) =
            (field.escape_debug(), dialler.escape_debug(), acceptor.escape_debug());
        write!(f, "{field} is {dialler} at the node that dialled and {acceptor} at the node that was dialled")
    }
}

/// Who this node is, shared by its links and its listener; what belongs to the topology can change.
#[derive(Debug, Clone)]
pub(crate) struct Identity(Arc<RwLock<Facts>>);

#[derive(Debug)]
struct Facts {
    hello: Hello,
    nodes: BTreeSet<NodeId>,
}

impl Identity {
    /// Of a node that says this of itself (`worker` does not matter) and knows these nodes.
    pub(crate) fn new(hello: Hello, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        Self(Arc::new(RwLock::new(Facts { hello, nodes: nodes.into_iter().collect() })))
    }

    /// Takes over a newer topology. Links that are up stay up.
    #[cfg_attr(not(test), expect(dead_code, reason = "a running node does not take a new topology yet"))]
    pub(crate) fn set_topology(&self, epoch: u64, groups: u32, nodes: impl IntoIterator<Item = NodeId>) {
        let mut facts = self.0.write();
        facts.hello.epoch = epoch;
        facts.hello.groups = groups;
        facts.nodes = nodes.into_iter().collect();
    }

    /// What a worker of this node says.
    pub(crate) fn hello(&self, worker: u16) -> Hello {
        Hello { worker, ..self.0.read().hello.clone() }
    }

    /// What the acceptor answers to a hello: its own, of the worker that will serve the link, or why not.
    pub(super) fn answer(&self, dialler: &Hello) -> Result<Hello, Refusal> {
        let facts = self.0.read();
        agree(dialler, &facts.hello)?;
        // A node that knows a newer topology may know more nodes.
        if !facts.nodes.contains(&dialler.node) && dialler.epoch <= facts.hello.epoch {
            return Err(refusal("node", dialler.node, format!("of nodes {:?}", facts.nodes)));
        }
        let worker = dialler.worker % facts.hello.workers.max(1);
        Ok(Hello { worker, ..facts.hello.clone() })
    }

    /// Checks what an acceptor that should be `expected` said of itself.
    pub(super) fn check_welcome(&self, expected: NodeId, acceptor: &Hello) -> Result<(), Refusal> {
        let facts = self.0.read();
        if acceptor.node != expected {
            return Err(refusal("node", format!("dialling node {expected}"), acceptor.node));
        }
        agree(&facts.hello, acceptor)
    }
}

/// Whether two nodes may talk. Both sides ask this of the same two hellos.
pub(super) fn agree(dialler: &Hello, acceptor: &Hello) -> Result<(), Refusal> {
    fn same<T: PartialEq + fmt::Display>(field: &str, dialler: T, acceptor: T) -> Result<(), Refusal> {
        if dialler == acceptor { Ok(()) } else { Err(refusal(field, dialler, acceptor)) }
    }
    same("protocol version", dialler.protocol, acceptor.protocol)?;
    same("cluster", &dialler.cluster, &acceptor.cluster)?;
    same("buckets", dialler.buckets, acceptor.buckets)?;
    same("window span in ms", dialler.window_span_ms, acceptor.window_span_ms)?;
    same("table id", dialler.table_id, acceptor.table_id)?;
    same("replicas", dialler.replicas, acceptor.replicas)?;
    // A worker's link ends at the worker of the same number, which must own the same buckets.
    same("workers", dialler.workers, acceptor.workers)?;
    if dialler.node == acceptor.node {
        return Err(refusal("node", dialler.node, format!("{} as well", acceptor.node)));
    }
    if dialler.epoch == acceptor.epoch {
        same("groups, in the same epoch,", dialler.groups, acceptor.groups)?;
    }
    if dialler.worker >= dialler.workers {
        let text = format!("{} of {}", dialler.worker, dialler.workers);
        return Err(refusal("worker", text, "counting from 0"));
    }
    Ok(())
}

pub(super) fn refusal(field: &str, dialler: impl fmt::Display, acceptor: impl fmt::Display) -> Refusal {
    let cut = |text: String| text.chars().take(CLUSTER_BYTES_MAX).collect();
    Refusal {
        field: field.to_owned(),
        dialler: cut(dialler.to_string()),
        acceptor: cut(acceptor.to_string()),
    }
}

/// What a frame of a handshake holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// From the dialler.
    Hello(Hello),
    /// From the acceptor.
    Welcome(Hello),
    /// From the acceptor.
    Refusal(Refusal),
    /// From either, in another version of the protocol, whose number is all that can be read of it.
    Foreign(u16),
}

impl Greeting {
    /// As a frame.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, LinkError> {
        let (kind, body) = match self {
            Self::Hello(hello) => (Kind::Hello, encoding::encode::<HANDSHAKE_BYTES_MAX, _>(hello)?),
            Self::Welcome(hello) => (Kind::Welcome, encoding::encode::<HANDSHAKE_BYTES_MAX, _>(hello)?),
            Self::Refusal(refusal) => (Kind::Refusal, encoding::encode::<HANDSHAKE_BYTES_MAX, _>(refusal)?),
            Self::Foreign(_) => unreachable!("a greeting of another protocol is only ever read"),
        };
        Ok(frame::encode(kind, &body, HANDSHAKE_BYTES_MAX)?)
    }

    /// The header of a greeting's frame, checked.
    pub(crate) fn header(bytes: &[u8; HEADER_BYTES]) -> Result<Header, LinkError> {
        Ok(Header::decode(bytes, HANDSHAKE_BYTES_MAX)?)
    }

    /// The greeting of a header and the body that came with it.
    pub(crate) fn decode(header: Header, body: &[u8]) -> Result<Self, LinkError> {
        header.verify(body)?;
        if matches!(header.kind, Kind::Hello | Kind::Welcome)
            && let Some(&[low, high]) = body.first_chunk::<2>()
            && u16::from_le_bytes([low, high]) != PROTOCOL_VERSION
        {
            return Ok(Self::Foreign(u16::from_le_bytes([low, high])));
        }
        match header.kind {
            Kind::Hello => Ok(Self::Hello(decode_hello(body)?)),
            Kind::Welcome => Ok(Self::Welcome(decode_hello(body)?)),
            Kind::Refusal => Ok(Self::Refusal(encoding::decode::<HANDSHAKE_BYTES_MAX, _>(body)?)),
            found @ Kind::Body => Err(FrameError::UnexpectedKind { found, expected: "a greeting" }.into()),
        }
    }
}

fn decode_hello(body: &[u8]) -> Result<Hello, EncodingError> {
    let hello: Hello = encoding::decode::<HANDSHAKE_BYTES_MAX, _>(body)?;
    if hello.cluster.len() > CLUSTER_BYTES_MAX {
        return Err(EncodingError::TooLong { bytes: hello.cluster.len(), bytes_max: CLUSTER_BYTES_MAX });
    }
    Ok(hello)
}
