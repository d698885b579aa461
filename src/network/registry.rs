//! What a host offers to its peers: request handlers, stream acceptors and topic subscribers, by name.
//!
//! Shared by the libp2p host and the in-memory twin. Must not know how bytes travel.
//! Invariants: every queue is bounded; a handler that panics answers an error; names come from peers and are only looked
//! up, never stored; a host that has ended holds no handler, since handlers often hold their host.

use super::port::{Frames, Protocol, REQUEST_MAX_BYTES, RequestHandler, Topic};
use crate::crypto::hash;
use bytes::Bytes;
use futures::FutureExt;
use libp2p::PeerId;
use parking_lot::Mutex;
use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc};

/// Inbound streams of one protocol that wait for its acceptor; more are refused.
const ACCEPT_MAX_WAITING: usize = 128;
/// Gossip messages of one topic that wait for a subscriber; a slower one loses the oldest.
const GOSSIP_MAX_WAITING: usize = 512;

/// Longest wait for a connection.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(20);
/// Longest wait for a stream on a standing connection.
pub(super) const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// How long the content of a gossip message is remembered: the same content again is not a new message.
pub(super) const GOSSIP_MEMORY: Duration = Duration::from_secs(120);
/// Peer events that wait for a subscriber.
pub(super) const PEER_EVENTS_MAX_WAITING: usize = 1024;
/// Domain of gossip message ids.
const DOMAIN_GOSSIP: &str = "cess 2026 gossip message v1";

/// The id of a gossip message: its content, whoever published it.
pub(super) fn gossip_id(topic: &str, data: &[u8]) -> [u8; 32] {
    hash::tagged(DOMAIN_GOSSIP, &[topic.as_bytes(), data])
}

type Acceptor = mpsc::Sender<Box<dyn Frames>>;
/// A place in an acceptor's queue.
pub(super) type Place = mpsc::OwnedPermit<Box<dyn Frames>>;

/// Why an inbound stream is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody accepts this protocol.
    NoAcceptor,
    /// The acceptor's queue is full.
    QueueFull,
}

impl Refusal {
    /// What the opener reads in its error.
    pub(super) fn reason(self, protocol: &str) -> String {
        match self {
            Self::NoAcceptor => format!("nobody accepts streams of {protocol}"),
            Self::QueueFull => format!("{ACCEPT_MAX_WAITING} streams of {protocol} already wait to be accepted"),
        }
    }
}

type Handlers = BTreeMap<&'static str, Arc<dyn RequestHandler>>;

/// Handlers, acceptors and subscribers of one host.
pub(super) struct Registry {
    /// `None` once the host has ended.
    handlers: Mutex<Option<Handlers>>,
    acceptors: Mutex<BTreeMap<&'static str, Acceptor>>,
    topics: Mutex<BTreeMap<&'static str, broadcast::Sender<(PeerId, Bytes)>>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { handlers: Mutex::new(Some(Handlers::new())), acceptors: Mutex::default(), topics: Mutex::default() }
    }
}

impl Registry {
    /// Answers requests of `protocol` from now on, unless the host has ended.
    pub(super) fn serve(&self, protocol: Protocol, handler: Arc<dyn RequestHandler>) {
        // Both a replaced and a refused handler are dropped outside of the lock: they may be the last owners of a whole service.
        let _unused = match self.handlers.lock().as_mut() {
            Some(handlers) => handlers.insert(protocol.0, handler),
            None => Some(handler),
        };
    }

    /// Lets go of the handlers because the host has ended. A handler and the host it answers on usually hold each other:
    /// without this neither would ever be freed.
    pub(super) fn close(&self) {
        let _handlers = self.handlers.lock().take();
    }

    /// Runs the handler of `protocol` on one request.
    pub(super) async fn answer(&self, from: PeerId, protocol: &str, body: Bytes) -> Result<Bytes, String> {
        let handler = self.handlers.lock().as_ref().and_then(|handlers| handlers.get(protocol).cloned());
        let Some(handler) = handler else { return Err(format!("nobody answers requests of {protocol}")) };
        let answer = AssertUnwindSafe(handler.handle(from, body)).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_| Err(format!("the handler of {protocol} panicked")))?;
        if answer.len() > REQUEST_MAX_BYTES {
            let len = answer.len();
            return Err(format!("the answer of {protocol} of {len} B is over the limit of {REQUEST_MAX_BYTES} B"));
        }
        Ok(answer)
    }

    /// Inbound streams of `protocol` from now on; an earlier acceptor gets no more.
    pub(super) fn accept(&self, protocol: Protocol) -> mpsc::Receiver<Box<dyn Frames>> {
        let (acceptor, streams) = mpsc::channel(ACCEPT_MAX_WAITING);
        self.acceptors.lock().insert(protocol.0, acceptor);
        streams
    }

    /// Reserves a place for one inbound stream of `protocol`.
    pub(super) fn place(&self, protocol: &str) -> Result<Place, Refusal> {
        let acceptor = self.acceptors.lock().get(protocol).cloned().ok_or(Refusal::NoAcceptor)?;
        acceptor.try_reserve_owned().map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::QueueFull,
            mpsc::error::TrySendError::Closed(_) => Refusal::NoAcceptor,
        })
    }

    /// Messages of `topic` from now on, and whether it is this host's first subscription to it.
    pub(super) fn subscribe(&self, topic: Topic) -> (broadcast::Receiver<(PeerId, Bytes)>, bool) {
        let mut topics = self.topics.lock();
        let known = topics.contains_key(topic.0);
        let sender = topics.entry(topic.0).or_insert_with(|| broadcast::Sender::new(GOSSIP_MAX_WAITING));
        (sender.subscribe(), !known)
    }

    /// Hands a message to the subscribers of `topic`.
    pub(super) fn deliver(&self, topic: &str, from: PeerId, data: Bytes) {
        if let Some(sender) = self.topics.lock().get(topic) {
            // Fails only when no subscriber is left, and then nobody misses it.
            let _ = sender.send((from, data));
        }
    }
}
