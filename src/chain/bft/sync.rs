//! Value sync over the node's network: one short stream per request, the answer in one frame.
//!
//! Owns requests in flight in both directions. Must not know which blocks exist; the engine's sync actor and the driver do.
//! Invariants: every request ends within its deadline; concurrent requests from others are bounded.

use super::{
    codec::EngineCodec,
    hub::{Hub, engine_peer, network_peer},
};
use crate::{
    consensus::{
        Block, Certificate,
        context::{BftContext, BlockHeight},
    },
    network::{FrameSink, Frames, NetError, Network, Protocol},
    runtime::{Criticality, Phase},
    types::{BlockId, ChainId, Height},
};
use arc_malachitebft_app_channel::app::{
    engine::network::NetworkEvent,
    types::{
        codec::Codec,
        sync::{Request, Response},
    },
};
use arc_malachitebft_sync::{
    InboundRequestId, OutboundFailureReason, OutboundRequestId, PeerId as EnginePeer, ValueRequest,
};
use bytes::Bytes;
use libp2p::PeerId;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, oneshot};

/// Requests for decided blocks.
pub const SYNC_PROTOCOL: Protocol = Protocol("/cess/sync/1");
/// Longest time an exchange may take.
pub(super) const SYNC_DEADLINE: Duration = Duration::from_secs(10);
/// Requests of others served at a time.
const MAX_INBOUND: usize = 64;

/// The requests in flight.
pub(super) struct SyncStreams {
    hub: Arc<Hub>,
    next: AtomicU64,
    inbound: Mutex<BTreeMap<InboundRequestId, oneshot::Sender<Bytes>>>,
    permits: Arc<Semaphore>,
}

impl SyncStreams {
    /// Starts serving the requests of others.
    pub fn spawn(hub: &Arc<Hub>) -> Arc<Self> {
        let streams = Arc::new(Self {
            hub: hub.clone(),
            next: AtomicU64::new(0),
            inbound: Mutex::default(),
            permits: Arc::new(Semaphore::new(MAX_INBOUND)),
        });
        let (stop, serving) = (hub.tasks.stopping(Phase::Network), streams.clone());
        hub.tasks.spawn(Phase::Network, "bft sync", Criticality::Critical, async move {
            stop.run_until_cancelled_owned(serving.accept()).await;
            Ok(())
        });
        streams
    }

    /// Sends a request; its outcome reaches the engine as an event that names the returned id.
    pub fn request(self: &Arc<Self>, peer: EnginePeer, request: Request<BftContext>) -> OutboundRequestId {
        let id = OutboundRequestId::new(self.next.fetch_add(1, Ordering::Relaxed));
        let (streams, answer_to) = (self.clone(), id.clone());
        let stop = self.hub.tasks.stopping(Phase::Network);
        self.hub.tasks.spawn(Phase::Network, "bft sync request", Criticality::Optional, async move {
            stop.run_until_cancelled_owned(streams.exchange(peer, request, answer_to)).await;
            Ok(())
        });
        id
    }

    /// Answers a request of another node.
    pub fn respond(&self, id: &InboundRequestId, response: &Response<BftContext>) {
        let waiting = self.inbound.lock().remove(id);
        match (waiting, EngineCodec.encode(response)) {
            // A receiver that is gone has given up on the answer.
            (Some(waiting), Ok(bytes)) => drop(waiting.send(bytes)),
            (_, Err(error)) => tracing::error!(%error, "sync answer cannot be encoded"),
            (None, _) => {}
        }
    }

    /// Drops a request of another node unanswered.
    pub fn cancel(&self, id: &InboundRequestId) {
        self.inbound.lock().remove(id);
    }

