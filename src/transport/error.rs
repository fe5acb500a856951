//! Why a link did not come up, or went down.

use std::io;

use super::frame::FrameError;
use super::handshake::Refusal;
use crate::encoding::EncodingError;

/// Why a link did not come up, or went down.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The other side closed the connection, or its process ended.
    #[error("closed by the other side")]
    Closed,
    /// The operating system refused.
    #[error("{doing}: {cause}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        cause: io::Error,
    },
    /// Took too long.
    #[error("{doing} took longer than {limit_ms} ms")]
    TimedOut {
        /// What was being done.
        doing: &'static str,
        /// How long it may take, in milliseconds.
        limit_ms: u64,
    },
    /// A damaged or illegal frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A handshake whose frame is sound but whose contents are not.
    #[error("handshake: {0}")]
    Handshake(#[from] EncodingError),
    /// This side found that the two do not belong together.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The other side found that the two do not belong together.
    #[error("refused by the other side: {0}")]
    RefusedByPeer(Refusal),
    /// An acceptor wrote to a connection on which only the dialler may.
    #[error("the acceptor wrote to a one-way connection")]
    NotOneWay,
    /// The same worker of the same node connected again.
    #[error("replaced by a newer connection of the same worker")]
    Replaced,
}

impl LinkError {
    /// An [`LinkError::Io`], or [`LinkError::Closed`] when that is what the error says.
    pub(super) fn io(doing: &'static str, cause: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match cause.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => Self::Closed,
            _ => Self::Io { doing, cause },
        }
    }
}
