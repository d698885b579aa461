//! What the rest of the program may ask of a network.

use crate::crypto::PublicKey;
use async_trait::async_trait;
use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use std::{sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc};

/// Largest frame on a bulk stream: one fragment and its header.
pub const FRAME_MAX_BYTES: usize = (8 << 20) + (64 << 10);
/// Received frames of at least so many bytes begin at a multiple of it in memory, as a disk wants it.
pub const FRAME_ALIGN_BYTES: usize = 4 << 10;
/// Largest body of a small request or its answer: a full block's events in hexadecimal.
pub const REQUEST_MAX_BYTES: usize = 9 << 20;
/// Largest gossip message: a transaction of the largest size, or a block announcement.
pub const GOSSIP_MAX_BYTES: usize = (2 << 20) + (64 << 10);

/// Name of a protocol, `/cess/<service>/<version>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub &'static str);

/// Name of a gossip topic. Hosts prefix it with the chain id so that networks never mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(pub &'static str);

/// Why the network could not do something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NetError {
    /// No connection and no known address, or dialling failed.
    #[error("peer {peer} cannot be reached: {reason}")]
    Unreachable { peer: String, reason: String },
    /// The deadline passed.
    #[error("peer {peer} did not answer within {millis} ms")]
    Timeout { peer: String, millis: u64 },
    /// The peer has no handler for this protocol, or its handler refused.
    #[error("peer {peer} refused: {reason}")]
    Refused { peer: String, reason: String },
    /// A frame or body over its cap.
    #[error("{what} of {len} B is over the limit of {max} B")]
    TooLarge { what: &'static str, len: usize, max: usize },
    /// The stream or the host was closed.
    #[error("connection closed: {0}")]
    Closed(String),
    /// The host could not start.
    #[error("cannot listen on {addr}: {reason}")]
    Listen { addr: String, reason: String },
}

impl NetError {
    pub(super) fn unreachable(peer: &PeerId, reason: impl ToString) -> Self {
        Self::Unreachable { peer: peer.to_string(), reason: reason.to_string() }
    }

    pub(super) fn refused(peer: &PeerId, reason: impl ToString) -> Self {
        Self::Refused { peer: peer.to_string(), reason: reason.to_string() }
    }

    pub(super) fn timeout(peer: &PeerId, deadline: Duration) -> Self {
        Self::Timeout { peer: peer.to_string(), millis: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Refuses `len` bytes of `what` over `max`.
    pub(super) fn check_size(what: &'static str, len: usize, max: usize) -> Result<(), Self> {
        if len > max { Err(Self::TooLarge { what, len, max }) } else { Ok(()) }
    }
}

/// What happened to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// First connection to this peer.
    Connected(PeerId),
    /// Last connection to this peer closed.
    Disconnected(PeerId),
}

/// A connected peer.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// Its identity.
    pub peer: PeerId,
    /// The address it is reached at.
    pub addr: Option<Multiaddr>,
    /// Its agent string once identified, `cess/<version> <role>`.
    pub agent: Option<String>,
    /// Last measured round trip.
    pub rtt: Option<Duration>,
}

/// Answers requests of one protocol. An error string travels back as [`NetError::Refused`].
#[async_trait]
pub trait RequestHandler: Send + Sync + 'static {
    /// Handles one request.
    async fn handle(&self, from: PeerId, body: Bytes) -> Result<Bytes, String>;
}

/// A bidirectional stream of frames, each of at most [`FRAME_MAX_BYTES`].
#[async_trait]
pub trait Frames: Send + 'static {
    /// The other end.
    fn peer(&self) -> PeerId;
    /// Sends one frame; waits while the receiver is slow. Returns when the frame is handed to the transport.
    async fn send(&mut self, frame: Bytes) -> Result<(), NetError>;
    /// The next frame, or `None` when the other end closed in order.
    async fn recv(&mut self) -> Result<Option<Bytes>, NetError>;
    /// Splits into a sending and a receiving half that may live in two tasks.
    fn split(self: Box<Self>) -> (Box<dyn FrameSink>, Box<dyn FrameSource>);
}

/// The sending half of a stream. Dropping it closes the sending direction.
#[async_trait]
pub trait FrameSink: Send + 'static {
    /// Sends one frame.
    async fn send(&mut self, frame: Bytes) -> Result<(), NetError>;
}

/// The receiving half of a stream.
#[async_trait]
pub trait FrameSource: Send + 'static {
    /// The next frame.
    async fn recv(&mut self) -> Result<Option<Bytes>, NetError>;
}

/// One node's network host.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// This host's identity.
    fn local_peer(&self) -> PeerId;
    /// Addresses others can dial, each ending in `/p2p/<peer>`.
    fn listen_addrs(&self) -> Vec<Multiaddr>;
    /// Connected peers.
    fn peers(&self) -> Vec<PeerInfo>;
    /// Remembers an address of `peer` for later dialling.
    fn add_address(&self, peer: PeerId, addr: Multiaddr);
    /// Connects to `addr`, which must end in `/p2p/<peer>`, and returns the peer once connected.
    async fn dial(&self, addr: Multiaddr) -> Result<PeerId, NetError>;
    /// Connects to a peer with known addresses (given earlier, or found through kad).
    async fn connect(&self, peer: PeerId) -> Result<(), NetError>;
    /// Closes every connection to `peer`.
    fn disconnect(&self, peer: PeerId);
    /// Peers coming and going from now on.
    fn peer_events(&self) -> broadcast::Receiver<PeerEvent>;
    /// Sends a small request and waits for its answer; connects first if needed.
    async fn request(
        &self,
        peer: PeerId,
        protocol: Protocol,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, NetError>;
    /// Answers requests of `protocol`. A second handler replaces the first.
    fn serve(&self, protocol: Protocol, handler: Arc<dyn RequestHandler>);
    /// Opens a bulk stream; connects first if needed.
    async fn open(&self, peer: PeerId, protocol: Protocol) -> Result<Box<dyn Frames>, NetError>;
    /// Streams other peers open for `protocol`. Replaces an earlier acceptor.
    fn accept(&self, protocol: Protocol) -> mpsc::Receiver<Box<dyn Frames>>;
    /// Publishes to a topic. Messages are signed by the host and deduplicated by content as long as hosts remember it: a
    /// subscriber may hear one again.
    async fn publish(&self, topic: Topic, data: Bytes) -> Result<(), NetError>;
    /// Messages of a topic with the peer that published them. A receiver that lags loses the oldest.
    fn subscribe(&self, topic: Topic) -> broadcast::Receiver<(PeerId, Bytes)>;
    /// Closes every connection and stops the host.
    async fn shutdown(&self);
}

/// The peer id of an ed25519 network key.
pub fn peer_id_of(key: &PublicKey) -> Result<PeerId, NetError> {
    let bad = |reason: String| NetError::Unreachable { peer: key.to_string(), reason };
    let key = libp2p::identity::ed25519::PublicKey::try_from_bytes(&key.0).map_err(|e| bad(e.to_string()))?;
    Ok(libp2p::identity::PublicKey::from(key).to_peer_id())
}
