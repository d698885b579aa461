//! Talking to miners: what may be asked of them over the data protocol.
//!
//! Owns the questions and which answers fit them. Must not know why something is asked, nor how streams are kept (`links`).

use super::{
    links::{Dialogue, LinkError, Links},
    wire::{Answer, Ask, AuditPart, DATA, Refusal, Request, Response},
};
use crate::{
    codec::{self, CodecError},
    network::{NetError, Network, PeerId, Protocol},
    runtime::{Counter, Node},
    types::FragmentId,
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

/// Requests that may wait for their answers on one stream.
pub const LINK_MAX_REQUESTS: usize = 16;

/// Why a miner did not answer as hoped.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DataError {
    /// The network failed.
    #[error(transparent)]
    Network(#[from] NetError),
    /// The miner said no.
    #[error("miner {peer} refused: {refusal}")]
    Refused { peer: PeerId, refusal: Refusal },
    /// No answer in time.
    #[error("miner {peer} did not answer within {millis} ms")]
    Timeout { peer: PeerId, millis: u64 },
    /// The answer does not fit the question.
    #[error("miner {peer} broke the protocol: {reason}")]
    Protocol { peer: PeerId, reason: String },
    /// Too many streams are open.
    #[error("{}", LinkError::Busy)]
    Busy,
}

impl From<LinkError> for DataError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Network(error) => Self::Network(error),
            LinkError::Timeout { peer, millis } => Self::Timeout { peer, millis },
            LinkError::Protocol { peer, reason } => Self::Protocol { peer, reason },
            LinkError::Busy => Self::Busy,
        }
    }
}

/// Handle for talking to miners. Cheap to clone; clones share the streams.
#[derive(Clone)]
pub struct DataClient {
    node: Node,
    links: Links<DataDialogue>,
}

/// The data protocol: bytes of a fragment or of a proof are a frame of their own.
struct DataDialogue;

impl Dialogue for DataDialogue {
    const PROTOCOL: Protocol = DATA;
    const NAME: &'static str = "data link";
    const MAX_REQUESTS: usize = LINK_MAX_REQUESTS;
    type Ask = (Ask, Option<Bytes>);
    type Answer = (Answer, Bytes);

    fn frames(tag: u32, (ask, payload): Self::Ask) -> Vec<Bytes> {
        let request = codec::encode(&Request { tag, ask });
        std::iter::once(request.into()).chain(payload).collect()
    }

    fn read(frame: &[u8]) -> Result<(u32, Self::Answer, Option<u32>), CodecError> {
        let Response { tag, answer } = codec::decode(frame)?;
        let follows = match answer {
            Answer::Fragment { len } | Answer::Proof { len } => Some(len),
            _ => None,
        };
        Ok((tag, (answer, Bytes::new()), follows))
    }

    fn complete((answer, _): Self::Answer, bytes: Bytes) -> Self::Answer {
        (answer, bytes)
    }
}

type Reply = Result<(Answer, Bytes), DataError>;

impl DataClient {
    /// A client over `network`.
    pub fn new(node: &Node, network: Arc<dyn Network>) -> Self {
        Self { node: node.clone(), links: Links::new(node, network) }
    }

    /// Has `peer` keep a fragment; returns when it is safely on its disk.
    pub async fn put(&self, peer: PeerId, id: FragmentId, bytes: Bytes, deadline: Duration) -> Result<(), DataError> {
        let len = u32::try_from(bytes.len()).map_err(|_| protocol(peer, "a fragment is at most 8 MiB"))?;
        self.node.metrics.add(Counter::BytesOut, u64::from(len));
        match self.ask(peer, Ask::Put { id, len }, Some(bytes), deadline).await? {
            (Answer::Stored, _) => Ok(()),
            (other, _) => Err(unexpected(peer, other)),
        }
    }

    /// A fragment of `len` bytes as `peer` sends it. The caller checks the hash.
    pub async fn get(&self, peer: PeerId, id: FragmentId, len: u64, deadline: Duration) -> Result<Bytes, DataError> {
        match self.ask(peer, Ask::Get { id }, None, deadline).await? {
            (Answer::Fragment { .. }, bytes) if bytes.len() as u64 == len => {
                self.node.metrics.add(Counter::BytesIn, len);
                Ok(bytes)
            }
            (Answer::Fragment { len: sent }, _) => {
                Err(protocol(peer, format!("fragment {id} was sent with {sent} B, expected {len} B")))
            }
            (other, _) => Err(unexpected(peer, other)),
        }
    }

