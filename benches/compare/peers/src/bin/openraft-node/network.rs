//! How openraft's nodes talk. A connection begins with a frame that says what it is for; entries then flow one way
//! and answers the other, joined into as few writes as there is work for.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::base::{BoxFuture, BoxStream};
use openraft::error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, VoteRequest,
    VoteResponse,
};
use openraft::{AnyError, OptionalSend};
use peers::{FrameReader, push_frame};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::storage::{decode, encode};
use crate::{Node, Types};

/// Requests or answers joined into one write, at most.
const JOINED_MAX: usize = 64;

/// What a connection is for, its first frame.
const APPEND_STREAM: &[u8] = b"append stream";
const APPEND: &[u8] = b"append";
const VOTE: &[u8] = b"vote";
const PRE_VOTE: &[u8] = b"pre-vote";

type Failure = RPCError<Types>;

/// Where the other nodes are.
pub(crate) struct Network {
    addresses: Arc<BTreeMap<u64, String>>,
}

impl Network {
    pub(crate) fn new(addresses: BTreeMap<u64, String>) -> Network {
        Network { addresses: Arc::new(addresses) }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _: &()) -> Peer {
        Peer { address: self.addresses.get(&target).cloned().unwrap_or_default() }
    }
}

/// One other node.
pub(crate) struct Peer {
    address: String,
}

impl Peer {
    async fn connect(&self, purpose: &[u8]) -> Result<TcpStream, Failure> {
        let mut stream = TcpStream::connect(&self.address).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(broken)?;
        let mut frame = Vec::new();
        push_frame(&mut frame, purpose);
        stream.write_all(&frame).await.map_err(broken)?;
        Ok(stream)
    }

    /// A question on a connection of its own: elections only, entries take the stream.
    async fn ask<Q, A>(&self, purpose: &[u8], question: &Q, option: &RPCOption) -> Result<A, Failure>
    where
        Q: serde::Serialize,
        A: serde::de::DeserializeOwned,
    {
        let asking = async {
            let mut stream = self.connect(purpose).await?;
            let mut frame = Vec::new();
            push_frame(&mut frame, &encode(question).map_err(broken)?);
            stream.write_all(&frame).await.map_err(broken)?;
            match FrameReader::new(stream).next().await.map_err(broken)? {
                Some(answer) => decode(&answer).map_err(broken),
                None => Err(broken("closed before it answered")),
            }
        };
        tokio::time::timeout(option.hard_ttl(), asking).await.map_err(unreachable)?
    }
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = Vec<u8>;

    async fn append_entries(
        &mut self,
        question: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, Failure> {
        self.ask(APPEND, &question, &option).await
    }

    async fn vote(
        &mut self,
        question: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, Failure> {
        self.ask(VOTE, &question, &option).await
    }

    async fn pre_vote(
        &mut self,
        question: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, Failure> {
        self.ask(PRE_VOTE, &question, &option).await
    }

    async fn full_snapshot(
        &mut self,
        _: VoteOf<Types>,
        _: SnapshotOf<Types, Vec<u8>>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(StreamingError::Unreachable(Unreachable::new(&AnyError::error("this store takes no snapshots"))))
    }

    fn stream_append<'s, S>(
        &'s mut self,
        requests: S,
        _: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<Types>, Failure>>, Failure>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let (reading, writing) = self.connect(APPEND_STREAM).await?.into_split();
            let sender = Sender(tokio::spawn(async move {
                // A broken connection shows on the reading side as well, which reports it.
                drop(send_joined(requests, writing).await);
            }));
            let answers = futures::stream::unfold(Some((FrameReader::new(reading), sender)), |state| async {
                let (mut frames, sender) = state?;
                match frames.next().await {
                    Ok(Some(frame)) => match decode::<StreamAppendResult<Types>>(&frame) {
                        Ok(answer) => Some((Ok(answer), Some((frames, sender)))),
                        Err(error) => Some((Err(broken(error)), None)),
                    },
                    // The peer closes its side after we have closed ours; before that, it has died.
                    Ok(None) if sender.0.is_finished() => None,
                    Ok(None) => Some((Err(broken("closed")), None)),
                    Err(error) => Some((Err(broken(error)), None)),
                }
            });
            Ok(Box::pin(answers) as BoxStream<'s, _>)
        })
    }
}

/// The task that sends; it goes when the answers are no longer wanted.
struct Sender(JoinHandle<()>);

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn send_joined<T, S>(items: S, mut writing: OwnedWriteHalf) -> io::Result<()>
where
    T: serde::Serialize,
    S: Stream<Item = T> + Unpin,
{
    let mut chunks = items.ready_chunks(JOINED_MAX);
    let mut joined = Vec::new();
    while let Some(chunk) = chunks.next().await {
        joined.clear();
        for item in &chunk {
            push_frame(&mut joined, &encode(item)?);
        }
        writing.write_all(&joined).await?;
    }
    writing.shutdown().await
}

/// Serves the other nodes at `address` for as long as the process lives.
pub(crate) async fn listen(address: String, node: Node) -> io::Result<()> {
    let listener = TcpListener::bind(&address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let node = node.clone();
        tokio::spawn(async move {
            // A connection that breaks is the caller's to open again.
            drop(serve_peer(stream, node).await);
        });
    }
}

async fn serve_peer(stream: TcpStream, node: Node) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reading, mut writing) = stream.into_split();
    let mut frames = FrameReader::new(reading);
    let Some(purpose) = frames.next().await? else { return Ok(()) };
    if purpose == APPEND_STREAM {
        let requests = futures::stream::unfold(frames, |mut frames| async {
            let frame = frames.next().await.ok()??;
            let request = decode::<AppendEntriesRequest<Types>>(&frame).ok()?;
            Some((request, frames))
        });
        // A fatal error of the node ends the stream, and with it the connection.
        let answers = node.stream_append(requests).take_while(|answer| std::future::ready(answer.is_ok()));
        let answers = answers.filter_map(|answer| std::future::ready(answer.ok()));
        return send_joined(Box::pin(answers), writing).await;
    }
    while let Some(frame) = frames.next().await? {
        let answer = if purpose == APPEND {
            encode(&node.append_entries(decode(&frame)?).await.map_err(io::Error::other)?)
        } else if purpose == VOTE {
            encode(&node.vote(decode(&frame)?).await.map_err(io::Error::other)?)
        } else if purpose == PRE_VOTE {
            encode(&node.pre_vote(decode(&frame)?).await.map_err(io::Error::other)?)
        } else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a connection for an unknown purpose"));
        };
        let mut out = Vec::new();
        push_frame(&mut out, &answer?);
        writing.write_all(&out).await?;
    }
    Ok(())
}

fn unreachable(error: impl Display) -> Failure {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(error.to_string())))
}

fn broken(error: impl Display) -> Failure {
    RPCError::Network(NetworkError::new(&AnyError::error(error.to_string())))
}
