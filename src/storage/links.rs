//! One long-lived stream to each peer of a protocol, many requests on it at once.
//!
//! Owns streams, tags and deadlines. Must not know what is asked: a [`Dialogue`] says how questions and answers look. Invariants:
//! at most [`Dialogue::MAX_REQUESTS`] requests wait on one stream; requests go out in the order in which they were begun; a link
//! that fails fails all of them at once; what arrives unasked ends the link.

use crate::{
    codec::CodecError,
    network::{FrameSink, FrameSource, NetError, Network, PeerId, Protocol},
    runtime::{Criticality, Node, Phase},
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

/// Streams one client keeps.
const LINKS_MAX: usize = 1_024;
/// A stream on which nothing was asked for so long is closed.
const LINK_IDLE: Duration = Duration::from_secs(60);

/// How two ends of a protocol talk.
pub trait Dialogue: Send + Sync + 'static {
    /// The protocol's name.
    const PROTOCOL: Protocol;
    /// What the stream is called in listings of tasks.
    const NAME: &'static str;
    /// Requests that may wait for their answers on one stream.
    const MAX_REQUESTS: usize;
    /// A question.
    type Ask: Clone + Send + 'static;
    /// An answer.
    type Answer: Send + 'static;

    /// The frames of a question.
    fn frames(tag: u32, ask: Self::Ask) -> Vec<Bytes>;
    /// The tag and the answer in a frame, and how many bytes of it follow in a frame of their own.
    fn read(frame: &[u8]) -> Result<(u32, Self::Answer, Option<u32>), CodecError>;
    /// The answer with the bytes that followed.
    fn complete(answer: Self::Answer, bytes: Bytes) -> Self::Answer;
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// The network failed.
    #[error(transparent)]
    Network(#[from] NetError),
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

/// The streams of one protocol. Cheap to clone; clones share the streams.
pub struct Links<D: Dialogue> {
    inner: Arc<Inner<D>>,
}

impl<D: Dialogue> Clone for Links<D> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

struct Inner<D: Dialogue> {
    node: Node,
    network: Arc<dyn Network>,
    links: Mutex<BTreeMap<PeerId, Link<D>>>,
    next_link: AtomicU64,
}

struct Link<D: Dialogue> {
    number: u64,
    calls: mpsc::Sender<Call<D>>,
    slots: Arc<Semaphore>,
    close: CancellationToken,
}

impl<D: Dialogue> Clone for Link<D> {
    fn clone(&self) -> Self {
        let Self { number, calls, slots, close } = self;
        Self { number: *number, calls: calls.clone(), slots: slots.clone(), close: close.clone() }
    }
}

type Reply<A> = Result<A, LinkError>;

struct Call<D: Dialogue> {
    ask: D::Ask,
    waiter: Waiter<D::Answer>,
}

struct Waiter<A> {
    reply: oneshot::Sender<Reply<A>>,
    _slot: OwnedSemaphorePermit,
}

/// Requests on the wire, by tag.
type Waiters<A> = Mutex<BTreeMap<u32, Waiter<A>>>;

/// A request that was begun.
pub struct Begun<A> {
    peer: PeerId,
    number: u64,
    answer: oneshot::Receiver<Reply<A>>,
}

impl<A> Begun<A> {
    /// Its answer. Waits without a deadline; may be dropped and called again until it has answered.
    pub async fn wait(&mut self) -> Reply<A> {
        let answer = (&mut self.answer).await;
        answer.map_err(|_| closed(format!("the stream to {} ended", self.peer)))?
    }

    /// Which link it went over: a later link to the same peer has another number.
    pub fn link(&self) -> u64 {
        self.number
    }
}

impl<D: Dialogue> Links<D> {
    /// No streams yet.
    pub fn new(node: &Node, network: Arc<dyn Network>) -> Self {
        let links = Mutex::default();
        Self { inner: Arc::new(Inner { node: node.clone(), network, links, next_link: AtomicU64::new(0) }) }
    }

    /// Drops the stream to `peer` and fails what waits on it. The next request opens a new one.
    pub fn reset(&self, peer: PeerId) {
        if let Some(link) = self.inner.links.lock().remove(&peer) {
            link.close.cancel();
        }
    }

    /// Asks and waits for the answer. A stream that does not answer in time is dropped.
    pub async fn ask(&self, peer: PeerId, ask: D::Ask, deadline: Duration) -> Reply<D::Answer> {
        timeout(deadline, self.ask_twice(peer, ask)).await.unwrap_or_else(|_| Err(self.late(peer, deadline)))
    }

    /// Asks and waits for the answer as long as it may take; the stream stays.
    pub async fn ask_patiently(&self, peer: PeerId, ask: D::Ask) -> Reply<D::Answer> {
        self.ask_twice(peer, ask).await
    }

    /// Drops the stream to a peer that did not answer within `deadline`; says so.
    pub fn late(&self, peer: PeerId, deadline: Duration) -> LinkError {
        self.reset(peer);
        LinkError::Timeout { peer, millis: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Queues a request. Waits while too many are under way; requests begun one after the other arrive in that order as long
    /// as the link stays the same.
    pub async fn begin(&self, peer: PeerId, ask: D::Ask) -> Result<Begun<D::Answer>, LinkError> {
        let (link, _) = self.inner.link(peer)?;
        link.begin(peer, ask).await
    }

    /// A stream kept from earlier may have died meanwhile: then, and only then, a second one is tried.
    async fn ask_twice(&self, peer: PeerId, ask: D::Ask) -> Reply<D::Answer> {
        let (link, fresh) = self.inner.link(peer)?;
        let first = link.call(peer, ask.clone()).await;
        match first {
            Err(LinkError::Network(NetError::Closed(_))) if !fresh => {
                self.inner.forget(peer, link.number);
                let (link, _) = self.inner.link(peer)?;
                link.call(peer, ask).await
            }
            other => other,
        }
    }
}

impl<D: Dialogue> Inner<D> {
    /// The link to `peer` and whether it was opened for this call.
    fn link(self: &Arc<Self>, peer: PeerId) -> Result<(Link<D>, bool), LinkError> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(&peer).filter(|link| !link.calls.is_closed() && !link.close.is_cancelled()) {
            return Ok((link.clone(), false));
        }
        if links.len() >= LINKS_MAX {
            links.retain(|_, link| {
                let idle = link.calls.is_closed() || link.slots.available_permits() == D::MAX_REQUESTS;
                if idle {
                    link.close.cancel();
                }
                !idle
            });
            if links.len() >= LINKS_MAX {
                return Err(LinkError::Busy);
            }
        }
        let (calls, queue) = mpsc::channel(D::MAX_REQUESTS);
        let number = self.next_link.fetch_add(1, Ordering::Relaxed);
        let link =
            Link { number, calls, slots: Arc::new(Semaphore::new(D::MAX_REQUESTS)), close: CancellationToken::new() };
        links.insert(peer, link.clone());
        drop(links);
        let (this, close) = (self.clone(), link.close.clone());
        // Requests that are drained still need it.
        self.node.tasks.spawn(Phase::Produce, format!("{} to {peer}", D::NAME), Criticality::Optional, async move {
            this.run(peer, number, queue, close).await;
            Ok(())
        });
        Ok((link, true))
    }

    async fn run(&self, peer: PeerId, number: u64, mut queue: mpsc::Receiver<Call<D>>, close: CancellationToken) {
        let stopping = self.node.tasks.stopping(Phase::Produce);
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
        tracing::debug!(%peer, %error, link = D::NAME, "link ended");
    }

    async fn converse(
        &self,
        peer: PeerId,
        queue: &mut mpsc::Receiver<Call<D>>,
        waiters: &Waiters<D::Answer>,
    ) -> LinkError {
        let stream = match self.network.open(peer, D::PROTOCOL).await {
            Ok(stream) => stream,
            Err(error) => return error.into(),
        };
        let (sink, source) = stream.split();
        tokio::select! {
            error = speak::<D>(sink, queue, waiters) => error,
            error = listen::<D>(peer, source, waiters) => error,
        }
    }

    fn forget(&self, peer: PeerId, number: u64) {
        let mut links = self.links.lock();
        if links.get(&peer).is_some_and(|link| link.number == number) {
            links.remove(&peer);
        }
    }
}

impl<D: Dialogue> Link<D> {
    async fn call(&self, peer: PeerId, ask: D::Ask) -> Reply<D::Answer> {
        self.begin(peer, ask).await?.wait().await
    }

    async fn begin(&self, peer: PeerId, ask: D::Ask) -> Result<Begun<D::Answer>, LinkError> {
        let gone = || closed(format!("the stream to {peer} ended"));
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| gone())?;
        let (reply, answer) = oneshot::channel();
        let call = Call { ask, waiter: Waiter { reply, _slot: slot } };
        self.calls.send(call).await.map_err(|_| gone())?;
        Ok(Begun { peer, number: self.number, answer })
    }
}

impl<A> Waiter<A> {
    fn answer(self, reply: Reply<A>) {
        // Whoever asked may have found the answer elsewhere.
        let _ = self.reply.send(reply);
    }
}

/// Sends requests until the link fails or was idle for long.
async fn speak<D: Dialogue>(
    mut sink: Box<dyn FrameSink>,
    queue: &mut mpsc::Receiver<Call<D>>,
    waiters: &Waiters<D::Answer>,
) -> LinkError {
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
        let frames = D::frames(tag, call.ask);
        waiters.lock().insert(tag, call.waiter);
        for frame in frames {
            if let Err(error) = sink.send(frame).await {
                return error.into();
            }
        }
    }
}

/// Hands answers to those who wait for them until the link fails.
async fn listen<D: Dialogue>(
    peer: PeerId,
    mut source: Box<dyn FrameSource>,
    waiters: &Waiters<D::Answer>,
) -> LinkError {
    loop {
        let frame = match source.recv().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return closed(format!("{peer} ended the stream")),
            Err(error) => return error.into(),
        };
        let (tag, answer, follows) = match D::read(&frame) {
            Ok(read) => read,
            Err(error) => return protocol(peer, error.to_string()),
        };
        let answer = match follows {
            None => answer,
            Some(len) => match source.recv().await {
                Ok(Some(bytes)) if u32::try_from(bytes.len()) == Ok(len) => D::complete(answer, bytes),
                Ok(_) => return protocol(peer, format!("{len} B were announced but did not follow")),
                Err(error) => return error.into(),
            },
        };
        let Some(waiter) = waiters.lock().remove(&tag) else {
            return protocol(peer, format!("answer {tag} was not asked for"));
        };
        waiter.answer(Ok(answer));
    }
}

fn closed(reason: impl Into<String>) -> LinkError {
    LinkError::Network(NetError::Closed(reason.into()))
}

fn protocol(peer: PeerId, reason: impl Into<String>) -> LinkError {
    LinkError::Protocol { peer, reason: reason.into() }
}