    /// Has `peer` compare a fragment on its disk with its id.
    pub async fn check(&self, peer: PeerId, id: FragmentId, deadline: Duration) -> Result<(), DataError> {
        match self.ask(peer, Ask::Check { id }, None, deadline).await? {
            (Answer::Stored, _) => Ok(()),
            (other, _) => Err(unexpected(peer, other)),
        }
    }

    /// Which of `ids` the peer holds, in their order.
    pub async fn has(&self, peer: PeerId, ids: Vec<FragmentId>, deadline: Duration) -> Result<Vec<bool>, DataError> {
        let count = ids.len();
        match self.ask(peer, Ask::Has { ids }, None, deadline).await? {
            (Answer::Held(held), _) if held.len() == count => Ok(held),
            (other, _) => Err(unexpected(peer, other)),
        }
    }

    /// The peer's signed receipt for one column of a manifest, unchecked.
    pub async fn receipt(
        &self,
        peer: PeerId,
        column: u8,
        manifest: &[u8],
        deadline: Duration,
    ) -> Result<[u8; 64], DataError> {
        let ask = Ask::Receipt { column, manifest: manifest.to_vec() };
        match self.ask(peer, ask, None, deadline).await? {
            (Answer::Signed(signature), _) => Ok(signature),
            (other, _) => Err(unexpected(peer, other)),
        }
    }

    /// Has `peer` keep the tags of a fragment it holds. It checks them first.
    pub async fn tags(
        &self,
        peer: PeerId,
        id: FragmentId,
        epoch: u64,
        tags: Bytes,
        deadline: Duration,
    ) -> Result<(), DataError> {
        let len = u32::try_from(tags.len()).map_err(|_| protocol(peer, "tags of a fragment are at most 12 KiB"))?;
        match self.ask(peer, Ask::Tags { id, epoch, len }, Some(tags), deadline).await? {
            (Answer::Stored, _) => Ok(()),
            (other, _) => Err(unexpected(peer, other)),
        }
    }

    /// The peer's signature that it holds good tags of one column of a manifest, unchecked.
    pub async fn tag_receipt(
        &self,
        peer: PeerId,
        column: u8,
        epoch: u64,
        manifest: &[u8],
        deadline: Duration,
    ) -> Result<[u8; 64], DataError> {
        let ask = Ask::TagReceipt { column, epoch, manifest: manifest.to_vec() };
        match self.ask(peer, ask, None, deadline).await? {
            (Answer::Signed(signature), _) => Ok(signature),
            (other, _) => Err(unexpected(peer, other)),
        }
    }

    /// The peer's answer to a round of audits, unchecked.
    pub async fn audit(
        &self,
        peer: PeerId,
        round: u64,
        part: AuditPart,
        deadline: Duration,
    ) -> Result<Bytes, DataError> {
        self.proof(peer, Ask::Audit { round, part }, deadline).await
    }

    /// The peer's proof of a segment of idle space, unchecked.
    pub async fn idle_proof(
        &self,
        peer: PeerId,
        batch: u64,
        segment: u64,
        deadline: Duration,
    ) -> Result<Bytes, DataError> {
        self.proof(peer, Ask::IdleProof { batch, segment }, deadline).await
    }

    async fn proof(&self, peer: PeerId, ask: Ask, deadline: Duration) -> Result<Bytes, DataError> {
        match self.ask(peer, ask, None, deadline).await? {
            (Answer::Proof { .. }, bytes) => {
                self.node.metrics.add(Counter::BytesIn, bytes.len() as u64);
                Ok(bytes)
            }
            (other, _) => Err(unexpected(peer, other)),
        }
    }

    /// Drops the stream to `peer` and fails what waits on it. The next request opens a new one.
    pub fn reset(&self, peer: PeerId) {
        self.links.reset(peer);
    }

    async fn ask(&self, peer: PeerId, ask: Ask, payload: Option<Bytes>, deadline: Duration) -> Reply {
        match self.links.ask(peer, (ask, payload), deadline).await? {
            (Answer::Refused(refusal), _) => Err(DataError::Refused { peer, refusal }),
            answer => Ok(answer),
        }
    }
}

fn protocol(peer: PeerId, reason: impl Into<String>) -> DataError {
    DataError::Protocol { peer, reason: reason.into() }
}

fn unexpected(peer: PeerId, answer: Answer) -> DataError {
    let kind = match answer {
        Answer::Stored => "stored",
        Answer::Fragment { .. } => "a fragment",
        Answer::Held(_) => "a list of the wrong length",
        Answer::Signed(_) => "a signature",
        Answer::Proof { .. } => "a proof",
        Answer::Refused(_) => "a refusal",
    };
    protocol(peer, format!("it answered with {kind}, which does not fit the question"))
}
