//! Talking to miners: one long-lived stream to each, many requests on it at once.
//!
//! Owns streams, tags and deadlines. Must not know why something is asked. Invariants: at most [`LINK_MAX_REQUESTS`] requests
//! wait on one stream; a link that fails fails all of them at once; what arrives unasked ends the link.

use super::wire::{Answer, Ask, AuditPart, DATA, Refusal, Request, Response};
use crate::{
    codec,
    network::{FrameSink, FrameSource, NetError, Network, PeerId},
    runtime::{Counter, Criticality, Node, Phase},
    types::FragmentId,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Requests that may wait for their answers on one stream.
pub const LINK_MAX_REQUESTS: usize = 16;
/// Streams one client keeps.
const LINKS_MAX: usize = 1_024;
/// A stream on which nothing was asked for so long is closed.
const LINK_IDLE: Duration = Duration::from_secs(60);

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
    #[error("{LINKS_MAX} miners are being talked to already")]
    Busy,
}

/// Handle for talking to miners. Cheap to clone; clones share the streams.
#[derive(Clone)]
pub struct DataClient {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    network: Arc<dyn Network>,
    links: Mutex<BTreeMap<PeerId, Link>>,
    next_link: AtomicU64,
}

#[derive(Clone)]
struct Link {
    number: u64,
    calls: mpsc::Sender<Call>,
    slots: Arc<Semaphore>,
    close: CancellationToken,
}

type Reply = Result<(Answer, Bytes), DataError>;

struct Call {
    ask: Ask,
    payload: Option<Bytes>,
    waiter: Waiter,
}

struct Waiter {
    reply: oneshot::Sender<Reply>,
    _slot: OwnedSemaphorePermit,
}

/// Requests on the wire, by tag.
type Waiters = Mutex<BTreeMap<u32, Waiter>>;

impl DataClient {
    /// A client over `network`.
    pub fn new(node: &Node, network: Arc<dyn Network>) -> Self {
        let links = Mutex::default();
        Self { inner: Arc::new(Inner { node: node.clone(), network, links, next_link: AtomicU64::new(0) }) }
    }

    /// Has `peer` keep a fragment; returns when it is safely on its disk.
    pub async fn put(&self, peer: PeerId, id: FragmentId, bytes: Bytes, deadline: Duration) -> Result<(), DataError> {
        let len = u32::try_from(bytes.len()).map_err(|_| protocol(peer, "a fragment is at most 8 MiB"))?;
        self.inner.node.metrics.add(Counter::BytesOut, u64::from(len));
        match self.ask(peer, Ask::Put { id, len }, Some(bytes), deadline).await? {
            (Answer::Stored, _) => Ok(()),
            (other, _) => Err(unexpected(peer, other)),
        }
    }

    /// A fragment of `len` bytes as `peer` sends it. The caller checks the hash.
    pub async fn get(&self, peer: PeerId, id: FragmentId, len: u64, deadline: Duration) -> Result<Bytes, DataError> {
        match self.ask(peer, Ask::Get { id }, None, deadline).await? {
            (Answer::Fragment { .. }, bytes) if bytes.len() as u64 == len => {
                self.inner.node.metrics.add(Counter::BytesIn, len);
                Ok(bytes)
            }
            (Answer::Fragment { len: sent }, _) => {
                Err(protocol(peer, format!("fragment {id} was sent with {sent} B, expected {len} B")))
            }
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
                self.inner.node.metrics.add(Counter::BytesIn, bytes.len() as u64);
                Ok(bytes)
            }
            (other, _) => Err(unexpected(peer, other)),
        }
    }

    /// Drops the stream to `peer` and fails what waits on it. The next request opens a new one.
    pub fn reset(&self, peer: PeerId) {
        if let Some(link) = self.inner.links.lock().remove(&peer) {
            link.close.cancel();
        }
    }

    async fn ask(&self, peer: PeerId, ask: Ask, payload: Option<Bytes>, deadline: Duration) -> Reply {
        let answered = timeout(deadline, self.ask_twice(peer, ask, payload)).await;
        let result = answered.unwrap_or_else(|_| {
            self.reset(peer);
            Err(DataError::Timeout { peer, millis: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX) })
        })?;
        match result {
            (Answer::Refused(refusal), _) => Err(DataError::Refused { peer, refusal }),
            answer => Ok(answer),
        }
    }

    /// A stream kept from earlier may have died meanwhile: then, and only then, a second one is tried.
    async fn ask_twice(&self, peer: PeerId, ask: Ask, payload: Option<Bytes>) -> Reply {
        let (link, fresh) = self.inner.link(peer)?;
        let first = link.call(peer, ask.clone(), payload.clone()).await;
        match first {
            Err(DataError::Network(NetError::Closed(_))) if !fresh => {
                self.inner.forget(peer, link.number);
                let (link, _) = self.inner.link(peer)?;
                link.call(peer, ask, payload).await
            }
            other => other,
        }
    }
}