    async fn exchange(self: Arc<Self>, peer: EnginePeer, request: Request<BftContext>, id: OutboundRequestId) {
        let outcome = match network_peer(peer) {
            Some(host) => ask(self.hub.net.as_ref(), host, &request).await,
            None => Err(NetError::Unreachable { peer: peer.to_string(), reason: "its id is malformed".to_owned() }),
        };
        let event = match outcome {
            Ok(bytes) => {
                let response = EngineCodec.decode(bytes);
                if let Err(error) = &response {
                    tracing::warn!(%peer, %error, "bad sync answer");
                }
                NetworkEvent::SyncResponse(id, peer, response.ok())
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "sync request failed");
                NetworkEvent::SyncRequestFailed(id, peer, reason_of(&error))
            }
        };
        self.hub.emit(event);
    }

    async fn accept(self: Arc<Self>) {
        let mut streams = self.hub.net.accept(SYNC_PROTOCOL);
        while let Some(stream) = streams.recv().await {
            let Ok(permit) = self.permits.clone().try_acquire_owned() else {
                tracing::debug!(peer = %stream.peer(), "sync request refused: {MAX_INBOUND} are being served");
                continue;
            };
            let (serving, stop) = (self.clone(), self.hub.tasks.stopping(Phase::Network));
            self.hub.tasks.spawn(Phase::Network, "bft sync answer", Criticality::Optional, async move {
                let served = tokio::time::timeout(SYNC_DEADLINE, serving.serve(stream));
                if let Some(Ok(Err(error))) = stop.run_until_cancelled_owned(served).await {
                    tracing::debug!(%error, "sync request not served");
                }
                drop(permit);
                Ok(())
            });
        }
    }

    async fn serve(&self, mut stream: Box<dyn Frames>) -> anyhow::Result<()> {
        let peer = stream.peer();
        let from = engine_peer(&peer).ok_or_else(|| anyhow::anyhow!("peer id {peer} is of an unknown kind"))?;
        let Some(frame) = stream.recv().await? else { return Ok(()) };
        let request: Request<BftContext> = EngineCodec.decode(frame)?;
        let (mut sink, _source) = stream.split();
        let id = InboundRequestId::new(self.next.fetch_add(1, Ordering::Relaxed));
        let answer = self.expect(id.clone());
        self.hub.emit(NetworkEvent::SyncRequest(id.clone(), from, request));
        let sent = deliver(sink.as_mut(), answer).await;
        self.cancel(&id);
        sent
    }

    fn expect(&self, id: InboundRequestId) -> oneshot::Receiver<Bytes> {
        let (sender, receiver) = oneshot::channel();
        self.inbound.lock().insert(id, sender);
        receiver
    }
}

async fn deliver(sink: &mut dyn FrameSink, answer: oneshot::Receiver<Bytes>) -> anyhow::Result<()> {
    // Dropped when the engine refuses the request; closing the stream tells the other side.
    if let Ok(bytes) = answer.await {
        sink.send(bytes).await?;
    }
    Ok(())
}

fn reason_of(error: &NetError) -> OutboundFailureReason {
    match error {
        NetError::Unreachable { .. } | NetError::Listen { .. } => OutboundFailureReason::DialFailure,
        NetError::Timeout { .. } => OutboundFailureReason::Timeout,
        NetError::Refused { .. } => OutboundFailureReason::UnsupportedProtocols,
        NetError::TooLarge { .. } => OutboundFailureReason::Io,
        NetError::Closed(_) => OutboundFailureReason::ConnectionClosed,
    }
}

/// One exchange with `peer`.
pub(super) async fn ask(net: &dyn Network, peer: PeerId, request: &Request<BftContext>) -> Result<Bytes, NetError> {
    let malformed = |e: crate::codec::CodecError| NetError::Closed(e.to_string());
    let bytes = EngineCodec.encode(request).map_err(malformed)?;
    let exchange = async {
        let mut stream = net.open(peer, SYNC_PROTOCOL).await?;
        stream.send(bytes).await?;
        stream.recv().await?.ok_or_else(|| NetError::Closed("it did not answer".to_owned()))
    };
    let millis = u64::try_from(SYNC_DEADLINE.as_millis()).unwrap_or(u64::MAX);
    let late = |_| NetError::Timeout { peer: peer.to_string(), millis };
    tokio::time::timeout(SYNC_DEADLINE, exchange).await.map_err(late)?
}

/// Asks `peers` in turn for the block `id`, decided at `height`.
pub(super) async fn fetch_block(
    net: &dyn Network,
    peers: &[PeerId],
    chain_id: ChainId,
    height: Height,
    id: BlockId,
) -> Option<Block> {
    let request = Request::ValueRequest(ValueRequest::new(BlockHeight(height)..=BlockHeight(height)));
    for peer in peers {
        let Ok(bytes) = ask(net, *peer, &request).await else { continue };
        let Ok(Response::ValueResponse(response)) = EngineCodec.decode(bytes) else { continue };
        for value in response.values {
            if let Ok(block) = super::proposals::check_block(chain_id, height, id, &value.value_bytes) {
                return Some(block);
            }
        }
    }
    None
}

/// Whether a certificate is for this block.
pub(super) fn certifies(certificate: &Certificate, block: &Block) -> bool {
    certificate.height == block.header.height && certificate.block == block.id()
}