impl Inner {
    /// The link to `peer` and whether it was opened for this call.
    fn link(self: &Arc<Self>, peer: PeerId) -> Result<(Link, bool), DataError> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(&peer).filter(|link| !link.calls.is_closed() && !link.close.is_cancelled()) {
            return Ok((link.clone(), false));
        }
        if links.len() >= LINKS_MAX {
            links.retain(|_, link| {
                let idle = link.calls.is_closed() || link.slots.available_permits() == LINK_MAX_REQUESTS;
                if idle {
                    link.close.cancel();
                }
                !idle
            });
            if links.len() >= LINKS_MAX {
                return Err(DataError::Busy);
            }
        }
        let (calls, queue) = mpsc::channel(LINK_MAX_REQUESTS);
        let number = self.next_link.fetch_add(1, Ordering::Relaxed);
        let link =
            Link { number, calls, slots: Arc::new(Semaphore::new(LINK_MAX_REQUESTS)), close: CancellationToken::new() };
        links.insert(peer, link.clone());
        drop(links);
        let (this, close) = (self.clone(), link.close.clone());
        self.node.tasks.spawn(Phase::Drain, format!("data link to {peer}"), Criticality::Optional, async move {
            this.run(peer, number, queue, close).await;
            Ok(())
        });
        Ok((link, true))
    }

    async fn run(&self, peer: PeerId, number: u64, mut queue: mpsc::Receiver<Call>, close: CancellationToken) {
        let stopping = self.node.tasks.stopping(Phase::Drain);
        let waiters = Waiters::default();
        let error = tokio::select! {
            error = self.converse(peer, &mut queue, &waiters) => error,
            () = close.cancelled() => closed("the stream was given up"),
            () = stopping.cancelled() => closed("this node stops"),
        };
        self.forget(peer, number);
        queue.close();
        while let Some(call) = queue.recv().await {
            call.waiter.answer(Err(error.clone()));
        }
        for (_, waiter) in std::mem::take(&mut *waiters.lock()) {
            waiter.answer(Err(error.clone()));
        }
        tracing::debug!(%peer, %error, "data link ended");
    }

    async fn converse(&self, peer: PeerId, queue: &mut mpsc::Receiver<Call>, waiters: &Waiters) -> DataError {
        let stream = match self.network.open(peer, DATA).await {
            Ok(stream) => stream,
            Err(error) => return error.into(),
        };
        let (sink, source) = stream.split();
        tokio::select! {
            error = speak(sink, queue, waiters) => error,
            error = listen(peer, source, waiters) => error,
        }
    }

    fn forget(&self, peer: PeerId, number: u64) {
        let mut links = self.links.lock();
        if links.get(&peer).is_some_and(|link| link.number == number) {
            links.remove(&peer);
        }
    }
}

impl Link {
    async fn call(&self, peer: PeerId, ask: Ask, payload: Option<Bytes>) -> Reply {
        let gone = || closed(format!("the stream to {peer} ended"));
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| gone())?;
        let (reply, answer) = oneshot::channel();
        let call = Call { ask, payload, waiter: Waiter { reply, _slot: slot } };
        self.calls.send(call).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Waiter {
    fn answer(self, reply: Reply) {
        // Whoever asked may have found the answer elsewhere.
        let _ = self.reply.send(reply);
    }
}

/// Sends requests until the link fails or was idle for long.
async fn speak(mut sink: Box<dyn FrameSink>, queue: &mut mpsc::Receiver<Call>, waiters: &Waiters) -> DataError {
    let mut tag = 0u32;
    loop {
        let call = match timeout(LINK_IDLE, queue.recv()).await {
            Ok(Some(call)) => call,
            Ok(None) => return closed("nobody uses the stream"),
            Err(_) if waiters.lock().is_empty() => return closed("the stream was idle"),
            Err(_) => continue,
        };
        if call.waiter.reply.is_closed() {
            continue;
        }
        tag = tag.wrapping_add(1);
        let request = codec::encode(&Request { tag, ask: call.ask });
        waiters.lock().insert(tag, call.waiter);
        let sent = async {
            sink.send(request.into()).await?;
            match call.payload {
                Some(payload) => sink.send(payload).await,
                None => Ok(()),
            }
        };
        if let Err(error) = sent.await {
            return error.into();
        }
    }
}

/// Hands answers to those who wait for them until the link fails.
async fn listen(peer: PeerId, mut source: Box<dyn FrameSource>, waiters: &Waiters) -> DataError {
    loop {
        let frame = match source.recv().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return closed(format!("{peer} ended the stream")),
            Err(error) => return error.into(),
        };
        let response = match codec::decode::<Response>(&frame) {
            Ok(response) => response,
            Err(error) => return protocol(peer, error.to_string()),
        };
        let payload = match response.answer {
            Answer::Fragment { len } | Answer::Proof { len } => match source.recv().await {
                Ok(Some(bytes)) if u32::try_from(bytes.len()) == Ok(len) => bytes,
                Ok(_) => return protocol(peer, format!("a fragment of {len} B was announced but did not follow")),
                Err(error) => return error.into(),
            },
            _ => Bytes::new(),
        };
        let Some(waiter) = waiters.lock().remove(&response.tag) else {
            return protocol(peer, format!("answer {} was not asked for", response.tag));
        };
        waiter.answer(Ok((response.answer, payload)));
    }
}

fn closed(reason: impl Into<String>) -> DataError {
    DataError::Network(NetError::Closed(reason.into()))
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
